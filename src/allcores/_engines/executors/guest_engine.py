"""What engines have in common whose workers belong to somebody else, and are known by their replies alone."""

from __future__ import annotations

from allcores._engines.engine import PlainEngine
from allcores._engines.executors.replies import Replies
from allcores._objects.outcomes import WorkerIdentity
from allcores._system.processor_time import ProcessorTime

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

    def processor_time(self) -> ProcessorTime:
        """Tell what batches that are over have used."""
        return self._replies.used

    def identity(self, worker: int) -> WorkerIdentity:
        """Say which process has run the worker's latest batch."""
        return self._replies.identity(worker)

    def complaint(self) -> None:
        """There are no finalizers."""
