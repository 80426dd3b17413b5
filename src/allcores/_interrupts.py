"""Ctrl-C strikes where it does no harm: while a run waits, in the caller's own code, and between the run's steps.

Python raises KeyboardInterrupt between any two instructions of the main thread: between the start of a process and the
note that it is ours, or in the middle of closing what an earlier one has ended. So while a run works, a handler of ours
stands in for the one there was, takes note, and lets that one speak when nothing can be torn. Blocking the signal would
not do: the system then hands it to another thread, and Python raises the exception in the main thread all the same.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

from allcores._hints import Any

__all__ = ["hold_interrupts", "let_interrupts_in"]

STUBBORN_SECONDS = 1.0  # who asks again after so long is stuck in something, and is heard whatever is torn

Handler = Callable[[int, FrameType | None], Any]


class _Gate:
    """The handler of Ctrl-C while a run works.

    Args:
        handler: the one that it stands in for.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.is_open = False
        self._held_since: float | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._held_since is None:
            self._held_since = now
        if self.is_open or now - self._held_since > STUBBORN_SECONDS:
            self.let_in(frame)

    def let_in(self, frame: FrameType | None) -> None:
        """Hand on what was held back."""
        if self._held_since is not None:
            self._held_since = None
            was_open, self.is_open = self.is_open, False  # shut if it raises, for whatever cleans up on the way
            self.handler(signal.SIGINT, frame)
            self.is_open = was_open


_HELD_BY_NOBODY = nullcontext()

_gates: list[_Gate] = []  # one or none


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block.

    Outside of the main thread there is nothing to hold back, as exceptions of signals are raised in the main thread
    alone; and neither is there where Ctrl-C is ignored, or already held back.
    """
    handler = signal.getsignal(signal.SIGINT)
    if _gates or threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    gate = _Gate(handler)
    signal.signal(signal.SIGINT, gate)
    _gates.append(gate)
    try:
        yield
    finally:
        _gates.clear()
        if signal.getsignal(signal.SIGINT) is gate:  # the caller's own code may have put another
            signal.signal(signal.SIGINT, handler)
        gate.let_in(sys._getframe())  # noqa: SLF001 - what a handler is given


def let_interrupts_in() -> AbstractContextManager[None]:
    """Let Ctrl-C strike inside the block, within one that holds it back; if one has come, it strikes at once."""
    if not _gates or threading.current_thread() is not threading.main_thread():
        return _HELD_BY_NOBODY
    return _let_in(_gates[0])


@contextmanager
def _let_in(gate: _Gate) -> Iterator[None]:
    gate.is_open = True
    try:
        gate.let_in(sys._getframe())  # noqa: SLF001 - what a handler is given
        yield
    finally:
        gate.is_open = False
