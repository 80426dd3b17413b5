"""What a run cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from allcores._core.bytes import format_bytes
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.plan import Plan
from allcores._core.records import Record
from allcores._core.timeline import Span, Stint

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Report", "Slow"]

WORTH_TELLING = 0.01  # of the time that something is a part of
MUCH, WORTH_TELLING_BYTES = 0.05, 1_000_000  # of moving data
TOLD = 3  # of the slowest


class Slow(Record):
    """Items that took long: consecutive ones that a worker ran together, or one alone.

    Attributes:
        seconds: how long they took.
        start, stop: their indices, the last one exclusive.
        name: of one alone, with a short repr of it; else empty.
    """

    seconds: float
    start: int
    stop: int
    name: str = ""

    def __str__(self) -> str:
        if self.stop == self.start + 1:
            return f"{self.name or f'item {self.start}'}: {self.seconds:.3g} s"
        return f"items {self.start} to {self.stop - 1}: {self.seconds:.3g} s together"


class Report(Record):
    """What a run cost. Printed, it is about ten lines, of which the last says what to try.

    `save` writes it as a page with pictures, `trace` for Perfetto, and `plot` draws it with matplotlib.

    Attributes:
        wall_seconds: from the call to the last result; of a pool, since it was made.
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
        moving_seconds: how long workers took to unpickle items, and to pickle and send what came of them; None where
            nothing travels, or nobody knows.
        own_moving_seconds: how long the caller's process took to pickle and send items, and to receive and unpickle
            what came of them.
        sent_bytes: how large the items were that were sent; forked workers have theirs from birth.
        received_bytes: how large what came back was.
        input_seconds: how long the input, if it is no sequence, took to give its items.
        consumer_seconds: how long who takes the results one by one had them, before asking for more, while there was
            still something to do; None where nobody does, or it is not known.
        starting_seconds: until the first worker was ready for an item; None if none ever was.
        tail_seconds: how long workers had nothing to do while the last items ran, summed over all workers.
        short_seconds: for how long a lack of memory kept items from running on all workers.
        failures: how many items failed of each kind, ``(name of the exception, number)``, most first.
        slowest: what took longest, longest first: `Slow`, ten at most. Short items are measured together.
        stints: what each worker has done, and the most memory that it had; of the first 256 workers.
        spans: which items ran where, from when to when; 2000 at most, as neighbours are taken together where there are
            more.
        is_served: whether items were handed in by and by, to a pool or an executor.
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
    moving_seconds: float | None = None
    own_moving_seconds: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    input_seconds: float = 0.0
    consumer_seconds: float | None = None
    starting_seconds: float | None = None
    tail_seconds: float = 0.0
    short_seconds: float = 0.0
    failures: tuple[tuple[str, int], ...] = ()
    slowest: tuple[Slow, ...] = ()
    stints: tuple[Stint, ...] = ()
    spans: tuple[Span, ...] = ()
    is_served: bool = False

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
    def speedup(self) -> float:
        """How many times as fast as a loop that takes as long inside items as the workers did."""
        return self.item_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0

    @property
    def moved_for(self) -> float:
        """For how many of the run's seconds data were moved, as workers move theirs side by side."""
        return (self.moving_seconds or 0.0) / max(1, self.workers) + self.own_moving_seconds

    @property
    def moved_bytes(self) -> int:
        """How much was sent and received."""
        return self.sent_bytes + self.received_bytes

    @property
    def peak_memory(self) -> int | None:
        """The most memory that one worker has had, in bytes; None where nobody knows."""
        return max((stint.peak_memory for stint in self.stints if stint.peak_memory is not None), default=None)

    @property
    def verdict(self) -> str:
        """What took the time, if it was not computing, and what to try; empty where nothing stands out."""
        from allcores._core.verdict import judge  # for who asks

        return judge(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the report as a page: one HTML file with pictures, which needs nothing else to be looked at.

        Args:
            path: of the file, as ``"run.html"``; what was there is replaced. ``allcores report`` prints it again.
        """
        from allcores._core.page import as_page  # for who asks

        _write(path, as_page(self))

    def trace(self, path: str | PathLike[str]) -> None:
        """Write who ran what when as trace events, for https://ui.perfetto.dev or ``chrome://tracing``.

        Args:
            path: of the file, as ``"run.json"``; what was there is replaced. ``allcores report`` prints it again.
        """
        from allcores._core.trace import as_trace  # for who asks

        _write(path, as_trace(self))

    def plot(self) -> Any:
        """Draw who ran what when, how long items took, and how many were done by when.

        Returns:
            A figure of matplotlib's, for its ``savefig``; a notebook shows it where ``matplotlib.pyplot`` is imported.

        Raises:
            ImportError: matplotlib is not installed; ``pip install allcores[plot]``.
        """
        from allcores._core.plot import draw  # for who asks

        return draw(self)

    def __repr__(self) -> str:
        items = "item" if self.items == 1 else "items"
        return f"<Report: {self.items} {items}{self._asides} in {self._time}, efficiency {self.efficiency:.0%}>"

    def __str__(self) -> str:
        from allcores._core.rows import as_text  # for who prints it

        return as_text(self.rows())

    def _repr_html_(self) -> str:
        from allcores._core.rows import as_html  # for notebooks

        return as_html(self.rows())

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

    def rows(self) -> Iterator[tuple[str, str]]:
        """Give what is printed, line by line: a heading and a text."""
        plan = self.plan
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.failures)
        yield "items", f"{self.items}{self._asides}{f' ({kinds})' if kinds else ''}"
        native = "" if plan.threads is None else f", native threads {plan.threads} each"
        yield "time", f"{self._time}, {plan.on}{f' by {plan.start}' if plan.start else ''}{native}"
        share = f"{self.speedup:.2g} times as fast, efficiency {self.efficiency:.0%}"
        yield "inside items", f"{self.item_seconds:.3g} s, which a plain loop may take; {share}"
        if self.computing_seconds is not None:
            parts = {"waiting": self.waiting_seconds, "queue for cores": self.queued_seconds}
            told = _worth_telling(parts, self.item_seconds)
            included = "" if self.moving_seconds is None else ", moving data included"
            yield "computing", ", ".join([f"{self.computing_seconds:.3g} s{included}", *told])
        if self._moves_much:
            times = f"{self.moving_seconds or 0.0:.3g} s by workers, {self.own_moving_seconds:.3g} s by the caller"
            sizes = f"{format_bytes(self.sent_bytes)} sent, {format_bytes(self.received_bytes)} received"
            yield "moving data", f"{times}; {sizes}"
        causes = {"start": self.starting_seconds, "input": self.input_seconds, "consumer": self.consumer_seconds}
        last = {"last items": self.tail_seconds}
        held = [*_worth_telling(causes, self.wall_seconds), *_worth_telling(last, self.wall_seconds * self.workers)]
        if held:
            yield "held up by", ", ".join(held)
        if self.peak_memory is not None:
            short = f", short for {self.short_seconds:.3g} s" if self.short_seconds else ""
            yield "memory", f"up to {format_bytes(self.peak_memory)} in a worker{short}"
        if self.slowest:
            yield "slowest", "; ".join(map(str, self.slowest[:TOLD]))
        yield "verdict", self.verdict or "nothing stands out"

    @property
    def _moves_much(self) -> bool:
        size = self.moved_bytes
        return size > WORTH_TELLING_BYTES or (size > 0 and self.moved_for > MUCH * self.wall_seconds)


def _write(path: str | PathLike[str], text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _worth_telling(parts: Mapping[str, float | None], whole: float) -> Iterator[str]:
    for name, seconds in parts.items():
        if (seconds or 0.0) > WORTH_TELLING * whole:
            yield f"{name} {seconds:.3g} s"
