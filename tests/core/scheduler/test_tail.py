"""How well a run ends: the true scheduler in simulated time, over durations that vary a lot.

The simulated workers do as the true ones do: messages take a while, a worker gives the rest of a batch back that runs
long, and what it is asked for it gives back before its next item, or loses it behind the item that it is in.
"""

from __future__ import annotations

import asyncio
import os
import queue
import random
import signal
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from itertools import count, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

import allcores
from allcores._core.messages import (
    BatchFinished,
    Command,
    DeadlinePassed,
    Event,
    ItemsTakenBack,
    RunStarted,
    SendBatch,
    StartWorkers,
    TakeBackItems,
    WorkerReady,
    WorkerUp,
)
from allcores._core.scheduler.idleness import IDLE_SECONDS, PATIENCE
from allcores._core.scheduler.scheduler import Scheduler
from allcores._engines.holdings import SETTLING_SECONDS
from allcores._worker.job import REPORT_SECONDS

pytestmark = pytest.mark.once

MESSAGE_SECONDS = 0.000_1  # from one process to another
HANDOVER_SECONDS = 0.000_02  # that a worker waits for a batch that is there
BIRTH_SECONDS = 0.002  # until a worker is ready
ITEMS = 400
PAIR = (30, 31)  # items that wait for each other


class Simulated:
    """A worker, and what the driver knows of it."""

    def __init__(self) -> None:
        self.batches: deque[SendBatch] = deque()  # arrived; the first one runs
        self.index = 0  # of the item that runs
        self.begun = 0.0  # the batch that runs
        self.done = 0.0  # the one before
        self.wanted = -1  # the token up to which the driver wants back what was not begun
        self.unreported: dict[int, SendBatch] = {}  # {token: batch} of what was sent and neither reported nor taken


class Simulation:
    """One run.

    Args:
        durations: of the items, in seconds.
        workers: how many there may be.
        message: seconds that a message takes from one process to another.
        handover: seconds that a worker waits for a batch that is there.
        report: seconds after which the rest of a batch is given back.
        options: of the scheduler.

    Attributes:
        now: when the last event happened: at the end, the makespan.
        runs: how often each item was run.
        batches: how many were sent.
    """

    def __init__(
        self,
        durations: Sequence[float],
        *,
        workers: int = 2,
        message: float = MESSAGE_SECONDS,
        handover: float = HANDOVER_SECONDS,
        report: float = REPORT_SECONDS,
        **options: Any,
    ) -> None:
        self.now = 0.0
        self.runs = [0] * len(durations)
        self.batches = 0
        self._durations = durations
        self._message = message
        self._handover = handover
        self._report = report
        self._scheduler = Scheduler(workers=workers, length=len(durations), **options)
        self._workers: dict[int, Simulated] = {}
        self._numbers = count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._tell(RunStarted())
        while not self._scheduler.is_finished:
            deadline = self._scheduler.next_deadline
            if deadline is not None and deadline < self._agenda[0][0]:
                self.now = max(self.now, deadline)
                self._tell(DeadlinePassed())
            else:
                self.now, _, happen = heappop(self._agenda)
                happen()

    def _later(self, seconds: float, happen: Callable[..., None], *arguments: Any) -> None:
        heappush(self._agenda, (self.now + seconds, next(self._numbers), lambda: happen(*arguments)))

    # The driver and its engine.

    def _tell(self, *events: Event) -> None:
        for event in events:
            self._obey(self._scheduler.handle(event, self.now))

    def _obey(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case StartWorkers(numbers):
                    for number in numbers:
                        worker = self._workers[number] = Simulated()
                        worker.done = self.now + BIRTH_SECONDS
                        self._later(BIRTH_SECONDS, self._tell, WorkerUp(number), WorkerReady(number))
                case SendBatch(number, token):
                    self.batches += 1
                    self._workers[number].unreported[token] = command
                    self._later(self._message, self._receive, self._workers[number], command)
                case TakeBackItems(number):
                    worker = self._workers[number]
                    worker.wanted = max(worker.unreported)
                    self._later(SETTLING_SECONDS, self._take, worker, worker.wanted)

    def _hear(self, worker: Simulated, event: BatchFinished) -> None:
        if worker.unreported.pop(event.token, None):
            self._tell(event)

    def _take(self, worker: Simulated, last: int) -> None:
        running = worker.batches[0] if worker.batches else None
        if running is not None and running.token <= last and running.token in worker.unreported:
            for token in [token for token in worker.unreported if running.token < token <= last]:
                del worker.unreported[token]
            self._tell(ItemsTakenBack(running.worker, running.token, worker.index + 1, last))

    # The worker.

    def _receive(self, worker: Simulated, batch: SendBatch) -> None:
        worker.batches.append(batch)
        if len(worker.batches) == 1:
            self._hand_over(worker)

    def _hand_over(self, worker: Simulated) -> None:
        if worker.batches:
            worker.index = worker.batches[0].start - 1  # it has begun none of them
            self._later(self._handover, self._begin_batch, worker)

    def _begin_batch(self, worker: Simulated) -> None:
        worker.index, worker.begun = worker.batches[0].start, self.now
        self._go_on(worker)

    def _go_on(self, worker: Simulated) -> None:
        batch = worker.batches[0]
        runs_long = self.now - worker.begun >= self._report
        if worker.index < batch.stop and not runs_long and worker.wanted < batch.token:
            self.runs[worker.index] += 1
            self._later(self._durations[worker.index], self._end_item, worker)
            return
        waited, worker.done = worker.begun - worker.done, self.now
        finished = BatchFinished(batch.worker, batch.token, worker.index, self.now - worker.begun, (), (), waited)
        self._later(self._message, self._hear, worker, finished)
        worker.batches.popleft()
        self._hand_over(worker)

    def _end_item(self, worker: Simulated) -> None:
        worker.index += 1
        self._go_on(worker)


def in_order(durations: Sequence[float], workers: int) -> float:
    """Give the makespan if each item goes, in order and at no cost, to whoever is free first."""
    free = [0.0] * workers
    for seconds in durations:
        at = free.index(min(free))
        free[at] += seconds
    return max(free)


def bound(durations: Sequence[float], workers: int) -> float:
    """Give what no schedule can beat, whatever it knows."""
    return max(sum(durations) / workers, *durations)


Draw = Callable[[random.Random], float]

KINDS: dict[str, Draw] = {
    "lognormal": lambda dice: 0.003 * dice.lognormvariate(0, 1),
    "very lognormal": lambda dice: 0.001 * dice.lognormvariate(0, 2),
    "pareto": lambda dice: 0.002 * dice.paretovariate(1.5),
    "one in twenty is long": lambda dice: 0.05 if dice.random() < 0.05 else 0.001,
    "one in a hundred is very long": lambda dice: 0.1 if dice.random() < 0.01 else 0.0001,
    "one in a hundred is extremely long": lambda dice: 1.0 if dice.random() < 0.01 else 0.000_005,
    "even": lambda dice: 0.01 * dice.random(),
}


@pytest.mark.parametrize("workers", [2, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_the_end_is_about_as_good_as_if_items_went_one_by_one_at_no_cost(kind: str, workers: int) -> None:
    excesses = []
    for seed in range(20):
        dice = random.Random(seed)
        durations = [KINDS[kind](dice) for _ in range(ITEMS * workers // 2)]
        run = Simulation(durations, workers=workers)
        assert run.runs == [1] * len(durations)
        excess = run.now - in_order(durations, workers) - BIRTH_SECONDS
        excesses.append(excess / bound(durations, workers))
    assert median(excesses) < 0.02, excesses
    assert max(excesses) < 0.12, excesses


@pytest.mark.parametrize("is_longest_last", [False, True])
def test_heavy_tails_end_within_a_twentieth_of_what_is_possible(is_longest_last) -> None:
    for seed in range(20):
        dice = random.Random(seed)
        durations = [0.002 * dice.lognormvariate(0, 1.3) for _ in range(ITEMS)]
        if is_longest_last:
            durations.append(durations.pop(durations.index(max(durations))))
        best = max(bound(durations, 2), in_order(durations, 2))
        assert Simulation(durations).now < 1.02 * best + BIRTH_SECONDS


def test_2000_items_of_a_millisecond_keep_two_workers_busy() -> None:
    run = Simulation([0.001] * 2000)
    assert run.now < 1.0 / 0.99
    assert run.batches < 120


def test_where_to_hand_over_a_batch_costs_much_there_are_fewer_batches() -> None:
    cluster = {"message": 0.005, "handover": 0.002_5, "report": 0.5, "round_trip": 0.01}
    run = Simulation([0.001] * 2000, **cluster)
    assert run.now < 1.0 / 0.88
    assert run.batches < 60
    run = Simulation([0.001] * 20_000, **cluster)
    assert run.now < 10.0 / 0.95


@pytest.mark.parametrize("message", [0.001, 0.005, 0.025])
@pytest.mark.parametrize("workers", [1, 2, 16])
def test_workers_do_not_run_dry_however_long_messages_take(workers: int, message: float) -> None:
    """What cannot be hidden are the first items, as nothing is known before, and the last message."""
    run = Simulation([0.001] * 2000 * workers, workers=workers, message=message)
    assert run.now < 2.0 + 10 * 2 * message


@pytest.mark.parametrize("message", [0.001, 0.005, 0.025])
@pytest.mark.parametrize("kind", KINDS)
def test_where_messages_take_long_the_end_is_later_by_some_round_trips_at_most(kind: str, message: float) -> None:
    late = []
    for seed in range(5):
        dice = random.Random(seed)
        durations = [KINDS[kind](dice) for _ in range(4 * ITEMS)]
        run = Simulation(durations, workers=8, message=message)
        assert run.runs == [1] * len(durations)
        late.append(run.now - in_order(durations, 8) - BIRTH_SECONDS)
    assert median(late) < 18 * 2 * message, late


# --------------------------------------------------------------------------------------------------- true processes


@pytest.mark.parametrize("held_up", [0, 1, 20, 150, 399])
def test_nothing_waits_behind_an_item_that_waits_for_all_others(held_up: int, start: str, tmp_path: Path) -> None:
    gate, runs = tmp_path / "gate", tmp_path / "runs"
    os.mkfifo(gate)
    runs.mkdir()

    def others_have_run() -> bool:
        return len(set(os.listdir(runs)) - {str(held_up)}) == ITEMS - 1

    def work(index: int) -> int:
        (runs / str(index)).touch(exist_ok=False)  # fails if it runs a second time
        descriptor = os.open(gate, os.O_RDWR)
        if index == held_up and not others_have_run():
            os.read(descriptor, 1)
        elif others_have_run():
            os.write(descriptor, b"!")
        os.close(descriptor)
        return index

    assert allcores.map(work, range(ITEMS), workers=2, start=start) == list(range(ITEMS))


def test_a_worker_that_is_killed_in_the_item_that_held_up_others_takes_none_of_them_along(
    start: str, tmp_path: Path
) -> None:
    """What was taken from it has run elsewhere: nobody runs it again, and it is not blamed."""
    runs = tmp_path / "runs"
    runs.mkdir()

    def work(index: int) -> int:
        if index == 100:
            (tmp_path / "pid").write_text(str(os.getpid()))
            signal.pause()
        (runs / str(index)).touch(exist_ok=False)
        if len(os.listdir(runs)) == ITEMS - 1:
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        return index

    results = allcores.map(work, range(ITEMS), workers=2, start=start, errors="collect")
    assert [index for index, result in enumerate(results) if result != index] == [100]
    assert isinstance(results[100].exception, allcores.WorkerDied)


def run_amap(work: Callable[[int], int], items: Sequence[int], **place: str) -> list[int]:
    return list(asyncio.run(allcores.amap(work, items, workers=2, batch=1, **place)))


def with_pool(call: Callable[[Any, Any, Any], Any]) -> Callable[..., list[int]]:
    def run(work: Callable[[int], int], items: Sequence[int], **place: str) -> list[int]:
        with allcores.Pool(2, **place) as pool:
            return sorted(call(pool, work, items))

    return run


def with_executor(call: Callable[[Any, Any, Any], Any]) -> Callable[..., list[int]]:
    def run(work: Callable[[int], int], items: Sequence[int], **place: str) -> list[int]:
        with allcores.Executor(2, **place) as executor:
            return list(call(executor, work, items))

    return run


ENTRIES: dict[str, Callable[..., list[int]]] = {
    "map": lambda work, items, **place: list(allcores.map(work, items, workers=2, batch=1, **place)),
    "imap": lambda work, items, **place: list(allcores.imap(work, items, workers=2, batch=1, **place)),
    "amap": run_amap,
    "Pool.map": with_pool(lambda pool, work, items: pool.map(work, items, chunksize=1)),
    "Pool.imap": with_pool(lambda pool, work, items: pool.imap(work, items, chunksize=1)),
    "Pool.imap_unordered": with_pool(lambda pool, work, items: pool.imap_unordered(work, items, chunksize=1)),
    "Pool.starmap_async": with_pool(
        lambda pool, work, items: pool.starmap_async(work, [(item,) for item in items], chunksize=1).get()
    ),
    "Pool.apply_async": with_pool(
        lambda pool, work, items: [result.get() for result in [pool.apply_async(work, (item,)) for item in items]]
    ),
    "Executor.map": with_executor(lambda executor, work, items: executor.map(work, items, timeout=100)),
    "Executor.map, adaptive": with_executor(lambda executor, work, items: executor.map(work, items)),
    "Executor.submit": with_executor(
        lambda executor, work, items: [future.result() for future in [executor.submit(work, item) for item in items]]
    ),
}


@pytest.fixture(params=("fork", "forkserver", "threads"))
def places(request: pytest.FixtureRequest) -> dict[str, str]:
    """Options for each place that has two workers."""
    return {"on": "threads"} if request.param == "threads" else {"start": request.param}


@pytest.fixture
def meeting(tmp_path: Path) -> Callable[[int], int]:
    """Give a function that is quick, but for two items that wait for each other."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def work(index: int) -> int:
        if index in PAIR:
            os.close(os.open(fifo, os.O_RDONLY if index == PAIR[0] else os.O_WRONLY))
        return index

    return work


@pytest.mark.parametrize("entry", ENTRIES)
def test_two_items_that_wait_for_each_other_run_side_by_side(entry: str, places: dict[str, str], meeting) -> None:
    assert ENTRIES[entry](meeting, range(PAIR[-1] + 1), **places) == list(range(PAIR[-1] + 1))


def test_what_waits_behind_the_only_worker_is_run_by_one_started_for_it(places: dict[str, str], meeting) -> None:
    """As items come one by one, nobody needed a second worker before."""
    items: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    with allcores.Pool(2, **places) as pool:
        results = pool.imap(meeting, iter(items.get, None))
        for index in range(PAIR[0]):
            items.put(index)
            assert next(results) == index
        for item in (*PAIR, None):
            items.put(item)
        assert list(results) == list(PAIR)


def test_items_that_are_long_on_their_way_do_not_travel_for_ever() -> None:
    """A worker that is asked for them before the first has begun gives all of them back, whoever it is."""
    scheduler = two_workers_of_which_one_has_all(4)
    holder, asked, now = 0, [], 0.3
    for _ in range(6):
        now = scheduler.next_deadline
        asked.append(now)
        assert scheduler.handle(DeadlinePassed(), now) == [TakeBackItems(holder)]
        now += 0.3
        back = BatchFinished(holder, scheduler._roster.workers[holder].batches[0].token, 1, 0.0)
        (sent,) = scheduler.handle(back, now)
        assert (sent.start, sent.stop) == (1, 4)
        holder = sent.worker
    waited = [later - earlier - 0.3 for earlier, later in pairwise(asked)]
    assert waited == pytest.approx([IDLE_SECONDS * PATIENCE**turn for turn in range(1, 6)])
    assert waited[-1] > 10


def test_a_worker_that_comes_when_all_are_busy_is_seen_to_be_idle() -> None:
    scheduler = Scheduler(workers=2, length=4, stops_at_failure=False)
    for event in (RunStarted(), WorkerUp(0), WorkerReady(0), BatchFinished(0, 0, 1, 1e-6)):
        scheduler.handle(event, 0.0)
    assert scheduler.handle(DeadlinePassed(), IDLE_SECONDS) == []
    scheduler.handle(WorkerUp(1), 1.0)
    scheduler.handle(WorkerReady(1), 1.0)
    assert scheduler.handle(DeadlinePassed(), 1.0 + IDLE_SECONDS) == [TakeBackItems(0)]


def test_nobody_looks_for_idleness_again_and_again_where_everybody_is_busy() -> None:
    scheduler = Scheduler(workers=1, length=100, stops_at_failure=False)
    scheduler.handle(RunStarted(), 0.0)
    scheduler.handle(WorkerUp(0), 0.0)
    scheduler.handle(WorkerReady(0), 0.0)
    scheduler.handle(BatchFinished(0, 0, 1, 1e-6), 0.0)
    wakings = 0
    while (deadline := scheduler.next_deadline) is not None and wakings < 10:
        wakings += 1
        assert scheduler.handle(DeadlinePassed(), deadline) == []
    assert wakings <= 1


def two_workers_of_which_one_has_all(length: int) -> Scheduler:
    """Worker 0 has finished the first item and holds all others; worker 1 has just come."""
    scheduler = Scheduler(workers=2, length=length, stops_at_failure=False)
    for event in (RunStarted(), WorkerUp(0), WorkerReady(0)):
        scheduler.handle(event, 0.0)
    scheduler.handle(BatchFinished(0, 0, 1, 1e-6), 0.0)
    scheduler.handle(WorkerUp(1), 0.0)
    scheduler.handle(WorkerReady(1), 0.0)
    return scheduler
