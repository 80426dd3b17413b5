"""A job, and how a worker of any kind runs one batch of it."""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import monotonic_ns

from allcores._codec.codec import PartialItems
from allcores._codec.definitions.comparison import find_missing
from allcores._codec.packing import CHUNK
from allcores._core.errors import UnpicklableItem
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.messages import SendBatch
from allcores._core.records import Record
from allcores._input.snapshots import Snapshots
from allcores._objects.outcomes import Chance
from allcores._transport.board import INDEX, KEPT_TOKEN, SINCE, SPAN, WANTED, WORDS, Mark, Shelf
from allcores._worker.current import RunningItem

if TYPE_CHECKING:
    from allcores._worker.safe_region import Cuttable, SafeRegion

__all__ = ["Job", "Part", "run_batch"]

REPORT_SECONDS = 0.050  # after so long, a worker reports what it has, or gives the rest of the batch back
STRIDE = 64  # items that are marked together, once they have proved short
LONG_STRIDE = 1024  # of items that take less than a tenth of a microsecond
SHORT_NANOSECONDS = 150_000  # a stride that took less may grow; one beyond `STRIDE`, if it took less than half
NEVER = 1 << 62  # a token that no batch has
LOOKUP_ERRORS = (NameError, KeyError)  # by which an item may fail that looks for a variable when it runs
KEPT_ONE_BY_ONE = 100  # values of a part, before they are put on the shelf by strides, to bound what that costs


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

    def prepare(self) -> None:
        """Run the initializer."""
        if self.initializer is not None:
            self.initializer(*self.initargs)


class Part(Record):
    """What came of consecutive items of a batch: those before `stop` that no earlier part told of."""

    start: int
    stop: int
    values: Any  # one per item, None for those that raised: a list, or what was to gather them
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
    fetch: Callable[[str], bool] | None = None,
    gather: Callable[[], Any] = list,
    snapshots: Snapshots | None = None,
    region: SafeRegion | None = None,
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

    Yields:
        The parts, in order; the last one says so.
    """
    if isinstance(items, PartialItems):
        job, items = _refusing(job, items)
    running = RunningItem(job.chance, batch.tries)
    longest = STRIDE // 2 if job.is_timed else LONG_STRIDE
    call = _calling(job, running)
    strides = _Strides(
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
        due = strides.now + int(REPORT_SECONDS * 1e9)
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

    def __init__(self, strides: _Strides, gather: Callable[[], Any]) -> None:
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
        tell(Part(self._start, stop, values, self._raised_until(stop), seconds, is_last=False))
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
        return Part(self._start, strides.index, self._values, raised, (strides.now - self._since) / 1e9, is_last)

    def _new_values(self, count: int) -> list[Any]:
        """Give those of the chunk's first values that were not told."""
        return self._strides.values[max(0, self._start - self._first) : count]

    def _raised_until(self, stop: int) -> dict[int, BaseException]:
        items = list(self._strides.raised.items())  # at once, as it may grow meanwhile
        return {index: error for index, error in items if self._start <= index < stop}


class _Strides:
    """Runs a few items at a time.

    Attributes:
        index: of the next item.
        values: what the chunk's items gave so far.
        raised: what the part's items raised, by index.
        must_report: whether the part should end here, because what is finished could not be kept.
        is_wanted_back: whether it must end here, because the driver wants the rest of the batch back.
        now: when the last stride ended.
        began: when the item that runs began, or the items that are marked together.
    """

    def __init__(
        self,
        call: Callable[[Any], Any],
        iterator: Iterator[Any],
        batch: SendBatch,
        *,
        longest: int,
        region: SafeRegion | None,
        mark: Mark | None,
        passing: tuple[type[BaseException], ...],
        fetch: Callable[[str], bool] | None,
        snapshots: Snapshots | None,
    ) -> None:
        self.index = batch.start
        self.values: list[Any] = []
        self._token = batch.token
        self._last_token = batch.token  # unless it is wanted back up to this one, the next item is run
        self._may_be_split = batch.may_give_back
        self._call = call
        self._iterator = iterator
        self._region = region
        self._cutting = allocate_lock()
        self._stride: Cuttable | None = None  # that runs
        self._put_off: list[Any] = []  # items that come before those of the iterator
        self._longest = longest
        self._length = 1  # items of the next stride
        self._words: Any = [-1] * WORDS if mark is None else mark.words
        self._shelf: Shelf | None = mark.shelf if mark is not None and mark.has_shelf else None
        self._passing = passing
        self._fetch = fetch
        self._missing: list[Any] = []  # the item that missed a variable which is here now
        self._snapshots = snapshots

    @property
    def began(self) -> int:
        since: int = self._words[SINCE]
        return since

    def begin_part(self, now: int) -> None:
        """Begin what will be reported together."""
        self.now = now
        self.raised: dict[int, BaseException] = {}
        self.must_report = False
        self.is_wanted_back = False
        self.values = []
        self._kept = 0  # of these
        self._has_gap = False  # whether some values were not put on the shelf, so that later ones cannot be
        if self._shelf is None:
            self._words[KEPT_TOKEN] = self._token
        else:
            self._shelf.clear(self._token, self.index, now)

    def begin_chunk(self) -> None:
        """Begin values that are gathered together; a part has one or more of them."""
        self._has_gap = self._has_gap or self._kept < len(self.values)
        self.values = []
        self._kept = 0

    def run(self) -> None:
        """Run the next stride: fewer items at the end, or if one raises or must be reported."""
        words, length = self._words, self._length
        words[SINCE] = self.now
        words[INDEX], words[SPAN] = self.index, 1 if length < STRIDE else length
        first = self.index - len(self.values)
        try:
            if words[WANTED] >= self._last_token:
                self.is_wanted_back = True
            elif length < STRIDE:
                self._run_marked(first, self._next_items(length))
            elif self._snapshots is None:
                self._run_together(self._next_items(length))
            else:
                self._run_apart(self._next_items(length), self._snapshots)
            while self._missing:
                self._run_again(self._missing.pop())
        except self._passing:
            raise
        except BaseException as error:  # sys.exit() in an item is that item's failure, too
            self.raised[first + len(self.values)] = error
            self.values.append(None)
            self.must_report = self._shelf is not None
        if self._stride is not None:
            self._end_stride()
        self.index = first + len(self.values)
        if not self._may_be_split:
            self._last_token = NEVER
        self._look_at_clock()

    def _next_items(self, count: int) -> Iterator[Any]:
        if self._region is None or (count < STRIDE and not self._put_off):
            return islice(self._iterator, count)
        items = self._put_off[:count] or list(islice(self._iterator, count))
        del self._put_off[:count]
        self._stride = self._region.cuttable(items, self.index, self.values, is_marked_together=count >= STRIDE)
        return self._stride.iterator

    def _end_stride(self) -> None:
        with self._cutting:  # waits for who cuts it, who writes to the mark
            stride, self._stride = self._stride, None
        if stride is not None:
            self._put_off[:0] = stride.iterator

    def cut(self) -> None:
        """Put off what is marked together with the item that runs, so that it can be taken back.

        For another thread, once that item runs long.
        """
        with self._cutting:
            stride = self._stride
            if stride is not None and stride.is_marked_together:
                self._put_off[:0] = stride.cut()
                if stride.running is not None:
                    self._words[INDEX], self._words[SPAN] = stride.running, 1

    # The hot loops: what stands here is paid for every item.

    def _run_together(self, items: Iterator[Any]) -> None:
        values, call = self.values, self._call
        for item in items:
            try:
                value = call(item)
            except LOOKUP_ERRORS as error:
                if not self._mends(error):
                    raise
                self._missing.append(item)
                return
            values.append(value)

    def _run_apart(self, items: Iterator[Any], snapshots: Snapshots) -> None:
        """Run items of which none can change what came of another."""
        values, call, kind, take = self.values, self._call, snapshots.kind, snapshots.take
        for item in items:
            try:
                value = call(item)
            except LOOKUP_ERRORS as error:
                if not self._mends(error):
                    raise
                self._missing.append(item)
                return
            if type(value) is kind:
                values.append(value)
            else:
                del item  # the value may be the item, or have it
                values.append(take(value))
                kind = snapshots.kind

    def _run_marked(self, first: int, items: Iterator[Any]) -> None:
        words, token, values, call, snapshots = self._words, self._last_token, self.values, self._call, self._snapshots
        keeps = self._shelf is not None and self._kept == len(values) < KEPT_ONE_BY_ONE
        for item in items:
            words[SINCE] = monotonic_ns()
            words[INDEX] = first + len(values)
            if words[WANTED] >= token:
                self.is_wanted_back = True
                return
            try:
                value = call(item)
            except LOOKUP_ERRORS as error:
                if not self._mends(error):
                    raise
                self._missing.append(item)
                return
            del item  # the value may be the item, or have it
            if keeps:
                values.append(value)
                if not self._keep():  # it will be reported before another item can change it
                    return
                values.pop()
            values.append(value if snapshots is None else snapshots.take(value))

    def _mends(self, error: BaseException) -> bool:
        """Get what an item missed, if the caller has it."""
        name = None if self._fetch is None else find_missing(error)
        return name is not None and self._fetch is not None and self._fetch(name)

    def _run_again(self, item: Any) -> None:
        """Run an item that missed a variable of the caller's, until it misses no more."""
        try:
            value = self._call(item)
        except LOOKUP_ERRORS as error:
            if not self._mends(error):
                raise
            self._missing.append(item)
            return
        self.values.append(value if self._snapshots is None else self._snapshots.copy(value))

    def _look_at_clock(self) -> None:
        before, self.now = self.now, monotonic_ns()
        took = self.now - before
        if took * STRIDE >= SHORT_NANOSECONDS * max(self._length, STRIDE):
            self._keep()
            self._length = 1
        elif took >= SHORT_NANOSECONDS:
            self._length = STRIDE
        elif self._length < STRIDE or took < SHORT_NANOSECONDS // 2:
            self._length = min(2 * self._length, self._longest)

    def _keep(self) -> bool:
        """Put the values that are new on the shelf; False if they must be reported instead."""
        if self._shelf is not None and not self.must_report:
            self.must_report = self._has_gap or not self._shelf.keep(self.values[self._kept :])
            self._kept = len(self.values)
        return not self.must_report


def _calling(job: Job, running: RunningItem) -> Callable[[Any], Any]:
    """Give what to call with an item."""
    call = _spreading(job.function) if job.is_star else job.function
    if not job.chance.is_seeded:
        return call
    running.find_global_streams()  # first: to import it takes longer than many an item, and does not count as its time

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
