"""One worker that is the caller's own thread: for debuggers, coverage and profilers, with the same meaning."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context

from allcores._codec.exceptions import raised_here
from allcores._core.hints import Any
from allcores._core.messages import BatchAdvanced, BatchFinished, SendBatch, WorkerReady, WorkerSetupFailed, WorkerUp
from allcores._core.plan import Plan
from allcores._engines.complaints import Complaints
from allcores._engines.engine import Arrival, PlainEngine, Usage
from allcores._input.dataset import Dataset
from allcores._objects.outcomes import WorkerIdentity
from allcores._settings.conditions import Conditions
from allcores._system.interrupts import let_interrupts_in
from allcores._system.native_threads import SharedLimit, find_limits
from allcores._system.processor_time import ThreadMeter
from allcores._worker.job import Job, Part, run_batch
from allcores._worker.line import Lines
from allcores._worker.state import WorkerState

__all__ = ["SerialEngine", "arrival_of"]


class SerialEngine(PlainEngine):
    """Runs batches inside `wait`.

    KeyboardInterrupt is not an item's failure here: Ctrl-C reaches the item's own code, and must reach the caller.
    """

    def __init__(self, plan: Plan, job: Job, dataset: Dataset, lines: Lines | None) -> None:
        self._job = job
        self._dataset = dataset
        self._lines = lines
        self._conditions = None if lines is None else Conditions.here()  # else this thread is the caller's
        self._context = copy_context() if self._conditions is None else self._conditions.begin()
        self._arrivals: list[Arrival] = []
        self._native = SharedLimit(find_limits(plan.threads, plan.native_set, is_asked=plan.threads_asked))
        self._unbind = self._native.begin_thread()
        self._meter = ThreadMeter()
        self._parts: list[Iterator[Arrival]] = []  # batches not yet run to their end, oldest first
        self._waker: threading.Event | None = None  # where others hand items in
        self._at_home: tuple[Job | None, Job] = None, job  # the latest with a seed, and as it is here
        self._state = WorkerState()
        self._complaints = Complaints()

    def start(self, workers: tuple[int, ...]) -> None:
        """Run the initializer, and make the state; there is never more than one worker."""
        (worker,) = workers
        self._arrivals.append(Arrival(WorkerUp(worker)))
        try:
            with let_interrupts_in():
                self._state = self._under(self._conditions, self._job.prepare)
        except Exception as error:  # the caller's initializer may raise anything
            self._arrivals.append(Arrival(WorkerSetupFailed(worker), cause=error))
        else:
            self._arrivals.append(Arrival(WorkerReady(worker)))

    def send(self, batch: SendBatch) -> None:
        """Put the batch aside until `wait`."""
        self._parts.append(self._run(batch))

    def take_back(self, worker: int) -> None:
        """Nothing is running while this is called."""

    def kill(self, worker: int) -> None:
        """Forget what was put aside."""
        self._parts.clear()

    def condemn(self, worker: int, start: int, stop: int) -> None:
        """Nothing is running while this is called."""

    def release(self, worker: int) -> None:
        """Nothing is held."""

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Tell what has happened, or run the oldest batch until it has something to report."""
        arrivals, self._arrivals = self._arrivals, []
        while self._parts and not arrivals and timeout != 0:
            with let_interrupts_in():
                arrival = next(self._parts[0], None)
            if arrival is None:
                del self._parts[0]
            else:
                arrivals.append(arrival)
        if self._waker is not None:
            if not arrivals:
                self._waker.wait(timeout)
            self._waker.clear()
        return arrivals

    def make_waker(self) -> Callable[[], None]:
        """Give what ends a wait."""
        self._waker = threading.Event()
        return self._waker.set

    def usage(self) -> Usage:
        """Tell what items have used."""
        return Usage(self._meter.used)

    def identity(self, worker: int) -> WorkerIdentity:
        """Say who the worker is: this process."""
        return WorkerIdentity(worker, os.getpid(), socket.gethostname())

    def complaint(self) -> RuntimeWarning | None:
        """Tell what the finalizer raised."""
        return self._complaints.warning()

    def close(self) -> None:
        """Forget what was put aside, and have the finalizer called, which may be interrupted."""
        self._parts.clear()
        try:
            with let_interrupts_in():
                self._under(self._conditions, self._state.end)
        except Exception as error:  # the caller's finalizer may raise anything
            self._complaints.hear(self.identity(0), error)
        finally:
            self._meter.close()
            self._unbind()
            self._native.end()

    def _run(self, batch: SendBatch) -> Iterator[Arrival]:
        items = self._dataset.items(batch.start, batch.stop)
        job = self._take_home(self._job if self._lines is None else self._lines.line(batch.start).job)
        conditions = None if self._lines is None else self._lines.conditions(batch.start)
        parts = run_batch(job, items, batch, passing=(KeyboardInterrupt,))
        while True:
            with _streams_kept(job), self._meter:
                part = self._under(conditions, next, parts, None)
            if part is None:
                return
            yield arrival_of(batch, part)

    def _take_home(self, job: Job) -> Job:
        """Give the job as it is here, with the state."""
        if not job.chance.is_seeded:
            return self._state.bind(job)
        if self._at_home[0] is not job:
            self._at_home = job, self._state.bind(job).at_home()
        return self._at_home[1]

    def _under(self, conditions: Conditions | None, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function as if it was called where the items were handed in."""
        if conditions is None or self._conditions is None:
            return function(*args)
        return conditions.run_on(self._conditions, self._context, function, *args)


def _streams_kept(job: Job) -> AbstractContextManager[None]:
    """See to it that seeded items leave the caller's generators where they were."""
    if not job.chance.is_seeded:
        return nullcontext()
    from allcores._worker.streams import keep_streams  # a run without a seed does without

    return keep_streams(job.captured)


def arrival_of(batch: SendBatch, part: Part) -> Arrival:
    """Tell of a part that was run in this process."""
    happened = BatchFinished if part.is_last else BatchAdvanced
    event = happened(batch.worker, batch.token, part.stop, part.seconds, tuple(part.raised))
    raised = {index: raised_here(error) for index, error in part.raised.items()}
    return Arrival(event, part.start, part.values, raised, ended=part.ended)
