"""Who runs which items next: events in, commands out, nothing else.

The scheduler is a state machine over ids and ranges. It never sees a user's object, never looks at a clock (`now`
is an argument) and never touches the system, so that any history can be replayed, tested and simulated.

The life of an item, as the scheduler sees it::

    unknown -> available -> sent -> settled       (finished or failed: exactly once)
                   ^          |
                   +----------+                   returned: its worker died, refused it, or gave it back

Fresh items are the range from `_cursor` to what is available; returned ones wait in a heap and go first, lowest
index first, because an ordered consumer waits for them. A returned range may be *suspect*: one of its items
ended a worker or could not be read, and nobody knows which, so it runs in smaller and smaller pieces until the
culprit is alone.

A worker may sit in a long item with others waiting behind it. When somebody else has had nothing to do for a moment, or
could be started, these are taken back; of batches whose size was asked for, only those that have not begun.

An item that failed may be tried again: it is returned as a range of its own. One that was lost to a lack of memory
waits until no other item runs, and then no other runs beside it.

Nothing here grows with the number of items: the cost is per batch, and the memory per worker.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from enum import Enum
from heapq import heappop, heappush
from math import inf

from allcores._core.errors import InternalError
from allcores._core.hints import Any, ClassVar, NoReturn
from allcores._core.messages import (
    AbortReason,
    AbortRun,
    BatchAdvanced,
    BatchFinished,
    BatchRefused,
    BatchUnreadable,
    BatchWeighed,
    Command,
    CondemnItems,
    DeadlinePassed,
    EngineLost,
    Event,
    Excuse,
    FailItem,
    InputEnded,
    InputPulled,
    ItemsCancelled,
    ItemsTakenBack,
    KillWorker,
    Moment,
    PullInput,
    ReleaseWorker,
    ResultsTaken,
    RetryItem,
    RoomMeasured,
    RunStarted,
    RunStopped,
    SendBatch,
    StartWorker,
    StretchBegan,
    TakeBackItems,
    WorkerDown,
    WorkerReady,
    WorkerSetupFailed,
    WorkerUp,
    WorkerWorn,
)
from allcores._core.pace import Pace

__all__ = ["Scheduler"]

START_SECONDS = 60.0  # until a new process must have said hello; a forked one may be deadlocked from birth
FAILED_STARTS = 8  # in a row: start no more while there are workers; if there are none, give up
HASTY_STARTS = 3  # that may fail in a row before the next one is put off
PAUSE_SECONDS = 0.05  # before the first start that is put off; each further one is put off twice as long
SETBACKS = 10  # in a row without one finished item, blaming no item: something ends every worker
AHEAD_BATCHES = 4  # per worker: how far a lazy run reads ahead by default
RECALL_STRIDE = 256  # items at most to ask for at once while the journal has them all
SUSPECT_PIECES = 8  # a suspect range runs in about so many pieces
IDLE_SECONDS = 0.002  # that a worker has nothing to do before others are asked for what they have not begun
PATIENCE = 8  # so many times longer is waited if nothing has been settled since: the items may be long on their way
HISTORY = 50  # events kept to explain an illegal one


class _Phase(Enum):
    NEW = "new"
    RUNNING = "running"
    FINISHED = "finished"


_NEW, _RUNNING, _FINISHED = _Phase  # looked up with every event, which takes an enum several times as long


class _Batch:
    __slots__ = ("pace", "start", "stop", "token")

    def __init__(self, token: int, start: int, stop: int, pace: Pace) -> None:
        self.token = token
        self.start = start  # the first item not yet reported
        self.stop = stop
        self.pace = pace

    def __repr__(self) -> str:
        return f"<batch {self.token}: items {self.start} to {self.stop}>"


class _Worker:
    __slots__ = ("allowance", "batches", "failed_starts", "is_hungry", "is_ready", "setbacks")

    def __init__(self, allowance: float, failed_starts: int) -> None:
        self.is_ready = False
        self.is_hungry = False  # whether it stands in the queue of those that may take a batch
        self.batches: list[_Batch] = []  # sent and not yet done, oldest first; two at most
        self.allowance = allowance  # items that it may yet take before it is replaced; -inf once it is worn
        self.failed_starts = failed_starts  # of others in a row, when it was started
        self.setbacks = 0  # in a row, when it was last sent something


class _Trouble:
    """An item that has failed and may yet yield a value."""

    __slots__ = ("tries", "was_starved")

    def __init__(self) -> None:
        self.tries = 0  # that failed
        self.was_starved = False  # that try does not count, and later ones run with no other item beside them


class Scheduler:
    """Decides which worker runs which items, and when a run is over.

    Args:
        workers: how many workers there may be at a time.
        length: how many items the input has; None where nobody knows.
        is_pulled: whether items come to hand only as they are pulled; always so where the length is unknown.
        is_served: whether items arrive as somebody hands them in, so that nothing is pulled, nor held back.
        batch: items per batch; None to measure and adapt.
        ahead: how many items may be sent past those taken; None for a few batches per worker.
        is_lazy: whether somebody takes the results one by one; otherwise a settled item counts as taken.
        stops_at_failure: whether the first failure ends the run.
        retries: how many further tries an item has whose failure is excused.
        recycle: after how many items a worker is replaced; None for never.
    """

    def __init__(
        self,
        *,
        workers: int,
        length: int | None,
        is_pulled: bool = False,
        is_served: bool = False,
        batch: int | None = None,
        ahead: int | None = None,
        is_lazy: bool = False,
        stops_at_failure: bool = True,
        retries: int = 0,
        recycle: int | None = None,
    ) -> None:
        self._limit = workers
        self._length = length
        self._ahead = ahead
        self._is_served = is_served
        self._is_bounded = is_lazy or (length is None and not is_served)
        self._is_lazy = is_lazy
        self._stops_at_failure = stops_at_failure
        self._retries = retries
        self._recycle = inf if recycle is None else recycle
        self._pace = Pace(workers=workers, fixed=batch)
        self._stretches: deque[tuple[int, Pace]] = deque()  # those to come, by their first items

        self._phase = _NEW
        self._is_pulled = is_pulled or (length is None and not is_served)
        self._available = 0 if self._is_pulled else length or 0  # items at hand, sent or not
        self._requested = 0  # items asked for by PullInput
        self._cursor = 0  # the first item never sent
        self._returned: list[tuple[int, int, bool]] = []  # heap of (start, stop, is_suspect)
        self._returned_items = 0  # in the heap, or starved
        self._recalled: deque[tuple[int, int]] = deque()  # settled ranges that the cursor has yet to step over
        self._recalled_items = 0  # in those
        self._recall_stride = 0  # items to pull at least, after pulls that brought nothing to run
        self._troubles: dict[int, _Trouble] = {}
        self._starved: list[int] = []  # heap of items that wait to run with no other beside them
        self._is_exclusive = False  # whether such an item runs, or waits to
        self._settled = 0
        self._taken = 0

        self._workers: dict[int, _Worker] = {}
        # {worker: deadline}, earliest first; a dict would step over all that were deleted to find its first entry.
        self._starting: OrderedDict[int, float] = OrderedDict()
        self._preparing = 0  # workers that are up and not ready
        self._hungry: deque[int] = deque()
        self._room = workers  # how many of them may hold a batch
        self._is_crowded = False  # whether memory is short, so that no batch waits behind another
        self._wants_worker_at: float | None = None
        self._may_start_at = -inf
        self._takes_back_at: float | None = None  # when those who hold waiting items are asked for them
        self._latest_waiting = -1  # the last token of which items may wait behind others
        self._latest_asked = -1  # the last token that was sent when they were asked
        self._settled_when_asked = -1  # how many items were settled then
        self._idle_seconds = IDLE_SECONDS  # until they are asked again
        self._are_all_busy = False  # whether all were seen to have something to do, and none has been done since
        self._next_worker = 0
        self._next_token = 0
        self._peak_workers = 0
        self._deaths = 0
        self._failed_starts = 0
        self._setbacks = 0
        self._history: deque[Event] = deque(maxlen=HISTORY)

    def __repr__(self) -> str:
        total = "?" if self._length is None else self._length
        sent = self._cursor - self._returned_items - (self._settled - self._recalled_items)
        return (
            f"<Scheduler {self._phase.value}: {self._settled} of {total} items settled, {sent} sent, "
            f"{self._returned_items} returned, {len(self._workers)} of {self._limit} workers>"
        )

    @property
    def is_finished(self) -> bool:
        """Whether the run is over; every later event is ignored."""
        return self._phase is _FINISHED

    @property
    def settled(self) -> int:
        """How many items finished or failed."""
        return self._settled

    @property
    def peak_workers(self) -> int:
        """How many workers were up at a time, at most."""
        return self._peak_workers

    @property
    def deaths(self) -> int:
        """How many workers died that were ready to run items."""
        return self._deaths

    @property
    def busy(self) -> int:
        """How many workers hold a batch."""
        return sum(bool(worker.batches) for worker in self._workers.values())

    @property
    def is_saturated(self) -> bool:
        """Whether nothing can be sent, and no worker started, before one of those that there are has news."""
        return not self._hungry and len(self._workers) >= self._room

    def has_free_workers(self, items: float) -> bool:
        """Whether these new items need neither wait for others nor for a worker."""
        return self._phase is _RUNNING and items <= len(self._hungry) and not self._may_have_work()

    @property
    def next_deadline(self) -> float | None:
        """When `DeadlinePassed` is due; None where nothing but an event can matter."""
        start = next(iter(self._starting.values()), inf)
        deadline = start if self._wants_worker_at is None else min(start, self._wants_worker_at)
        if self._takes_back_at is not None and self._takes_back_at < deadline:
            deadline = self._takes_back_at
        return None if deadline == inf else deadline

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in one event and say what to do next.

        Args:
            event: what happened.
            now: seconds on a clock that never goes back.

        Returns:
            Commands, to be carried out in this order.

        Raises:
            InternalError: the event cannot happen in this state.
        """
        if self._phase is _FINISHED:
            return []
        self._history.append(event)
        commands: list[Command] = []
        self._HANDLERS[type(event)](self, event, now, commands)
        # Comparing first keeps the common path short: most events neither end the run nor leave workers hungry.
        if self._phase is _RUNNING:
            if self._settled == self._length:
                self._finish(commands)
            else:
                if self._may_have_work():
                    self._send_batches(commands)
                if self._is_pulled:
                    self._pull_input(commands)
                self._wants_worker_at = None
                if len(self._workers) < self._room:
                    self._recruit(now, commands)
                if self._hungry or self._takes_back_at is not None or len(self._workers) < self._room:
                    self._watch_for_idleness(now)
        return commands

    # ------------------------------------------------------------------------------------------- what happened

    def _on_started(self, event: RunStarted, now: float, commands: list[Command]) -> None:
        if self._phase is not _NEW:
            self._reject(event, "the run has started before")
        self._phase = _RUNNING

    def _on_stopped(self, event: RunStopped, now: float, commands: list[Command]) -> None:
        self._finish(commands)

    def _on_deadline(self, event: DeadlinePassed, now: float, commands: list[Command]) -> None:
        while next(iter(self._starting.values()), inf) <= now:
            worker = next(iter(self._starting))
            commands.append(KillWorker(worker))
            self._drop(WorkerDown(worker, Moment.STARTING), now, commands)
        if self._takes_back_at is not None and self._takes_back_at <= now:
            self._take_back(commands)

    def _on_pulled(self, event: InputPulled, now: float, commands: list[Command]) -> None:
        if not (self._is_pulled or self._is_served) or event.stop < self._available:
            self._reject(event, f"length {self._length}, {self._available} items at hand")
        brought_nothing = event.recalled == ((self._available, event.stop),)
        self._recall_stride = min(2 * self._recall_stride + 1, RECALL_STRIDE) if brought_nothing else 0
        self._available = event.stop
        for start, stop in event.recalled:
            self._recalled.append((start, stop))
            self._recalled_items += stop - start
            self._settled += stop - start
        self._step_over_recalled()

    def _on_stretch(self, event: StretchBegan, now: float, commands: list[Command]) -> None:
        if event.start < self._available:
            self._reject(event, f"{self._available} items at hand")
        self._stretches.append((event.start, Pace(workers=self._limit, fixed=event.batch, depth=event.depth)))
        self._enter_stretch()

    def _on_cancelled(self, event: ItemsCancelled, now: float, commands: list[Command]) -> None:
        for number, worker in self._workers.items():
            if any(batch.start < event.stop and event.start < batch.stop for batch in worker.batches):
                commands.append(CondemnItems(number, event.start, event.stop))

    def _on_ended(self, event: InputEnded, now: float, commands: list[Command]) -> None:
        if self._length is not None or event.length < self._available:
            self._reject(event, f"length {self._length}, {self._available} items at hand")
        self._length = self._available = event.length
        self._is_pulled = False

    def _on_taken(self, event: ResultsTaken, now: float, commands: list[Command]) -> None:
        self._taken = event.count

    def _on_up(self, event: WorkerUp, now: float, commands: list[Command]) -> None:
        if self._starting.pop(event.worker, None) is not None:
            self._preparing += 1
            self._peak_workers = max(self._peak_workers, len(self._workers) - len(self._starting))

    def _on_ready(self, event: WorkerReady, now: float, commands: list[Command]) -> None:
        worker = self._workers.get(event.worker)
        if worker is None:
            return
        if worker.is_ready or event.worker in self._starting:
            self._reject(event, "it is not preparing")
        self._preparing -= 1
        self._failed_starts = 0
        worker.is_ready = True
        self._go_on(event.worker, worker, commands)

    def _on_setup_failed(self, event: WorkerSetupFailed, now: float, commands: list[Command]) -> None:
        if event.worker in self._workers:
            self._abort(AbortReason.SETUP_FAILED, commands)

    def _on_down(self, event: WorkerDown, now: float, commands: list[Command]) -> None:
        self._drop(event, now, commands)

    def _on_worn(self, event: WorkerWorn, now: float, commands: list[Command]) -> None:
        worker = self._workers.get(event.worker)
        if worker is not None:
            worker.allowance = -inf
            self._stand_down(event.worker, worker)
            if worker.is_ready:
                self._go_on(event.worker, worker, commands)

    def _on_room(self, event: RoomMeasured, now: float, commands: list[Command]) -> None:
        self._is_crowded = event.workers is not None
        self._room = self._limit if event.workers is None else min(event.workers, self._limit)

    def _on_batch_weighed(self, event: BatchWeighed, now: float, commands: list[Command]) -> None:
        worker = self._workers.get(event.worker)
        for batch in () if worker is None else worker.batches:
            if batch.token == event.token:
                batch.pace.weigh(event.items, event.size)

    def _on_batch_advanced(self, event: BatchAdvanced, now: float, commands: list[Command]) -> None:
        worker = self._workers.get(event.worker)
        if worker is not None:
            self._settle_part(self._find_batch(worker, event, event.stop), event, commands)

    def _on_batch_finished(self, event: BatchFinished, now: float, commands: list[Command]) -> None:
        worker = self._workers.get(event.worker)
        if worker is None:
            return
        batch = self._find_batch(worker, event, event.stop)
        worker.batches.remove(batch)
        self._settle_part(batch, event, commands)
        if batch.start < batch.stop:
            self._give_back(worker, batch)
        self._go_on(event.worker, worker, commands)

    def _on_taken_back(self, event: ItemsTakenBack, now: float, commands: list[Command]) -> None:
        worker = self._workers.get(event.worker)
        if worker is None:
            return
        running = self._find_batch(worker, event, event.stop)
        self._stand_down(event.worker, worker)  # or all that is given back could be sent to it again
        self._give_back(worker, _Batch(event.token, event.stop, running.stop, running.pace))
        running.stop = event.stop
        for batch in [batch for batch in worker.batches if event.token < batch.token <= event.last]:
            worker.batches.remove(batch)
            self._give_back(worker, batch)

    def _on_batch_refused(self, event: BatchRefused, now: float, commands: list[Command]) -> None:
        worker = self._workers.get(event.worker)
        if worker is None:
            return
        batch = self._find_batch(worker, event)
        worker.batches.remove(batch)
        self._give_back(worker, batch)
        self._go_on(event.worker, worker, commands)
        self._count_setback(worker, commands)

    def _on_batch_unreadable(self, event: BatchUnreadable, now: float, commands: list[Command]) -> None:
        worker = self._workers.get(event.worker)
        if worker is None:
            return
        batch = self._find_batch(worker, event, event.stop)
        start, batch.start = batch.start, event.stop
        if event.is_last:
            worker.batches.remove(batch)
            self._give_back(worker, batch)
            self._go_on(event.worker, worker, commands)
        self._suspect(start, event.stop, event.excuse, commands)

    def _on_engine_lost(self, event: EngineLost, now: float, commands: list[Command]) -> None:
        self._abort(AbortReason.ENGINE_LOST, commands)

    _HANDLERS: ClassVar[dict[type, Callable[[Scheduler, Any, float, list[Command]], None]]] = {
        RunStarted: _on_started,
        RunStopped: _on_stopped,
        DeadlinePassed: _on_deadline,
        InputPulled: _on_pulled,
        StretchBegan: _on_stretch,
        ItemsCancelled: _on_cancelled,
        InputEnded: _on_ended,
        ResultsTaken: _on_taken,
        WorkerUp: _on_up,
        WorkerReady: _on_ready,
        WorkerSetupFailed: _on_setup_failed,
        WorkerDown: _on_down,
        WorkerWorn: _on_worn,
        RoomMeasured: _on_room,
        BatchWeighed: _on_batch_weighed,
        BatchAdvanced: _on_batch_advanced,
        BatchFinished: _on_batch_finished,
        ItemsTakenBack: _on_taken_back,
        BatchRefused: _on_batch_refused,
        BatchUnreadable: _on_batch_unreadable,
        EngineLost: _on_engine_lost,
    }

    # ---------------------------------------------------------------------------------------- what items become

    def _find_batch(self, worker: _Worker, event: Any, stop: int | None = None) -> _Batch:
        for batch in worker.batches:
            if batch.token == event.token and (stop is None or batch.start <= stop <= batch.stop):
                return batch
        return self._reject(event, f"the worker holds {worker.batches}")

    def _settle_part(self, batch: _Batch, event: BatchAdvanced | BatchFinished, commands: list[Command]) -> None:
        count = event.stop - batch.start
        if count:
            batch.pace.observe(count, event.seconds)
            self._setbacks = 0
            self._settled += count
            batch.start = event.stop
        if event.failed:
            self._settle_failed(event, commands)
        elif count and self._troubles:
            self._troubles.pop(event.stop - 1, None)  # one that is tried again is a batch of its own

    def _settle_failed(self, event: BatchAdvanced | BatchFinished, commands: list[Command]) -> None:
        excuses = dict(event.excuses)
        retried = sum(self._is_tried_again(index, excuses.get(index, Excuse.NONE), commands) for index in event.failed)
        self._settled -= retried
        if retried < len(event.failed) and self._stops_at_failure:
            self._finish(commands)

    def _fail(self, index: int, excuse: Excuse, commands: list[Command]) -> None:
        self._setbacks = 0
        if self._is_tried_again(index, excuse, commands):
            return
        commands.append(FailItem(index))
        self._settled += 1
        if self._stops_at_failure:
            self._finish(commands)

    def _is_tried_again(self, index: int, excuse: Excuse, commands: list[Command]) -> bool:
        trouble = self._troubles.pop(index, None) or _Trouble()
        trouble.tries += 1
        if excuse is Excuse.STARVED and not trouble.was_starved:
            trouble.was_starved = True
        elif excuse is Excuse.NONE or trouble.tries - trouble.was_starved > self._retries:
            return False
        self._troubles[index] = trouble
        self._return(index, index + 1)
        commands.append(RetryItem(index))
        return True

    def _return(self, start: int, stop: int, *, is_suspect: bool = False) -> None:
        if start < stop:
            self._returned_items += stop - start
            if start in self._troubles and self._troubles[start].was_starved:
                heappush(self._starved, start)
                self._is_exclusive = True
            else:
                heappush(self._returned, (start, stop, is_suspect))

    def _suspect(self, start: int, stop: int, excuse: Excuse, commands: list[Command]) -> None:
        if stop - start == 1:
            self._fail(start, excuse, commands)
        else:
            self._return(start, stop, is_suspect=True)

    # -------------------------------------------------------------------------------------------- what workers do

    def _give_back(self, worker: _Worker, batch: _Batch) -> None:
        """Return what the worker did not run."""
        worker.allowance += batch.stop - batch.start
        self._return(batch.start, batch.stop)

    def _go_on(self, number: int, worker: _Worker, commands: list[Command]) -> None:
        """Let the worker take another batch; one that has done its share is replaced instead, once it is idle."""
        self._are_all_busy = False
        if worker.allowance <= 0:
            if not worker.batches and self._phase is _RUNNING:
                commands.append(KillWorker(number))
                self._forget(number)
        elif not worker.is_hungry:
            worker.is_hungry = True
            self._hungry.append(number)

    def _stand_down(self, number: int, worker: _Worker) -> None:
        """Have the worker take nothing until it has done something."""
        if worker.is_hungry:
            worker.is_hungry = False
            self._hungry.remove(number)

    def _forget(self, number: int) -> _Worker | None:
        worker = self._workers.pop(number, None)
        if worker is not None:
            self._stand_down(number, worker)
        return worker

    def _drop(self, event: WorkerDown, now: float, commands: list[Command]) -> None:
        worker = self._forget(event.worker)
        if worker is None:
            return
        if not worker.is_ready:
            if self._starting.pop(event.worker, None) is None:
                self._preparing -= 1
            self._count_failed_start(worker, now, commands)
            return
        self._deaths += 1
        if not self._blame(worker, event, commands):
            self._count_setback(worker, commands)
        for batch in worker.batches:
            self._return(batch.start, batch.stop)

    def _count_failed_start(self, worker: _Worker, now: float, commands: list[Command]) -> None:
        # However many fail together of one cause, it is one failure; what had failed before a success does not count.
        self._failed_starts = max(self._failed_starts, min(self._failed_starts, worker.failed_starts) + 1)
        if self._failed_starts >= FAILED_STARTS and not self._workers:
            self._abort(AbortReason.NO_WORKERS, commands)
        elif self._failed_starts >= HASTY_STARTS:  # what ends them may pass
            self._may_start_at = now + PAUSE_SECONDS * 2 ** (self._failed_starts - HASTY_STARTS)

    def _blame(self, worker: _Worker, event: WorkerDown, commands: list[Command]) -> bool:
        """Take the suspects of a death out of what the worker held; say whether there are any."""
        for batch in worker.batches:
            if event.moment is Moment.RUNNING:
                start, stop = max(event.start, batch.start), min(event.stop, batch.stop)
            elif event.moment in (Moment.MOVING, Moment.UNKNOWN):
                start, stop = batch.start, batch.stop
            else:
                return False
            if start < stop:
                self._return(batch.start, start)
                batch.start = stop
                self._suspect(start, stop, event.excuse, commands)
                return True
        return False

    def _count_setback(self, worker: _Worker, commands: list[Command]) -> None:
        # However many workers end together of one cause, it is one setback.
        self._setbacks = max(self._setbacks, min(self._setbacks, worker.setbacks) + 1)
        if self._setbacks >= SETBACKS:
            self._abort(AbortReason.NO_WORKERS, commands)

    # ---------------------------------------------------------------------------------------------- what comes next

    def _send_batches(self, commands: list[Command]) -> None:
        if self._is_exclusive:
            self._send_starved(commands)
            if self._is_exclusive:
                return
        hungry = self._hungry
        while hungry:
            size, pace = self._next_size(), self._pace
            depth = 1 if self._is_crowded else pace.queue_depth(size)
            number = hungry[0]
            worker = self._workers[number]
            if len(worker.batches) < depth:
                if self._is_crowded and not worker.batches and self.busy >= self._room:
                    return
                taken = self._take_range(size, worker.allowance)
                if taken is None:
                    return
                self._send(number, worker, taken, pace, commands)
            hungry.popleft()
            worker.is_hungry = len(worker.batches) < depth and worker.allowance > 0
            if worker.is_hungry:
                hungry.append(number)  # behind the others: all get a first batch before anyone gets a second

    def _send_starved(self, commands: list[Command]) -> None:
        """Send an item that was lost to a lack of memory, once nobody is busy; until its end nothing else is sent."""
        if any(worker.batches for worker in self._workers.values()):
            return
        self._is_exclusive = bool(self._starved)
        if self._starved and self._hungry:
            number, index = self._hungry.popleft(), heappop(self._starved)
            worker = self._workers[number]
            worker.is_hungry = False
            self._returned_items -= 1
            self._send(number, worker, (index, index + 1), self._pace, commands)

    def _send(self, number: int, worker: _Worker, items: tuple[int, int], pace: Pace, commands: list[Command]) -> None:
        start, stop = items
        token = self._next_token
        self._next_token = token + 1
        adapts = pace.adapts
        if worker.batches or (adapts and stop - start > 1):
            self._latest_waiting = token
        worker.batches.append(_Batch(token, start, stop, pace))
        worker.allowance -= stop - start
        worker.setbacks = self._setbacks
        tries = 1 + self._troubles[start].tries if start in self._troubles else 1
        commands.append(SendBatch(number, token, start, stop, adapts, tries))

    def _next_size(self) -> int:
        stop = self._stretch_stop() if self._is_served else self._length
        remaining = None if stop is None else stop - self._cursor + self._returned_items
        size = self._pace.batch_size(remaining)
        if self._ahead is not None and self._is_bounded and self._pace.adapts:
            size = max(1, min(size, self._ahead // (2 * self._limit)))
        return size

    def _take_range(self, size: int, allowance: float) -> tuple[int, int] | None:
        count = size if size <= allowance else int(allowance)
        if self._returned:
            start, stop, is_suspect = heappop(self._returned)
            end = start + (
                max(1, min(count, (stop - start) // SUSPECT_PIECES)) if is_suspect else min(count, stop - start)
            )
            self._returned_items -= stop - start
            self._return(end, stop, is_suspect=is_suspect)
            return start, end
        start = self._cursor
        end = min(start + count, self._sendable_stop(size) if self._is_bounded else self._available)
        if end <= start:
            return None
        if self._recalled:
            end = min(end, self._recalled[0][0])
        if self._stretches:
            end = min(end, self._stretches[0][0])
        self._cursor = end
        if self._recalled:
            self._step_over_recalled()
        if self._stretches:
            self._enter_stretch()
        return start, end

    def _stretch_stop(self) -> int:
        return self._stretches[0][0] if self._stretches else self._available

    def _enter_stretch(self) -> None:
        while self._stretches and self._stretches[0][0] <= self._cursor:
            _, self._pace = self._stretches.popleft()

    def _step_over_recalled(self) -> None:
        while self._recalled and self._recalled[0][0] == self._cursor:
            start, self._cursor = self._recalled.popleft()
            self._recalled_items -= self._cursor - start

    def _may_have_work(self) -> bool:
        """Take a quick look whether something could be sent: between two calls of a pool, say, there is nothing."""
        return bool(self._returned_items) or self._is_bounded or self._cursor < self._available

    def _sendable_stop(self, size: int) -> int:
        return min(self._available, self._ahead_stop(size)) if self._is_bounded else self._available

    def _ahead_stop(self, size: int) -> int:
        taken = self._taken if self._is_lazy else self._settled
        return taken + (AHEAD_BATCHES * self._limit * size if self._ahead is None else self._ahead)

    # ------------------------------------------------------------------------------------------- what is taken back

    def _watch_for_idleness(self, now: float) -> None:
        """See whether somebody has nothing to do, and will have nothing, while others may have too much."""
        may_wait_in_vain = self._latest_waiting > self._latest_asked and not self._has_more()
        is_idle = self._hungry and not self._are_all_busy
        if not (may_wait_in_vain and (is_idle or self._may_recruit())):
            self._takes_back_at = None
        elif self._takes_back_at is None:
            is_vain = self._settled == self._settled_when_asked  # to ask has changed nothing yet
            self._idle_seconds = self._idle_seconds * PATIENCE if is_vain else IDLE_SECONDS
            self._takes_back_at = now + self._idle_seconds

    def _has_more(self) -> bool:
        return bool(self._returned_items) or self._is_pulled or self._cursor < self._available

    def _take_back(self, commands: list[Command]) -> None:
        """Ask everybody once for what they have not begun; what is sent to them later they may be asked for again."""
        self._takes_back_at = None
        if all(self._workers[number].batches for number in self._hungry) and not self._may_recruit():
            self._are_all_busy = True
            return
        for number, worker in self._workers.items():
            if self._holds_waiting(worker):
                commands.append(TakeBackItems(number))
        self._latest_asked = self._next_token - 1
        self._settled_when_asked = self._settled

    def _holds_waiting(self, worker: _Worker) -> bool:
        """Whether it was sent items since it was asked last that wait behind another, and that may be given back."""
        batches = worker.batches
        return (
            bool(batches)
            and batches[-1].token > self._latest_asked
            and (len(batches) > 1 or (batches[0].pace.adapts and batches[0].stop - batches[0].start > 1))
        )

    def _pull_input(self, commands: list[Command]) -> None:
        stop = self._next_pull()
        if stop is not None:
            self._requested = stop
            commands.append(PullInput(stop))

    def _next_pull(self) -> int | None:
        """Say how far to pull next: one batch while there are workers, present or to come, with nothing to run."""
        if not self._is_pulled or self._available == self._length or self._requested > self._available:
            return None
        size = max(self._next_size(), 0 if self._is_lazy else self._recall_stride)
        takers = self._coming_workers() + (len(self._workers) < self._limit)
        if self._available - self._cursor >= takers * size:
            return None
        stop = self._available + size
        if self._is_bounded:
            stop = min(stop, self._ahead_stop(size))
        if self._length is not None:
            stop = min(stop, self._length)
        return stop if stop > self._available else None

    def _coming_workers(self) -> int:
        """Count the workers that can take a batch now, or will when they are ready."""
        return len(self._hungry) + len(self._starting) + self._preparing

    def _recruit(self, now: float, commands: list[Command]) -> None:
        """Start one worker if there is work for it, and ask to be called again at once while there is more.

        One at a time, so that the first ones get their first batches while later ones are still being started.
        """
        if not self._needs_worker():
            return
        if now < self._may_start_at:
            self._wants_worker_at = self._may_start_at
            return
        commands.append(StartWorker(self._next_worker))
        self._workers[self._next_worker] = _Worker(allowance=self._recycle, failed_starts=self._failed_starts)
        self._starting[self._next_worker] = now + START_SECONDS
        self._next_worker += 1
        if self._needs_worker() or self._next_pull() is not None:
            self._wants_worker_at = now

    def _may_recruit(self) -> bool:
        """Whether there may be one more; after too many failures, those there are must do."""
        return len(self._workers) < self._room and (self._failed_starts < FAILED_STARTS or not self._workers)

    def _needs_worker(self) -> bool:
        if not (self._may_recruit() and self._may_have_work()):
            return False
        size = self._next_size()
        fresh = self._sendable_stop(size) - self._cursor
        if fresh > 0:  # the first of them is not recalled
            fresh = max(1, fresh - self._recalled_items)
        return self._returned_items + max(0, fresh) > self._coming_workers() * size

    # ------------------------------------------------------------------------------------------------- how it ends

    def _finish(self, commands: list[Command]) -> None:
        if self._phase is _FINISHED:
            return
        self._phase = _FINISHED
        for number, worker in self._workers.items():
            is_idle = worker.is_ready and not worker.batches
            commands.append(ReleaseWorker(number) if is_idle else KillWorker(number))
        self._workers.clear()
        self._starting.clear()
        self._hungry.clear()
        self._wants_worker_at = None

    def _abort(self, reason: AbortReason, commands: list[Command]) -> None:
        if self._phase is not _FINISHED:
            commands.append(AbortRun(reason))
            self._finish(commands)

    def _reject(self, event: Event, why: str) -> NoReturn:
        history = "\n".join(f"  {past}" for past in self._history)
        raise InternalError(f"{event} cannot happen: {why}; {self!r}; the latest events, oldest first:\n{history}")
