"""Has an executor run the batches of one run: carries out commands, and waits for what comes of calls."""

from __future__ import annotations

import os
import queue
import socket
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from math import inf

from allcores._core.errors import WorkerDied, WorkersUnavailable
from allcores._core.hints import Any
from allcores._core.messages import (
    BatchRefused,
    EngineLost,
    Moment,
    SendBatch,
    WorkerDown,
    WorkerReady,
    WorkerSetupFailed,
    WorkerUp,
)
from allcores._core.options import Place
from allcores._core.plan import Plan
from allcores._engines.chance import say_what_is_copied
from allcores._engines.engine import Arrival
from allcores._engines.executors.guest_engine import GuestEngine
from allcores._engines.executors.here import Here, PartsHere
from allcores._engines.executors.host import Host
from allcores._engines.executors.lessons import Lessons
from allcores._engines.executors.quarantine import Flight
from allcores._engines.serial import arrival_of
from allcores._input.dataset import Dataset
from allcores._objects.asking import describe
from allcores._objects.outcomes import WorkerIdentity
from allcores._system.interrupts import let_interrupts_in
from allcores._worker.guest import Reply, serve
from allcores._worker.job import Job
from allcores._worker.stamp import stamp_here

__all__ = ["ExecutorEngine"]


class ExecutorEngine(GuestEngine):
    """Has an executor run batches.

    What is running cannot be ended; nobody waits for it, and nothing is heard of it any more.

    Args:
        plan: how the run is done.
        job: what runs the items.
        dataset: where items come from.
        place: the executor, or a function that makes one.
    """

    def __init__(self, plan: Plan, job: Job, dataset: Dataset, place: Place) -> None:
        super().__init__("the executor")
        self._plan = plan
        self._job = job
        self._dataset = dataset
        self._host = Host(place)
        self._here: Here | None = None  # runs batches, where nothing travels
        self._lessons: Lessons | None = None  # has what travels, where it does
        self._most = inf  # batches with the executor; it queues some itself where all its slots are for this run
        self._is_ready = False  # whether the executor has answered, and batches may go to it
        self._outbox: queue.SimpleQueue[Future[Any] | None] = queue.SimpleQueue()  # calls that are over; None: wake up
        self._question: Future[Any] | None = None
        self._workers: set[int] = set()  # neither down nor let go
        self._preparing: list[int] = []
        self._waiting: deque[SendBatch] = deque()
        self._unread: set[int] = set()  # tokens of batches that met with a process that lacked something
        self._flights: dict[Future[Any], Flight] = {}
        self._doubted: list[tuple[Flight, BaseException]] = []  # failed for reasons of the executor's

    # ------------------------------------------------------------------------------------------------- commands

    def start(self, workers: tuple[int, ...]) -> None:
        """Claim places; they are ready once the executor has answered."""
        self._workers.update(workers)
        for worker in workers:
            self._replies.tell(Arrival(WorkerUp(worker)))
            if self._is_ready:
                self._replies.tell(Arrival(WorkerReady(worker)))
            else:
                self._preparing.append(worker)
        if not self._is_ready:
            self._open()

    def send(self, batch: SendBatch) -> None:
        """Hand a batch to the executor, or have it wait until it may go."""
        self._waiting.append(batch)
        self._send_waiting()

    def take_back(self, worker: int) -> None:
        """Whoever is free takes what waits with the executor."""

    def kill(self, worker: int) -> None:
        """Forget what the worker holds; what has not begun will not begin."""
        self._workers.discard(worker)
        self._waiting = deque(batch for batch in self._waiting if batch.worker != worker)
        for future, flight in list(self._flights.items()):
            if flight.batch.worker == worker:
                del self._flights[future]
                future.cancel()

    def release(self, worker: int) -> None:
        """Let go of the claim."""
        self._workers.discard(worker)

    def awaited(self) -> str | None:
        """Say that the executor has yet to run its first call."""
        if self._is_ready or self._question is None:
            return None
        return f"{self._host} to run a first call, which tells its versions: nobody there is free, or nobody is there"

    def make_waker(self) -> Callable[[], None]:
        """Give what ends a wait."""
        return lambda: self._outbox.put(None)

    def close(self) -> None:
        """Forget everything, and shut down what was made; without waiting for what still runs there."""
        self._waiting.clear()
        if self._here is not None:
            self._here.is_closed = True
        if self._lessons is not None:
            self._lessons.close()
        running = [future for future in (*self._flights, self._question) if future is not None and not future.cancel()]
        self._flights.clear()
        self._host.let_go(is_idle=all(future.done() for future in running))

    # ------------------------------------------------------------------------------------------------- arrivals

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Wait for a call to be over; one at a time, as the next may be of the same worker in another process."""
        if not self._replies.arrivals:
            future = None
            with suppress(queue.Empty), let_interrupts_in():
                future = self._outbox.get(timeout=timeout) if timeout != 0 else self._outbox.get_nowait()
            if future is not None:
                self._hear(future)
                self._send_waiting()
        return self._replies.take()

    def _hear(self, future: Future[Any]) -> None:
        if future is self._question:
            self._question = None
            self._hear_answer(future)
        elif (flight := self._flights.pop(future, None)) is not None:
            self._land(flight, future)

    def _land(self, flight: Flight, future: Future[Any]) -> None:
        """Take in what came of a call."""
        batch = flight.batch
        if future.cancelled():
            self._replies.tell(Arrival(BatchRefused(batch.worker, batch.token)))
            return
        error = future.exception()
        if error is None:
            self._take_in(batch, future.result())
        elif isinstance(error, BrokenExecutor):
            self._break(error, flight)
        elif isinstance(error, WorkersUnavailable):
            self._lose(error)
        else:
            self._doubted.append((flight, error))
            self._ask()

    def _take_in(self, batch: SendBatch, reply: Reply | PartsHere) -> None:
        if isinstance(reply, Reply):
            question = self._replies.take_in(batch, reply)
            if question is not None:
                assert self._lessons is not None
                self._lessons.answer(question)
                self._unread.add(batch.token)
                self._waiting.appendleft(batch)
            return
        self._replies.used = self._replies.used.and_also(reply.used)
        self._replies.meet(WorkerIdentity(batch.worker, os.getpid(), socket.gethostname()))
        if reply.error is not None:
            self._replies.tell(Arrival(WorkerSetupFailed(batch.worker), cause=reply.error))
        for part in reply.parts:
            self._replies.tell(arrival_of(batch, part))

    # -------------------------------------------------------------------------------------------- with the executor

    def _open(self) -> None:
        """See that there is an executor, and that it has been asked."""
        if not self._host.is_open:
            self._host.open()
            self._ask()

    def _ask(self) -> None:
        """Send nothing more before the executor has answered."""
        self._is_ready = False
        if self._question is None:
            try:
                self._question = self._host.ask()
            except (BrokenExecutor, RuntimeError) as error:  # it is broken, or shut down
                self._break(error)
            else:
                self._question.add_done_callback(self._outbox.put)

    def _hear_answer(self, future: Future[Any]) -> None:
        try:
            stamp = future.result()
        except BaseException as error:  # whatever an executor may say
            self._break(error)
            return
        if not self._understands("a worker of the executor", stamp):
            return
        self._prepare()
        self._is_ready = True
        self._most = inf if self._plan.workers >= (self._host.slots or inf) else self._plan.workers
        for flight, failure in self._doubted:
            self._replies.tell_doubted(flight.batch, failure)
        self._doubted.clear()
        while self._preparing:
            if (worker := self._preparing.pop(0)) in self._workers:
                self._replies.tell(Arrival(WorkerReady(worker)))

    def _prepare(self) -> None:
        """Have what is needed to run batches there; raises if the job cannot travel."""
        if self._host.shares_objects:
            self._here = self._here or Here(self._plan, self._job)
        elif self._lessons is None:
            if not self._job.chance.is_seeded:
                say_what_is_copied(self._job.function, self._job.initializer)
            self._lessons = Lessons(self._plan, self._job)

    def _send_waiting(self) -> None:
        """Send what may go: a suspect batch alone, all others as they come, and no more at once than was asked for."""
        if self._waiting and not self._is_ready:
            self._open()
        while self._is_ready and len(self._flights) < self._most:
            flight = self._replies.quarantine.next_flight(self._waiting, self._flights.values())
            if flight is None:
                return
            self._submit(flight)

    def _submit(self, flight: Flight) -> None:
        batch = flight.batch
        items = self._dataset.items(batch.start, batch.stop)
        call: Callable[..., Any]
        arguments: tuple[Any, ...]
        if self._here is not None:
            call, arguments = self._here.run, (batch, items)
        else:
            assert self._lessons is not None
            head, frames = self._lessons.order(batch, items, is_whole=batch.token in self._unread)
            call, arguments = serve, (stamp_here(), head, *frames)
            self._replies.weigh(batch, batch.stop - batch.start, sum(map(len, frames)))
        try:
            future = self._host.executor.submit(call, *arguments)
        except (BrokenExecutor, RuntimeError) as error:  # it was never taken, so it is not to blame
            self._waiting.appendleft(batch)
            self._break(error)
        else:
            self._flights[future] = flight
            future.add_done_callback(self._outbox.put)

    # ----------------------------------------------------------------------------------------------- what goes wrong

    def _break(self, error: BaseException, flight: Flight | None = None) -> None:
        """Take in that the executor is broken, and with it all that was on its way."""
        for future, other in list(self._flights.items()):
            if future.done() and not future.cancelled() and future.exception() is None:  # it came through before
                del self._flights[future]
                self._take_in(other.batch, future.result())
        lost = [
            *([] if flight is None else [flight]),
            *(flight for flight, _ in self._doubted),
            *self._flights.values(),
        ]
        is_new = not self._is_ready and self._question is None and not lost
        self._flights.clear()
        self._doubted.clear()
        self._is_ready, self._question = False, None
        if not self._host.can_be_rebuilt or is_new:
            self._lose(_describe_loss(error, lost, can_be_rebuilt=self._host.can_be_rebuilt))
            return
        self._host.let_go(is_idle=False)
        for other in lost:
            self._tell_lost(other, error)
        down = {other.batch.worker for other in lost}
        self._workers -= down
        self._waiting = deque(batch for batch in self._waiting if batch.worker not in down)
        if self._waiting or self._preparing:
            self._open()

    def _tell_lost(self, flight: Flight, error: BaseException) -> None:
        batch = flight.batch
        self._replies.forget(batch.worker)  # it was of the batch before, which another process may have run
        death = WorkerDied(f"broke its executor ({describe(error)})", exit="unknown")
        self._replies.quarantine.add(batch.start, batch.stop)
        moment = Moment.RUNNING if flight.is_alone else Moment.IDLE
        self._replies.tell(Arrival(WorkerDown(batch.worker, moment, batch.start, batch.stop), cause=death))

    def _lose(self, error: WorkersUnavailable) -> None:
        self._waiting.clear()
        self._replies.tell(Arrival(EngineLost(), cause=error))


def _describe_loss(error: BaseException, lost: list[Flight], *, can_be_rebuilt: bool) -> WorkersUnavailable:
    ranges = sorted((flight.batch.start, flight.batch.stop) for flight in lost)
    items = ", ".join(f"{start} to {stop - 1}" if stop - start > 1 else f"{start}" for start, stop in ranges)
    among = f" while it had items {items}" if lost else ""
    advice = "" if can_be_rebuilt else "; give a function that makes one, on=lambda: …, and it is made anew"
    return WorkersUnavailable(f"the executor is broken{among} ({describe(error)}){advice}")
