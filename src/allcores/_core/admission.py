"""How many workers may run items at once while memory is short.

What runs is never stopped: a worker is let into its next item, or has to wait. So the limit follows from what items
will need, not from what they use now: those that have just begun use nothing yet, and would let in too many.

What an item needs is the fading maximum of what finished ones used at their peak. A mean would be too small for half
of them; a maximum that doesn't fade would have one large item throttle the rest of the run. But large items often
take longer than small ones, so the first to finish are not like those that run: what most of the running ones use
counts, too. Most of them only, so that a few large ones do not hold up the small ones beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

from allcores._core.bytes import format_bytes

__all__ = ["Admission"]

COMFORT = 0.25  # share of the total: where so much stays free beside one more item, nothing needs a limit
RESERVE = 0.075  # share of the total that stays free, for what others do and for items larger than those before
SLIM_RESERVE = 0.01  # share of the total that stays free beside what all workers need, where that is little
SLACK = 1.25  # what all workers need must fit so many times before they run without a limit again
FADING = 0.95  # what is left of the largest peak when another item has finished
MOST = 0.75  # share of the running items


class Admission:
    """The memory that items were seen to need, and the limit that follows from it.

    All sizes are in bytes, and those of a worker count from its size before its first item.

    Args:
        workers: how many there are.
    """

    __slots__ = ("_limit", "_peak", "_workers")

    def __init__(self, *, workers: int) -> None:
        self._workers = workers
        self._peak: int | None = None  # of the items that have finished, fading
        self._limit: int | None = None

    def __repr__(self) -> str:
        limit = "all" if self._limit is None else f"{self._limit} of"
        return f"<Admission: {limit} {self._workers} workers, {format_bytes(self._peak or 0)} per item>"

    @property
    def limit(self) -> int | None:
        """How many workers may run items at once, at least 1; None: memory is not short, so all of them."""
        return self._limit

    def observe_peak(self, peak: int) -> None:
        """Take in the most that a worker used while it ran an item to its end."""
        self._peak = max(peak, int(FADING * (self._peak or 0)))

    def observe_kill(self, used: int) -> None:
        """Take in what a worker used, as far as known, when it was killed for lack of memory: its item needs more.

        Without this a large item would be let in beside small ones again and again, and killed each time.
        """
        self._peak = max(used, self._peak or 0)
        self._limit = self._limit or self._workers

    def observe(self, *, free: int, total: int, used: Sequence[int], running: int) -> None:
        """Take in how things stand; the limit rises by one at most.

        Args:
            free: what can still be used.
            total: of which that is a part.
            used: what busy workers use now, in any order, without those of which nobody knows.
            running: how many workers are busy.
        """
        need = self._need(used)
        reserve = min(RESERVE * total, SLIM_RESERVE * total + need * self._workers)
        room = free + sum(min(each, need) for each in used) - reserve  # for items, were no worker busy
        if self._is_short(is_low=free - need < COMFORT * total, fit=room / (need * self._workers)):
            before = running if self._limit is None else self._limit
            self._limit = max(1, min(int(room / need), before + 1, self._workers))
        else:
            self._limit = None

    def _need(self, used: Sequence[int]) -> int:
        """Say what an item needs, at least 1."""
        if self._peak is None:
            return max([1, *used])
        return max(1, self._peak, sorted([self._peak, *used])[int(MOST * len(used))])

    def _is_short(self, *, is_low: bool, fit: float) -> bool:
        """Say whether there is a limit: it comes when little is free and not all fit, and goes when all fit well."""
        return is_low and fit < 1 if self._limit is None else fit < SLACK
