"""A thread beside a worker's own: it reports what is finished while the item that runs takes long.

It is there while batches come that have several items whose results are awaited one by one, and is not to be noticed:
it is not among `threading`'s, takes no signals, and is ended before the process forks, as a fork with a second thread
in it would be unsafe, and warned of.
"""

from __future__ import annotations

import os
import signal
from _thread import allocate_lock, get_ident, start_new_thread
from collections.abc import Callable
from contextlib import suppress

from allcores._core.hints import TYPE_CHECKING, Any
from allcores._worker.safe_region import LOOK_SECONDS, SafeRegion

if TYPE_CHECKING:
    from allcores._worker.job import Part

__all__ = ["Reporter", "count_reporters"]

QUIET_LOOKS = 50  # in a row at which there is nothing to see, until the thread ends


class Reporter:
    """Looks what items gave, and tells it.

    Attributes:
        region: where it looks.
    """

    def __init__(self) -> None:
        self.region = SafeRegion(self.come)
        self._tell: Callable[[Part], object] = _tell_nobody
        self._door = allocate_lock()  # held by who starts the thread, and by the thread when it may end
        self._stopping: Any = None  # the lock that ends the thread when it is let go of; None where there is no thread
        self._gone: Any = None  # the lock that the thread lets go of at its end
        self._ident = -1  # of the thread

    @property
    def is_here(self) -> bool:
        """Whether there is a thread."""
        return self._stopping is not None

    def attend(self, tell: Callable[[Part], object]) -> SafeRegion:
        """Give where a batch's items can be seen, of which is told so."""
        self._tell = tell
        return self.region

    def come(self) -> None:
        """See that the thread is there, now that the region is open."""
        global _here  # noqa: PLW0603 - a fact about this process
        with self._door:
            if self._stopping is None:
                _here = self
                self._stopping, self._gone = allocate_lock(), allocate_lock()
                self._stopping.acquire()
                self._gone.acquire()
                start_new_thread(self._watch, (self._stopping, self._gone))

    def leave(self) -> None:
        """End the thread, and wait for its end."""
        if get_ident() == self._ident:  # what it pickles has forked
            return
        with self._door:
            stopping, self._stopping = self._stopping, None
        if stopping is not None:
            stopping.release()
            self._gone.acquire()

    def come_back(self) -> None:
        """See that the thread is there if there is something to see."""
        if self.region.is_open:
            self.come()

    def _watch(self, stopping: Any, gone: Any) -> None:
        self._ident = get_ident()
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        quiet = 0
        while not (stopping.acquire(timeout=LOOK_SECONDS) or (quiet > QUIET_LOOKS and self._may_end(stopping))):
            quiet = 0 if self.region.is_open else quiet + 1
            with suppress(BaseException):  # the part is reported later, by who runs the items
                self.region.look(self._tell)
        gone.release()

    def _may_end(self, stopping: Any) -> bool:
        with self._door:
            if self._stopping is stopping and not self.region.is_open:
                self._stopping = None
            return self._stopping is not stopping


def _tell_nobody(part: Part) -> None:
    """There has been no batch."""


_here: Reporter | None = None


def count_reporters() -> int:
    """Say how many such threads this process has, that end before it forks."""
    return int(_here is not None and _here.is_here)


def _leave() -> None:
    if _here is not None:
        _here.leave()


def _come_back() -> None:
    if _here is not None:
        _here.come_back()


def _forget() -> None:
    global _here  # noqa: PLW0603 - as above
    _here = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_leave, after_in_parent=_come_back, after_in_child=_forget)
