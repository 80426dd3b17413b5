"""Processes that nothing more is wanted from: killed, or told to do what is left to do, until they are seen to end.

What is left to do is a finalizer, in the first place. A process that is kept for later runs calls it, too, and is given
back to its source once it has said so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from math import inf

from allcores._codec.exceptions import decode_exception
from allcores._codec.pickling import decode
from allcores._core.hints import TYPE_CHECKING
from allcores._engines.complaints import Complaints
from allcores._engines.processes.connections import Connections
from allcores._engines.processes.echo import Repeater
from allcores._engines.processes.process import ProcessSource
from allcores._engines.processes.worker import Worker
from allcores._objects.outcomes import WorkerIdentity
from allcores._system.lifeline import has_news
from allcores._transport.board import HAS_CHILDREN, NEEDS_EXIT
from allcores._transport.wire import Kind
from allcores._worker.exit import SHUTDOWN_SECONDS

if TYPE_CHECKING:
    import selectors

__all__ = ["Endings"]

PROMPT_SECONDS = SHUTDOWN_SECONDS + 0.5  # for processes that were killed, or told to leave, to end


class Endings:
    """Brings processes to their end.

    Args:
        connections: tell when one has ended.
        source: takes back what is kept.
        identity: says who a worker is.
        complaints: hear what finalizers raised.
        repeater: says here what they have said.
    """

    def __init__(
        self,
        connections: Connections,
        source: ProcessSource,
        identity: Callable[[int], WorkerIdentity],
        complaints: Complaints,
        repeater: Repeater,
    ) -> None:
        self._connections = connections
        self._source = source
        self._identity = identity
        self._complaints = complaints
        self._repeater = repeater
        self._workers: dict[int, Worker] = {}  # in the order in which they were told

    def __bool__(self) -> bool:
        return bool(self._workers)

    def dismiss(self, worker: Worker) -> None:
        """Have a process end that nothing more is wanted from; one in no item may do first what is left to do."""
        now = time.monotonic()
        for other in self._workers.values():
            if now - other.leaving_since > PROMPT_SECONDS:  # it has not ended by itself
                other.process.kill()
        if not worker.held and worker.mark.is_tied(NEEDS_EXIT):  # maybe it was not yet heard to be ready
            worker.leave()
            self._set_aside(worker)
        else:
            self.kill(worker)

    def finalize(self, worker: Worker) -> None:
        """Have an idle process call its finalizer, and then be kept."""
        worker.finalize()
        self._workers[worker.number] = worker  # and its channel is watched until it says so

    def kill(self, worker: Worker) -> None:
        """Kill a process that nothing more is wanted from; an idle one has said whether there are others."""
        worker.process.kill(with_descendants=not worker.is_idle or worker.mark.is_tied(HAS_CHILDREN))
        self._set_aside(worker)

    def _set_aside(self, worker: Worker) -> None:
        """Have nothing to do with a process but its end: it is buried when its sentinel tells."""
        self._workers[worker.number] = worker
        worker.ignore()

    def bury(self, worker: Worker) -> None:
        """See a process end that has, or will at once, if it is one of these."""
        if worker.number in self._workers:
            worker.process.see_end()
            del self._workers[worker.number]
            if worker.leaving_since < inf and self._source.has_finalizer:
                self._hear_last(worker)
            if worker.is_watched:
                worker.ignore()
            worker.ignore_end()
            worker.process.close()

    def see_first(self) -> None:
        """See the one end that was told so first; one that was to do something has the time for it."""
        worker = next(iter(self._workers.values()))
        if worker.leaving_since < inf:
            left = PROMPT_SECONDS - (time.monotonic() - worker.leaving_since)
            if worker.process.sentinel is None or not has_news(worker.process.sentinel, within=max(0.0, left)):
                worker.process.kill()
        self.bury(worker)

    def see_prompt_ones(self) -> None:
        """See those processes end that do so at once, as all but a few do, and give back those that are kept."""
        deadline = time.monotonic() + PROMPT_SECONDS
        while any(worker.process.sentinel is not None for worker in self._workers.values()):
            has_come, news = self._connections.wait_for_ends(max(0.0, deadline - time.monotonic()))
            for key, _ in news:
                self._attend(key)
            if not has_come:
                return

    def _attend(self, key: selectors.SelectorKey) -> None:
        """See to a process that has said something, or has ended."""
        worker: Worker = key.data
        if key.fileobj is not worker.channel:
            self.bury(worker)
        elif worker.number in self._workers:
            is_open = self._hear(worker)
            if worker.has_finalized:
                del self._workers[worker.number]
                worker.ignore()
                worker.ignore_end()
                self._source.keep(worker.process)
            elif not is_open:
                worker.ignore()  # its end will be told

    def _hear(self, worker: Worker) -> bool:
        """Read whether a process has called its finalizer, and what came of it; return False at the channel's end."""
        is_open = True
        with suppress(BlockingIOError):
            while is_open:
                is_open = worker.channel.read()
        for message in worker.channel.messages():
            if message.kind is Kind.SAID:
                self._repeater.hear(message)
            elif message.kind is Kind.FINALIZED:
                worker.has_finalized = True
                if message.frames:
                    self._complain(worker, decode_exception(decode(message.frames)).exception)
        return is_open

    def _complain(self, worker: Worker, error: BaseException) -> None:
        self._complaints.hear(self._identity(worker.number), error)

    def _hear_last(self, worker: Worker) -> None:
        """Hear what came of the finalizer of a process that has ended."""
        self._hear(worker)
        if not worker.has_finalized:
            took = time.monotonic() - worker.leaving_since
            late = f"it took longer than {SHUTDOWN_SECONDS:g} seconds, and was ended"
            error = TimeoutError(late) if took >= SHUTDOWN_SECONDS else RuntimeError("the worker's process has ended")
            self._complain(worker, error)

    def see_all(self) -> None:
        """See all end; those that were to leave by themselves are killed."""
        for worker in list(self._workers.values()):
            if worker.leaving_since < inf:  # it may not have
                worker.process.kill()
            self.bury(worker)

    def close(self) -> None:
        """Free what is held for those that were not seen to end."""
        for worker in self._workers.values():
            worker.process.close()
        self._workers.clear()
