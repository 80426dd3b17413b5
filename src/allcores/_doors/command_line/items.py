"""What the command line says the items are: paths, words, lines of files, or JSON values, one to a line."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from allcores._doors.command_line.usage import UsageError

__all__ = ["KINDS", "find_items"]

KINDS = ("paths", "words", "lines", "jsonl")
STANDARD_INPUT = "-"


def find_items(inputs: list[str], kind: str) -> Iterable[Any]:
    """Give the items.

    Args:
        inputs: as they stand on the command line; of lines and of JSON, none stands for the standard input.
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
    return _lines(files) if kind == "lines" else _values(files)


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


def _numbered(files: list[str]) -> Iterator[tuple[str, int, str]]:
    for file in files:
        name = "standard input" if file == STANDARD_INPUT else file
        try:
            with open(0 if file == STANDARD_INPUT else file, encoding="utf-8", closefd=file != STANDARD_INPUT) as lines:
                for number, line in enumerate(lines, 1):
                    yield name, number, line.removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{name} cannot be read: {error}") from None
