"""What comes next: batches for those who may take one, input where that runs short, and workers where these do."""

from __future__ import annotations

from math import inf

from allcores._core.messages import Command, PullInput, SendBatch, StartWorkers
from allcores._core.scheduler.backlog import Backlog
from allcores._core.scheduler.horizon import Horizon
from allcores._core.scheduler.idleness import Idleness
from allcores._core.scheduler.pace import Pace
from allcores._core.scheduler.roster import Roster
from allcores._core.scheduler.tries import Tries
from allcores._core.scheduler.worker import Batch, Worker

__all__ = ["Dispatcher"]

PLAIN_IN_HAND = 2  # batches that a worker may hold however long they last: one runs, and one waits


class Dispatcher:
    """Brings items and workers together, whatever has changed of either.

    Args:
        backlog: the items that are yet to be sent.
        horizon: how far the run may go.
        tries: which items have failed before.
        roster: the workers.
        idleness: which is told of items that wait behind others.
    """

    __slots__ = ("_backlog", "_horizon", "_idleness", "_next_token", "_roster", "_tries")

    def __init__(self, backlog: Backlog, horizon: Horizon, tries: Tries, roster: Roster, idleness: Idleness) -> None:
        self._backlog = backlog
        self._horizon = horizon
        self._tries = tries
        self._roster = roster
        self._idleness = idleness
        self._next_token = 0

    def __repr__(self) -> str:
        return f"<Dispatcher: {self._next_token} batches sent>"

    def go_on(self, now: float, commands: list[Command]) -> None:
        """Say what to do now that something has happened."""
        # Comparing first keeps the common path short: few events leave workers hungry, or fewer than there may be.
        horizon, roster, idleness = self._horizon, self._roster, self._idleness
        if horizon.may_have_work():
            self._send_batches(now, commands)
        if horizon.is_pulled:
            self._pull_input(commands)
        roster.start_due = inf
        if len(roster.workers) < roster.room:
            self._recruit(now, commands)
        if roster.hungry or horizon.is_served or idleness.due != inf or len(roster.workers) < roster.room:
            idleness.watch(now)

    # ------------------------------------------------------------------------------------------------ batches

    def _send_batches(self, now: float, commands: list[Command]) -> None:
        backlog, horizon, roster = self._backlog, self._horizon, self._roster
        if backlog.is_exclusive:
            self._send_starved(now, commands)
            if backlog.is_exclusive:
                return
        hungry = roster.hungry
        while hungry and horizon.may_have_work():
            size, pace = horizon.next_size(), backlog.pace
            depth = 1 if roster.is_crowded else pace.queue_depth(size)
            worker = hungry[0]
            if self._has_room(worker, pace, depth):
                if roster.is_crowded and not worker.batches and roster.busy >= roster.room:
                    return
                count = size if size <= worker.allowance else int(worker.allowance)
                items = backlog.take(count, horizon.sendable_stop(size))
                if items is None:
                    return
                self._send(worker, items, pace, now, commands)
            if worker.allowance > 0 and self._has_room(worker, pace, depth):
                roster.pass_turn()
            else:
                roster.end_turn()

    @staticmethod
    def _has_room(worker: Worker, pace: Pace, depth: int) -> bool:
        """Whether one more batch may wait with the worker: of those that shrink toward the end, too many could."""
        held = len(worker.batches)
        return held < depth and (held < PLAIN_IN_HAND or not pace.lasts(worker.waiting_items))

    def _send_starved(self, now: float, commands: list[Command]) -> None:
        """Send an item that was lost to a lack of memory, once nobody is busy; until its end nothing else is sent."""
        backlog, roster = self._backlog, self._roster
        if not roster.hungry or any(worker.batches for worker in roster.workers.values()):
            return
        index = backlog.take_starved()
        if index is not None:
            self._send(roster.hungry[0], (index, index + 1), backlog.pace, now, commands)
            roster.end_turn()

    def _send(self, worker: Worker, items: tuple[int, int], pace: Pace, now: float, commands: list[Command]) -> None:
        start, stop = items
        token = self._next_token
        self._next_token = token + 1
        adapts = pace.adapts
        if worker.batches or (adapts and stop - start > 1):
            self._idleness.latest_waiting = token
        worker.batches.append(Batch(token, start, stop, pace, now))
        worker.allowance -= stop - start
        worker.setbacks = self._roster.setbacks.length
        tries = 1 + self._tries.failed.get(start, 0)
        commands.append(SendBatch(worker.number, token, start, stop, adapts, tries))

    # ------------------------------------------------------------------------------------------------ input, workers

    def _pull_input(self, commands: list[Command]) -> None:
        stop = self._next_pull()
        if stop is not None:
            self._horizon.request(stop)
            commands.append(PullInput(stop))

    def _next_pull(self) -> int | None:
        roster = self._roster
        return self._horizon.next_pull(roster.coming + (len(roster.workers) < roster.limit))

    def _recruit(self, now: float, commands: list[Command]) -> None:
        """Start workers if there is work for them, and ask to be called again at once while there is more.

        At most as many as there are, so that the first ones get their first batches while later ones are still being
        started; and as many, since processes that are forked together cost less.
        """
        roster = self._roster
        started: list[int] = []
        for _ in range(max(1, len(roster.workers))):
            worker = roster.start(now) if self._needs_worker() else None
            if worker is None:
                break
            started.append(worker.number)
        if started:
            commands.append(StartWorkers(tuple(started)))
            if self._needs_worker() or self._next_pull() is not None:
                roster.start_due = now

    def _needs_worker(self) -> bool:
        backlog, horizon, roster = self._backlog, self._horizon, self._roster
        if not (roster.may_start() and horizon.may_have_work()):
            return False
        size = horizon.next_size()
        fresh = horizon.sendable_stop(size) - backlog.cursor
        if fresh > 0:  # the first of them is not recalled
            fresh = max(1, fresh - backlog.recalled)
        return backlog.returned + max(0, fresh) > roster.coming * size
