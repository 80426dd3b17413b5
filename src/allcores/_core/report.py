"""What a run cost."""

from __future__ import annotations

from allcores._core.plan import Plan
from allcores._core.records import Record

__all__ = ["Report"]


class Report(Record):
    """What a run cost.

    Attributes:
        wall_seconds: from the call to the last result.
        workers: how many workers took part at the same time, at most.
        items: how many items finished or failed.
        failed: how many of them failed.
        tries: how often an item was run in all, tries that failed and were repeated included.
        deaths: how many workers died or were killed over an item.
        recalled: how many items were not run because a journal had their results.
        unrecorded: how many items the journal could not take, since they or their results cannot be pickled.
        item_seconds: time spent inside items, summed over all workers.
        plan: how the run was done, and why so.
    """

    wall_seconds: float
    workers: int
    items: int
    failed: int
    item_seconds: float
    plan: Plan
    tries: int = 0
    deaths: int = 0
    recalled: int = 0
    unrecorded: int = 0

    @property
    def efficiency(self) -> float:
        """The share of the workers' time that went into items: 1.0 is perfect, 0.0 means nothing ran."""
        available = self.wall_seconds * self.workers
        return self.item_seconds / available if available > 0 else 0.0

    def __str__(self) -> str:
        asides = {
            "failed": self.failed,
            "tried again": self.tries + self.recalled - self.items,
            "from the journal": self.recalled,
            "not recorded": self.unrecorded,
            "worker died" if self.deaths == 1 else "workers died": self.deaths,
        }
        told = "".join(f", {count} {what}" for what, count in asides.items() if count > 0)
        return (
            f"{self.items} items{told} in {self.wall_seconds:.3g} s on {self.workers} workers: "
            f"{self.item_seconds:.3g} s inside items, efficiency {self.efficiency:.0%}"
        )
