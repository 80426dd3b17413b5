"""What a run cost."""

from __future__ import annotations

from collections.abc import Iterator

from allcores._core.plan import Plan
from allcores._core.records import Record

__all__ = ["Report", "Slow"]

WORTH_TELLING = 0.01  # of the time that something is a part of


class Slow(Record):
    """Items that took long: consecutive ones that a worker ran together, or one alone.

    Attributes:
        seconds: how long they took.
        start, stop: their indices, the last one exclusive.
    """

    seconds: float
    start: int
    stop: int

    def __str__(self) -> str:
        if self.stop == self.start + 1:
            return f"item {self.start} ({self.seconds:.3g} s)"
        return f"items {self.start} to {self.stop - 1} ({self.seconds:.3g} s together)"


class Report(Record):
    """What a run cost. Printed, it ends with what to try.

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
        input_seconds: how long the input, if it is no sequence, took to give its items.
        consumer_seconds: how long who takes the results one by one had them, before asking for more, while there was
            still something to do; None where nobody does, or it is not known.
        failures: how many items failed of each kind, ``(name of the exception, number)``, most first.
        slowest: what took longest, longest first: `Slow`, a few at most. Short items are measured together.
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
    input_seconds: float = 0.0
    consumer_seconds: float | None = None
    failures: tuple[tuple[str, int], ...] = ()
    slowest: tuple[Slow, ...] = ()

    @property
    def waiting_seconds(self) -> float | None:
        """How long items neither computed nor stood in the queue for a core: for a disk, a network, a lock."""
        if self.computing_seconds is None or self.queued_seconds is None:
            return None
        return max(0.0, self.item_seconds - self.computing_seconds - self.queued_seconds)

    @property
    def efficiency(self) -> float:
        """The share of the workers' time that went into items: 1.0 is perfect, 0.0 means nothing ran."""
        available = self.wall_seconds * self.workers
        return self.item_seconds / available if available > 0 else 0.0

    @property
    def verdict(self) -> str:
        """What took the time, if it was not computing, and what to try; empty where nothing stands out."""
        from allcores._core.verdict import judge  # for who asks

        return judge(self)

    def __repr__(self) -> str:
        items = "item" if self.items == 1 else "items"
        return f"<Report: {self.items} {items}{self._asides} in {self._time}, efficiency {self.efficiency:.0%}>"

    def __str__(self) -> str:
        from allcores._core.rows import as_text  # for who prints it

        return as_text(self._rows())

    def _repr_html_(self) -> str:
        from allcores._core.rows import as_html  # for notebooks

        return as_html(self._rows())

    @property
    def _asides(self) -> str:
        asides = {
            "failed": self.failed,
            "tried again": self.tries + self.recalled - self.items,
            "from the journal": self.recalled,
            "not recorded": self.unrecorded,
            "worker died" if self.deaths == 1 else "workers died": self.deaths,
        }
        return "".join(f", {count} {what}" for what, count in asides.items() if count > 0)

    @property
    def _time(self) -> str:
        return f"{self.wall_seconds:.3g} s on {self.workers} {'worker' if self.workers == 1 else 'workers'}"

    def _rows(self) -> Iterator[tuple[str, str]]:
        plan = self.plan
        yield "items", f"{self.items}{self._asides}"
        if self.failures:
            yield "failures", ", ".join(f"{count} {kind}" for kind, count in self.failures)
        yield "time", f"{self._time}, {plan.on}{f' by {plan.start}' if plan.start else ''}"
        share = f"efficiency {self.efficiency:.0%}"
        yield "inside items", f"{self.item_seconds:.3g} s, which a plain loop may take; {share}"
        if self.waiting_seconds is not None:
            yield "computing", f"{self.computing_seconds:.3g} s, moving data included"
            parts = {"waiting": self.waiting_seconds, "queue for cores": self.queued_seconds or 0.0}
            yield from self._worth_telling(parts, self.item_seconds)
        outside = {"input": self.input_seconds, "consumer": self.consumer_seconds or 0.0}
        yield from self._worth_telling(outside, self.wall_seconds)
        if self.slowest:
            yield "slowest", ", ".join(map(str, self.slowest))
        yield "verdict", self.verdict or "nothing stands out"

    @staticmethod
    def _worth_telling(parts: dict[str, float], whole: float) -> Iterator[tuple[str, str]]:
        for heading, seconds in parts.items():
            if seconds > WORTH_TELLING * whole:
                yield heading, f"{seconds:.3g} s"
