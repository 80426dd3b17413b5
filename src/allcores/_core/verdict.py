"""What took a run's time, if it was not computing, and what to try.

Each judgement looks at figures that a run has anyway. The first that fits is told: what holds up all workers comes
before what some of them do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from allcores._core.bytes import format_bytes
from allcores._core.hints import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from allcores._core.report import Report

__all__ = ["judge"]

LEAST_SECONDS = 0.1  # of a run, and inside items, for figures to mean something
MOSTLY, NOTABLE = 0.5, 0.3  # shares of the time that something is compared with
WELL_USED = 0.75  # efficiency, above which no worker has waited for another
MANY_ITEMS, SMALL_ITEM_SECONDS = 1000, 10e-6  # to send one, and to take its result, costs a microsecond or a few
MUCH_DATA = 100_000  # bytes per item, above which it is the data that take time, and not their number
MEMORY_FAILURES = {"MemoryLimitExceeded", "MemoryError"}


def judge(report: Report) -> str:
    """Say what took the time, and what to try; empty where nothing stands out."""
    if report.wall_seconds < LEAST_SECONDS or report.plan.on == "serial":
        return ""
    judgements = INSIDE_ITEMS if report.is_served or report.efficiency >= WELL_USED else ALL
    return next((text for judgement in judgements for text in judgement(report)), "")


# --------------------------------------------------------------------------------------- what leaves workers idle


def _consumer(report: Report) -> Iterator[str]:
    if (report.consumer_seconds or 0.0) > MOSTLY * report.wall_seconds:
        yield (
            f"who takes the results had them for {report.consumer_seconds:.3g} s, in which workers ran out of work: "
            "try to do more of that inside the function"
        )


def _input(report: Report) -> Iterator[str]:
    if report.input_seconds > MOSTLY * report.wall_seconds:
        yield (
            f"the input took {report.input_seconds:.3g} s to give its items: "
            "try items that say where something is, a path or an index, and read it inside the function"
        )


def _start(report: Report) -> Iterator[str]:
    if (report.starting_seconds or 0.0) > MOSTLY * report.wall_seconds:
        yield (
            f"it took {report.starting_seconds:.3g} s until the first worker was ready: "
            "try one Pool for several calls, or an initializer and imports that take less time"
        )


def _few_long_items(report: Report) -> Iterator[str]:
    if not report.slowest or report.workers < 2:  # noqa: PLR2004 - one alone waits for nobody
        return
    longest = report.slowest[0]
    is_single = longest.stop == longest.start + 1
    if is_single and longest.seconds > MOSTLY * report.wall_seconds:
        yield (
            f"{longest.name or f'item {longest.start}'} alone took {longest.seconds:.3g} s, most of the time, and the "
            "other workers had nothing to do: try to have the longest items first, or to split them"
        )
    elif report.tail_seconds > NOTABLE * report.wall_seconds * report.workers:
        yield (
            f"workers had nothing to do for {report.tail_seconds:.3g} s, taken together, while the last items ran; "
            f"longest was {longest}: try to have the longest items first, {'or ' if is_single else 'batch=1, or '}"
            "to split them"
        )


def _small_items(report: Report) -> Iterator[str]:
    if report.tries >= MANY_ITEMS:
        seconds = report.item_seconds / report.tries
        if seconds < SMALL_ITEM_SECONDS:
            yield (
                f"items take {seconds * 1e6:.2g} us each, little beside what it costs to send them: "
                "try items that are more work, such as slices of the dataset, or a plain loop"
            )


def _moving(report: Report) -> Iterator[str]:
    size, is_slow = report.moved_bytes, report.moved_for > NOTABLE * report.wall_seconds
    if size > MUCH_DATA * max(1, report.tries) and is_slow:
        if report.sent_bytes > report.received_bytes:
            advice = "items that say where the data are, a path or an index, and read them inside the function"
        else:
            advice = "to return less, or to save what is large inside the function and return its path"
        yield f"moving {format_bytes(size)} between processes took much of the time: try {advice}"


# --------------------------------------------------------------------------------------- what items do meanwhile


def _memory(report: Report) -> Iterator[str]:
    lost = sum(count for kind, count in report.failures if kind in MEMORY_FAILURES)
    peak = report.peak_memory
    needed = "" if peak is None else f", of which a worker needed up to {format_bytes(peak)}"
    if report.short_seconds > NOTABLE * report.wall_seconds:
        yield (
            f"memory was short for {report.short_seconds:.3g} s{needed}, so that fewer items ran at once: "
            "try items that need less of it, or smaller ones"
        )
    elif lost:
        items = "an item" if lost == 1 else f"{lost} items"
        yield f"{items} failed for lack of memory{needed}: try smaller items, or fewer workers and a higher memory="


def _queue(report: Report) -> Iterator[str]:
    queued, plan = report.queued_seconds or 0.0, report.plan
    if report.item_seconds >= LEAST_SECONDS and queued > NOTABLE * report.item_seconds:
        if plan.native_set or (plan.threads or 1) > plan.cores:
            yield (
                "workers stood in the queue for a core, as native libraries may use more threads in each than its "
                "share of the cores: try threads=1"
            )
        else:
            yield "workers stood in the queue for a core, as others use them, or there are too many: try fewer workers"


def _waiting(report: Report) -> Iterator[str]:
    waiting, computing, queued = report.waiting_seconds, report.computing_seconds, report.queued_seconds
    if waiting is None or computing is None or queued is None:
        return
    if report.item_seconds < LEAST_SECONDS or waiting <= MOSTLY * report.item_seconds:
        return
    if report.plan.on == "threads" and computing + queued > MOSTLY * report.wall_seconds:
        yield "threads waited for each other, as one at a time may run Python's code: try on='processes'"
    else:
        yield "items mostly waited, and did not compute: try more workers, which may be threads"


Judgement: TypeAlias = "Callable[[Report], Iterator[str]]"

INSIDE_ITEMS: tuple[Judgement, ...] = (_memory, _queue, _waiting)
ALL: tuple[Judgement, ...] = (
    _consumer, _input, _memory, _few_long_items, _moving, _small_items, _start, _queue, _waiting,
)  # fmt: skip
