"""Why a worker process has ended, in words, and with the likely cause."""

from __future__ import annotations

import os
import signal

from allcores._core.bytes import format_bytes
from allcores._core.errors import WorkerDied
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
    """Tells how processes ended; the kernel's count of its own kills tells whether it sent a SIGKILL."""

    def __init__(self) -> None:
        self._explained = oom_kills()  # of all that the kernel ever did

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


def _aside(name: str, end: End, *, is_out_of_memory: bool) -> str:
    causes = {**LIKELY_CAUSES, "SIGKILL": OUT_OF_MEMORY if is_out_of_memory else BY_SOMEBODY}
    peak = f"it had used up to {format_bytes(end.peak)}" if end.peak else ""
    aside = "; ".join(filter(None, (causes.get(name, ""), peak)))
    return f" ({aside})" if aside else ""
