"""Rows, each a heading and a text, as a person reads them: in a terminal, or in a notebook."""

from __future__ import annotations

from collections.abc import Iterable

from allcores._core.hints import TypeAlias

__all__ = ["Row", "as_html", "as_text", "escape"]

Row: TypeAlias = tuple[str, str]

ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def as_text(rows: Iterable[Row]) -> str:
    """Write the rows one below another, the texts aligned."""
    listed = list(rows)
    width = max(len(heading) for heading, _ in listed)
    return "\n".join(f"{heading:{width}}  {text}" for heading, text in listed)


def as_html(rows: Iterable[Row]) -> str:
    """Write the rows as a table."""
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(heading)}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for heading, text in rows
    )
    return f"<table>{cells}</table>"


def escape(text: str) -> str:
    """Write a text so that it is one in HTML, in an attribute, too."""
    return text.translate(ESCAPES)
