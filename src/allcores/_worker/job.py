"""A job, and how a worker of any kind runs one batch of it."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat, starmap
from time import monotonic_ns

from allcores._codec.codec import PartialItems
from allcores._codec.packing import CHUNK
from allcores._core.errors import UnpicklableItem
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.messages import SendBatch
from allcores._core.records import Record
from allcores._input.snapshots import Snapshots
from allcores._objects.asking import ask
from allcores._objects.outcomes import Chance
from allcores._transport.board import Mark
from allcores._worker.current import RunningItem, text_here
from allcores._worker.single import run_single
from allcores._worker.state import WorkerState
from allcores._worker.strides import LONG_STRIDE, STRIDE, Strides

if TYPE_CHECKING:
    from allcores._worker.captured import CapturedGenerators
    from allcores._worker.safe_region import SafeRegion
    from allcores._worker.said import Echo

__all__ = ["Job", "Part", "find_captured", "handed_out", "part_generators", "run_batch"]

REPORT_SECONDS = 0.050  # after so long, a worker reports what it has, or gives the rest of the batch back


class Job(Record):
    """What a worker must know to run items.

    Attributes:
        function: what to call.
        is_star: whether an item is a tuple of arguments.
        stops_at_failure: whether a worker leaves the rest of a batch after a failure.
        initializer: called once per worker, before its first item.
        initargs: its arguments.
        is_timed: whether somebody watches how long an item runs, so that each must be marked, however short.
        chance: what the run's random numbers come from.
        is_daemon: whether workers are daemons for multiprocessing, and so may start none of its processes.
        is_awaited: whether somebody takes results one by one, so that none may lie and wait for a later item.
        settings: `Settings` under which workers begin, `Sealed` on the way to one; None: those of who starts workers.
        state: makes what the function is given first, once per worker; None where it is given nothing.
        finalizer: called with that at a worker's end.
        log: the folder for what items print, each in a file of its own; None: they print where the worker does.
        echo: what of the things that items say the caller's own streams and handlers are to have; None: nothing.
        captured: generators that the function leads to and each item finds seeded, known where items run: `at_home`.
    """

    function: Callable[..., Any]
    is_star: bool
    stops_at_failure: bool
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    is_timed: bool = False
    chance: Chance = Chance(0, is_seeded=False)
    is_daemon: bool = False
    is_awaited: bool = False
    settings: Any = None
    state: Callable[[], Any] | None = None
    finalizer: Callable[..., object] | None = None
    log: str | None = None
    echo: Echo | None = None
    captured: CapturedGenerators | None = None

    def at_home(self) -> Job:
        """Give the job as it is for the process that runs its items."""
        return self._replace(captured=find_captured(self.function)) if self.chance.is_seeded else self

    @property
    def takes_time(self) -> bool:
        """Whether something of the user's runs before the first item, which may take long."""
        return self.initializer is not None or self.state is not None

    def prepare(self) -> WorkerState:
        """Run the initializer, and make the worker's state."""
        if self.initializer is not None:
            self.initializer(*self.initargs)
        return WorkerState(() if self.state is None else (self.state(),), self.finalizer)


class Part(Record):
    """What came of consecutive items of a batch: those before `stop` that no earlier part told of."""

    start: int
    stop: int
    values: Any  # one per item, None for those that raised: a list, or what was to gather them
    raised: dict[int, BaseException]  # {index: exception}
    seconds: float  # spent inside the items
    is_last: bool
    ended: float = 0.0  # when the last of them did, on the machine's own clock


def run_batch(
    job: Job,
    items: Iterable[Any] | PartialItems,
    batch: SendBatch,
    mark: Mark | None = None,
    *,
    passing: tuple[type[BaseException], ...] = (),
    fetch: Callable[[str], bool] | None = None,
    gather: Callable[[], Any] = list,
    snapshots: Snapshots | None = None,
    region: SafeRegion | None = None,
    report_seconds: float = REPORT_SECONDS,
) -> Iterator[Part]:
    """Run a batch's items one after another.

    Args:
        job: what to run.
        items: as many as the range has.
        batch: which items they are, and whether to end early when they run long; otherwise they are reported in parts.
        mark: says which item runs, or which items, where each is so short that marking it would cost more; and keeps
            what is finished until it is reported. None where nobody could look at it.
        passing: exceptions that are not an item's own: they end the batch and propagate.
        fetch: gets a variable of the caller's, and says whether there is one; an item that missed it runs again. None
            where items have all the caller's.
        gather: makes what a part's values are added to with ``+=``, a list of some thousands at a time.
        snapshots: keep values as they are when their items end; None where they are handed on as they are.
        region: where what is finished can be seen, and told before its part ends; None where nobody looks.
        report_seconds: after how long a part ends, or the batch if it may.

    Yields:
        The parts, in order; the last one says so.
    """
    if isinstance(items, PartialItems):
        job, items = _refusing(job, items)
    running = RunningItem(job.chance, batch.tries)
    call = _calling(job, running)
    if batch.stop - batch.start == 1:
        (item,) = items
        values, raised, seconds = run_single(call, running, item, batch, mark, passing=passing, fetch=fetch)
        ended = monotonic_ns() / 1e9
        yield Part(batch.start, batch.start + len(values), values, raised, seconds, True, ended)
        return
    longest = STRIDE // 2 if job.is_timed else LONG_STRIDE
    strides = Strides(
        call,
        iter(items),
        batch,
        longest=longest,
        region=region,
        mark=mark,
        passing=passing,
        fetch=fetch,
        snapshots=snapshots,
    )
    is_over = False
    while not is_over:
        part, goes_on = _GrowingPart(strides, gather), True
        due = strides.now + int(report_seconds * 1e9)
        while goes_on:
            part.begin_chunk()
            with running.here(strides.index, strides.values):
                if region is not None:
                    region.open(part)
                while goes_on and len(strides.values) < CHUNK:
                    strides.run()
                    is_over = strides.index >= batch.stop or (bool(strides.raised) and job.stops_at_failure)
                    is_due = strides.must_report or strides.is_wanted_back or strides.now >= due or part.is_told
                    goes_on = not (is_over or is_due)
                if region is not None:
                    region.close()
            part.end_chunk()
        is_over = is_over or strides.is_wanted_back or (batch.may_give_back and strides.now >= due)
        yield part.end(is_last=is_over)


class _GrowingPart:
    """Gathers a part of a batch, by the chunk; what is finished may be told before its end.

    Attributes:
        is_told: whether some of it was, so that it should end.
    """

    def __init__(self, strides: Strides, gather: Callable[[], Any]) -> None:
        self.is_told = False
        self._strides = strides
        self._gather = gather
        self._values = gather()  # those of earlier chunks
        self._start = self._first = strides.index  # of what was not told, and of the chunk
        self._since = monotonic_ns()
        self._seen = -1  # how many of the chunk's there were at the last look
        strides.begin_part(self._since)

    def begin_chunk(self) -> None:
        """Begin values that are gathered together."""
        self._strides.begin_chunk()
        self._first, self._seen = self._strides.index, -1

    def look(self, tell: Callable[[Part], object]) -> None:
        """Tell what is finished, if nothing more has been since the last look: what is there stays as it is."""
        seen, self._seen = self._seen, len(self._strides.values)
        stop = self._first + self._seen
        if seen == self._seen:
            self._strides.cut()
        if seen != self._seen or stop == self._start:
            return
        values, until = self._gather(), max(self._strides.began, self._since)
        values += [*self._values, *self._new_values(self._seen)]
        seconds = (until - self._since) / 1e9
        tell(Part(self._start, stop, values, self._raised_until(stop), seconds, is_last=False, ended=until / 1e9))
        self._start, self._since, self._values = stop, until, self._gather()
        self.is_told = True

    def end_chunk(self) -> None:
        """Gather the chunk's values."""
        values = self._strides.values
        self._values += self._new_values(len(values)) if self.is_told else values  # no copy in the common case

    def end(self, *, is_last: bool) -> Part:
        """Give what was not told."""
        strides, raised = self._strides, self._strides.raised
        if self.is_told and raised:
            raised = self._raised_until(strides.index)
        seconds, ended = (strides.now - self._since) / 1e9, strides.now / 1e9
        return Part(self._start, strides.index, self._values, raised, seconds, is_last, ended)

    def _new_values(self, count: int) -> list[Any]:
        """Give those of the chunk's first values that were not told."""
        return self._strides.values[max(0, self._start - self._first) : count]

    def _raised_until(self, stop: int) -> dict[int, BaseException]:
        items = list(self._strides.raised.items())  # at once, as it may grow meanwhile
        return {index: error for index, error in items if self._start <= index < stop}


def _calling(job: Job, running: RunningItem) -> Callable[[Any], Any]:
    """Give what to call with an item."""
    call = _spreading(job.function) if job.is_star else job.function
    if job.chance.is_seeded:
        call = _seeding(call, job.captured, running)
    if job.log is None:
        return call
    from allcores._worker.item_log import logging_to  # for those who ask for it

    return logging_to(job.log, call, running)


def _seeding(
    call: Callable[[Any], Any], captured: CapturedGenerators | None, running: RunningItem
) -> Callable[[Any], Any]:
    from allcores._worker.streams import find_streams, seed_streams  # a run without a seed does without

    find_streams(text_here)  # first: to import them takes longer than many an item, and does not count as its time

    def call_seeded(item: Any) -> Any:
        seed_streams(running.text, captured)
        return call(item)

    return call_seeded


def find_captured(function: Callable[..., Any]) -> CapturedGenerators | None:
    """Find the generators that a function leads to; None if there are none, which shows at a glance for most."""
    if "random" not in sys.modules:  # which NumPy's import, too
        return None
    try:
        return ask(_find_captured, function)
    except Exception:  # what the function leads to may say anything
        return None


def _find_captured(function: Callable[..., Any]) -> CapturedGenerators | None:
    from allcores._worker.glance import leads_nowhere  # a plain run has no generators, and does without

    if leads_nowhere(function):
        return None
    from allcores._worker.captured import CapturedGenerators

    return CapturedGenerators.of(function) or None


def part_generators(job: Job, initializer: Callable[..., object] | None = None) -> None:
    """Have this worker draw other numbers than the others, which have copies of the same generators.

    Args:
        job: whose function leads to them.
        initializer: that has run here: where it leads to, too, is its affair.
    """
    captured = find_captured(job.function)
    if captured is None:
        return
    theirs = None if initializer is None else find_captured(initializer)
    (captured if theirs is None else captured.without_those_of(theirs)).part()


def handed_out(items: list[Any]) -> Iterator[Any]:
    """Give the items one by one, and let go of each: a value that is its own item is nobody else's then."""
    queue = deque(items)
    items.clear()
    return starmap(queue.popleft, repeat((), len(queue)))


def _spreading(function: Callable[..., Any]) -> Callable[[Any], Any]:
    def call(arguments: Any) -> Any:
        return function(*arguments)

    return call


class _Refused:
    """Takes the place of an item that did not reach the worker."""

    def __init__(self, error: UnpicklableItem) -> None:
        self.error = error


def _refusing(job: Job, partial: PartialItems) -> tuple[Job, list[Any]]:
    """Make the items that did not travel raise when their turn comes."""
    call = _spreading(job.function) if job.is_star else job.function

    def call_or_refuse(item: Any) -> Any:
        if isinstance(item, _Refused):
            raise item.error
        return call(item)

    items = [_Refused(partial.errors[at]) if at in partial.errors else item for at, item in enumerate(partial.items)]
    return job._replace(function=call_or_refuse, is_star=False), items
