"""Ctrl-C strikes where it does no harm: while a run waits, in the caller's own code, and between the run's steps.

Python raises KeyboardInterrupt between any two instructions of the main thread: between the start of a process and the
note that it is ours, or in the middle of closing what an earlier one has ended. So while a run works, a handler of ours
stands in for the one there was, takes note, and lets that one speak when nothing can be torn. Blocking the signal would
not do: the system then hands it to another thread, and Python raises the exception in the main thread all the same.

The handlers of other signals that programs are interrupted by, of an alarm, say, may raise as well, and are held alike.
"""

from __future__ import annotations

# Without the enums of `signal`, which cost ten times as much as what they stand for.
import _signal  # type: ignore[import-not-found]
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FrameType

from allcores._core.hints import Any

__all__ = ["hold_interrupts", "let_interrupts_in"]

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGUSR1", "SIGUSR2")
SIGNALS = [int(getattr(signal, name)) for name in NAMES if hasattr(signal, name)]  # not every system has all
STUBBORN_SECONDS = 1.0  # who asks again after so long is stuck in something, and is heard whatever is torn

Handler = Callable[[int, FrameType | None], Any]


class _Gate:
    """The handler of signals while a run works; it stands there within its block.

    Args:
        handlers: ``{signal: handler}``, those that it stands in for.
    """

    def __init__(self, handlers: dict[int, Handler]) -> None:
        self.handlers = handlers
        self.is_open = False
        self.held_since: dict[int, float] = {}  # by signal

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        held_since = self.held_since.setdefault(signum, now)
        if self.is_open or now - held_since > STUBBORN_SECONDS:
            self.let_in(frame)

    def let_in(self, frame: FrameType | None) -> None:
        """Hand on what was held back."""
        while self.held_since:
            signum, _ = self.held_since.popitem()
            was_open, self.is_open = self.is_open, False  # shut if it raises, for whatever cleans up on the way
            self.handlers[signum](signum, frame)
            self.is_open = was_open

    def __enter__(self) -> None:
        try:
            for signum in self.handlers:
                _signal.signal(signum, self)
        except BaseException:  # of a signal whose turn had not come
            self._put_back()
            raise
        _gates.append(self)

    def __exit__(self, *_: object) -> None:
        _gates.clear()
        try:
            self._put_back()
        finally:
            if self.held_since:
                self.let_in(sys._getframe())  # noqa: SLF001 - what a handler is given

    def _put_back(self) -> None:
        """Put every handler back, though one that is back may strike before the others are."""
        self.is_open = True  # or what is left in place if that happens twice would hold signals for ever
        try:
            for signum, handler in self.handlers.items():
                if _signal.getsignal(signum) is self:  # the caller's own code may have put another
                    _signal.signal(signum, handler)
        except BaseException:
            self._put_back()
            raise


_HELD_BY_NOBODY = nullcontext()

_gates: list[_Gate] = []  # one or none


def hold_interrupts() -> AbstractContextManager[None]:
    """Hold Ctrl-C back until the end of the block, and other signals that a handler of Python's is for.

    Outside of the main thread there is nothing to hold back, as exceptions of signals are raised in the main thread
    alone; and neither is there where signals have no such handlers, or are already held back.
    """
    if _gates or not _is_main_thread():
        return _HELD_BY_NOBODY
    handlers = {signum: handler for signum in SIGNALS if callable(handler := _signal.getsignal(signum))}
    return _Gate(handlers) if handlers else _HELD_BY_NOBODY


def let_interrupts_in() -> AbstractContextManager[None]:
    """Let Ctrl-C strike inside the block, within one that holds it back; if one has come, it strikes at once."""
    return _LettingIn(_gates[0]) if _gates and _is_main_thread() else _HELD_BY_NOBODY


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


class _LettingIn:
    def __init__(self, gate: _Gate) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        self._gate.is_open = True
        try:
            if self._gate.held_since:
                self._gate.let_in(sys._getframe())  # noqa: SLF001 - what a handler is given
        except BaseException:
            self._gate.is_open = False
            raise

    def __exit__(self, *_: object) -> None:
        self._gate.is_open = False
