"""The door: what an event means, one step at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
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
    InputEnded,
    InputPulled,
    ItemsCancelled,
    ItemsTakenBack,
    ItemsWithdrawn,
    KillWorker,
    Moment,
    ReleaseWorker,
    ResultsTaken,
    RoomMeasured,
    RunStarted,
    RunStopped,
    StretchBegan,
    TakeBackItems,
    WorkerDown,
    WorkerReady,
    WorkerSetupFailed,
    WorkersOffered,
    WorkerUp,
    WorkerWorn,
)
from allcores._core.scheduler.backlog import Backlog
from allcores._core.scheduler.credit import Credit
from allcores._core.scheduler.dispatcher import Dispatcher
from allcores._core.scheduler.horizon import Horizon
from allcores._core.scheduler.idleness import Idleness
from allcores._core.scheduler.ledger import Ledger
from allcores._core.scheduler.pace import BATCHES_IN_HAND, BOUNDED_IN_HAND, Pace
from allcores._core.scheduler.roster import Roster
from allcores._core.scheduler.tries import Tries
from allcores._core.scheduler.worker import Batch, Worker

__all__ = ["Scheduler"]

SETBACKS = 10  # in a row without one finished item, blaming no item: something ends every worker
HISTORY = 50  # events kept to explain an illegal one


class _Phase(Enum):
    NEW = "new"
    RUNNING = "running"
    FINISHED = "finished"


_NEW, _RUNNING, _FINISHED = _Phase  # looked up with every event, which takes an enum several times as long


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
        round_trip: seconds that a message and its answer take, as far as that is known before; it is measured.
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
        round_trip: float = 0.0,
    ) -> None:
        self._phase = _NEW
        self._history: deque[Event] = deque(maxlen=HISTORY)
        is_pulled = is_pulled or (length is None and not is_served)
        self._credit = credit = Credit(round_trip)
        is_bounded = is_lazy or (length is None and not is_served)
        in_hand = BOUNDED_IN_HAND if is_bounded else BATCHES_IN_HAND
        pace = Pace(workers=workers, fixed=batch, is_awaited=is_lazy, credit=credit, in_hand=in_hand)
        self._backlog = backlog = Backlog(0 if is_pulled else length or 0, pace)
        self._horizon = horizon = Horizon(
            backlog, workers, length=length, is_pulled=is_pulled, is_served=is_served, ahead=ahead, is_lazy=is_lazy
        )
        self._roster = roster = Roster(workers, recycle=recycle)
        self._idleness = Idleness(roster, horizon)
        tries = Tries(retries)
        self._ledger = Ledger(backlog, horizon, tries, roster.setbacks, stops_at_failure=stops_at_failure)
        self._dispatcher = Dispatcher(backlog, horizon, tries, roster, self._idleness)

    def __repr__(self) -> str:
        backlog, horizon, roster = self._backlog, self._horizon, self._roster
        total = "?" if horizon.length is None else horizon.length
        sent = backlog.cursor - backlog.returned - (horizon.settled - backlog.recalled)
        return (
            f"<Scheduler {self._phase.value}: {horizon.settled} of {total} items settled, {sent} sent, "
            f"{backlog.returned} returned, {len(roster.workers)} of {roster.limit} workers>"
        )

    @property
    def is_finished(self) -> bool:
        """Whether the run is over; every later event is ignored."""
        return self._phase is _FINISHED

    @property
    def settled(self) -> int:
        """How many items finished or failed."""
        return self._horizon.settled

    @property
    def peak_workers(self) -> int:
        """How many workers were up at a time, at most."""
        return self._roster.peak

    @property
    def deaths(self) -> int:
        """How many workers died that were ready to run items."""
        return self._roster.deaths

    @property
    def busy(self) -> int:
        """How many workers hold a batch."""
        return self._roster.busy

    @property
    def is_saturated(self) -> bool:
        """Whether nothing can be sent, and no worker started, before one of those that there are has news."""
        roster = self._roster
        return not roster.hungry and len(roster.workers) >= roster.room

    def has_free_workers(self, items: float) -> bool:
        """Whether these new items need neither wait for others nor for a worker."""
        return self._phase is _RUNNING and items <= len(self._roster.hungry) and not self._horizon.may_have_work()

    @property
    def next_deadline(self) -> float | None:
        """When `DeadlinePassed` is due; None where nothing but an event can matter."""
        deadline = min(self._roster.due, self._idleness.due)
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
        if self._phase is _RUNNING:
            if self._horizon.settled == self._horizon.length:
                self._finish(commands)
            else:
                self._dispatcher.go_on(now, commands)
        return commands

    # ------------------------------------------------------------------------------------------- what happened

    def _on_started(self, event: RunStarted, now: float, commands: list[Command]) -> None:
        if self._phase is not _NEW:
            self._reject(event, "the run has started before")
        self._phase = _RUNNING

    def _on_stopped(self, event: RunStopped, now: float, commands: list[Command]) -> None:
        self._finish(commands)

    def _on_deadline(self, event: DeadlinePassed, now: float, commands: list[Command]) -> None:
        while (number := self._roster.find_overdue(now)) is not None:
            commands.append(KillWorker(number))
            self._on_down(WorkerDown(number, Moment.STARTING), now, commands)
        if self._idleness.due <= now:
            self._take_back(self._idleness.ask(now), commands)

    def _on_pulled(self, event: InputPulled, now: float, commands: list[Command]) -> None:
        horizon = self._horizon
        if not (horizon.is_pulled or horizon.is_served) or event.stop < self._backlog.available:
            self._reject(event, f"{horizon!r}, {self._backlog!r}")
        horizon.bring(event.stop, event.recalled)

    def _on_stretch(self, event: StretchBegan, now: float, commands: list[Command]) -> None:
        if event.start < self._backlog.available:
            self._reject(event, repr(self._backlog))
        workers, (start, batch, depth, is_awaited, is_same_kind) = self._roster.limit, event
        if is_same_kind:
            pace = self._backlog.latest_pace
        else:
            pace = Pace(workers=workers, fixed=batch, depth=depth, is_awaited=is_awaited, credit=self._credit)
        self._backlog.begin_stretch(start, pace)

    def _on_cancelled(self, event: ItemsCancelled, now: float, commands: list[Command]) -> None:
        for worker in self._roster.workers.values():
            if worker.holds_any(event.start, event.stop):
                self._roster.ask(worker)
                commands.append(CondemnItems(worker.number, event.start, event.stop))

    def _on_withdrawn(self, event: ItemsWithdrawn, now: float, commands: list[Command]) -> None:
        self._take_back([worker for worker in self._roster.workers.values() if worker.holds_waiting()], commands)

    def _on_ended(self, event: InputEnded, now: float, commands: list[Command]) -> None:
        if self._horizon.length is not None or event.length < self._backlog.available:
            self._reject(event, f"{self._horizon!r}, {self._backlog!r}")
        self._horizon.end(event.length)

    def _on_taken(self, event: ResultsTaken, now: float, commands: list[Command]) -> None:
        self._horizon.taken = event.count

    def _on_up(self, event: WorkerUp, now: float, commands: list[Command]) -> None:
        self._roster.come_up(event.worker)

    def _on_ready(self, event: WorkerReady, now: float, commands: list[Command]) -> None:
        worker = self._roster.workers.get(event.worker)
        if worker is None:
            return
        if not self._roster.is_preparing(worker):
            self._reject(event, "it is not preparing")
        self._roster.make_ready(worker)
        self._go_on(worker, commands)

    def _on_setup_failed(self, event: WorkerSetupFailed, now: float, commands: list[Command]) -> None:
        if event.worker in self._roster.workers:
            self._abort(AbortReason.SETUP_FAILED, commands)

    def _on_down(self, event: WorkerDown, now: float, commands: list[Command]) -> None:
        worker = self._roster.lose(event.worker, now)
        if worker is None:
            return
        if not worker.is_ready:
            if self._roster.is_lost:
                self._abort(AbortReason.NO_WORKERS, commands)
            return
        suspects = worker.find_suspects(event.moment, event.start, event.stop)
        if suspects is None:
            self._count_setback(worker, commands)
        else:
            batch, start, stop = suspects
            self._ledger.put_back(batch.start, start)
            batch.start = stop
            self._suspect(start, stop, event.excuse, commands)
        for batch in worker.batches:
            self._ledger.put_back(batch.start, batch.stop)

    def _on_worn(self, event: WorkerWorn, now: float, commands: list[Command]) -> None:
        worker = self._roster.workers.get(event.worker)
        if worker is not None:
            worker.allowance = -inf
            self._roster.stand_down(worker)
            if worker.is_ready:
                self._go_on(worker, commands)

    def _on_offered(self, event: WorkersOffered, now: float, commands: list[Command]) -> None:
        self._roster.widen(event.workers)
        self._horizon.widen(event.workers)
        self._backlog.widen(event.workers)

    def _on_room(self, event: RoomMeasured, now: float, commands: list[Command]) -> None:
        self._roster.measure(event.workers)

    def _on_batch_weighed(self, event: BatchWeighed, now: float, commands: list[Command]) -> None:
        worker = self._roster.workers.get(event.worker)
        for batch in () if worker is None else worker.batches:
            if batch.token == event.token:
                batch.pace.weigh(event.items, event.size)

    def _on_batch_advanced(self, event: BatchAdvanced, now: float, commands: list[Command]) -> None:
        worker = self._roster.workers.get(event.worker)
        if worker is not None:
            self._settle(self._find_batch(worker, event, event.stop), event, now, commands)

    def _on_batch_finished(self, event: BatchFinished, now: float, commands: list[Command]) -> None:
        worker = self._roster.workers.get(event.worker)
        if worker is None:
            return
        batch = self._find_batch(worker, event, event.stop)
        worker.batches.remove(batch)
        self._settle(batch, event, now, commands)
        if batch.start < batch.stop:
            self._ledger.give_back(worker, batch)
        self._go_on(worker, commands)

    def _on_taken_back(self, event: ItemsTakenBack, now: float, commands: list[Command]) -> None:
        worker = self._roster.workers.get(event.worker)
        if worker is None:
            return
        running = self._find_batch(worker, event, event.stop)
        self._roster.stand_down(worker)  # or all that is given back could be sent to it again
        self._ledger.give_back(worker, Batch(event.token, event.stop, running.stop, running.pace, running.sent))
        running.stop = event.stop
        for batch in [batch for batch in worker.batches if event.token < batch.token <= event.last]:
            worker.batches.remove(batch)
            self._ledger.give_back(worker, batch)

    def _on_batch_refused(self, event: BatchRefused, now: float, commands: list[Command]) -> None:
        worker = self._roster.workers.get(event.worker)
        if worker is None:
            return
        batch = self._find_batch(worker, event)
        worker.batches.remove(batch)
        self._ledger.give_back(worker, batch)
        self._go_on(worker, commands)
        self._count_setback(worker, commands)

    def _on_batch_unreadable(self, event: BatchUnreadable, now: float, commands: list[Command]) -> None:
        worker = self._roster.workers.get(event.worker)
        if worker is None:
            return
        batch = self._find_batch(worker, event, event.stop)
        start, batch.start = batch.start, event.stop
        if event.is_last:
            worker.batches.remove(batch)
            self._ledger.give_back(worker, batch)
            self._go_on(worker, commands)
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
        ItemsWithdrawn: _on_withdrawn,
        InputEnded: _on_ended,
        ResultsTaken: _on_taken,
        WorkerUp: _on_up,
        WorkerReady: _on_ready,
        WorkerSetupFailed: _on_setup_failed,
        WorkerDown: _on_down,
        WorkerWorn: _on_worn,
        RoomMeasured: _on_room,
        WorkersOffered: _on_offered,
        BatchWeighed: _on_batch_weighed,
        BatchAdvanced: _on_batch_advanced,
        BatchFinished: _on_batch_finished,
        ItemsTakenBack: _on_taken_back,
        BatchRefused: _on_batch_refused,
        BatchUnreadable: _on_batch_unreadable,
        EngineLost: _on_engine_lost,
    }

    # ------------------------------------------------------------------------------------------- what follows from it

    def _find_batch(self, worker: Worker, event: Any, stop: int | None = None) -> Batch:
        for batch in worker.batches:
            if batch.token == event.token and (stop is None or batch.start <= stop <= batch.stop):
                return batch
        return self._reject(event, f"the worker holds {worker.batches}")

    def _settle(self, batch: Batch, event: BatchAdvanced | BatchFinished, now: float, commands: list[Command]) -> None:
        if event.waited > 0:
            self._credit.observe(event.waited, now - batch.sent - event.seconds)
        if self._ledger.settle(batch, event, commands):
            self._finish(commands)

    def _suspect(self, start: int, stop: int, excuse: Excuse, commands: list[Command]) -> None:
        if self._ledger.suspect(start, stop, excuse, commands):
            self._finish(commands)

    def _take_back(self, workers: list[Worker], commands: list[Command]) -> None:
        for worker in workers:
            self._roster.ask(worker)
            commands.append(TakeBackItems(worker.number))

    def _go_on(self, worker: Worker, commands: list[Command]) -> None:
        """Let the worker take another batch; one that has done its share is replaced instead, once it is idle."""
        if worker.is_asked:
            return
        if not self._roster.line_up(worker) and not worker.batches and self._phase is _RUNNING:
            commands.append(KillWorker(worker.number))
            self._roster.dismiss(worker)

    def _count_setback(self, worker: Worker, commands: list[Command]) -> None:
        self._roster.setbacks.count(worker.setbacks)
        if self._roster.setbacks.length >= SETBACKS:
            self._abort(AbortReason.NO_WORKERS, commands)

    # ------------------------------------------------------------------------------------------------- how it ends

    def _finish(self, commands: list[Command]) -> None:
        if self._phase is _FINISHED:
            return
        self._phase = _FINISHED
        for worker in self._roster.workers.values():
            is_idle = worker.is_ready and not worker.batches
            commands.append(ReleaseWorker(worker.number) if is_idle else KillWorker(worker.number))
        self._roster.clear()

    def _abort(self, reason: AbortReason, commands: list[Command]) -> None:
        if self._phase is not _FINISHED:
            commands.append(AbortRun(reason))
            self._finish(commands)

    def _reject(self, event: Event, why: str) -> NoReturn:
        history = "\n".join(f"  {past}" for past in self._history)
        raise InternalError(f"{event} cannot happen: {why}; {self!r}; the latest events, oldest first:\n{history}")
