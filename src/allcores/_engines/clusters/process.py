"""A process of a cluster, as the engine knows it: who has a claim to its threads, and what it has to do."""

from __future__ import annotations

from collections import deque

from allcores._core.messages import SendBatch
from allcores._engines.executors.quarantine import Flight, Quarantine

__all__ = ["Process"]


class Process:
    """A process of the cluster.

    Attributes:
        address: of it.
        threads: how many it has.
        is_known: whether it has told its versions, and batches may go there.
        question: the call that asks for these; None where nobody has asked.
        workers: claims to its threads.
        waiting: batches that are to go there.
        flights: by the numbers of their calls.
    """

    def __init__(self, address: str, threads: int) -> None:
        self.address = address
        self.threads = threads
        self.is_known = False
        self.question: int | None = None
        self.workers: list[int] = []
        self.waiting: deque[SendBatch] = deque()
        self.flights: dict[int, Flight] = {}
        self._edition: int | None = None  # of the lessons that it was sent as a whole
        self._reminded: set[int] = set()  # tokens of batches that asked for lessons which were under way

    def __repr__(self) -> str:
        return (
            f"<Process at {self.address}: {len(self.workers)} of {self.threads} threads, {len(self.flights)} batches>"
        )

    @property
    def load(self) -> float:
        """Which part of its threads is claimed; 1 where all are."""
        return len(self.workers) / self.threads

    def next_flight(self, quarantine: Quarantine) -> Flight | None:
        """Give what may go there next."""
        return quarantine.next_flight(self.waiting, self.flights.values()) if self.is_known else None

    def must_be_taught(self, edition: int, asking: int | None = None) -> bool:
        """Whether all lessons must go there with a batch, as they do once; several batches may find that they lack.

        Args:
            edition: of the lessons.
            asking: the token of a batch that has come back to ask for them; None for one that goes for the first time.
        """
        if asking is None:
            is_lacking = self._edition is None
        else:
            is_lacking = self._edition != edition or asking in self._reminded
            self._reminded.add(asking)
        if is_lacking:
            self._edition = edition
        return is_lacking

    def drop(self, worker: int) -> list[int]:
        """Forget a worker and what it holds; give the calls that nobody wants any more."""
        self.workers.remove(worker)
        self.waiting = deque(batch for batch in self.waiting if batch.worker != worker)
        calls = [call for call, flight in self.flights.items() if flight.batch.worker == worker]
        for call in calls:
            del self.flights[call]
        return calls
