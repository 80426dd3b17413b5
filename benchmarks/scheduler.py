"""The scheduler alone, against simulated workers: batches per second, memory, and deaths on the way.

The figures include the simulation: a heap of what the workers are at, and the making of events.
`python -m benchmarks.scheduler`, from the project's folder.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from dataclasses import dataclass
from heapq import heappop, heappush

from allcores._core.messages import (
    BatchFinished,
    DeadlinePassed,
    Event,
    FailItem,
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

WORKERS = 10_000
ITEM_SECONDS = 0.000_1  # of simulated time


@dataclass
class Tally:
    """What a simulated run came to."""

    sent: int = 0  # batches
    failed: int = 0  # items, each with a worker that died inside it
    settled: int = 0  # items


def simulate(workers: int, items: int, batch: int | None, death_rate: float = 0.0) -> Tally:
    """Run to the end with workers that take the same time for every item.

    Args:
        workers: how many there may be at a time.
        items: how many there are.
        batch: items per batch, or None to adapt.
        death_rate: the share of batches whose worker dies inside one of their items.
    """
    scheduler = Scheduler(workers=workers, length=items, batch=batch, stops_at_failure=False)
    dice = random.Random(1)
    tally = Tally()
    now = 0.0
    agenda: list[tuple[float, int, SendBatch]] = []  # heap of (when it is over, token, batch)
    newcomers: list[int] = []
    commands = scheduler.handle(RunStarted(), now)
    while not scheduler.is_finished:
        for command in commands:
            if type(command) is SendBatch:
                over = now + (command.stop - command.start) * ITEM_SECONDS
                heappush(agenda, (over, command.token, command))
                tally.sent += 1
            elif type(command) is StartWorkers:
                newcomers.extend(command.workers)
            elif type(command) is FailItem:
                tally.failed += 1
        if newcomers:
            worker = newcomers.pop()
            commands = scheduler.handle(WorkerUp(worker), now)
            commands += scheduler.handle(WorkerReady(worker), now)
        elif scheduler.next_deadline == now:
            commands = scheduler.handle(DeadlinePassed(), now)
        else:
            now, _, sent = heappop(agenda)
            commands = scheduler.handle(outcome(sent, death_rate, dice), now)
    tally.settled = scheduler.settled
    return tally


def outcome(batch: SendBatch, death_rate: float, dice: random.Random) -> Event:
    """Finish the batch, or die inside one of its items."""
    if death_rate and dice.random() < death_rate:
        index = dice.randrange(batch.start, batch.stop)
        return WorkerDown(batch.worker, Moment.RUNNING, index, index + 1)
    seconds = (batch.stop - batch.start) * ITEM_SECONDS
    return BatchFinished(batch.worker, batch.token, batch.stop, seconds)


def speed(title: str, workers: int, items: int, batch: int | None, death_rate: float = 0.0) -> list[str]:
    """Give a row: batches per second of this process's CPU time."""
    begun = time.process_time()
    tally = simulate(workers, items, batch, death_rate)
    took = time.process_time() - begun
    assert tally.settled == items
    return [title, f"{tally.sent:,}", f"{tally.sent / took:,.0f}", f"{tally.failed:,}"]


def peak_memory(items: int) -> list[str]:
    """Give a row: the most memory that the simulation and the scheduler used."""
    tracemalloc.start()
    simulate(WORKERS, items, batch=25)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return [f"{WORKERS:,} workers, {items:,} items by 25", f"{peak / 1e6:.1f} MB"]


def main() -> None:
    rows = [
        speed("10,000 workers, 10 million items by 10", WORKERS, 10_000_000, 10),
        speed("10,000 workers, 1 million items one by one", WORKERS, 1_000_000, 1),
        speed("64 workers, 10 million items, adaptive", 64, 10_000_000, None),
        speed("100 workers, 100,000 items by 10, 1 % of batches kill", 100, 100_000, 10, death_rate=0.01),
        speed("10,000 workers, 100,000 items one by one, 1 % kill", WORKERS, 100_000, 1, death_rate=0.01),
    ]
    print(write_table(("target: 200,000 batches per second", "batches", "per CPU second", "deaths"), rows))
    rows = [peak_memory(count) for count in (1_000_000, 10_000_000)]
    print(write_table(("target: flat", "most memory"), rows))


if __name__ == "__main__":
    main()
