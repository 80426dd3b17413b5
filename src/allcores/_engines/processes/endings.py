"""Processes that nothing more is wanted from: killed, or told to leave, until they are seen to end."""

from __future__ import annotations

import time
from math import inf

from allcores._engines.processes.connections import Connections
from allcores._engines.processes.worker import Worker
from allcores._transport.board import HAS_CHILDREN, NEEDS_EXIT
from allcores._worker.exit import SHUTDOWN_SECONDS

__all__ = ["Endings"]

PROMPT_SECONDS = SHUTDOWN_SECONDS + 0.5  # for processes that were killed, or told to leave, to end


class Endings:
    """Brings processes to their end.

    Args:
        connections: tell when one has ended.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._workers: dict[int, Worker] = {}

    def __bool__(self) -> bool:
        return bool(self._workers)

    def dismiss(self, worker: Worker) -> None:
        """Have a process end that nothing more is wanted from; an idle one may do first what is left to do."""
        now = time.monotonic()
        for other in self._workers.values():
            if now - other.leaving_since > PROMPT_SECONDS:  # it has not ended by itself
                other.process.kill()
        if worker.is_idle and worker.mark.is_tied(NEEDS_EXIT):
            worker.leave()
            self._set_aside(worker)
        else:
            self.kill(worker)

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
            worker.ignore_end()
            worker.process.close()

    def see_prompt_ones(self) -> None:
        """See those processes end that do so at once, as all but a few do."""
        deadline = time.monotonic() + PROMPT_SECONDS
        while any(worker.process.sentinel is not None for worker in self._workers.values()):
            has_come, news = self._connections.wait_for_ends(max(0.0, deadline - time.monotonic()))
            for key, _ in news:
                self.bury(key.data)
            if not has_come:
                return

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
