"""The driver: the only loop, between a scheduler that decides and an engine that carries out.

It runs in the thread that wants the results. Here, and nowhere else, the scheduler's ranges meet the objects they
stand for: items are pulled from the input, values go to the sink, exceptions become failures.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from math import inf

from allcores._core.errors import ItemCancelled, MemoryLimitExceeded, WorkerDied, WorkersUnavailable
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.kinds import is_a
from allcores._core.messages import (
    AbortReason,
    AbortRun,
    BatchAdvanced,
    BatchFinished,
    BatchUnreadable,
    Command,
    CondemnItems,
    DeadlinePassed,
    Event,
    Excuse,
    FailItem,
    InputEnded,
    InputPulled,
    KillWorker,
    Moment,
    PullInput,
    ReleaseWorker,
    ResultsTaken,
    RetryItem,
    RoomMeasured,
    RunStarted,
    RunStopped,
    SendBatch,
    StartWorker,
    TakeBackItems,
    WorkerDown,
)
from allcores._core.plan import Plan
from allcores._core.report import Report
from allcores._core.scheduler.scheduler import Scheduler
from allcores._engines.engine import Arrival, Engine
from allcores._input.dataset import Dataset
from allcores._input.trickle import Trickle
from allcores._objects.asking import add_note
from allcores._objects.outcomes import Failure, Origin, Raised, attach_failure, attach_finished
from allcores._objects.short_repr import short_repr
from allcores._run.admission_control import AdmissionControl
from allcores._run.inbox import Inbox
from allcores._run.sinks import Sink
from allcores._run.submission import DROPPED
from allcores._system.interrupts import let_interrupts_in

if TYPE_CHECKING:
    from allcores._journal.recorder import Recorder

__all__ = ["Run"]


class Run:
    """One call of an entry point over one dataset.

    Args:
        plan: how it is done.
        dataset: the items.
        make_engine: called when the first worker is needed; may raise what the caller must mend.
        sink: takes the values.
        origin: goes into every failure.
        retry_on: the exceptions that are worth another try.
        recorder: of the run's journal; None if it has none.
        is_lazy: whether a consumer takes results one by one; it tells with `took`.
        hears_others: whether other threads may `tell` it something.
        on_progress: called with the number of settled items whenever it has grown; None if nobody asks.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset | Inbox,
        make_engine: Callable[[], Engine],
        sink: Sink,
        *,
        origin: Origin | None = None,
        retry_on: tuple[type[BaseException], ...] = (),
        recorder: Recorder | None = None,
        is_lazy: bool,
        hears_others: bool = False,
        on_progress: Callable[[int], None] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures: list[Failure] = []
        self.error: BaseException | None = None  # what the run must raise
        self._plan = plan
        self._dataset = dataset
        self._inbox = dataset if isinstance(dataset, Inbox) else None
        self._trickle = dataset if isinstance(dataset, Trickle) else None
        self._make_engine = make_engine
        self._engine: Engine | None = None
        self._sink = sink
        self._origin = origin
        self._retry_on = retry_on
        self._recorder = recorder
        self._on_progress = on_progress
        self._clock = clock
        self._scheduler = Scheduler(
            workers=plan.workers,
            length=dataset.length,
            is_pulled=recorder is not None,
            is_served=self._inbox is not None,
            batch=plan.batch,
            ahead=plan.ahead,
            is_lazy=is_lazy,
            stops_at_failure=plan.errors == "raise",
            retries=plan.retries,
            recycle=plan.recycle_items,
        )
        self._arrivals: deque[Arrival] = deque()
        self._hears_others = hears_others
        self._told: deque[Event] = deque()  # by other threads
        self._wake: Callable[[], None] = _wake_nobody
        self._is_torn = False  # whether the loop's body was left in the middle of an arrival
        self._pulled = 0
        self._tries: dict[int, int] = {}  # {index: how often it was run} of items that are tried again
        self._starved: set[int] = set()  # items that have had their extra try after a lack of memory
        self._retried = 0
        self._recalled = 0
        self._item_seconds = 0.0
        self._began = self._clock()
        self._room: int | None = None  # as the scheduler was told last
        self._admission = AdmissionControl(plan.workers, self._began) if plan.on == "processes" else None
        self._timers = [timer for timer in (recorder, self._admission) if timer is not None]
        self._ended: float | None = None
        self._is_closing = self._is_closed = False
        self._post(RunStarted())

    def open(self) -> Engine:
        """Make the engine, if it has not been made."""
        if self._engine is None:
            self._engine = self._make_engine()
            if self._hears_others:
                self._wake = self._engine.make_waker()
        return self._engine

    def tell(self, event: Event) -> None:
        """Have the loop hear of something; any thread may call it, at any time."""
        self._told.append(event)
        self.wake()  # after the line above: the loop looks there before each wait

    def wake(self) -> None:
        """Have the loop look around, even while it waits; any thread may call it, at any time."""
        self._wake()

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will come."""
        return self._scheduler.is_finished and not self._arrivals

    @property
    def settled(self) -> int:
        """How many items have finished or failed."""
        return self._scheduler.settled

    @property
    def report(self) -> Report:
        """What the run has cost so far, or altogether."""
        return Report(
            wall_seconds=(self._clock() if self._ended is None else self._ended) - self._began,
            workers=self._scheduler.peak_workers,
            items=self._scheduler.settled,
            failed=len(self.failures),
            tries=self._scheduler.settled - self._recalled + self._retried,
            deaths=self._scheduler.deaths,
            recalled=self._recalled,
            unrecorded=0 if self._recorder is None else self._recorder.unrecognised + self._recorder.unrecorded,
            item_seconds=self._item_seconds,
            plan=self._plan,
        )

    @property
    def due(self) -> float:
        """When the loop must be turned again even if nothing happens, on its clock; infinite where it need not be."""
        deadline = self._scheduler.next_deadline
        nearest = inf if deadline is None else deadline
        for timer in self._timers:
            if timer.due is not None:
                nearest = min(nearest, timer.due)
        return nearest

    def turn(self, *, may_block: bool = True, until: float = inf) -> None:
        """Go once around the loop.

        Args:
            may_block: whether to wait until something happens, or to take only what has.
            until: when to stop waiting, on the run's clock.
        """
        self._hear_others()
        engine = self._engine
        if engine is not None and not self._arrivals and not self._scheduler.is_finished:
            deadline = self._scheduler.next_deadline
            self._arrivals += engine.wait(self._patience(until) if may_block else 0)
            if deadline is not None and self._clock() >= deadline:
                self._post(DeadlinePassed())
            self._measure_memory(engine)
            self._hear_others()  # it may be what has ended the wait
        settled = self._scheduler.settled
        self._take_all()
        if self._on_progress is not None and self._scheduler.settled > settled:
            with let_interrupts_in():
                self._on_progress(self._scheduler.settled)
        if self._recorder is not None and self._recorder.due is not None and self._clock() >= self._recorder.due:
            self._recorder.flush()

    def hear_at_once(self) -> bool:
        """Send what was handed in if there are free workers for it, in between two turns; never waits.

        Returns:
            Whether nobody need turn the loop for it: it was sent, or will be after what is sure to come, as all
            workers that there may be are busy.
        """
        if self._inbox is None or self._arrivals or self._is_closing:
            return False
        if self._scheduler.is_saturated:
            return True
        if not self._scheduler.has_free_workers(self._inbox.news_size):
            return False
        self._hear_others()
        self._take_all()
        return True

    def _hear_others(self) -> None:
        """Take in what other threads have to say; who says more from now on ends the wait."""
        if self._hears_others and not self._arrivals:
            self.open()  # before the lines below, as only an engine can be woken
        if self._inbox is not None and self._inbox.has_news:
            self._arrivals += map(Arrival, self._inbox.news())
        while self._told:
            self._post(self._told.popleft())
        if self._trickle is not None and self._trickle.reach > self._pulled:
            self._pull(self._trickle.reach)

    def run_to_end(self) -> None:
        """Go around the loop until the run is finished, and let everything go; see `error` for what came of it."""
        try:
            while not self.is_finished:
                self.turn()
            self.close()
        except BaseException as error:
            self.attach_finished(error)
            raise
        finally:
            self.close()  # again: Ctrl-C may have come in the middle of it
        if self.error is not None:
            self.attach_finished(self.error)

    def took(self, count: int) -> None:
        """Hear that the consumer has taken `count` results in all."""
        self._post(ResultsTaken(count))

    def attach_finished(self, error: BaseException) -> None:
        """Make what was finished reachable from an exception that ends the run."""
        attach_finished(error, self._sink.finished)

    def close(self) -> None:
        """End the run, whatever state it is in, and let every worker go."""
        if self._is_closed:
            return
        interrupt = None
        while not self._is_closed:
            try:
                self._close()
                self._is_closed = True
            except KeyboardInterrupt as error:  # another one: whatever is left must still be let go
                interrupt = error
            except BaseException:
                self._is_closed = True
                raise
        if interrupt is not None:
            self.attach_finished(interrupt)
            raise interrupt

    def _close(self) -> None:
        self._is_closing = True
        try:
            self._take_last_arrivals()
        finally:
            self._ended = self._clock()
            try:
                if self._engine is not None:
                    self._engine.close()
            finally:
                if self._recorder is not None:
                    self._recorder.close()

    def _take_last_arrivals(self) -> None:
        if self._is_torn:  # the scheduler was left in the middle of a step, so nobody may ask it any more
            while self._arrivals:
                self._salvage(self._arrivals[0])
                self._arrivals.popleft()
            return
        self._post(RunStopped())
        self._take_all()

    def _salvage(self, arrival: Arrival) -> None:
        """Keep the values of what arrived when the run was over; what failed does not matter any more."""
        for start, stop in _between(arrival.start, len(arrival.values), arrival.raised):
            if not self._sink.has(start):
                self._put(start, arrival.values[start - arrival.start : stop - arrival.start], 0.0)

    # ------------------------------------------------------------------------------------------------ the loop's body

    def _post(self, event: Event) -> None:
        self._arrivals.append(Arrival(event))

    def _patience(self, until: float) -> float | None:
        nearest = min(self.due, until)
        return None if nearest == inf else max(0.0, nearest - self._clock())

    def _measure_memory(self, engine: Engine) -> None:
        admission, now = self._admission, self._clock()
        if admission is not None and admission.is_due(now):
            admission.measure(engine, self._scheduler.busy, now)
            if admission.limit != self._room:
                self._room = admission.limit
                self._post(RoomMeasured(self._room))

    def _take_all(self) -> None:
        while self._arrivals:
            self._is_torn = True
            self._take(self._arrivals[0])
            self._arrivals.popleft()
            self._is_torn = False

    def _take(self, arrival: Arrival) -> None:
        event, cause = arrival.event, arrival.cause
        if self._admission is not None and isinstance(cause, WorkerDied) and cause.is_out_of_memory:
            self._admission.hear_of_kill()
        if self._scheduler.is_finished:
            self._salvage(arrival)
            return
        if arrival.raised or cause is not None:
            event = self._excused(event, arrival)
        settled = self._scheduler.settled
        commands = self._scheduler.handle(event, self._clock())
        retried = {command.index for command in commands if type(command) is RetryItem}
        if retried:
            self._note_retries(retried)
        if isinstance(event, BatchAdvanced | BatchFinished) and (retried or self._scheduler.settled > settled):
            self._deliver(event, arrival, retried)
        for command in commands:
            self._carry_out(command, arrival)

    def _note_retries(self, retried: set[int]) -> None:
        for index in retried:
            self._tries[index] = self._tries.get(index, 1) + 1
        self._retried += len(retried)

    def _excused(self, event: Event, arrival: Arrival) -> Event:
        """Say in the event which failures are worth another try."""
        if isinstance(event, BatchAdvanced | BatchFinished):
            excuses = {index: self._excuse(raised.exception, index) for index, raised in arrival.raised.items()}
            return event._replace(excuses=tuple(excuses.items()))
        if isinstance(event, WorkerDown | BatchUnreadable) and arrival.cause is not None:
            index = event.start if isinstance(event, WorkerDown) else event.stop - 1
            return event._replace(excuse=self._excuse(arrival.cause, index))
        return event

    def _excuse(self, error: BaseException, index: int) -> Excuse:
        if is_a(error, ItemCancelled):
            return Excuse.NONE
        is_out_of_memory = is_a(error, MemoryError) or (is_a(error, WorkerDied) and error.is_out_of_memory)
        if is_out_of_memory and not is_a(error, MemoryLimitExceeded) and index not in self._starved:
            self._starved.add(index)
            return Excuse.STARVED
        return Excuse.RETRIABLE if issubclass(type(error), self._retry_on) else Excuse.NONE

    def _carry_out(self, command: Command, arrival: Arrival) -> None:  # noqa: C901 - a line or two for each command
        match command:
            case SendBatch() | StartWorker() | TakeBackItems() | PullInput() if self._is_closing:
                pass  # what had arrived is being taken in; nothing new begins
            case SendBatch():
                self._send(command)
            case StartWorker(worker):
                self.open().start(worker)
            case TakeBackItems(worker):
                self.open().take_back(worker)
            case KillWorker(worker):
                self.open().kill(worker)
            case CondemnItems(worker, start, stop):
                self.open().condemn(worker, start, stop)
            case ReleaseWorker(worker):
                self.open().release(worker)
            case PullInput(stop):
                self._ask_for_input(stop)
            case FailItem(index):
                self._fail_item(index, arrival)
            case AbortRun(reason):
                self._abort(reason, arrival)

    def _send(self, batch: SendBatch) -> None:
        if self._inbox is None or not self._inbox.is_dropped(batch.start, batch.stop):
            self.open().send(batch)
        else:
            finished = BatchFinished(batch.worker, batch.token, batch.stop, 0.0)
            self._arrivals.append(Arrival(finished, batch.start, [DROPPED] * (batch.stop - batch.start)))

    def _ask_for_input(self, stop: int) -> None:
        if self._trickle is None:
            self._pull(stop)
        else:
            self._trickle.ask(stop)

    def _pull(self, stop: int) -> None:
        start = self._pulled
        try:
            with let_interrupts_in():
                self._pulled = self._dataset.pull(stop)
        except Exception as error:  # the input's own; raised when what came before it is delivered
            self.error = error
            self._pulled = self._dataset.pulled
        self._post(InputPulled(self._pulled, self._recall(start)))
        if self._pulled < stop:
            self._post(InputEnded(self._pulled))

    def _recall(self, start: int) -> tuple[tuple[int, int], ...]:
        """Deliver what the journal has of the items from `start` on that were just pulled; say which that is."""
        if self._recorder is None or start == self._pulled:
            return ()
        recalled = self._recorder.recall(start, self._dataset.items(start, self._pulled))
        ranges = tuple(_ranges(recalled))
        for first, end in ranges:
            self._sink.put(first, [recalled[index] for index in range(first, end)])
            self._dataset.settle(first, end)
        self._recalled += len(recalled)
        return ranges

    # ------------------------------------------------------------------------------------------------------ outcomes

    def _deliver(self, event: BatchAdvanced | BatchFinished, arrival: Arrival, retried: set[int]) -> None:
        values, holes = arrival.values, set(retried)
        self._item_seconds += event.seconds
        seconds = event.seconds / max(1, len(values))
        for index, raised in arrival.raised.items():
            if index not in retried:
                values[index - arrival.start] = self._record(index, raised, event.worker, seconds)
                if self._plan.errors == "raise":
                    holes.add(index)
        self._put(arrival.start, values, seconds, holes)

    def _put(self, start: int, values: list[Any], seconds: float, holes: Iterable[int] = ()) -> None:
        """Hand on the values of consecutive items, all but those of some."""
        for first, end in _between(start, len(values), holes):
            part = values[first - start : end - start] if holes else values  # no copy in the common case
            if self._recorder is not None:
                self._record_values(self._recorder, first, part, seconds)
            self._sink.put(first, part)
            self._dataset.settle(first, end)

    def _record_values(self, recorder: Recorder, start: int, values: list[Any], seconds: float) -> None:
        for index, value in enumerate(values, start):
            if not (type(value) is Failure and value.origin is self._origin):
                recorder.record(index, value, seconds, self._tries.pop(index, 1))

    def _fail_item(self, index: int, arrival: Arrival) -> None:
        worker = getattr(arrival.event, "worker", -1)
        error = arrival.cause
        assert error is not None
        if isinstance(arrival.event, WorkerDown):
            error = self._describe_death(index, error, arrival.event)
        failure = self._record(index, Raised(error, f"{type(error).__name__}: {error}\n"), worker, 0.0)
        if self._plan.errors == "collect":
            self._sink.put(index, [failure])
        self._dataset.settle(index, index + 1)

    def _describe_death(self, index: int, death: BaseException, event: WorkerDown) -> BaseException:
        doing = "while it ran" if event.moment is Moment.RUNNING else "while it received, or sent the result of,"
        who, tries = self.open().identity(event.worker), self._describe_tries(index)
        described = type(death)(f"{who} {death} {doing} {self._name(index)}{tries}")
        vars(described).update(vars(death))
        return described

    def _describe_tries(self, index: int) -> str:
        tries = self._tries.get(index, 1)
        return f", try {tries} of {max(tries, self._plan.retries + 1)}" if tries > 1 or self._plan.retries else ""

    def _record(self, index: int, raised: Raised, worker: int, seconds: float) -> Failure:
        """Make a failure of it, and in raise mode the run's end."""
        error = raised.exception
        identity = self.open().identity(worker)
        which_try = self._describe_tries(index)
        add_note(error, f"allcores: {self._name(index)} failed on {identity}{which_try}")
        tries = self._tries.pop(index, 1)
        position, item, origin = self._place(index)
        failure = Failure(position, item, error, raised.traceback, identity, tries, origin)
        if self._plan.errors == "raise" and not self.failures:
            self.error = error  # before an error of the input, which came after this item
            attach_failure(error, failure)
        if self._inbox is None:  # else it is the receiver's alone, for such a run may go on for ever
            self.failures.append(failure)
        if self._recorder is not None:
            self._recorder.record_failure(failure, seconds)
        return failure

    def _place(self, index: int) -> tuple[int, Any, Origin | None]:
        """Give an item, where the caller finds it, and what it takes to run it again."""
        if self._inbox is None:
            return index, self._dataset.items(index, index + 1)[0], self._origin
        submission, position = self._inbox.place(index)
        return position, submission.items[position], submission.line.origin

    def _name(self, index: int) -> str:
        if self._inbox is not None:
            submission, position = self._inbox.place(index)
            return submission.line.name(position, submission.items[position])
        return f"item {index} ({short_repr(self._dataset.items(index, index + 1)[0])})"

    def _abort(self, reason: AbortReason, arrival: Arrival) -> None:
        if reason is AbortReason.SETUP_FAILED and arrival.cause is not None:
            self.error = arrival.cause
            return
        last = "it did not come up in time" if arrival.cause is None else f"{arrival.cause}"
        self.error = WorkersUnavailable(f"{reason.value}; of the last one: {last}")


def _wake_nobody() -> None:
    """Nothing has been waited for yet."""


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
