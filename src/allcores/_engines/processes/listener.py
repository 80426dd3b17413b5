"""What workers say, told as arrivals.

Whatever a worker had reported until its end counts: its channel is read to the end first.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Generator, Iterator

from allcores._codec.exceptions import decode_exception
from allcores._codec.pickling import decode
from allcores._core.messages import BatchWeighed, WorkerReady, WorkerSetupFailed, WorkerUp
from allcores._core.scheduler.pace import HEAVY_BYTES
from allcores._engines.engine import Arrival
from allcores._engines.processes.echo import Repeater
from allcores._engines.processes.measures import Measures
from allcores._engines.processes.supplies import Supplies
from allcores._engines.processes.worker import Worker
from allcores._engines.reports import understand_report, understand_unreadable
from allcores._objects.outcomes import WorkerIdentity
from allcores._system.tracking import SharedTracker
from allcores._transport.board import TELLS_TRACKER
from allcores._transport.wire import Kind, Message

__all__ = ["Listener"]


class Listener:
    """Reads the channels of workers.

    Args:
        tracker: is told by workers what they make that outlives a process.
        supplies: have what a worker may ask for.
        measures: are taken of a worker when it reports.
        repeater: says here what workers have said.
    """

    def __init__(self, tracker: SharedTracker, supplies: Supplies, measures: Measures, repeater: Repeater) -> None:
        self._repeater = repeater
        self._tracker = tracker
        self._supplies = supplies
        self._measures = measures
        self._host = socket.gethostname()
        self._identities: dict[int, WorkerIdentity] = {}

    def meet(self, worker: Worker) -> None:
        """Take down who a worker is."""
        self._identities[worker.number] = WorkerIdentity(worker.number, worker.process.pid, self._host)

    def identity(self, number: int) -> WorkerIdentity:
        """Say who a worker is, also after its end."""
        return self._identities.get(number) or WorkerIdentity(number, None, self._host)

    def hear(self, worker: Worker) -> Generator[Arrival, None, bool]:
        """Read what has come; return False at the end of the channel."""
        began = time.monotonic()
        try:
            is_open = worker.channel.read()
        except BlockingIOError:
            return True
        self._measures.own_moving_seconds += time.monotonic() - began
        for message in worker.channel.messages():
            if worker.has_lost(message):
                continue
            if message.kind is Kind.ASK:
                self._supplies.answer(worker, message)
                continue
            if message.kind is Kind.SAID:
                self._repeater.hear(message)
                continue
            if message.kind is Kind.REPORT:
                if worker.mark.is_tied(TELLS_TRACKER):
                    self._tracker.forward()  # first: what it has made may be removed as soon as its name is known
                yield from self._measures.look_at_growth(worker)
                size = sum(map(len, message.frames))
                self._measures.hear_of_report(message, size)
                if size > HEAVY_BYTES:
                    yield Arrival(BatchWeighed(worker.number, message.token, message.stop - message.start, size))
            yield self._understand(worker, message)
        return is_open

    def hear_out(self, worker: Worker) -> Iterator[Arrival]:
        """Take what a process that has ended still said."""
        try:
            while worker.channel.read():
                pass
        except BlockingIOError:  # a process that it started holds the channel open
            pass
        for message in worker.channel.messages():
            if message.kind is Kind.SAID:
                self._repeater.hear(message)
            elif not (worker.has_lost(message) or message.kind is Kind.ASK):
                yield self._understand(worker, message)

    def _understand(self, worker: Worker, message: Message) -> Arrival:
        number = worker.number
        match message.kind:
            case Kind.HELLO:
                worker.process.pid = message.start
                self.meet(worker)
                return Arrival(WorkerUp(number))
            case Kind.READY:
                worker.become_ready()
                return Arrival(WorkerReady(number))
            case Kind.SETUP_FAILED:
                raised = decode_exception(decode(message.frames))
                return Arrival(WorkerSetupFailed(number), cause=raised.exception)
            case Kind.REPORT:
                worker.settle(message)
                if not worker.held:
                    self._supplies.hear_of_leisure(worker)
                began = time.monotonic()
                arrival = understand_report(number, message)
                self._measures.own_moving_seconds += time.monotonic() - began
                return arrival
            case Kind.UNREADABLE:
                worker.doubt()
                return understand_unreadable(number, message)
            case _:
                raise AssertionError(message.kind)
