"""What becomes of items that were sent: each is settled exactly once, or returned until it is."""

from __future__ import annotations

from allcores._core.messages import BatchAdvanced, BatchFinished, Command, Excuse, FailItem, RetryItem
from allcores._core.scheduler.backlog import Backlog
from allcores._core.scheduler.horizon import Horizon
from allcores._core.scheduler.streak import Streak
from allcores._core.scheduler.tries import Tries
from allcores._core.scheduler.worker import Batch, Worker

__all__ = ["Ledger"]


class Ledger:
    """Settles items, and returns those that are to be run again to the backlog.

    Args:
        backlog: where returned items go.
        horizon: how far the run has come.
        tries: which items failed and are tried again.
        setbacks: a streak that ends with any settled item.
        stops_at_failure: whether the first failure ends the run.
    """

    __slots__ = ("_backlog", "_horizon", "_setbacks", "_stops_at_failure", "_tries")

    def __init__(
        self, backlog: Backlog, horizon: Horizon, tries: Tries, setbacks: Streak, *, stops_at_failure: bool
    ) -> None:
        self._backlog = backlog
        self._horizon = horizon
        self._tries = tries
        self._setbacks = setbacks
        self._stops_at_failure = stops_at_failure

    def __repr__(self) -> str:
        return f"<Ledger: {self._horizon.settled} items settled, {self._backlog.returned} returned>"

    def settle(self, batch: Batch, event: BatchAdvanced | BatchFinished, commands: list[Command]) -> bool:
        """Settle what is reported of the batch; say whether a failure among it ends the run."""
        count = event.stop - batch.start
        if count:
            batch.pace.observe(count, event.seconds)
            self._setbacks.end()
            self._horizon.settled += count
            batch.start = event.stop
        if event.failed:
            return self._settle_failed(event, commands)
        if count and self._tries.failed:
            self._tries.succeed(event.stop - 1)  # one that is tried again is a batch of its own
        return False

    def suspect(self, start: int, stop: int, excuse: Excuse, commands: list[Command]) -> bool:
        """Take in that one of these, if it is any, ended a worker or cannot be read; say whether that ends the run."""
        if stop - start != 1:
            self._backlog.put_back(start, stop, is_suspect=True)
            return False
        self._setbacks.end()
        if self._is_tried_again(start, excuse, commands):
            return False
        commands.append(FailItem(start))
        self._horizon.settled += 1
        return self._stops_at_failure

    def give_back(self, worker: Worker, batch: Batch) -> None:
        """Return what is left of a batch that the worker has not run, and may take as many items more."""
        worker.allowance += batch.stop - batch.start
        self.put_back(batch.start, batch.stop)

    def put_back(self, start: int, stop: int) -> None:
        """Return items that were sent and not run, if it is any."""
        if start < stop and start in self._tries.starved:
            self._backlog.put_aside(start)
        else:
            self._backlog.put_back(start, stop)

    def _settle_failed(self, event: BatchAdvanced | BatchFinished, commands: list[Command]) -> bool:
        excuses = dict(event.excuses)
        retried = sum(self._is_tried_again(index, excuses.get(index, Excuse.NONE), commands) for index in event.failed)
        self._horizon.settled -= retried
        return retried < len(event.failed) and self._stops_at_failure

    def _is_tried_again(self, index: int, excuse: Excuse, commands: list[Command]) -> bool:
        is_retried = self._tries.fail(index, excuse)
        if is_retried:
            self.put_back(index, index + 1)
            commands.append(RetryItem(index))
        return is_retried
