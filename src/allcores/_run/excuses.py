"""Which failures are excused, that is worth another try, and how often each item has been run."""

from __future__ import annotations

from collections.abc import Iterable

from allcores._core.errors import ItemCancelled, MemoryLimitExceeded, WorkerDied
from allcores._core.kinds import is_a
from allcores._core.messages import BatchAdvanced, BatchFinished, BatchUnreadable, Event, Excuse, WorkerDown
from allcores._engines.engine import Arrival

__all__ = ["Excuses"]


class Excuses:
    """Excuses failures of the items of one run.

    Args:
        retries: how often an item may be tried again.
        retry_on: the exceptions that are worth it.

    Attributes:
        repeated: how often any item was tried again.
    """

    def __init__(self, retries: int, retry_on: tuple[type[BaseException], ...]) -> None:
        self.repeated = 0
        self._retries = retries
        self._retry_on = retry_on
        self._counts: dict[int, int] = {}  # {index: how often it was run} of items that are tried again
        self._starved: set[int] = set()  # items that have had their extra try after a lack of memory

    def excuse(self, event: Event, arrival: Arrival) -> Event:
        """Say in the event which of the failures that came with it are worth another try."""
        if isinstance(event, BatchAdvanced | BatchFinished):
            excuses = {index: self._excuse(raised.exception, index) for index, raised in arrival.raised.items()}
            return event._replace(excuses=tuple(excuses.items()))
        if isinstance(event, WorkerDown | BatchUnreadable) and arrival.cause is not None:
            index = event.start if isinstance(event, WorkerDown) else event.stop - 1
            return event._replace(excuse=self._excuse(arrival.cause, index))
        return event

    def repeat(self, indices: Iterable[int]) -> None:
        """Hear that items are tried again."""
        for index in indices:
            self._counts[index] = self._counts.get(index, 1) + 1
            self.repeated += 1

    def describe(self, index: int) -> str:
        """Say which try of an item it is that has failed; nothing where each has only one."""
        tries = self._counts.get(index, 1)
        return f", try {tries} of {max(tries, self._retries + 1)}" if tries > 1 or self._retries else ""

    def take(self, index: int) -> int:
        """Give how often an item was run that is not tried again."""
        return self._counts.pop(index, 1)

    def _excuse(self, error: BaseException, index: int) -> Excuse:
        if is_a(error, ItemCancelled):
            return Excuse.NONE
        is_out_of_memory = is_a(error, MemoryError) or (is_a(error, WorkerDied) and error.is_out_of_memory)
        if is_out_of_memory and not is_a(error, MemoryLimitExceeded) and index not in self._starved:
            self._starved.add(index)
            return Excuse.STARVED
        return Excuse.RETRIABLE if issubclass(type(error), self._retry_on) else Excuse.NONE
