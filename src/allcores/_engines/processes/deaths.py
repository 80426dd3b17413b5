"""What a worker leaves that has ended by itself, or was killed for what it did: what it had finished, and why it ended.

What it had finished and not yet reported is found on its shelf of the mark board.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from allcores._core.bytes import format_bytes
from allcores._core.errors import WorkerDied
from allcores._core.messages import BatchAdvanced, Moment, WorkerDown
from allcores._engines.engine import Arrival
from allcores._engines.processes.measures import Measures
from allcores._engines.processes.worker import Worker
from allcores._system.lifeline import End
from allcores._system.memory import oom_kills

__all__ = ["DeathReader"]

LIKELY_CAUSES = {
    "SIGSEGV": "the usual cause is a bug in a compiled library",
    "SIGBUS": "the usual cause is a bug in a compiled library",
    "SIGABRT": "the usual cause is a check that failed in a compiled library",
    "SIGILL": "the usual cause is a library compiled for another processor",
}
OUT_OF_MEMORY = "by the kernel's out-of-memory killer; fewer workers= need less memory at once"
BY_SOMEBODY = "the usual cause is lack of memory, though the kernel's own out-of-memory killer did not send it"


class DeathReader:
    """Tells how processes ended; the kernel's count of its own kills tells whether it sent a SIGKILL.

    Args:
        measures: hear what those had used that the kernel has killed.
    """

    def __init__(self, measures: Measures) -> None:
        self._measures = measures
        self._explained = oom_kills()  # of all that the kernel ever did

    def read(self, worker: Worker) -> Iterator[Arrival]:
        """Tell what a worker had finished, and of its end; whatever it did after our verdict nobody is blamed for."""
        end = worker.process.wait_for_end()
        moment, start, stop = worker.mark.read()
        yield from _salvage(worker)
        verdict = worker.verdict
        if verdict is None:
            cause: BaseException = self._find_cause(worker, end)
        else:
            cause = verdict.error
            if (moment, start) != (Moment.RUNNING, verdict.index):
                moment = Moment.IDLE
        yield Arrival(WorkerDown(worker.number, moment, start, stop), cause=cause)

    def _find_cause(self, worker: Worker, end: End) -> WorkerDied:
        if worker.is_mute:
            return WorkerDied("was killed as it had closed its channel", exit="SIGKILL", pid=worker.process.pid)
        self._measures.hear_of_death(worker, end.peak)
        death = self.explain(end, worker.process.pid)
        if death.is_out_of_memory:
            self._measures.hear_of_kill(worker, end.peak)
        return death

    def explain(self, end: End, pid: int | None) -> WorkerDied:
        """Give the error for a process that has ended, still without the item that it ran."""
        if end.status is None:
            return WorkerDied("ended, and nobody knows how", exit="unknown", pid=pid)
        code = os.waitstatus_to_exitcode(end.status)
        if code >= 0:
            how, name, is_out_of_memory = f"ended itself with exit code {code}", f"exit code {code}", False
        else:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            is_out_of_memory = name == "SIGKILL" and self._has_killed()
            how = f"was killed by {name}{_aside(name, end, is_out_of_memory=is_out_of_memory)}"
        return WorkerDied(how, exit=name, pid=pid, memory=end.peak, is_out_of_memory=is_out_of_memory)

    def _has_killed(self) -> bool:
        """Say whether the kernel has killed once more for lack of memory than is explained.

        Each kill explains one death: the kernel may have ended several workers before the first is looked into.
        """
        if oom_kills() <= self._explained:
            return False
        self._explained += 1
        return True


def _salvage(worker: Worker) -> Iterator[Arrival]:
    """Tell what lies on the worker's shelf, less what it had reported."""
    token, start, seconds, values = worker.mark.shelf.read(worker.process.pid)
    batch, stop = worker.held.get(token), start + len(values)
    if batch is not None and start <= batch.start < stop <= batch.stop:
        first = batch.start
        yield Arrival(BatchAdvanced(worker.number, token, stop, seconds), first, values[first - start :])


def _aside(name: str, end: End, *, is_out_of_memory: bool) -> str:
    causes = {**LIKELY_CAUSES, "SIGKILL": OUT_OF_MEMORY if is_out_of_memory else BY_SOMEBODY}
    peak = f"it had used up to {format_bytes(end.peak)}" if end.peak else ""
    aside = "; ".join(filter(None, (causes.get(name, ""), peak)))
    return f" ({aside})" if aside else ""
