"""How many items go into the next batch: measured, grown step by step, shrunk toward the end.

The shrinking is guided self-scheduling (Polychronopoulos and Kuck, "Guided Self-Scheduling: A Practical Scheduling
Scheme for Parallel Supercomputers", IEEE Transactions on Computers C-36(12), 1987): a batch takes a fixed share of
what remains, so the last batches are small and no worker waits long for another. It is capped by a measured
duration, because the first batches of plain guided scheduling would be far too large for items of uneven cost.
"""

from __future__ import annotations

from math import inf

from allcores._core.scheduler.credit import TRIPS, Credit

__all__ = ["BATCHES_IN_HAND", "BOUNDED_IN_HAND", "HEAVY_BYTES", "Pace"]

TARGET_SECONDS = 0.010  # per batch: a hundred times the cost of handing one over to a process of our own;
HANDOVERS = 50  # to another's at least so many times of what that was measured to cost
LONG_SECONDS = 0.030  # per batch while much remains, so that there are fewer to hand over and to hear of;
LONG_SHARE = 8  # and then at most the share of one in so many turns of all workers over what remains
QUEUED_SECONDS = 0.025  # a batch that cannot be split has another behind it only if it is expected to be shorter
GROWTH = 4  # a batch is at most so many times larger than the largest that has come back
TAIL_SHARE = 2  # a batch is at most the share of one in so many turns of all workers over what remains
FLOOR_SECONDS = 0.000_5  # a smaller batch costs more to hand over than it evens out at the end;
FLOOR_HANDOVERS = 10  # likewise
HEAVY_BYTES = 1 << 22  # of a batch, at most: to move so many costs far more than to hand the batch over
BATCHES_IN_HAND = 8  # at most: more of them, and smaller ones, would only cost more;
BOUNDED_IN_HAND = 2  # and in a run that goes only so far ahead
LIGHTER = 1.1  # a batch may be so many times larger once one came back, as not all items are as heavy as the heaviest
MEMORY = 0.75  # weight that older measurements keep when a new one comes


class Pace:
    """The measured speed of a run's items, and the batch size that follows from it.

    Args:
        workers: how many there may be.
        fixed: items per batch, if that was asked for.
        depth: batches that a worker may hold; unless it is 1, as many more as it takes not to run dry.
        is_awaited: whether somebody takes the results one by one, so that batches stay short.
        credit: for how long a worker's should last; by default as if nothing was measured.
        in_hand: how many more these may become, so as not to run dry. A run that goes only so far ahead has too few to
            let one worker, which may be in a long item, have that many.

    Attributes:
        adapts: whether the batch size follows from what is measured.
        workers: how many there may be.
    """

    __slots__ = (
        "_credit",
        "_depth",
        "_fixed",
        "_in_hand",
        "_is_awaited",
        "_items",
        "_largest",
        "_most",
        "_seconds",
        "adapts",
        "workers",
    )

    def __init__(
        self,
        *,
        workers: int,
        fixed: int | None,
        depth: int = 2,
        is_awaited: bool = False,
        credit: Credit | None = None,
        in_hand: int = BATCHES_IN_HAND,
    ) -> None:
        self.adapts = fixed is None
        self.workers = workers
        self._fixed = fixed
        self._depth = depth
        self._is_awaited = is_awaited
        self._credit = credit or Credit()
        self._in_hand = in_hand
        self._seconds = 0.0  # spent in the items below, both fading with age
        self._items = 0.0
        self._largest = 0  # items, of any batch that came back
        self._most = inf  # items of a batch that is not too heavy

    def __repr__(self) -> str:
        return f"<Pace: {self.item_seconds:.3g} s per item, next batch {self.batch_size(None)}>"

    @property
    def item_seconds(self) -> float:
        """The fading mean of seconds per item; 0 before anything was measured."""
        return self._seconds / self._items if self._items else 0.0

    def observe(self, items: int, seconds: float) -> None:
        """Take in that `items` items took `seconds` seconds."""
        self._items = self._items * MEMORY + items
        self._seconds = self._seconds * MEMORY + seconds
        self._largest = max(self._largest, items)
        self._most *= LIGHTER

    def weigh(self, items: int, size: int) -> None:
        """Take in that `items` items, or what came of them, were `size` bytes to move."""
        self._most = max(1, HEAVY_BYTES * items / size)

    def batch_size(self, remaining: int | None) -> int:
        """Say how many items the next batch takes, given how many are not yet sent (None: nobody knows)."""
        if self._fixed is not None:
            return self._fixed
        if not self._items:
            return 1
        size = max(self._largest * GROWTH, self._count(self._credit.seconds / TRIPS))
        target = self._target(remaining)
        if size * self._seconds > target * self._items:
            size = int(target * self._items / self._seconds)
        if remaining is not None and size * self.workers * TAIL_SHARE > remaining:
            size = min(size, max(remaining // (self.workers * TAIL_SHARE), self._floor()))
        return max(int(min(size, self._most)), 1)

    def _target(self, remaining: int | None) -> float:
        """Say for how many seconds a batch should last, at most."""
        credit = self._credit
        target = max(TARGET_SECONDS, credit.seconds / self._in_hand, HANDOVERS * credit.handover)
        if remaining is None or self._is_awaited:
            return target
        share = remaining * self.item_seconds / (self.workers * LONG_SHARE)
        return max(target, min(share, LONG_SECONDS))

    def _floor(self) -> int:
        credit = self._credit
        floor = max(FLOOR_SECONDS, credit.seconds / self._in_hand, FLOOR_HANDOVERS * credit.handover)
        return self._count(floor)

    def _count(self, seconds: float) -> int:
        """Say how many items last for so long."""
        return int(seconds * self._items / self._seconds) if self._seconds else self._largest

    def queue_depth(self, size: int) -> int:
        """Say how many batches of `size` items a worker may hold: those that wait hide the round trip of short ones."""
        if not self._items or self._depth == 1:
            return 1
        seconds = size * self.item_seconds
        can_be_split = self.adapts and size > 1
        depth = self._depth if can_be_split or seconds < QUEUED_SECONDS else 1
        is_growing = self.adapts and size >= self._largest * GROWTH
        is_heavy = size + 1 > self._most
        if is_growing or is_heavy or not seconds:
            return depth
        return max(depth, min(1 + round(self._credit.seconds / seconds), self._in_hand))

    def lasts(self, items: int) -> bool:
        """Whether so many items that wait behind a batch that runs last until their worker can have more."""
        return items * self.item_seconds >= self._credit.seconds
