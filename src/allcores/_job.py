"""A job, and how a worker of any kind runs one batch of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from time import monotonic_ns
from typing import Any

from allcores._board import INDEX, SINCE, SPAN, Mark, Shelf
from allcores._codec import PartialItems
from allcores._current import RunningItem
from allcores._errors import UnpicklableItem
from allcores._messages import SendBatch
from allcores._outcomes import Chance

__all__ = ["Job", "Part", "run_batch"]

REPORT_SECONDS = 0.050  # after so long, a worker reports what it has, or gives the rest of the batch back
STRIDE = 64  # items between two looks at the clock, once they have proved short
SHORT_SECONDS = 0.000_1  # a stride that took less may grow
KEPT_ONE_BY_ONE = 100  # values of a part, before they are put on the shelf by strides, to bound what that costs


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know to run items.

    Attributes:
        function: what to call.
        is_star: whether an item is a tuple of arguments.
        stops_at_failure: whether a worker leaves the rest of a batch after a failure.
        initializer: called once per worker, before its first item.
        initargs: its arguments.
        is_timed: whether somebody watches how long an item runs, so that each must be marked, however short.
        chance: what the run's random numbers come from.
    """

    function: Callable[..., Any]
    is_star: bool
    stops_at_failure: bool
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    is_timed: bool = False
    chance: Chance = field(default=Chance(0, is_seeded=False))

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
    batch: SendBatch,
    mark: Mark | None = None,
    *,
    passing: tuple[type[BaseException], ...] = (),
) -> Iterator[Part]:
    """Run a batch's items one after another.

    Args:
        job: what to run.
        items: as many as the range has.
        batch: which items they are, and whether to end early when they run long; otherwise they are reported in parts.
        mark: says which item runs, or which items, where each is so short that marking it would cost more; and keeps
            what is finished until it is reported. None where nobody could look at it.
        passing: exceptions that are not an item's own: they end the batch and propagate.

    Yields:
        The parts, in order; the last one says so.
    """
    if isinstance(items, PartialItems):
        job, items = _refusing(job, items)
    running = RunningItem(job.chance, batch.tries)
    strides = _Strides(_calling(job, running), iter(items), mark, passing)
    longest = STRIDE // 2 if job.is_timed else STRIDE
    index, stride, is_over = batch.start, 1, False
    while not is_over:
        begun = now = monotonic_ns()
        strides.begin(batch.token, index, begun)
        with running.here(index, strides.values):
            while not (is_over or strides.must_report or now - begun >= REPORT_SECONDS * 1e9):
                strides.run(index, stride, now)
                index = strides.start + len(strides.values)
                before, now = now, monotonic_ns()
                is_short = now - before < SHORT_SECONDS * 1e9
                if not is_short:
                    strides.keep()
                stride = min(2 * stride, longest) if is_short else 1
                is_over = index >= batch.stop or (bool(strides.raised) and job.stops_at_failure)
        is_over = is_over or (batch.may_give_back and now - begun >= REPORT_SECONDS * 1e9)
        yield Part(strides.start, index, strides.values, strides.raised, (now - begun) / 1e9, is_over)


class _Strides:
    """Runs a few items at a time.

    Attributes:
        start: the index of the part's first item.
        values: what the part's items gave so far.
        raised: what they raised, by index.
        must_report: whether the part should end here, because what is finished could not be kept.
    """

    def __init__(
        self,
        call: Callable[[Any], Any],
        iterator: Iterator[Any],
        mark: Mark | None,
        passing: tuple[type[BaseException], ...],
    ) -> None:
        self._call = call
        self._iterator = iterator
        self._words: Any = [0] * 8 if mark is None else mark.words
        self._shelf: Shelf | None = None if mark is None else mark.shelf
        self._passing = passing

    def begin(self, token: int, start: int, now: int) -> None:
        """Begin a part."""
        self.start = start
        self.values: list[Any] = []
        self.raised: dict[int, BaseException] = {}
        self.must_report = False
        self._kept = 0
        if self._shelf is not None:
            self._shelf.clear(token, start, now)

    def run(self, index: int, count: int, now: int) -> None:
        """Run the next `count` items, fewer at the end or if one raises."""
        words, values, append, call = self._words, self.values, self.values.append, self._call
        words[SINCE] = now
        words[INDEX], words[SPAN] = index, 1 if count < STRIDE else STRIDE
        try:
            # The hot loops: what stands here is paid for every item.
            if count == STRIDE:
                for item in islice(self._iterator, count):
                    append(call(item))
            else:
                start, keeps = self.start, self._shelf is not None and self._kept == len(values) < KEPT_ONE_BY_ONE
                for item in islice(self._iterator, count):
                    words[SINCE] = monotonic_ns()
                    words[INDEX] = start + len(values)
                    append(call(item))
                    if keeps and not self.keep():
                        return
        except self._passing:
            raise
        except BaseException as error:  # sys.exit() in an item is that item's failure, too
            self.raised[self.start + len(values)] = error
            append(None)
            self.must_report = self._shelf is not None

    def keep(self) -> bool:
        """Put the values that are new on the shelf; False if they must be reported instead."""
        if self._shelf is not None and not self.must_report:
            self.must_report = not self._shelf.keep(self.values[self._kept :])
            self._kept = len(self.values)
        return not self.must_report


def _calling(job: Job, running: RunningItem) -> Callable[[Any], Any]:
    """Give what to call with an item."""
    call = _spreading(job.function) if job.is_star else job.function
    if not job.chance.is_seeded:
        return call

    def call_seeded(item: Any) -> Any:
        running.seed_global_streams()
        return call(item)

    return call_seeded


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
