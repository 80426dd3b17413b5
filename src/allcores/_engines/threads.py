"""Workers that are threads of this process: nothing travels, and nothing can be killed."""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time
from contextlib import closing, suppress
from contextvars import Context
from functools import partial, reduce
from math import inf

from allcores._core.hints import TYPE_CHECKING
from allcores._core.messages import BatchAdvanced, BatchFinished, SendBatch, WorkerReady, WorkerSetupFailed, WorkerUp
from allcores._core.plan import Plan
from allcores._engines.complaints import Complaints
from allcores._engines.engine import Arrival, PlainEngine, Usage
from allcores._engines.holdings import Held, Takings
from allcores._engines.serial import arrival_of
from allcores._input.dataset import Dataset
from allcores._objects.outcomes import WorkerIdentity
from allcores._settings.conditions import Conditions
from allcores._system.cores import limit_cores_here
from allcores._system.interrupts import let_interrupts_in
from allcores._system.native_threads import SharedLimit, find_limits
from allcores._system.processor_time import ProcessorTime, ThreadMeter
from allcores._transport.board import IDLE, INDEX, Mark
from allcores._worker.exit import SHUTDOWN_SECONDS
from allcores._worker.job import Job, Part, run_batch
from allcores._worker.line import Lines
from allcores._worker.safe_region import LOOK_SECONDS, SafeRegion
from allcores._worker.state import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ThreadEngine"]

Queue = queue.SimpleQueue[tuple[SendBatch, Job, "Iterable[object]", Conditions] | None]  # None: leave


class _Worker:
    def __init__(self) -> None:
        self.work: Queue = queue.SimpleQueue()
        self.mark = Mark.of_thread()
        self.held: Held = {}
        self.region = SafeRegion()  # of a batch of which results are awaited one by one
        self.batch: SendBatch | None = None  # that one
        self.made = WorkerState()  # what its items are given
        self.has_ended = threading.Event()


class ThreadEngine(PlainEngine):
    """Provides threads for one run.

    A thread cannot be killed: one that is told to end does so after the item it is in, and nobody waits for it. Items
    run under the conditions of who handed them in: decimal's context, NumPy's error state, context variables.
    """

    def __init__(self, plan: Plan, job: Job, dataset: Dataset, lines: Lines | None) -> None:
        self._job = job
        self._dataset = dataset
        self._lines = lines
        self._cores = plan.cores
        self._native = SharedLimit(find_limits(plan.threads, plan.native_set, is_asked=plan.threads_asked))
        self._conditions = Conditions.here()
        self._workers: dict[int, _Worker] = {}
        self._takings = Takings()
        self._meters: list[ThreadMeter] = []  # of all threads that there ever were
        self._looks_at = inf  # when to look next what threads have finished that are in a long item
        self._outbox: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()  # None: wait no longer
        self._is_closed = threading.Event()
        self._leaving: dict[int, _Worker] = {}  # idle ones that have a finalizer to call
        self._complaints = Complaints()
        self._has_told = False

    def start(self, workers: tuple[int, ...]) -> None:
        """Start threads."""
        for worker in workers:
            state = self._workers[worker] = _Worker()
            name = f"allcores-worker-{worker}"
            threading.Thread(target=self._serve, args=(worker, state), name=name, daemon=True).start()

    def send(self, batch: SendBatch) -> None:
        """Hand the batch's own items over."""
        lines, index = self._lines, batch.start
        job = _without_global_streams(self._job if lines is None else lines.line(index).job)
        conditions = self._conditions if lines is None else lines.conditions(index)
        state = self._workers[batch.worker]
        state.held[batch.token] = batch
        if job.is_awaited and batch.stop - batch.start > 1:
            self._looks_at = min(self._looks_at, time.monotonic() + LOOK_SECONDS)
        state.work.put((batch, job, self._dataset.items(batch.start, batch.stop), conditions))

    def take_back(self, worker: int) -> None:
        """Ask the thread for what it has not begun; what it cannot give, being inside of an item, `wait` takes."""
        state = self._workers.get(worker)
        if state is not None:
            self._takings.ask(worker, state.mark, state.held)

    def kill(self, worker: int) -> None:
        """Have the thread end after the item it is in."""
        self.release(worker)

    def condemn(self, worker: int, start: int, stop: int) -> None:
        """No thread can be ended in the middle of an item."""

    def release(self, worker: int) -> None:
        """Have the thread end."""
        state = self._workers.pop(worker, None)
        if state is not None:
            self._takings.forget(worker)
            if state.made.has_finalizer and not state.held:
                self._leaving[worker] = state
            state.work.put(None)

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Wait for what the threads report."""
        patience = self._takings.patience(timeout)
        if self._looks_at < inf:
            patience = self._look(patience)
        reported = []
        with suppress(queue.Empty):
            with let_interrupts_in():
                reported.append(self._outbox.get(timeout=patience) if patience != 0 else self._outbox.get_nowait())
            while True:
                reported.append(self._outbox.get_nowait())
        arrivals = [arrival for arrival in reported if arrival is not None and self._is_news(arrival)]
        arrivals += self._takings.take(_leave_alone)
        return arrivals

    def make_waker(self) -> Callable[[], None]:
        """Give what ends a wait."""
        return lambda: self._outbox.put(None)

    def usage(self) -> Usage:
        """Tell what batches that are over have used."""
        return Usage(reduce(ProcessorTime.and_also, (meter.used for meter in self._meters), ProcessorTime()))

    def identity(self, worker: int) -> WorkerIdentity:
        """Say who the worker is: this process."""
        return WorkerIdentity(worker, os.getpid(), socket.gethostname())

    def complaint(self) -> RuntimeWarning | None:
        """Tell what finalizers raised; those that come later show it themselves."""
        self._has_told = True
        return self._complaints.warning()

    def close(self) -> None:
        """Have every thread end, and wait for the finalizers of idle ones."""
        self._is_closed.set()
        self._native.end()
        for worker in list(self._workers):
            self.release(worker)
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        while self._leaving:
            worker, state = self._leaving.popitem()
            if not state.has_ended.wait(max(0.0, deadline - time.monotonic())):
                late = TimeoutError(f"it took longer than {SHUTDOWN_SECONDS:g} seconds, and goes on")
                self._complaints.hear(self.identity(worker), late)

    def _look(self, patience: float | None) -> float:
        """Have told what is finished before a long item, if it is time; say how long one may wait."""
        now = time.monotonic()
        if now >= self._looks_at:
            self._looks_at = now + LOOK_SECONDS
            for state in self._workers.values():
                state.region.look(partial(self._tell, state))
            if all(batch.stop - batch.start == 1 for state in self._workers.values() for batch in state.held.values()):
                self._looks_at = inf
        left = max(0.0, self._looks_at - now)
        return min(left, threading.TIMEOUT_MAX) if patience is None else min(patience, left)

    def _tell(self, state: _Worker, part: Part) -> None:
        assert state.batch is not None
        self._outbox.put(arrival_of(state.batch, part))

    def _is_news(self, arrival: Arrival) -> bool:
        """Take down what a thread no longer holds; False if it tells of a batch that was taken from it before."""
        event = arrival.event
        if not isinstance(event, BatchAdvanced | BatchFinished):
            return True
        state = self._workers.get(event.worker)
        batch = None if state is None else state.held.pop(event.token, None)
        if state is None:
            return True  # it was told to end, and what it still says may be of use
        if batch is None:
            return False
        if type(event) is BatchAdvanced:
            state.held[event.token] = batch._replace(start=event.stop)
        return True

    def _serve(self, worker: int, state: _Worker) -> None:
        self._outbox.put(Arrival(WorkerUp(worker)))
        limit_cores_here(self._cores)
        self._native.begin_thread()
        loaded = len(sys.modules)
        context = self._conditions.begin()
        try:
            self._conditions.settle()
            state.made = context.run(self._job.prepare)
        except BaseException as error:  # the caller's initializer may raise anything
            self._outbox.put(Arrival(WorkerSetupFailed(worker), cause=error))
            return
        with closing(ThreadMeter()) as meter:
            self._meters.append(meter)
            self._outbox.put(Arrival(WorkerReady(worker)))
            while (work := state.work.get()) is not None:
                loaded = self._native.catch_up(loaded)
                batch, job, items, conditions = work
                conditions.run_on(self._conditions, context, self._run, state, meter, batch, job, items)
                if self._is_closed.is_set():
                    break
        self._finalize(worker, state, context)

    def _finalize(self, worker: int, state: _Worker, context: Context) -> None:
        """Have the finalizer called at a thread's end, also if that comes when nobody waits for it any more."""
        try:
            context.run(state.made.end)
        except BaseException as error:  # the caller's finalizer may raise anything
            if self._has_told:
                raise
            self._complaints.hear(self.identity(worker), error)
        finally:
            state.has_ended.set()

    def _run(self, state: _Worker, meter: ThreadMeter, batch: SendBatch, job: Job, items: Iterable[object]) -> None:
        region = state.region if job.is_awaited else None
        state.batch = batch
        for part in meter.measured(run_batch(state.made.bind(job), items, batch, state.mark, region=region)):
            if part.is_last:
                state.mark.words[INDEX] = IDLE
            self._outbox.put(arrival_of(batch, part))
            if self._is_closed.is_set():
                return


def _leave_alone(worker: int, index: int) -> None:
    """No thread can be ended in the middle of an item, which nobody wants either."""


def _without_global_streams(job: Job) -> Job:
    """The global generators are shared by all threads, so no item may seed them."""
    return job._replace(chance=job.chance._replace(is_seeded=False)) if job.chance.is_seeded else job
