"""A job, and how a worker of any kind runs one batch of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from time import perf_counter
from typing import Any

from allcores._board import INDEX, SPAN
from allcores._codec import PartialItems
from allcores._errors import UnpicklableItem

__all__ = ["Job", "Part", "run_batch"]

REPORT_SECONDS = 0.050  # after so long, a worker reports what it has, or gives the rest of the batch back
STRIDE = 64  # items between two looks at the clock, once they have proved short
SHORT_SECONDS = 0.000_1  # a stride that took less may grow


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know to run items.

    Attributes:
        function: what to call.
        is_star: whether an item is a tuple of arguments.
        stops_at_failure: whether a worker leaves the rest of a batch after a failure.
        initializer: called once per worker, before its first item.
        initargs: its arguments.
    """

    function: Callable[..., Any]
    is_star: bool
    stops_at_failure: bool
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()

    def prepare(self) -> None:
        """Run the initializer."""
        if self.initializer is not None:
            self.initializer(*self.initargs)


@dataclass(slots=True)
class Part:
    """What came of consecutive items of a batch: those before `stop` that no earlier part told of."""

    start: int
    stop: int
    values: list[Any]  # one per item; None for those that raised
    raised: dict[int, BaseException]  # {index: exception}
    seconds: float  # spent inside the items
    is_last: bool


def run_batch(
    job: Job,
    items: Iterable[Any] | PartialItems,
    start: int,
    stop: int,
    mark: memoryview[int] | list[int],
    *,
    may_give_back: bool,
    passing: tuple[type[BaseException], ...] = (),
) -> Iterator[Part]:
    """Run items ``[start, stop)`` one after another.

    Args:
        job: what to run.
        items: as many as the range has.
        start: the first item's index.
        stop: the index after the last item's.
        mark: says which item runs, or which items, where each is so short that marking it would cost more.
        may_give_back: whether to end early when the batch runs long; otherwise it is reported in parts.
        passing: exceptions that are not an item's own: they end the batch and propagate.

    Yields:
        The parts, in order; the last one says so.
    """
    if isinstance(items, PartialItems):
        job, items = _refusing(job, items)
    call = _spreading(job.function) if job.is_star else job.function
    iterator = iter(items)
    index, stride, is_over = start, 1, False
    while not is_over:
        part_start = index
        values: list[Any] = []
        raised: dict[int, BaseException] = {}
        append = values.append
        begun = now = perf_counter()
        while not is_over and now - begun < REPORT_SECONDS:
            mark[INDEX], mark[SPAN] = index, 1 if stride < STRIDE else STRIDE
            try:
                # The hot loops: what stands here is paid for every item.
                if stride < STRIDE:
                    for item in islice(iterator, stride):
                        mark[INDEX] = part_start + len(values)
                        append(call(item))
                else:
                    for item in islice(iterator, stride):
                        append(call(item))
            except passing:
                raise
            except BaseException as error:  # sys.exit() in an item is that item's failure, too
                raised[part_start + len(values)] = error
                append(None)
            index = part_start + len(values)
            before, now = now, perf_counter()
            stride = min(2 * stride, STRIDE) if now - before < SHORT_SECONDS else 1
            is_over = index >= stop or (bool(raised) and job.stops_at_failure)
        is_over = is_over or may_give_back
        yield Part(part_start, index, values, raised, now - begun, is_over)


def _spreading(function: Callable[..., Any]) -> Callable[[Any], Any]:
    def call(arguments: Any) -> Any:
        return function(*arguments)

    return call


class _Refused:
    """Takes the place of an item that did not reach the worker."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _refusing(job: Job, partial: PartialItems) -> tuple[Job, list[Any]]:
    """Make the items that did not travel raise when their turn comes."""
    call = _spreading(job.function) if job.is_star else job.function

    def call_or_refuse(item: Any) -> Any:
        if isinstance(item, _Refused):
            raise UnpicklableItem(item.reason)
        return call(item)

    items = [_Refused(partial.errors[at]) if at in partial.errors else item for at, item in enumerate(partial.items)]
    return replace(job, function=call_or_refuse, is_star=False), items
