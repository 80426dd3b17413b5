"""Where results go: a line for each, in order, to standard output or to a file that is whole or not there."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from types import TracebackType
from typing import Any, Self, TextIO

from allcores._doors.command_line.usage import UsageError

__all__ = ["ResultFile", "as_line", "as_plain"]

UNFINISHED = ".part"  # after the name of a file that is being written


class ResultFile:
    """Takes lines.

    Args:
        path: of the file that is to hold them; None for standard output. Until all are there, its name has an ending.

    Attributes:
        name: where the lines are so far; None for standard output.
        is_csv: whether the file's name says that lines are to be rows.

    Raises:
        UsageError: it cannot be written.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self.name = None if path is None else path + UNFINISHED  # where the lines are so far
        self.is_csv = path is not None and path.endswith(".csv")
        self._file: TextIO = sys.stdout
        if self.name is not None:
            try:
                self._file = open(self.name, "w", encoding="utf-8", newline="\n")  # noqa: SIM115 - closed on exit
            except OSError as error:
                raise UsageError(f"{self._path} cannot be written: {error}") from None

    def write(self, line: str) -> None:
        """Take a line; whoever looks sees whole ones only."""
        self._file.write(f"{line}\n")
        self._file.flush()

    def finish(self) -> None:
        """Give the file its name: all lines are there."""
        if self.name is not None and self._path is not None:
            self._file.close()
            os.replace(self.name, self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not sys.stdout:
            self._file.close()


def as_line(index: int, item: Any, result: Any) -> str:
    """Write what came of an item as a line of JSON.

    Raises:
        TypeError, ValueError: there is no JSON for the result.
    """
    return json.dumps({"index": index, "item": item, "result": result}, default=as_plain)


def as_plain(thing: Any) -> Any:
    """Give what JSON has in the place of an object: of NumPy's numbers and arrays, dataclasses, sets and paths."""
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    if callable(getattr(thing, "tolist", None)):
        return thing.tolist()
    if isinstance(thing, set | frozenset):
        return sorted(thing)
    if isinstance(thing, os.PathLike):
        return os.fspath(thing)
    raise TypeError(
        f"there is no JSON for the type {type(thing).__name__}; return numbers, texts, lists or dicts of them"
    )
