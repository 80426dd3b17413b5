"""Results as rows of CSV, for a spreadsheet or a data frame: index, what the item was, and what came of it."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from allcores._doors.command_line.results import as_plain

__all__ = ["Rows"]

END = "\r\n"  # of a row to the writer, which puts a cell that has either character into quotes
CELLS = (str, int, float, bool, type(None))  # that stand in a row as they are; all else is JSON there


class Rows:
    """Writes what came of each item as a row, below a header.

    An item or a result that is a dict has a column for each of its keys, anything else has one. The first result says
    which columns there are.
    """

    def __init__(self) -> None:
        self._columns: list[str] = []

    def line(self, index: int, item: Any, result: Any) -> str:
        """Write a row, and the header before the first.

        Raises:
            TypeError, ValueError: it has other columns than the first, or something that has no JSON either.
        """
        row: dict[str, Any] = {"index": index} | _cells("item", item)
        for name, value in _cells("result", result).items():
            row[f"result.{name}" if name in row else name] = value
        if not self._columns:
            header = _written(list(row)) + "\n"
            self._columns = list(row)
        elif row.keys() == set(self._columns):
            header = ""
        else:
            raise ValueError(f"its columns are {', '.join(row)}, and those of the first are {', '.join(self._columns)}")
        return header + _written([row[name] for name in self._columns])


def _cells(name: str, thing: Any) -> dict[str, Any]:
    """Give the cells that a thing takes, by column."""
    if not isinstance(thing, dict):
        thing = {name: _plain(thing)}
    return {str(key): _cell(value) for key, value in thing.items()}


def _cell(value: Any) -> Any:
    value = _plain(value)
    return value if isinstance(value, CELLS) else json.dumps(value, default=as_plain)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (*CELLS, list, tuple, dict)) else as_plain(value)


def _written(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=END).writerow(cells)
    return text.getvalue().removesuffix(END)
