"""Items that are handed in together to a run that serves others, and who hears what comes of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

from allcores._core.errors import ItemCancelled
from allcores._core.hints import Any, Protocol
from allcores._worker.line import Line

__all__ = ["Receiver", "Submission", "showing_errors"]


class Receiver(Protocol):
    """Takes what comes of a submission, in the loop: it must neither wait for anything nor run user's code."""

    def begin(self) -> bool:
        """Hear that the first item is about to run; False if nobody wants any of them any more."""

    def put(self, start: int, outcomes: list[Any]) -> None:
        """Take the values and failures of the items from position `start` on."""

    def abandon(self, error: BaseException) -> None:
        """Hear that nothing more of use will come, and why."""


class Submission:
    """Items that are handed in together.

    Args:
        line: what runs them.
        items: one or more.
        receiver: takes what comes of them.
        conditions: under which they run; by default the line's.

    Attributes:
        start: the index of the first one, once the driver has taken it in.
        stop: the index after the last one's, likewise.
        unsettled: how many of them nothing has come of.
        snapshots: what its items were copied with, if they were, which is of use while any such submission waits.
    """

    __slots__ = ("_is_wanted", "conditions", "items", "line", "receiver", "snapshots", "start", "stop", "unsettled")

    def __init__(self, line: Line, items: Sequence[Any], receiver: Receiver, conditions: Any = None) -> None:
        self.line = line
        self.conditions = line.conditions if conditions is None else conditions
        self.items = items
        self.snapshots: object = None
        self.receiver = receiver
        self.start = self.stop = -1
        self.unsettled = len(items)
        self._is_wanted: bool | None = None  # None: nobody has asked

    def goes_with(self, other: Submission) -> bool:
        """Whether its items may share batches with those of another."""
        return self.line is other.line and (self.line.batch == 1 or self.conditions is other.conditions)

    def wanted(self, start: int, stop: int) -> Sequence[Any]:
        """Give the items of these positions; of a call that nobody wants, one that does nothing."""
        if self._is_wanted is False and self.line.blank is not None:
            return [self.line.blank] * (min(stop, len(self.items)) - start)
        return self.items[start:stop]

    def begin(self) -> bool:
        """Say whether the items should run, as the receiver said when it was asked first."""
        if self._is_wanted is None:
            self._is_wanted = self.receiver.begin()
        return self._is_wanted

    def drop(self) -> None:
        """Have no more of the items run; if none has been sent yet, the receiver need not wait for more."""
        if self._is_wanted is None:
            self.receiver.abandon(ItemCancelled("it was cancelled before it ran"))
        self._is_wanted = False

    def release(self) -> None:
        """Let go of the items and the receiver, which are done with each other; somebody may hold the submission."""
        self.items = ()
        self.snapshots = None
        del self.receiver


class _ShowingErrors:
    """Shows what is raised where nobody waits for it, and goes on; sys.exit() in a callback must not end the rest."""

    def __enter__(self) -> None:
        """Nothing is done before something is raised."""

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is not None:
            threading.excepthook(threading.ExceptHookArgs((type(error), error, trace, threading.current_thread())))
        return True


showing_errors = _ShowingErrors()
