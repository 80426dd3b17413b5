"""What engines have in common whose workers belong to somebody else, and are known by their replies alone."""

from __future__ import annotations

from allcores._core.errors import WorkersUnavailable
from allcores._core.messages import EngineLost
from allcores._engines.engine import Arrival, PlainEngine, Usage
from allcores._engines.executors.replies import Replies
from allcores._objects.outcomes import WorkerIdentity
from allcores._worker.stamp import Stamp, differ, doubt, stamp_here

__all__ = ["GuestEngine"]


class GuestEngine(PlainEngine):
    """Runs batches as a guest.

    Args:
        host: what to call the place of a worker of which nothing was heard yet.
    """

    def __init__(self, host: str) -> None:
        self._replies = Replies(host)

    def condemn(self, worker: int, start: int, stop: int) -> None:
        """Nobody can end a call that runs."""

    def usage(self) -> Usage:
        """Tell what batches that are over have used."""
        return Usage(self._replies.used)

    def identity(self, worker: int) -> WorkerIdentity:
        """Say which process has run the worker's latest batch."""
        return self._replies.identity(worker)

    def complaint(self) -> RuntimeWarning | None:
        """Tell in what workers differ from here, though they could be used; there are no finalizers."""
        return self._replies.remarks.warning()

    def _understands(self, worker: str, stamp: Stamp) -> bool:
        """Compare a worker's versions with those here; if it cannot be used, the run ends."""
        here = stamp_here()
        difference = differ(stamp, here)
        if difference is not None:
            error = WorkersUnavailable(f"{worker} cannot be used: {difference}")
            self._replies.tell(Arrival(EngineLost(), cause=error))
            return False
        if (doubtful := doubt(stamp, here)) is not None:
            self._replies.remarks.hear(worker, doubtful)
        return True
