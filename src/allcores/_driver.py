"""The driver: the only loop, between a scheduler that decides and an engine that carries out.

It runs in the thread that wants the results. Here, and nowhere else, the scheduler's ranges meet the objects they
stand for: items are pulled from the input, values go to the sink, exceptions become failures.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from allcores._dataset import Dataset, Stream
from allcores._engines import Arrival, Engine
from allcores._errors import WorkerDied, WorkersUnavailable
from allcores._messages import (
    AbortReason,
    AbortRun,
    BatchAdvanced,
    BatchFinished,
    Command,
    DeadlinePassed,
    Event,
    FailItem,
    InputEnded,
    InputPulled,
    KillWorker,
    Moment,
    PullInput,
    ReleaseWorker,
    ResultsTaken,
    RunStarted,
    RunStopped,
    SendBatch,
    StartWorker,
    WorkerDown,
)
from allcores._outcomes import Failure, Raised, attach_finished, short_repr
from allcores._plan import Plan
from allcores._report import Report
from allcores._scheduler import Scheduler
from allcores._sinks import Sink

__all__ = ["Run"]


class Run:
    """One call of an entry point over one dataset.

    Args:
        plan: how it is done.
        dataset: the items.
        make_engine: called when the first worker is needed; may raise what the caller must mend.
        sink: takes the values.
        is_lazy: whether a consumer takes results one by one; it tells with `took`.
        on_progress: called with the number of settled items whenever it has grown.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        plan: Plan,
        dataset: Dataset,
        make_engine: Callable[[], Engine],
        sink: Sink,
        *,
        is_lazy: bool,
        on_progress: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures: list[Failure] = []
        self.error: BaseException | None = None  # what the run must raise
        self._plan = plan
        self._dataset = dataset
        self._make_engine = make_engine
        self._engine: Engine | None = None
        self._sink = sink
        self._on_progress = on_progress
        self._clock = clock
        self._scheduler = Scheduler(
            workers=plan.workers,
            length=dataset.length,
            batch=plan.batch,
            ahead=plan.ahead,
            is_lazy=is_lazy,
            stops_at_failure=plan.errors == "raise",
        )
        self._arrivals: deque[Arrival] = deque()
        self._item_seconds = 0.0
        self._began = self._clock()
        self._ended: float | None = None
        self._is_closed = False
        self._post(RunStarted())

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will come."""
        return self._scheduler.is_finished and not self._arrivals

    @property
    def report(self) -> Report:
        """What the run has cost so far, or altogether."""
        return Report(
            wall_seconds=(self._clock() if self._ended is None else self._ended) - self._began,
            workers=self._scheduler.peak_workers,
            items=self._scheduler.settled,
            failed=len(self.failures),
            item_seconds=self._item_seconds,
            plan=self._plan,
        )

    def turn(self, *, may_block: bool = True) -> None:
        """Go once around the loop.

        Args:
            may_block: whether to wait until something happens, or to take only what has.
        """
        if self._engine is not None and not self._arrivals and not self._scheduler.is_finished:
            deadline = self._scheduler.next_deadline
            timeout = None if deadline is None else max(0.0, deadline - self._clock())
            self._arrivals.extend(self._engine.wait(timeout if may_block else 0))
            if deadline is not None and self._clock() >= deadline:
                self._post(DeadlinePassed())
        settled = self._scheduler.settled
        while self._arrivals:
            self._take(self._arrivals.popleft())
        if self._scheduler.settled > settled:
            self._on_progress(self._scheduler.settled)

    def run_to_end(self) -> None:
        """Go around the loop until the run is finished, and let everything go; see `error` for what came of it."""
        try:
            while not self.is_finished:
                self.turn()
        except BaseException as error:
            self.attach_finished(error)
            raise
        finally:
            self.close()
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
        self._is_closed = True
        try:
            self._post(RunStopped())
            while self._arrivals:
                self._take(self._arrivals.popleft())
        finally:
            self._ended = self._clock()
            if self._engine is not None:
                self._engine.close()

    # ------------------------------------------------------------------------------------------------ the loop's body

    def _post(self, event: Event) -> None:
        self._arrivals.append(Arrival(event))

    def _take(self, arrival: Arrival) -> None:
        event = arrival.event
        settled = self._scheduler.settled
        commands = self._scheduler.handle(event, self._clock())
        if isinstance(event, BatchAdvanced | BatchFinished) and self._scheduler.settled > settled:
            self._deliver(event, arrival)
        for command in commands:
            self._carry_out(command, arrival)

    def _carry_out(self, command: Command, arrival: Arrival) -> None:
        match command:
            case SendBatch() | StartWorker() | PullInput() if self._is_closed:
                pass  # what had arrived is being taken in; nothing new begins
            case SendBatch():
                self._engine_in_use.send(command)
            case StartWorker(worker):
                if self._engine is None:
                    self._engine = self._make_engine()
                self._engine.start(worker)
            case KillWorker(worker) if self._engine is not None:
                self._engine.kill(worker)
            case ReleaseWorker(worker) if self._engine is not None:
                self._engine.release(worker)
            case PullInput(stop):
                self._pull(stop)
            case FailItem(index):
                self._fail_item(index, arrival)
            case AbortRun(reason):
                self._abort(reason, arrival)

    @property
    def _engine_in_use(self) -> Engine:
        assert self._engine is not None  # made when the first worker was started
        return self._engine

    def _pull(self, stop: int) -> None:
        assert isinstance(self._dataset, Stream)
        pulled = 0
        try:
            pulled = self._dataset.pull(stop)
        except Exception as error:  # the input's own; raised when what came before it is delivered
            self.error = error
            pulled = self._dataset.pulled
        self._post(InputPulled(pulled) if pulled == stop else InputEnded(pulled))

    # ------------------------------------------------------------------------------------------------------ outcomes

    def _deliver(self, event: BatchAdvanced | BatchFinished, arrival: Arrival) -> None:
        values = arrival.values
        self._item_seconds += event.seconds
        for index, raised in arrival.raised.items():
            failure = self._record(index, raised, event.worker)
            values[index - arrival.start] = failure
        if arrival.raised and self._plan.errors == "raise":
            values = values[: min(arrival.raised) - arrival.start]
        self._sink.put(arrival.start, values)
        self._dataset.settle(arrival.start, event.stop)

    def _fail_item(self, index: int, arrival: Arrival) -> None:
        worker = getattr(arrival.event, "worker", -1)
        error = arrival.cause
        assert error is not None
        if isinstance(error, WorkerDied):
            error = self._describe_death(index, error, arrival.event)
        failure = self._record(index, Raised(error, f"{type(error).__name__}: {error}\n"), worker)
        if self._plan.errors == "collect":
            self._sink.put(index, [failure])
        self._dataset.settle(index, index + 1)

    def _describe_death(self, index: int, death: WorkerDied, event: Event) -> WorkerDied:
        assert isinstance(event, WorkerDown)
        doing = "while it ran" if event.moment is Moment.RUNNING else "while it received, or sent the result of,"
        who = self._engine_in_use.identity(event.worker)
        text = f"{who} {death} {doing} item {index} ({short_repr(self._item(index))})"
        return WorkerDied(text, exit=death.exit, pid=death.pid)

    def _record(self, index: int, raised: Raised, worker: int) -> Failure:
        """Make a failure of it, and in raise mode the run's end."""
        item = self._item(index)
        identity = self._engine_in_use.identity(worker)
        with suppress(Exception):  # an exception that takes no attributes takes no notes
            raised.exception.add_note(f"allcores: item {index} ({short_repr(item)}) failed on {identity}")
        failure = Failure(index, item, raised.exception, raised.traceback, identity)
        self.failures.append(failure)
        if self._plan.errors == "raise":
            self.error = raised.exception  # before an error of the input, which came after this item
        return failure

    def _item(self, index: int) -> Any:
        return self._dataset.items(index, index + 1)[0]

    def _abort(self, reason: AbortReason, arrival: Arrival) -> None:
        if reason is AbortReason.SETUP_FAILED and arrival.cause is not None:
            self.error = arrival.cause
            return
        last = "it did not come up in time" if arrival.cause is None else f"{arrival.cause}"
        self.error = WorkersUnavailable(f"{reason.value}; of the last one: {last}")
