"""How many workers one driver can keep busy: its scheduler, against a simulated cluster of any size.

The scheduler is the true one; the cluster, its messages and the driver's own time are simulated. A driver takes in what
arrives, and sends, one thing after another, each of which takes it the time that was measured on a Dask cluster; when
more arrives than it can take in, answers wait, and workers for them. Batches get longer then, as the scheduler measures
how long messages are under way. Workers die now and then, and others come in their places a minute later.

`python -m benchmarks.nodes`, from the project's folder, prints a table: how much of the workers' time went into items.
`--shards` divides the work among so many drivers, each with its part of the workers and a journal of its own.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from allcores._core.messages import (
    BatchFinished,
    Command,
    DeadlinePassed,
    Event,
    Excuse,
    Moment,
    RunStarted,
    SendBatch,
    StartWorkers,
    WorkerDown,
    WorkerReady,
    WorkerUp,
)
from allcores._core.scheduler.scheduler import Scheduler
from benchmarks.table import write_table

WORKERS = (10, 100, 1_000, 10_000, 100_000)
ITEM_SECONDS = (0.01, 1.0, 60.0, 600.0)
ITEMS = 20  # for each worker, at least,
WORK_SECONDS = 60.0  # or as many as last for so long, if these are more
MOST_EVENTS = 4_000_000  # of a simulation that is worth waiting for

MESSAGE_SECONDS = 0.005  # from the driver to a worker, or back
HANDOVER_SECONDS = 0.002_5  # that a worker waits for a batch that is there
DRIVER_SECONDS = 0.002_3  # of the driver's, for each message: two for a batch
LIFE_SECONDS = 100 * 3600.0  # of a worker, on average
REPLACED_SECONDS = 60.0  # after a death
MOST_TRIES = 1 << 20


@dataclass
class Outcome:
    """What came of a simulated run.

    Attributes:
        efficiency: the share of the workers' time that went into items which counted, until the last one was done.
        batches: how many were sent.
        deaths: of workers.
        processor_seconds: that the scheduler took in truth, the simulation included.
        peak_bytes: that it took in truth, likewise.
    """

    efficiency: float
    batches: int
    deaths: int
    processor_seconds: float
    peak_bytes: int


class Far:
    """A worker far away."""

    __slots__ = ("batches", "done", "is_busy")

    def __init__(self) -> None:
        self.batches: deque[SendBatch] = deque()
        self.is_busy = False
        self.done = 0.0


class Simulation:
    """One run on a simulated cluster.

    Args:
        workers: how many there are.
        items: how many.
        item_seconds: how long one takes on average; they differ by half of that either way.
        driver_seconds: how long a message takes the driver.
        life_seconds: of a worker.
        seed: of all chance.
    """

    def __init__(
        self,
        workers: int,
        items: int,
        item_seconds: float,
        *,
        driver_seconds: float = DRIVER_SECONDS,
        life_seconds: float = LIFE_SECONDS,
        seed: int = 1,
    ) -> None:
        self.now = 0.0
        self.batches = self.deaths = 0
        self.item_seconds = 0.0  # of items that counted
        self._item_seconds = item_seconds
        self._driver_seconds = driver_seconds
        self._life_seconds = life_seconds
        self._chance = random.Random(seed)
        self._workers: dict[int, Far] = {}
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._numbers = count()
        self._is_driver_free_at = 0.0
        self._scheduler = Scheduler(
            workers=workers,
            length=items,
            stops_at_failure=False,
            retries=MOST_TRIES,
            round_trip=2 * MESSAGE_SECONDS,
        )

    def run(self) -> None:
        """Run it to its end."""
        scheduler, agenda = self._scheduler, self._agenda
        self._hear(RunStarted())
        while not scheduler.is_finished:
            deadline = scheduler.next_deadline
            if deadline is not None and (not agenda or deadline <= agenda[0][0]):
                self.now = max(self.now, deadline)
                self._hear(DeadlinePassed())
            else:
                self.now, _, happen, arguments = heappop(agenda)
                happen(*arguments)

    def _later(self, seconds: float, happen: Callable[..., None], *arguments: object) -> None:
        heappush(self._agenda, (self.now + seconds, next(self._numbers), happen, arguments))

    # The driver, which does one thing at a time.

    def _queue(self) -> float:
        """Give in how many seconds the driver is done with one more message."""
        self._is_driver_free_at = max(self._is_driver_free_at, self.now) + self._driver_seconds
        return self._is_driver_free_at - self.now

    def _arrive(self, event: Event) -> None:
        self._later(self._queue(), self._hear, event)

    def _hear(self, event: Event) -> None:
        if not isinstance(event, BatchFinished | WorkerDown) or event.worker in self._workers:
            self._obey(self._scheduler.handle(event, self.now))

    def _obey(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, SendBatch):
                self.batches += 1
                self._later(self._queue() + MESSAGE_SECONDS, self._receive, command.worker, command)
            elif isinstance(command, StartWorkers):
                for number in command.workers:
                    self._workers[number] = Far()
                    self._hear(WorkerUp(number))
                    self._later(REPLACED_SECONDS if self.deaths else 0.0, self._hear, WorkerReady(number))

    # A worker.

    def _receive(self, number: int, batch: SendBatch) -> None:
        worker = self._workers.get(number)
        if worker is not None:
            worker.batches.append(batch)
            if not worker.is_busy:
                self._begin(number, worker)

    def _begin(self, number: int, worker: Far) -> None:
        worker.is_busy = bool(worker.batches)
        if not worker.is_busy:
            return
        batch = worker.batches.popleft()
        size = batch.stop - batch.start
        seconds = self._chance.uniform(0.5, 1.5) * self._item_seconds
        if size > 1:
            seconds = self._chance.gauss(size, 0.3 * size**0.5) * self._item_seconds
        seconds = max(seconds, 0.1 * size * self._item_seconds)
        waited = self.now + HANDOVER_SECONDS - worker.done if worker.done else 0.0
        dies_in = self._chance.expovariate(1 / self._life_seconds)
        if dies_in < seconds:
            self._later(dies_in, self._die, number, batch, int(size * dies_in / seconds))
        else:
            self._later(seconds + HANDOVER_SECONDS, self._end, number, worker, batch, seconds, waited)

    def _end(self, number: int, worker: Far, batch: SendBatch, seconds: float, waited: float) -> None:
        worker.done = self.now
        self.item_seconds += seconds
        finished = BatchFinished(number, batch.token, batch.stop, seconds, (), (), waited)
        self._later(MESSAGE_SECONDS, self._arrive, finished)
        self._begin(number, worker)

    def _die(self, number: int, batch: SendBatch, at: int) -> None:
        self.deaths += 1
        index = min(batch.start + at, batch.stop - 1)
        down = WorkerDown(number, Moment.RUNNING, index, index + 1, Excuse.RETRIABLE)
        self._later(MESSAGE_SECONDS, self._mourn, number, down)

    def _mourn(self, number: int, down: WorkerDown) -> None:
        self._hear(down)
        del self._workers[number]


def play(workers: int, item_seconds: float, *, shards: int = 1) -> Outcome | None:
    """Simulate a run; None where that would take too long.

    Args:
        workers: how many there are.
        item_seconds: how long an item takes.
        shards: among how many drivers the work is divided; they are alike, so one of them is played.
    """
    workers //= shards
    each = max(ITEMS, int(WORK_SECONDS / item_seconds))
    batch_seconds = max(item_seconds, 0.125, workers * 2 * DRIVER_SECONDS)  # below that the driver cannot keep up
    if workers * each * item_seconds / batch_seconds * 3 > MOST_EVENTS:
        return None
    simulation = Simulation(workers, workers * each, item_seconds)
    began = time.process_time()
    simulation.run()
    seconds = time.process_time() - began
    efficiency = simulation.item_seconds / (workers * simulation.now)
    return Outcome(efficiency, simulation.batches, simulation.deaths, seconds, _peak(workers, item_seconds))


def _peak(workers: int, item_seconds: float) -> int:
    """Measure the memory of a shorter run, as measuring takes time."""
    tracemalloc.start()
    Simulation(workers, workers * 3, item_seconds).run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.nodes", description=main.__doc__)
    parser.add_argument("--most", type=int, default=max(WORKERS), help="workers, at most")
    parser.add_argument("--shards", type=int, default=1, help="drivers")
    asked = parser.parse_args()
    rows = []
    for workers in [number for number in WORKERS if number <= asked.most]:
        for item_seconds in ITEM_SECONDS:
            outcome = play(workers, item_seconds, shards=asked.shards)
            row = [f"{workers:,}", f"{item_seconds:g} s"]
            if outcome is None:
                row += ["not simulated", "", "", "", ""]
            else:
                per_batch = outcome.processor_seconds / outcome.batches
                row += [
                    f"{outcome.efficiency:.1%}",
                    f"{outcome.batches:,}",
                    f"{outcome.deaths:,}",
                    f"{per_batch * 1e6:.0f} us",
                    f"{outcome.peak_bytes / 1e6:.1f} MB",
                ]
            rows.append(row)
    head = ("workers", "item", "efficiency", "batches", "deaths", "scheduler, for each batch", "its memory")
    print(write_table(head, rows))


if __name__ == "__main__":
    main()
