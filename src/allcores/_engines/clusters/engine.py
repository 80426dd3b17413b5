"""Has processes of a cluster run the batches of one run."""

from __future__ import annotations

import queue
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from math import inf

from allcores._core.errors import WorkerDied, WorkersUnavailable
from allcores._core.messages import (
    BatchRefused,
    EngineLost,
    Moment,
    SendBatch,
    WorkerDown,
    WorkerReady,
    WorkersOffered,
    WorkerUp,
)
from allcores._core.plan import Plan
from allcores._engines.clusters.cluster import Cluster, Landed, ProcessesChanged
from allcores._engines.clusters.process import Process
from allcores._engines.engine import Arrival
from allcores._engines.executors.guest_engine import GuestEngine
from allcores._engines.executors.lessons import Lessons
from allcores._engines.executors.quarantine import Flight
from allcores._input.dataset import Dataset
from allcores._objects.asking import describe
from allcores._system.interrupts import let_interrupts_in
from allcores._worker.guest import serve
from allcores._worker.job import Job
from allcores._worker.stamp import QUESTION, stamp_here

__all__ = ["ClusterEngine"]


class ClusterEngine(GuestEngine):
    """Has a cluster run batches; what runs there when the run is over is not heard of any more.

    Args:
        plan: how the run is done.
        job: what runs the items.
        dataset: where items come from.
        connect: gives the cluster, once it is known that the job can travel; may raise what the caller must mend.

    Raises:
        UnpicklableError: the job cannot travel.
    """

    def __init__(self, plan: Plan, job: Job, dataset: Dataset, connect: Callable[[], Cluster]) -> None:
        super().__init__("the cluster")
        self._dataset = dataset
        self._lessons = Lessons(plan, job)
        self._processes: dict[str, Process] = {}  # by address
        self._places: dict[int, Process] = {}  # by worker
        self._calls: dict[int, Process] = {}  # by number, those that are not over
        self._homeless: deque[int] = deque()  # workers that wait for a process to come
        self._most = inf if not plan.grows else plan.workers  # workers that there may be
        self._cluster = connect()
        self._cluster.news.put(ProcessesChanged())  # those who are there already

    # ------------------------------------------------------------------------------------------------- commands

    def start(self, workers: tuple[int, ...]) -> None:
        """Claim a thread for each, as soon as there is one; it is ready once its process has told its versions."""
        for worker in workers:
            self._replies.tell(Arrival(WorkerUp(worker)))
        self._homeless += workers
        self._cluster.want(len(self._places) + len(self._homeless))
        self._find_homes()

    def send(self, batch: SendBatch) -> None:
        """Send a batch to the worker's process, or have it wait until it may go."""
        process = self._places.get(batch.worker)
        if process is not None:  # else it has just gone, and the scheduler is about to hear of it
            process.waiting.append(batch)
            self._send_waiting(process)

    def take_back(self, worker: int) -> None:
        """What waits with a process cannot be had back from it."""

    def kill(self, worker: int) -> None:
        """Give the claim up, and forget what the worker holds."""
        process = self._places.pop(worker, None)
        if process is not None:
            self._forget(process.drop(worker))
            if not process.workers and self._cluster.leave(process.address):
                self._processes.pop(process.address, None)
        elif worker in self._homeless:
            self._homeless.remove(worker)

    def release(self, worker: int) -> None:
        """Give the claim up."""
        self.kill(worker)

    def awaited(self) -> str | None:
        """Say that nobody is there, or that nobody has answered."""
        is_there = any(process.is_known for process in self._processes.values())
        return None if is_there else self._cluster.awaited(len(self._processes))

    def make_waker(self) -> Callable[[], None]:
        """Give what ends a wait."""
        return lambda: self._cluster.news.put(None)

    def close(self) -> None:
        """Have the cluster forget everything that was asked for; without waiting for what still runs there."""
        self._lessons.close()
        self._cluster.close()

    # ------------------------------------------------------------------------------------------------- arrivals

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Wait for something to happen; one at a time, as the next may be of the same worker."""
        if not self._replies.arrivals:
            news = None
            with suppress(queue.Empty), let_interrupts_in():
                inbox = self._cluster.news
                news = inbox.get(timeout=timeout) if timeout != 0 else inbox.get_nowait()
            if isinstance(news, ProcessesChanged):
                self._hear_of_change(news)
            elif news is not None:
                self._hear(news)
        return self._replies.take()

    def _hear(self, landed: Landed) -> None:
        process = self._calls.pop(landed.call, None)
        if process is None:
            return
        if landed.call == process.question:
            self._hear_answer(process, landed)
        elif (flight := process.flights.pop(landed.call, None)) is not None:
            self._land(process, flight, landed)
            self._send_waiting(process)

    def _hear_answer(self, process: Process, landed: Landed) -> None:
        if landed.error is not None:
            self._lose(landed.error)
            return
        if not self._understands(self._cluster.name(process.address), landed.value):
            return
        process.is_known = True
        for worker in process.workers:
            self._replies.tell(Arrival(WorkerReady(worker)))

    def _land(self, process: Process, flight: Flight, landed: Landed) -> None:
        """Take in what came of a call."""
        batch, error = flight.batch, landed.error
        if error is None:
            question = self._replies.take_in(batch, landed.value)
            if question is not None:
                self._lessons.answer(question)
                self._send(process, flight, asking=batch.token)
        elif isinstance(error, WorkersUnavailable) or not self._cluster.is_alive:
            self._lose(error)
        elif isinstance(error, CancelledError):
            self._replies.tell(Arrival(BatchRefused(batch.worker, batch.token)))
        else:
            self._replies.tell_doubted(batch, error)

    # ------------------------------------------------------------------------------------------- where batches go

    def _find_homes(self) -> None:
        """Give workers that have none a thread, where the least are claimed."""
        while self._homeless:
            process = min(self._processes.values(), key=lambda process: process.load, default=None)
            if process is None or process.load >= 1:
                return
            worker = self._homeless.popleft()
            process.workers.append(worker)
            self._places[worker] = process
            if process.is_known:
                self._replies.tell(Arrival(WorkerReady(worker)))
            elif process.question is None:
                process.question = self._cluster.call(process.address, eval, QUESTION, {"arrived": []})
                self._calls[process.question] = process

    def _send_waiting(self, process: Process) -> None:
        while (flight := process.next_flight(self._replies.quarantine)) is not None:
            self._send(process, flight)

    def _send(self, process: Process, flight: Flight, *, asking: int | None = None) -> None:
        batch = flight.batch
        is_whole = process.must_be_taught(self._lessons.edition, asking)
        items = self._dataset.items(batch.start, batch.stop)
        head, frames = self._lessons.order(batch, items, is_whole=is_whole)
        self._replies.weigh(batch, batch.stop - batch.start, sum(map(len, frames)))
        try:
            call = self._cluster.call(process.address, serve, stamp_here(), head, *frames)
        except Exception as error:  # whatever Dask says when it is closed
            self._lose(error)
        else:
            process.flights[call] = flight
            self._calls[call] = process

    # ----------------------------------------------------------------------------------------------- come and gone

    def _hear_of_change(self, change: ProcessesChanged) -> None:
        if change.gone is None:
            for address, threads in self._cluster.threads().items():
                if address not in self._processes:
                    self._processes[address] = Process(address, threads)
        elif (process := self._processes.pop(change.gone, None)) is not None:
            self._mourn(process, is_expected=change.is_expected)
        self._offer(sum(process.threads for process in self._processes.values()))
        self._find_homes()

    def _offer(self, threads: int) -> None:
        """Tell if there is room for more workers than there may be so far."""
        if threads > self._most:
            self._most = threads
            self._replies.tell(Arrival(WorkersOffered(threads)))

    def _mourn(self, process: Process, *, is_expected: bool) -> None:
        """Tell that all who had a claim there are gone, and which items may have done that."""
        blamed: dict[int, SendBatch] = {}
        for flight in () if is_expected else process.flights.values():
            self._replies.quarantine.add(flight.batch.start, flight.batch.stop)
            if flight.is_alone:
                blamed[flight.batch.worker] = flight.batch
        death = WorkerDied(f"has gone, with {self._cluster.name(process.address)},", exit="unknown")
        for worker in process.workers:
            del self._places[worker]
            self._replies.forget(worker)
            batch = blamed.get(worker)
            moment = Moment.IDLE if process.is_known else Moment.PREPARING
            down = WorkerDown(worker, moment)
            if batch is not None:
                down = WorkerDown(worker, Moment.RUNNING, batch.start, batch.stop)
            self._replies.tell(Arrival(down, cause=death))
        self._forget([*process.flights, *([] if process.question is None else [process.question])])

    def _forget(self, calls: Collection[int]) -> None:
        for call in calls:
            self._calls.pop(call, None)
        self._cluster.forget(calls)

    def _lose(self, error: BaseException) -> None:
        if not isinstance(error, WorkersUnavailable):
            why = describe(error).partition("\n")[0]
            error = WorkersUnavailable(f"the cluster is gone ({why})")
        self._replies.tell(Arrival(EngineLost(), cause=error))
