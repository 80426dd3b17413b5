"""What took a run's time, if it was not computing, and what to try.

Each judgement looks at figures that a run has anyway. The first that fits is told: what holds up all workers comes
before what some of them do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from allcores._core.hints import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from allcores._core.report import Report

__all__ = ["judge"]

LEAST_SECONDS = 0.1  # of a run, and inside items, for figures to mean something
MOSTLY, NOTABLE = 0.5, 0.3  # shares of the time that something is compared with
WELL_USED = 0.75  # efficiency, above which no worker has waited for another
MANY_ITEMS, SMALL_ITEM_SECONDS = 1000, 10e-6  # to send one, and to take its result, costs a microsecond or a few


def judge(report: Report) -> str:
    """Say what took the time, and what to try; empty where nothing stands out."""
    if report.wall_seconds < LEAST_SECONDS or report.plan.on == "serial":
        return ""
    judgements = BOTH if report.efficiency < WELL_USED else INSIDE_ITEMS
    return next((text for judgement in judgements for text in judgement(report)), "")


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


def _few_long_items(report: Report) -> Iterator[str]:
    if report.slowest and report.workers > 1:
        longest = report.slowest[0]
        if longest.stop == longest.start + 1 and longest.seconds > MOSTLY * report.wall_seconds:
            yield (
                f"{longest} alone took most of the time, and the other workers had nothing to do: "
                "try to have the longest items first, or to split them"
            )


def _small_items(report: Report) -> Iterator[str]:
    if report.tries >= MANY_ITEMS:
        seconds = report.item_seconds / report.tries
        if seconds < SMALL_ITEM_SECONDS:
            yield (
                f"items take {seconds * 1e6:.2g} us each, little beside what it costs to send them: "
                "try items that are more work, such as slices of the dataset, or a plain loop"
            )


def _queue(report: Report) -> Iterator[str]:
    if report.item_seconds >= LEAST_SECONDS and (report.queued_seconds or 0.0) > NOTABLE * report.item_seconds:
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

INSIDE_ITEMS: tuple[Judgement, ...] = (_queue, _waiting)
BOTH: tuple[Judgement, ...] = (_consumer, _input, _few_long_items, _small_items, *INSIDE_ITEMS)
