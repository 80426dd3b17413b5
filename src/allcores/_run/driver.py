"""The driver: the only loop, between a scheduler that decides and an engine that carries out.

It runs in the thread that wants the results. The scheduler's ranges meet the objects they stand for at its side, and
nowhere else: items are pulled by the intake, exceptions become failures, and delivery brings values to the sink.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext, suppress
from math import inf

from allcores._core.errors import WorkerDied
from allcores._core.hints import TYPE_CHECKING
from allcores._core.messages import (
    AbortRun,
    BatchAdvanced,
    BatchFinished,
    Command,
    CondemnItems,
    DeadlinePassed,
    Event,
    FailItem,
    KillWorker,
    PullInput,
    ReleaseWorker,
    ResultsTaken,
    RetryItem,
    RoomMeasured,
    RunStarted,
    RunStopped,
    SendBatch,
    StartWorkers,
    TakeBackItems,
    WorkerReady,
)
from allcores._core.plan import Plan
from allcores._core.report import Report
from allcores._core.scheduler.scheduler import Scheduler
from allcores._core.timeline import Timeline
from allcores._engines.engine import Arrival, Engine, Usage
from allcores._input.dataset import Dataset
from allcores._objects.entry import depth_of_caller
from allcores._objects.outcomes import DROPPED, Failure, Origin
from allcores._run.accounts import Accounts
from allcores._run.admission_control import AdmissionControl
from allcores._run.delivery import Delivery
from allcores._run.excuses import Excuses
from allcores._run.failures import Failures
from allcores._run.intake import Intake
from allcores._run.sinks import Sink
from allcores._run.standing import Standing, Watcher
from allcores._system.interrupts import let_interrupts_in

if TYPE_CHECKING:
    from allcores._journal.recorder import Recorder
    from allcores._run.inbox import Inbox
    from allcores._run.standstill import Standstill

__all__ = ["Run"]

# Seconds that a message to an engine's worker and back takes, where that is much, before it was measured in the run.
ROUND_TRIPS = {"dask": 0.010, "ray": 0.001, "executor": 0.001}


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
        inbox: the dataset, where others hand items in.
        is_lazy: whether a consumer takes results one by one; it tells with `took`.
        hears_others: whether other threads may `tell` it something.
        watcher: hears how the run stands; None if nobody watches.
        standstill: watches over the wait for workers that others bring; None where there are none of these.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset,
        make_engine: Callable[[], Engine],
        sink: Sink,
        *,
        origin: Origin | None = None,
        retry_on: tuple[type[BaseException], ...] = (),
        recorder: Recorder | None = None,
        inbox: Inbox | None = None,
        is_lazy: bool,
        hears_others: bool = False,
        watcher: Watcher | None = None,
        standstill: Standstill | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._inbox = inbox
        self._make_engine = make_engine
        self._engine: Engine | None = None
        self._excuses = Excuses(plan.retries, retry_on)
        self._failures = Failures(plan, dataset, inbox, origin, self._excuses)
        self._began = clock()
        self._timeline = Timeline(self._began)
        self._delivery = Delivery(
            dataset, sink, self._failures, self._excuses, origin=origin, recorder=recorder, timeline=self._timeline
        )
        self._intake = Intake(dataset, self._delivery)
        self._recorder = recorder
        self._watcher = watcher
        self._standstill = standstill
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
            round_trip=ROUND_TRIPS.get(plan.on, 0.0),
        )
        self._arrivals: deque[Arrival] = deque()
        self._hears_others = hears_others
        self._told: deque[Event] = deque()  # by other threads
        self._wake: Callable[[], None] = _wake_nobody
        self._is_torn = False  # whether the loop's body was left in the middle of an arrival
        self._room: int | None = None  # as the scheduler was told last
        self._admission = self._make_admission(plan)
        self._accounts = Accounts(
            plan,
            self._scheduler,
            self._delivery,
            self._failures,
            self._excuses,
            intake=self._intake,
            timeline=self._timeline,
            recorder=recorder,
            admission=self._admission,
            is_served=inbox is not None,
        )
        self._timers = [timer for timer in (recorder, self._admission, watcher, standstill) if timer is not None]
        self._ended: float | None = None
        self._is_closing = self._is_closed = False
        self._is_lazy = is_lazy
        self._noted: BaseException | None = None  # what says already how to go on
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
    def failures(self) -> list[Failure]:
        """What has failed, unless it was handed in: then only its receiver hears of it."""
        return self._failures.made

    @property
    def error(self) -> BaseException | None:
        """What the run must raise; a failure of an item comes before an error of the input, which came after it."""
        return self._intake.error if self._failures.error is None else self._failures.error

    @property
    def settled(self) -> int:
        """How many items have finished or failed."""
        return self._scheduler.settled

    @property
    def report(self) -> Report:
        """What the run has cost so far, or altogether."""
        usage = Usage() if self._engine is None else self._engine.usage()
        return self._accounts.report(usage, (self._clock() if self._ended is None else self._ended) - self._began)

    @property
    def due(self) -> float:
        """When the loop must be turned again even if nothing happens, on its clock; infinite where it need not be."""
        deadline = self._scheduler.next_deadline
        return self._next_due(inf if deadline is None else deadline)

    def _next_due(self, nearest: float) -> float:
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
            if self._standstill is not None:
                self._arrivals += self._standstill.look(engine.awaited(), self._clock())
            may_block = may_block and not self._arrivals
            deadline = self._scheduler.next_deadline
            self._arrivals += engine.wait(self._patience(deadline, until) if may_block else 0)
            if deadline is not None and self._clock() >= deadline:
                self._post(DeadlinePassed())
            self._measure_memory(engine)
            self._hear_others()  # it may be what has ended the wait
        settled = self._scheduler.settled
        self._take_all()
        if self._watcher is not None and (self._scheduler.settled > settled or self._is_due(self._watcher)):
            with let_interrupts_in():
                self._watcher.hear(self._standing())
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
        return self._scheduler.has_free_workers(self._inbox.news_size) and self.take_in()

    def take_in(self) -> bool:
        """Take in what was handed in, in between two turns, if that can be done now; never waits."""
        if self._arrivals or self._is_closing:
            return False
        self._hear_others()
        self._take_all()
        return True

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
        """Make what was finished reachable from an exception that ends the run, and have it say so."""
        self._delivery.attach_finished(error)
        if self._inbox is None and error is not self._noted:
            self._noted = error
            self._failures.note_next_steps(error, self._delivery.finished, is_lazy=self._is_lazy)

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
        self._warn()

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
                if self._admission is not None:
                    self._admission.close()
                if self._recorder is not None:
                    self._recorder.close()

    def _warn(self) -> None:
        """Warn of what nobody would be told; where warnings are errors, what the run is about to raise comes first."""
        complaints = [None if self._engine is None else self._engine.complaint(), self._failures.exit_notice]
        for complaint in filter(None, complaints):
            has_error = self.error is not None or sys.exc_info()[1] is not None
            with suppress(RuntimeWarning) if has_error else nullcontext():
                warnings.warn(complaint, stacklevel=depth_of_caller())

    def _take_last_arrivals(self) -> None:
        if self._is_torn:  # the scheduler was left in the middle of a step, so nobody may ask it any more
            while self._arrivals:
                self._delivery.salvage(self._arrivals[0])
                self._arrivals.popleft()
            return
        self._post(RunStopped())
        self._take_all()

    # ------------------------------------------------------------------------------------------------ the loop's body

    def _post(self, event: Event) -> None:
        self._arrivals.append(Arrival(event))

    def _hear_others(self) -> None:
        """Take in what other threads have to say; who says more from now on ends the wait."""
        if self._hears_others and not self._arrivals:
            self.open()  # before the lines below, as only an engine can be woken
        if self._inbox is not None and self._inbox.has_news:
            self._arrivals += map(Arrival, self._inbox.news())
        while self._told:
            self._post(self._told.popleft())
        if self._intake.is_trickle:
            self._arrivals += map(Arrival, self._intake.trickled())

    def _is_due(self, watcher: Watcher) -> bool:
        return watcher.due is not None and self._clock() >= watcher.due

    def _standing(self) -> Standing:
        return Standing(
            seconds=self._clock() - self._began,
            settled=self._scheduler.settled,
            recalled=self._delivery.recalled,
            failed=len(self.failures),
            workers=self._scheduler.peak_workers,
        )

    def _make_admission(self, plan: Plan) -> AdmissionControl | None:
        return AdmissionControl(plan.workers, self._began, plan.meeting_place) if plan.on == "processes" else None

    def _patience(self, deadline: float | None, until: float) -> float | None:
        nearest = self._next_due(until if deadline is None else min(deadline, until))
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
            self._delivery.salvage(arrival)
            return
        if arrival.raised or cause is not None:
            event = self._excuses.excuse(event, arrival)
        settled, now = self._scheduler.settled, self._clock()
        commands = self._scheduler.handle(event, now)
        retried = {command.index for command in commands if type(command) is RetryItem} if commands else ()
        if retried:
            self._excuses.repeat(retried)
        if isinstance(event, BatchAdvanced | BatchFinished) and (retried or self._scheduler.settled > settled):
            self._delivery.deliver(event, arrival, retried, self.open(), now)
        elif isinstance(event, WorkerReady):
            self._timeline.hear_of_ready(event.worker, now)
        for command in commands:
            self._carry_out(command, arrival)

    def _carry_out(self, command: Command, arrival: Arrival) -> None:  # noqa: C901 - a line or two for each command
        match command:
            case SendBatch() | StartWorkers() | TakeBackItems() | PullInput() if self._is_closing:
                pass  # what had arrived is being taken in; nothing new begins
            case SendBatch():
                self._send(command)
            case StartWorkers(workers):
                self.open().start(workers)
            case TakeBackItems(worker):
                self.open().take_back(worker)
            case KillWorker(worker):
                self.open().kill(worker)
            case CondemnItems(worker, start, stop):
                self.open().condemn(worker, start, stop)
            case ReleaseWorker(worker):
                self.open().release(worker)
            case PullInput(stop):
                self._arrivals += map(Arrival, self._intake.ask(stop))
            case FailItem(index):
                self._delivery.fail(index, arrival, self.open())
            case AbortRun(reason):
                self._failures.abort(reason, arrival.cause)

    def _send(self, batch: SendBatch) -> None:
        if self._inbox is None or not self._inbox.is_dropped(batch.start, batch.stop):
            self.open().send(batch)
        else:
            finished = BatchFinished(batch.worker, batch.token, batch.stop, 0.0)
            self._arrivals.append(Arrival(finished, batch.start, [DROPPED] * (batch.stop - batch.start)))


def _wake_nobody() -> None:
    """Nothing has been waited for yet."""
