"""Which workers there are, which of them take the next batch, and when there may be more.

A worker is *starting* until it says hello, then *preparing* until it is ready; then it takes batches in its turn, and
stands in the queue of the *hungry* while it may. It is replaced when it has taken as many items as it may.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from math import inf

from allcores._core.scheduler.streak import Streak
from allcores._core.scheduler.worker import Worker

__all__ = ["Roster"]

START_SECONDS = 60.0  # until a new process must have said hello; a forked one may be deadlocked from birth
FAILED_STARTS = 8  # in a row: start no more while there are workers; if there are none, give up
HASTY_STARTS = 3  # that may fail in a row before the next one is put off
PAUSE_SECONDS = 0.05  # before the first start that is put off; each further one is put off twice as long


class Roster:
    """The workers of a run.

    Args:
        limit: how many there may be at a time.
        recycle: after how many items one is replaced; None for never.

    Attributes:
        limit: as above.
        workers: ``{number: worker}`` of those started and not known to be gone.
        hungry: those that may take a batch, in the order in which they do.
        room: how many may hold a batch.
        is_crowded: whether memory is short, so that no batch waits behind another.
        failed_starts: in a row.
        setbacks: ends and refusals that blame no item, in a row without one settled item.
        start_due: when somebody is to be started who is needed and was put off; infinite where nobody was.
        peak: how many were up at a time, at most.
        deaths: how many died that were ready.
    """

    __slots__ = (
        "_allowance",
        "_are_all_busy",
        "_may_start_at",
        "_next_number",
        "_preparing",
        "_starting",
        "deaths",
        "failed_starts",
        "hungry",
        "is_crowded",
        "limit",
        "peak",
        "room",
        "setbacks",
        "start_due",
        "workers",
    )

    def __init__(self, limit: int, *, recycle: int | None = None) -> None:
        self.limit = limit
        self.workers: dict[int, Worker] = {}
        self.hungry: deque[Worker] = deque()
        self.room = limit
        self.is_crowded = False
        self.failed_starts = Streak()
        self.setbacks = Streak()
        self.start_due = inf
        self.peak = 0
        self.deaths = 0
        self._allowance = inf if recycle is None else recycle
        # {number: deadline}, earliest first; a dict would step over all that were deleted to find its first entry.
        self._starting: OrderedDict[int, float] = OrderedDict()
        self._preparing = 0  # workers that are up and not ready
        self._are_all_busy = False  # whether all were seen to have something to do, and none has been done since
        self._may_start_at = -inf
        self._next_number = 0

    def __repr__(self) -> str:
        return f"<Roster: {len(self.workers)} of {self.limit} workers, {len(self.hungry)} hungry>"

    @property
    def busy(self) -> int:
        """How many workers hold a batch."""
        return sum(bool(worker.batches) for worker in self.workers.values())

    @property
    def coming(self) -> int:
        """How many workers can take a batch now, or will when they are ready."""
        return len(self.hungry) + len(self._starting) + self._preparing

    @property
    def is_lost(self) -> bool:
        """Whether there is nobody, and no hope for anybody."""
        return self.failed_starts.length >= FAILED_STARTS and not self.workers

    @property
    def due(self) -> float:
        """When somebody must be started, or must have come up; infinite where nobody must."""
        if not self._starting:
            return self.start_due
        return min(next(iter(self._starting.values())), self.start_due)

    # ------------------------------------------------------------------------------------------- from birth to death

    def may_start(self) -> bool:
        """Whether there may be one more; after too many failures, those there are must do."""
        return len(self.workers) < self.room and (self.failed_starts.length < FAILED_STARTS or not self.workers)

    def start(self, now: float) -> Worker | None:
        """Add a worker that is started now; None where that is put off, as too many failed of late."""
        if now < self._may_start_at:
            self.start_due = self._may_start_at
            return None
        number = self._next_number
        self._next_number = number + 1
        worker = Worker(number, allowance=self._allowance, failed_starts=self.failed_starts.length)
        self.workers[number] = worker
        self._starting[number] = now + START_SECONDS
        return worker

    def find_overdue(self, now: float) -> int | None:
        """Give the number of a worker that should have come up by now."""
        number, deadline = next(iter(self._starting.items()), (None, inf))
        return number if deadline <= now else None

    def come_up(self, number: int) -> None:
        """Take in that the worker said hello."""
        if self._starting.pop(number, None) is not None:
            self._preparing += 1
            self.peak = max(self.peak, len(self.workers) - len(self._starting))

    def is_preparing(self, worker: Worker) -> bool:
        """Whether it has come up and is not ready."""
        return not worker.is_ready and worker.number not in self._starting

    def make_ready(self, worker: Worker) -> None:
        """Take in that the worker, which was preparing, can run items."""
        self._preparing -= 1
        self.failed_starts.end()
        worker.is_ready = True

    def lose(self, number: int, now: float) -> Worker | None:
        """Strike off a worker that is down, if it was not before: a failed start, or a death."""
        worker = self.workers.get(number)
        if worker is not None:
            self.dismiss(worker)
            if worker.is_ready:
                self.deaths += 1
            else:
                self._count_failed_start(worker, now)
        return worker

    def dismiss(self, worker: Worker) -> None:
        """Strike off a worker."""
        del self.workers[worker.number]
        if not worker.is_ready and self._starting.pop(worker.number, None) is None:
            self._preparing -= 1
        self.stand_down(worker)

    def clear(self) -> None:
        """Strike off all."""
        self.workers.clear()
        self.hungry.clear()
        self._starting.clear()
        self.start_due = inf

    def _count_failed_start(self, worker: Worker, now: float) -> None:
        self.failed_starts.count(worker.failed_starts)
        hasty = self.failed_starts.length - HASTY_STARTS
        if hasty >= 0:  # what ends them may pass
            self._may_start_at = now + PAUSE_SECONDS * 2**hasty

    # ------------------------------------------------------------------------------------------- whose turn it is

    def line_up(self, worker: Worker) -> bool:
        """Let the worker take another batch in its turn; say whether it may take any."""
        self._are_all_busy = False
        if worker.allowance <= 0:
            return False
        if not worker.is_hungry:
            worker.is_hungry = True
            self.hungry.append(worker)
        return True

    def ask(self, worker: Worker) -> None:
        """Have the worker take nothing before all is told of what it is asked for: what comes back goes first."""
        if worker.batches:
            worker.asked_until = worker.batches[-1].token
            self.stand_down(worker)

    def pass_turn(self) -> None:
        """Have the first in the queue go behind the others: all get a first batch before any gets a second."""
        self.hungry.rotate(-1)

    def end_turn(self) -> None:
        """Have the first in the queue leave it."""
        self.hungry.popleft().is_hungry = False

    def stand_down(self, worker: Worker) -> None:
        """Have the worker take nothing until it has done something."""
        if worker.is_hungry:
            worker.is_hungry = False
            self.hungry.remove(worker)

    def widen(self, limit: int) -> None:
        """Take in that there may be more workers at a time."""
        self.limit = limit
        if not self.is_crowded:
            self.room = limit

    def measure(self, room: int | None) -> None:
        """Take in how many may hold a batch, memory being short; None where it is not."""
        self.is_crowded = room is not None
        self.room = self.limit if room is None else min(room, self.limit)

    def may_have_idle(self) -> bool:
        """Take a quick look whether somebody who may take a batch could have nothing to do."""
        return bool(self.hungry) and not self._are_all_busy

    def has_idle(self) -> bool:
        """Whether somebody who may take a batch has nothing to do."""
        self._are_all_busy = all(worker.batches for worker in self.hungry)
        return not self._are_all_busy
