"""What the command line says the items are: paths, words, lines, JSON values, one to a line, or rows of CSV."""

from __future__ import annotations

import csv
import glob
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from allcores._doors.command_line.usage import UsageError

__all__ = ["KINDS", "find_items"]

KINDS = ("paths", "words", "lines", "jsonl", "csv")
STANDARD_INPUT = "-"


def find_items(inputs: list[str], kind: str) -> Iterable[Any]:
    """Give the items.

    Args:
        inputs: as they stand on the command line; of lines, JSON and CSV, none stands for the standard input.
        kind: one of `KINDS`.

    Raises:
        UsageError: there is nothing of that name, or nothing at all.
    """
    if kind == "words":
        return inputs
    if kind == "paths":
        if not inputs:
            raise UsageError("there is no input; name files, or patterns such as 'data/*.csv', or give --items")
        if STANDARD_INPUT in inputs:
            raise UsageError("- stands for standard input, which is no path; if paths stand there, give --items lines")
        return [path for name in inputs for path in _expand(name)]
    files = [path for name in inputs or [STANDARD_INPUT] for path in _expand(name)]
    return {"lines": _lines, "jsonl": _values, "csv": _rows}[kind](files)


def _expand(name: str) -> list[str]:
    if name == STANDARD_INPUT or os.path.exists(name):
        return [name]
    found = sorted(glob.glob(name, recursive=True))
    if not found:
        what = "nothing matches" if glob.has_magic(name) else "there is no file"
        raise UsageError(f"{what} {name}")
    return found


def _lines(files: list[str]) -> Iterator[str]:
    for _, _, line in _numbered(files):
        yield line


def _values(files: list[str]) -> Iterator[Any]:
    for file, number, line in _numbered(files):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError as error:
                raise UsageError(f"line {number} of {file} is no JSON: {error}") from None
            yield value


def _rows(files: list[str]) -> Iterator[dict[str, str]]:
    for file in files:
        with _opened(file, newline="") as (name, lines):  # cells may have ends of lines of their own
            rows = csv.DictReader(lines, strict=True)
            try:
                for row in rows:
                    if None in row or None in row.values():
                        raise UsageError(f"line {rows.reader.line_num} of {name} has other columns than the first line")
                    yield row
            except csv.Error as error:
                raise UsageError(f"line {rows.reader.line_num} of {name} is no CSV: {error}") from None


def _numbered(files: list[str]) -> Iterator[tuple[str, int, str]]:
    for file in files:
        with _opened(file) as (name, lines):
            for number, line in enumerate(lines, 1):
                yield name, number, line.removesuffix("\n")


@contextmanager
def _opened(file: str, newline: str | None = None) -> Iterator[tuple[str, TextIO]]:
    """Open a file, or standard input; give what to call it in messages, and its lines."""
    is_input = file == STANDARD_INPUT
    name = "standard input" if is_input else file
    try:
        with open(0 if is_input else file, encoding="utf-8", newline=newline, closefd=not is_input) as lines:
            yield name, lines
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} cannot be read: {error}") from None
