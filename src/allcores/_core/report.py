"""What a run cost."""

from __future__ import annotations

from allcores._core.plan import Plan
from allcores._core.records import Record

__all__ = ["Report"]

LEAST_SECONDS = 0.1  # inside items, for figures to mean something
MOSTLY, NOTABLE, WORTH_TELLING = 0.5, 0.3, 0.01  # shares of the time inside items


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
        computing_seconds: how much processor time workers have used, native threads and the moving of data included;
            None where the system does not tell. What a worker that died had used may be missing.
        queued_seconds: how long workers were ready to go on while others had the cores; likewise.
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
    computing_seconds: float | None = None
    queued_seconds: float | None = None

    @property
    def waiting_seconds(self) -> float | None:
        """How long items neither computed nor stood in the queue for a core: for a disk, a network, a lock."""
        if self.computing_seconds is None or self.queued_seconds is None:
            return None
        return max(0.0, self.item_seconds - self.computing_seconds - self.queued_seconds)

    @property
    def verdict(self) -> str:
        """What took the time, if it was not computing, and what to try; empty where there is nothing to say."""
        waiting, queued = self.waiting_seconds, self.queued_seconds
        if waiting is None or queued is None or self.item_seconds < LEAST_SECONDS:
            return ""
        if queued > NOTABLE * self.item_seconds:
            return "workers stood in the queue for a core: others use them, or there are more workers than cores"
        if waiting <= MOSTLY * self.item_seconds:
            return ""
        if self.plan.on == "threads" and self._uses_one_core():
            return "threads waited for each other, as one at a time may run Python's code: try on='processes'"
        return "items mostly waited, and did not compute: try more workers, which may be threads"

    def _uses_one_core(self) -> bool:
        return (self.computing_seconds or 0.0) + (self.queued_seconds or 0.0) > MOSTLY * self.wall_seconds

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
        waiting = self.waiting_seconds or 0.0
        waited = f" ({waiting:.3g} s waiting)" if waiting > WORTH_TELLING * self.item_seconds else ""
        return (
            f"{self.items} items{told} in {self.wall_seconds:.3g} s on {self.workers} workers: "
            f"{self.item_seconds:.3g} s inside items{waited}, efficiency {self.efficiency:.0%}"
            + (f"; {self.verdict}" if self.verdict else "")
        )
