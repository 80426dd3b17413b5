"""The interpreter's end, for threads that it does not wait for.

Python stops daemon threads where they are, and says nothing of it. But before it comes to that, our workers are ended,
and a daemon thread in the middle of a run would hear that they died, or that its pool was ended, and complain about it
to somebody who has left. So it stops where it hears of that.
"""

from __future__ import annotations

import _thread
import threading

from allcores._core.hints import NoReturn

__all__ = ["begin_to_leave", "go_on_when_leaving", "stop_if_left"]

_has_begun = False
_here = threading.local()


def begin_to_leave() -> None:
    """Hear that the interpreter ends: only daemon threads are left beside the main one."""
    global _has_begun  # noqa: PLW0603 - a fact about the process
    _has_begun = True


def go_on_when_leaving() -> None:
    """Hear that the caller is a daemon thread of ours, whose end somebody waits for."""
    _here.goes_on = True


def stop_if_left() -> None:
    """Never return in a daemon thread of the user's, if the interpreter ends."""
    if _has_begun and threading.current_thread().daemon and not getattr(_here, "goes_on", False):
        _stop()


def _stop() -> NoReturn:
    lock = _thread.allocate_lock()
    while True:
        lock.acquire()
