"""Items that may have broken an executor, and so run with nothing beside them until they have finished."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from allcores._core.messages import SendBatch
from allcores._core.records import Record

__all__ = ["Flight", "Quarantine"]


class Flight(Record):
    """A batch that is with whoever runs it."""

    batch: SendBatch
    is_alone: bool  # and so to blame if that breaks


class Quarantine:
    """Ranges of suspect items, ascending and apart from each other."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def __repr__(self) -> str:
        return f"<Quarantine: {sum(stop - start for start, stop in self._ranges)} items>"

    def add(self, start: int, stop: int) -> None:
        """Suspect these items."""
        self.clear(start, stop)
        self._ranges = sorted([*self._ranges, (start, stop)])

    def has_any(self, start: int, stop: int) -> bool:
        """Whether any of these items is suspect."""
        return any(first < stop and start < behind for first, behind in self._ranges)

    def next_flight(self, waiting: deque[SendBatch], flights: Collection[Flight]) -> Flight | None:
        """Take the batch that may go next beside those that are under way: a suspect one alone, others as they come."""
        if not waiting:
            return None
        is_suspect = self.has_any(waiting[0].start, waiting[0].stop)
        if flights and (is_suspect or any(flight.is_alone for flight in flights)):
            return None
        return Flight(waiting.popleft(), is_suspect)

    def clear(self, start: int, stop: int) -> None:
        """Suspect these items no more: they have finished."""
        if self._ranges:
            rests = [
                rest
                for first, behind in self._ranges
                for rest in ((first, min(behind, start)), (max(first, stop), behind))
            ]
            self._ranges = [(first, behind) for first, behind in rests if first < behind]
