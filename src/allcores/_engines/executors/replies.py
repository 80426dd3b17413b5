"""What comes back from processes of somebody else's, told as arrivals."""

from __future__ import annotations

from collections import deque

from allcores._codec.exceptions import decode_exception
from allcores._codec.pickling import decode
from allcores._core.errors import WorkerDied
from allcores._core.messages import (
    BatchAdvanced,
    BatchFinished,
    BatchUnreadable,
    BatchWeighed,
    SendBatch,
    WorkerSetupFailed,
)
from allcores._core.scheduler.pace import HEAVY_BYTES
from allcores._engines.engine import Arrival
from allcores._engines.executors.quarantine import Quarantine
from allcores._engines.executors.remarks import Remarks
from allcores._engines.reports import understand_report, understand_unreadable
from allcores._objects.asking import describe
from allcores._objects.outcomes import WorkerIdentity
from allcores._system.processor_time import ProcessorTime
from allcores._transport.wire import Kind, Message
from allcores._worker.guest import Reply, as_frames

__all__ = ["Replies"]


class Replies:
    """Makes arrivals of replies, and gathers what there is to be told.

    Args:
        host: what to call the place of a worker of which nothing was heard yet.

    Attributes:
        arrivals: to be told by the next wait.
        quarantine: whose items are let go when they have finished.
        used: what batches that are over have used of the processor.
        remarks: in what workers differ.
    """

    def __init__(self, host: str) -> None:
        self.arrivals: deque[Arrival] = deque()
        self.quarantine = Quarantine()
        self.used = ProcessorTime()
        self.remarks = Remarks()
        self._host = host
        self._identities: dict[int, WorkerIdentity] = {}

    def take(self) -> list[Arrival]:
        """Give what there is to be told."""
        arrivals, self.arrivals = list(self.arrivals), deque()
        return arrivals

    def tell(self, arrival: Arrival) -> None:
        """Have this be told."""
        event = arrival.event
        if isinstance(event, BatchAdvanced | BatchFinished):
            self.quarantine.clear(arrival.start, event.stop)
        self.arrivals.append(arrival)

    def tell_doubted(self, batch: SendBatch, error: BaseException) -> None:
        """Tell of a batch that was lost while its host goes on, so that one of its items must be the reason."""
        death = WorkerDied(f"was lost ({describe(error)})", exit="unknown")
        unreadable = BatchUnreadable(batch.worker, batch.token, batch.stop, is_last=True)
        self.tell(Arrival(unreadable, cause=death))

    def weigh(self, batch: SendBatch, items: int, size: int) -> None:
        """Have it be told if so many of a batch's items, or results, are a lot of data."""
        if size > HEAVY_BYTES:
            self.arrivals.append(Arrival(BatchWeighed(batch.worker, batch.token, items, size)))

    def take_in(self, batch: SendBatch, reply: Reply) -> Message | None:
        """Take in what came of a batch; give the question instead that must be answered before it can run."""
        self.used = self.used.and_also(reply.used)
        self.meet(WorkerIdentity(batch.worker, reply.pid, reply.host))
        for remark in reply.remarks:
            self.remarks.hear(f"worker process {reply.pid} on {reply.host}", remark)
        for message in reply.messages:
            message.frames = as_frames(message.frames)  # type: ignore[arg-type]  # they are bytes
            if message.kind is Kind.ASK:
                return message
            if message.kind is Kind.REPORT:
                self.weigh(batch, message.stop - message.start, sum(map(len, message.frames)))
                self.tell(understand_report(batch.worker, message))
            elif message.kind is Kind.SETUP_FAILED:
                error = decode_exception(decode(message.frames)).exception
                self.tell(Arrival(WorkerSetupFailed(batch.worker), cause=error))
            else:
                self.tell(understand_unreadable(batch.worker, message))
        return None

    def meet(self, identity: WorkerIdentity) -> None:
        """Take down which process runs a worker's batches now."""
        self._identities[identity.number] = identity

    def forget(self, worker: int) -> None:
        """Hear that another process may have had the worker's latest batch."""
        self._identities.pop(worker, None)

    def identity(self, worker: int) -> WorkerIdentity:
        """Say which process has run the worker's latest batch."""
        return self._identities.get(worker) or WorkerIdentity(worker, None, self._host)
