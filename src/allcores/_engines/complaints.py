"""What finalizers raised: no result hangs on it, so it stops nothing, and is told at the end of a run."""

from __future__ import annotations

from allcores._objects.asking import describe
from allcores._objects.outcomes import WorkerIdentity

__all__ = ["Complaints"]


class Complaints:
    """Counts what finalizers raised, and keeps the first: a service may go on, and recycle workers, for ever."""

    def __init__(self) -> None:
        self._count = 0
        self._first = ""
        self._error: BaseException | None = None

    def hear(self, identity: WorkerIdentity, error: BaseException) -> None:
        """Hear what a finalizer raised, or why nobody knows whether it came to its end."""
        self._count += 1
        if self._error is None:
            self._error, self._first = error, f"{identity}: {describe(error)}"

    def warning(self) -> RuntimeWarning | None:
        """Give what to warn of; None where there is nothing."""
        if self._error is None:
            return None
        where = "once" if self._count == 1 else f"{self._count} times, first"
        warning = RuntimeWarning(f"the finalizer failed {where} in {self._first}; the results are not affected")
        warning.__cause__ = self._error
        return warning
