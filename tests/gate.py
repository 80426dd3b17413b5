"""A gate that a worker comes to, and that the test opens; and where two workers meet."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class Gate:
    """Lets a worker wait for the test: `enter` there, and here `await_entry` and `open`."""

    def __init__(self, folder: Path) -> None:
        self._entered, self._opened = folder / "entered", folder / "opened"
        os.mkfifo(self._entered)
        os.mkfifo(self._opened)

    def enter(self, value: Any = None) -> Any:
        self._entered.write_text("x")
        self._opened.read_text()
        return value

    def await_entry(self) -> None:
        self._entered.read_text()

    def open(self) -> None:
        self._opened.write_text("x")


class Meeting:
    """Has the items 0 and 1 of a map wait for each other, so that they run in two workers."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / "meeting"
        os.mkfifo(self._place)

    def attend(self, item: int) -> None:
        if item == 0:
            self._place.write_text("x")
        elif item == 1:
            self._place.read_text()
