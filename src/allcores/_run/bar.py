"""The bar: tqdm's, but for time, which is the run's, and for what others write meanwhile, which goes above it.

tqdm counts from a bar's birth, which comes a second late, and draws when it is told of items. This one is told when the
run began and what a journal had, and is drawn every now and then, whatever happens. It starts no thread and makes no
semaphore, as this process may yet have to fork.

Who prints beside a bar would write into it, and may hold the stream itself, as handlers of logging do. So while the bar
is shown, the terminal's streams have a `write` of ours: it clears the bar first, and the bar comes back below.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from allcores._run.standing import Standing
from allcores._system.audience import is_terminal, is_watched

__all__ = ["Bar"]

DRAW_SECONDS = 0.1  # between two drawings, at least
TICK_SECONDS = 1.0  # between two drawings, at most: time goes by
QUIET_SECONDS = 10.0  # both, where nobody watches: a file keeps every drawing


class Bar:
    """Draws how a run stands.

    Args:
        total: how many items there are, or None.
        description: stands before the bar, or None.
        seconds: since the run began.

    Attributes:
        due: when it wants to be drawn again even if nothing has happened.
    """

    def __init__(self, total: int | None, description: str | None, *, seconds: float) -> None:
        self.due = 0.0
        began = time.time() - seconds  # before the bar is made: it draws nothing that began later
        is_live = is_watched()
        self._least, self._most = (DRAW_SECONDS, TICK_SECONDS) if is_live else (QUIET_SECONDS, QUIET_SECONDS)
        self._lock = threading.RLock()
        self._is_drawing = False
        self._is_shown = False
        self._is_amid_line = False  # somebody has written half a line
        self._drawn_at = -QUIET_SECONDS
        self._bar = _make_bar(self._lock, total=total, desc=description, dynamic_ncols=is_live)
        self._bar.start_t = began
        is_widget = hasattr(self._bar, "container")
        streams = [] if is_widget or not is_terminal(sys.stderr) else [sys.stderr, sys.stdout]
        self._detours = [_Detour(stream, self.make_room) for stream in streams if is_terminal(stream)]

    def show(self, standing: Standing) -> None:
        """Show how the run stands, unless that was done a moment ago."""
        self._bar.n, self._bar.initial = standing.settled, standing.recalled
        workers = "1 worker" if standing.workers == 1 else f"{standing.workers} workers"
        failed = f", {standing.failed} failed" if standing.failed else ""
        self._bar.set_postfix_str(workers + failed if standing.workers else "starting", refresh=False)
        with self._lock:
            self._draw_in_turn()

    def close(self) -> None:
        """Leave the bar as it stands."""
        for detour in self._detours:
            detour.end()
        with self._lock:
            if self._is_amid_line:
                sys.stderr.write("\n")
            self._bar.close()

    def make_room(self, write: Callable[[str], Any], text: str) -> Any:
        """Write above the bar."""
        with self._lock:
            if self._is_drawing or not text:
                return write(text)
            if self._is_shown:
                self._draw(self._bar.clear)
                self._is_shown = False
            written = write(text)
            self._is_amid_line = not text.endswith("\n")
            self._draw_in_turn()
            return written

    def _draw_in_turn(self) -> None:
        now = time.monotonic()
        if now - self._drawn_at >= self._least and not self._is_amid_line:
            self._draw(self._bar.refresh)
            self._is_shown, self._drawn_at = True, now
        is_missing = not (self._is_shown or self._is_amid_line)
        self.due = self._drawn_at + self._least if is_missing else max(now, self._drawn_at) + self._most

    def _draw(self, how: Callable[[], object]) -> None:
        self._is_drawing = True
        try:
            how()
        finally:
            self._is_drawing = False


class _Detour:
    """Stands in the place of a stream's `write`, for whoever holds the stream.

    Args:
        stream: of the terminal.
        make_room: called instead, with the stream's own `write` and the text.
    """

    def __init__(self, stream: Any, make_room: Callable[[Callable[[str], Any], str], Any]) -> None:
        self._stream = stream
        self._write = stream.write
        self._make_room = make_room
        self._pid = os.getpid()
        with suppress(AttributeError):  # of a stream that can bear no attribute
            stream.write = self

    def __call__(self, text: str, /) -> Any:
        """Write, in this process above the bar: a forked child has none, and its lock may be held for ever."""
        return self._make_room(self._write, text) if os.getpid() == self._pid else self._write(text)

    def end(self) -> None:
        """Give the stream back its own."""
        if getattr(self._stream, "__dict__", {}).get("write") is self:
            del self._stream.write


def _make_bar(lock: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a notebook without ipywidgets a bar of text will do
        from tqdm.auto import tqdm

    class QuietBar(tqdm):  # type: ignore[type-arg]  # generic for the type checker only
        """A bar that starts no thread."""

        monitor_interval = 0

    QuietBar.set_lock(lock)
    return QuietBar(unit="item", delay=1e-9, **options)  # not drawn before it knows its time
