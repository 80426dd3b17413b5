"""Workers that are threads of this process: nothing travels, and nothing can be killed."""

from __future__ import annotations

import os
import queue
import socket
import threading

from allcores._conditions import Conditions
from allcores._dataset import Dataset
from allcores._engines import Arrival, MemoryUse
from allcores._engines.serial import arrival_of
from allcores._helm import Helm
from allcores._hints import TYPE_CHECKING
from allcores._inbox import Inbox, conditions_at, job_at
from allcores._interrupts import let_interrupts_in
from allcores._job import Job, run_batch
from allcores._machine import limit_cores_here
from allcores._messages import SendBatch, WorkerReady, WorkerSetupFailed, WorkerUp
from allcores._outcomes import WorkerIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ThreadEngine"]

Queue = queue.SimpleQueue[tuple[SendBatch, Job, "Iterable[object]", Conditions] | None]  # None: leave


class ThreadEngine:
    """Provides threads for one run.

    A thread cannot be killed: one that is told to end does so after the item it is in, and nobody waits for it. Items
    run under the conditions of who handed them in: decimal's context, NumPy's error state, context variables.
    """

    def __init__(self, job: Job, dataset: Dataset | Inbox, cores: int) -> None:
        self._job = job
        self._dataset = dataset
        self._cores = cores
        self._conditions = Conditions.here()
        self._queues: dict[int, Queue] = {}
        self._outbox: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()  # None: wait no longer
        self._is_closed = threading.Event()

    def start(self, worker: int) -> None:
        """Start a thread."""
        work: Queue = queue.SimpleQueue()
        self._queues[worker] = work
        name = f"allcores-worker-{worker}"
        threading.Thread(target=self._serve, args=(worker, work), name=name, daemon=True).start()

    def send(self, batch: SendBatch) -> None:
        """Hand the batch's own items over."""
        job = _without_global_streams(job_at(self._job, self._dataset, batch.start))
        conditions = conditions_at(self._conditions, self._dataset, batch.start)
        self._queues[batch.worker].put((batch, job, self._dataset.items(batch.start, batch.stop), conditions))

    def take_back(self, worker: int) -> None:
        """What a thread has it runs."""

    def kill(self, worker: int) -> None:
        """Have the thread end after the item it is in."""
        self.release(worker)

    def condemn(self, worker: int, start: int, stop: int) -> None:
        """No thread can be ended in the middle of an item."""

    def release(self, worker: int) -> None:
        """Have the thread end."""
        work = self._queues.pop(worker, None)
        if work is not None:
            work.put(None)

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Wait for what the threads report."""
        arrivals = []
        try:
            with let_interrupts_in():
                arrivals.append(self._outbox.get(timeout=timeout) if timeout != 0 else self._outbox.get_nowait())
            while True:
                arrivals.append(self._outbox.get_nowait())
        except queue.Empty:
            return [arrival for arrival in arrivals if arrival is not None]

    def make_waker(self) -> Callable[[], None]:
        """Give what ends a wait."""
        return lambda: self._outbox.put(None)

    def share(self, helm: Helm) -> None:
        """Whoever waits keeps the helm: there is no selector that others could wait on."""

    def memory(self) -> MemoryUse:
        """Nobody knows: it is all this process's."""
        return MemoryUse()

    def identity(self, worker: int) -> WorkerIdentity:
        """Say who the worker is: this process."""
        return WorkerIdentity(worker, os.getpid(), socket.gethostname())

    def close(self) -> None:
        """Have every thread end."""
        self._is_closed.set()
        for worker in list(self._queues):
            self.release(worker)

    def _serve(self, worker: int, batches: Queue) -> None:
        self._outbox.put(Arrival(WorkerUp(worker)))
        limit_cores_here(self._cores)
        context = self._conditions.begin()
        try:
            self._conditions.settle()
            context.run(self._job.prepare)
        except BaseException as error:  # the caller's initializer may raise anything
            self._outbox.put(Arrival(WorkerSetupFailed(worker), cause=error))
            return
        self._outbox.put(Arrival(WorkerReady(worker)))
        while (work := batches.get()) is not None:
            batch, job, items, conditions = work
            conditions.run_on(self._conditions, context, self._run, batch, job, items)
            if self._is_closed.is_set():
                return

    def _run(self, batch: SendBatch, job: Job, items: Iterable[object]) -> None:
        for part in run_batch(job, items, batch):
            self._outbox.put(arrival_of(batch, part))
            if self._is_closed.is_set():
                return


def _without_global_streams(job: Job) -> Job:
    """The global generators are shared by all threads, so no item may seed them."""
    return job._replace(chance=job.chance._replace(is_seeded=False)) if job.chance.is_seeded else job
