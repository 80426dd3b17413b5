"""Which items are yet to be sent, and which of them go next.

Fresh items are a range, from the cursor to what is at hand. Returned ones wait in a heap and go first, lowest index
first, because an ordered consumer waits for them. A returned range may be *suspect*: one of its items ended a worker or
could not be read, and nobody knows which, so it runs in smaller and smaller pieces until the culprit is alone.

Some items are out of the line. What the journal *recalled* is settled already, and the cursor steps over it. What was
*starved*, lost to a lack of memory, waits until no other item runs, and then no other runs beside it.

Items that others hand in come in *stretches*: no batch reaches across two, and nothing measured holds for both.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from allcores._core.scheduler.pace import Pace

__all__ = ["Backlog"]

SUSPECT_PIECES = 8  # a suspect range runs in about so many pieces


class Backlog:
    """The items that are not sent.

    Args:
        available: how many items are at hand from the beginning.
        pace: of the items before the first stretch.

    Attributes:
        available: how many items are at hand, sent or not.
        cursor: the first item never sent; none that is recalled.
        returned: how many items were sent and must be sent again, starved ones included.
        recalled: how many items behind the cursor are settled and never sent.
        is_exclusive: whether a starved item runs, or waits to.
        pace: of the stretch that the cursor is in.
    """

    __slots__ = (
        "_heap",
        "_recalled",
        "_starved",
        "_stretches",
        "available",
        "cursor",
        "is_exclusive",
        "pace",
        "recalled",
        "returned",
    )

    def __init__(self, available: int, pace: Pace) -> None:
        self.available = available
        self.cursor = 0
        self.returned = 0
        self.recalled = 0
        self.is_exclusive = False
        self.pace = pace
        self._heap: list[tuple[int, int, bool]] = []  # (start, stop, is_suspect)
        self._starved: list[int] = []  # heap
        self._recalled: deque[tuple[int, int]] = deque()  # ranges that the cursor has yet to step over
        self._stretches: deque[tuple[int, Pace]] = deque()  # those to come, by their first items

    def __repr__(self) -> str:
        return f"<Backlog: {self.available} items at hand, {self.cursor} passed, {self.returned} returned>"

    @property
    def stretch_stop(self) -> int:
        """Where the stretch ends that the cursor is in, as far as its items are at hand."""
        return self._stretches[0][0] if self._stretches else self.available

    @property
    def latest_pace(self) -> Pace:
        """Of the stretch that began last, be it ahead."""
        return self._stretches[-1][1] if self._stretches else self.pace

    # ------------------------------------------------------------------------------------------------ what comes in

    def widen(self, workers: int) -> None:
        """Take in that there may be more workers at a time."""
        for pace in (self.pace, *(pace for _, pace in self._stretches)):
            pace.workers = workers

    def begin_stretch(self, start: int, pace: Pace) -> None:
        """Take in that items from this one on, which is not yet at hand, have a pace of their own."""
        self._stretches.append((start, pace))
        self._enter_stretch()

    def recall(self, ranges: tuple[tuple[int, int], ...]) -> int:
        """Take in that these items, which are now at hand, are settled already; say how many they are."""
        self._recalled.extend(ranges)
        count = sum(stop - start for start, stop in ranges)
        self.recalled += count
        self._step_over_recalled()
        return count

    def put_back(self, start: int, stop: int, *, is_suspect: bool = False) -> None:
        """Take back items that were sent, if it is any."""
        if start < stop:
            self.returned += stop - start
            heappush(self._heap, (start, stop, is_suspect))

    def put_aside(self, index: int) -> None:
        """Take back an item that must run with no other beside it."""
        self.returned += 1
        heappush(self._starved, index)
        self.is_exclusive = True

    # ------------------------------------------------------------------------------------------------ what goes out

    def take(self, count: int, stop: int) -> tuple[int, int] | None:
        """Give the range that goes next, or None where there is nothing to send.

        Args:
            count: how many items, at most.
            stop: before which fresh items must be; none of them is beyond what is at hand.
        """
        if self._heap:
            return self._take_returned(count)
        start = self.cursor
        end = min(start + count, stop)
        if end <= start:
            return None
        if self._recalled:
            end = min(end, self._recalled[0][0])
        if self._stretches:
            end = min(end, self._stretches[0][0])
        self.cursor = end
        if self._recalled:
            self._step_over_recalled()
        if self._stretches:
            self._enter_stretch()
        return start, end

    def take_starved(self) -> int | None:
        """Give the item that runs alone next, nobody being busy; None where there is no more, so that others may go."""
        self.is_exclusive = bool(self._starved)
        if not self._starved:
            return None
        self.returned -= 1
        return heappop(self._starved)

    def _take_returned(self, count: int) -> tuple[int, int]:
        start, stop, is_suspect = heappop(self._heap)
        end = start + (max(1, min(count, (stop - start) // SUSPECT_PIECES)) if is_suspect else min(count, stop - start))
        self.returned -= stop - start
        self.put_back(end, stop, is_suspect=is_suspect)
        return start, end

    def _enter_stretch(self) -> None:
        while self._stretches and self._stretches[0][0] <= self.cursor:
            _, self.pace = self._stretches.popleft()

    def _step_over_recalled(self) -> None:
        while self._recalled and self._recalled[0][0] == self.cursor:
            start, self.cursor = self._recalled.popleft()
            self.recalled -= self.cursor - start
