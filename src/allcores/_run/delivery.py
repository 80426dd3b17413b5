"""Delivery: what came of items goes to the sink, and is noted down in the journal; the dataset lets go of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.messages import BatchAdvanced, BatchFinished
from allcores._core.report import Slow
from allcores._core.timeline import Timeline
from allcores._engines.engine import Arrival, Engine
from allcores._input.dataset import Dataset
from allcores._objects.outcomes import Failure, Origin, attach_finished
from allcores._run.excuses import Excuses
from allcores._run.failures import Failures
from allcores._run.sinks import Sink

if TYPE_CHECKING:
    from allcores._journal.recorder import Recorder

__all__ = ["Delivery"]

SLOWEST = 10  # that are told of
SLOW_SECONDS = 0.1  # that nobody needs to hear of


class Delivery:
    """Brings what comes of one run's items where it belongs.

    Args:
        dataset: the items.
        sink: takes the values.
        failures: makes one of what an item raised.
        excuses: whose failures are worth another try.
        origin: of the run's failures; one that is a value and bears it is no value for the journal.
        recorder: of the run's journal; None if it has none.
        timeline: hears who has run what, and when.

    Attributes:
        recalled: how many items the journal has had.
        finished: how many items have a result, one of the journal's included.
        item_seconds: for how long items ran, altogether.
        slowest: what took longest, longest first.
    """

    def __init__(
        self,
        dataset: Dataset,
        sink: Sink,
        failures: Failures,
        excuses: Excuses,
        *,
        origin: Origin | None,
        recorder: Recorder | None,
        timeline: Timeline,
    ) -> None:
        self.recalled = self.finished = 0
        self.item_seconds = 0.0
        self.slowest: list[Slow] = []
        self._exceeding = SLOW_SECONDS  # what takes longer is one of them
        self._dataset = dataset
        self._sink = sink
        self._failures = failures
        self._excuses = excuses
        self._origin = origin
        self._recorder = recorder
        self._timeline = timeline

    def recall(self, start: int, stop: int) -> tuple[tuple[int, int], ...]:
        """Deliver what the journal has of the items ``[start, stop)``; say which ranges that is."""
        if self._recorder is None or start == stop:
            return ()
        recalled = self._recorder.recall(start, self._dataset.items(start, stop))
        ranges = tuple(_ranges(recalled))
        for first, end in ranges:
            self._sink.put(first, [recalled[index] for index in range(first, end)])
            self._dataset.settle(first, end)
        self.recalled += len(recalled)
        self.finished += len(recalled)
        return ranges

    def deliver(
        self, event: BatchAdvanced | BatchFinished, arrival: Arrival, retried: Iterable[int], engine: Engine, now: float
    ) -> None:
        """Hand on what came of a batch, or of the first items of one: all but the items that are tried again."""
        values, holes, start = arrival.values, set(retried), arrival.start
        self.item_seconds += event.seconds
        ended = arrival.ended if 0.0 < arrival.ended < now else now
        failed = len(arrival.raised)
        self._timeline.hear(event.worker, start, len(values), seconds=event.seconds, failed=failed, ended=ended)
        if event.seconds > self._exceeding:
            self._note_slow(event.seconds, start, len(values))
        seconds = event.seconds / max(1, len(values))
        for index, raised in arrival.raised.items():
            if index not in holes:
                failure = self._failures.make(index, raised, engine.identity(event.worker))
                self._record_failure(failure, seconds)
                if self._failures.are_values:
                    values[index - arrival.start] = failure
                else:
                    holes.add(index)
        self._put(arrival.start, values, seconds, holes)

    def fail(self, index: int, arrival: Arrival, engine: Engine) -> None:
        """Hand on that a worker could not run an item."""
        identity = engine.identity(getattr(arrival.event, "worker", -1))
        failure = self._failures.make_of_cause(index, arrival, identity)
        self._record_failure(failure, 0.0)
        if self._failures.are_values:
            self._sink.put(index, [failure])
            self.finished += 1
        self._dataset.settle(index, index + 1)

    def salvage(self, arrival: Arrival) -> None:
        """Keep the values of what arrived when the run was over; what failed does not matter any more."""
        for start, stop in _between(arrival.start, len(arrival.values), arrival.raised):
            if not self._sink.has(start):
                self._put(start, arrival.values[start - arrival.start : stop - arrival.start], 0.0)

    def attach_finished(self, error: BaseException) -> None:
        """Make what was finished reachable from an exception that ends the run."""
        attach_finished(error, self._sink.finished)

    def _note_slow(self, seconds: float, start: int, count: int) -> None:
        name = self._failures.name(start) if count == 1 else ""
        self.slowest.append(Slow(seconds, start, start + count, name))
        self.slowest.sort(reverse=True)
        del self.slowest[SLOWEST:]
        if len(self.slowest) == SLOWEST:
            self._exceeding = self.slowest[-1].seconds

    def _put(self, start: int, values: list[Any], seconds: float, holes: Iterable[int] = ()) -> None:
        """Hand on the values of consecutive items, all but those of some."""
        for first, end in _between(start, len(values), holes):
            part = values[first - start : end - start] if holes else values  # no copy in the common case
            if self._recorder is not None:
                self._record_values(self._recorder, first, part, seconds)
            self._sink.put(first, part)
            self.finished += end - first
            self._dataset.settle(first, end)

    def _record_values(self, recorder: Recorder, start: int, values: list[Any], seconds: float) -> None:
        for index, value in enumerate(values, start):
            if not (type(value) is Failure and value.origin is self._origin):
                recorder.record(index, value, seconds, self._excuses.take(index))

    def _record_failure(self, failure: Failure, seconds: float) -> None:
        if self._recorder is not None:
            self._recorder.record_failure(failure, seconds)


def _between(start: int, count: int, holes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Give the ranges of `count` items from `start` on that some of them leave."""
    for before, after in pairwise([start - 1, *sorted(holes), start + count]):
        if before + 1 < after:
            yield before + 1, after


def _ranges(indices: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Put indices together to ranges."""
    start = stop = None
    for index in sorted(indices):
        if index != stop:
            if start is not None and stop is not None:
                yield start, stop
            start = index
        stop = index + 1
    if start is not None and stop is not None:
        yield start, stop
