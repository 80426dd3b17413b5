"""Items that are handed in together to a run that serves others, and who hears what comes of them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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

    @property
    def has_begun(self) -> bool:
        """Whether items of it were sent."""
        return self._is_wanted is not None

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


@contextmanager
def showing_errors() -> Iterator[None]:
    """Show what is raised where nobody waits for it, and go on; sys.exit() in a callback must not end the rest."""
    try:
        yield
    except BaseException:
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
