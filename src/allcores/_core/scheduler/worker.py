"""A worker as the scheduler knows it: what it holds, and what it may yet take."""

from __future__ import annotations

from allcores._core.messages import Moment
from allcores._core.scheduler.pace import Pace

__all__ = ["Batch", "Worker"]


class Batch:
    """Items that were sent to a worker.

    Attributes:
        token: its number, never used twice in a run; later ones are higher.
        start: the first item not yet reported.
        stop: behind the last item.
        pace: what the batch is measured for.
        sent: when, on the run's clock.
    """

    __slots__ = ("pace", "sent", "start", "stop", "token")

    def __init__(self, token: int, start: int, stop: int, pace: Pace, sent: float = 0.0) -> None:
        self.token = token
        self.start = start
        self.stop = stop
        self.pace = pace
        self.sent = sent

    def __repr__(self) -> str:
        return f"<batch {self.token}: items {self.start} to {self.stop}>"


class Worker:
    """One that was started and is not known to be gone.

    Attributes:
        number: never used twice in a run.
        allowance: items that it may yet take before it is replaced; negative infinity once it is worn.
        batches: sent and not yet done, oldest first.
        is_ready: whether it can run items.
        is_hungry: whether it stands in the queue of those that may take a batch.
        failed_starts: of others in a row, when it was started.
        setbacks: in a row, when it was last sent something.
        asked_until: up to which batch, by its token, it was asked for what it has not begun.
    """

    __slots__ = ("allowance", "asked_until", "batches", "failed_starts", "is_hungry", "is_ready", "number", "setbacks")

    def __init__(self, number: int, *, allowance: float, failed_starts: int) -> None:
        self.number = number
        self.allowance = allowance
        self.batches: list[Batch] = []
        self.is_ready = False
        self.is_hungry = False
        self.failed_starts = failed_starts
        self.setbacks = 0
        self.asked_until = -1

    def __repr__(self) -> str:
        return f"<worker {self.number}: {self.batches}>"

    @property
    def is_asked(self) -> bool:
        """Whether it was asked for something of which it is not known yet whether it has begun."""
        return bool(self.batches) and self.batches[0].token <= self.asked_until

    @property
    def waiting_items(self) -> int:
        """How many items it has behind the batch that it runs."""
        return sum(batch.stop - batch.start for batch in self.batches[1:])

    def holds_any(self, start: int, stop: int) -> bool:
        """Whether it has yet to report one of these items."""
        return any(batch.start < stop and start < batch.stop for batch in self.batches)

    def holds_waiting(self, since: int = -1) -> bool:
        """Whether items wait behind another that may be given back, in a batch later than the one of this token."""
        batches = self.batches
        return (
            bool(batches)
            and batches[-1].token > since
            and (len(batches) > 1 or (batches[0].pace.adapts and batches[0].stop - batches[0].start > 1))
        )

    def find_suspects(self, moment: Moment, start: int, stop: int) -> tuple[Batch, int, int] | None:
        """Say which items may have ended it, and in which batch; None where it is none of them.

        Args:
            moment: at what it was.
            start: the first item that it was running, if it was RUNNING some.
            stop: behind the last one.
        """
        for batch in self.batches:
            if moment is Moment.RUNNING:
                first, behind = max(start, batch.start), min(stop, batch.stop)
            elif moment in (Moment.MOVING, Moment.UNKNOWN):
                first, behind = batch.start, batch.stop
            else:
                return None
            if first < behind:
                return batch, first, behind
        return None
