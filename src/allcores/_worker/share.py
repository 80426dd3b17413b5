"""A worker's share of the usable cores: for the runs that its items start, and for native threads."""

from __future__ import annotations

import os

from allcores._core.plan import Plan
from allcores._core.records import Record
from allcores._system.cores import CORES_VARIABLE, LOKY_VARIABLE, SHARE_VARIABLE
from allcores._system.native_threads import NativeLimits, find_limits, limit_process

__all__ = ["Share"]


class Share(Record):
    """What each worker of a run may use.

    Attributes:
        cores: for what its items start: runs of allcores, and programs.
        joblib: for what joblib starts there by itself.
        native: threads of libraries.
    """

    cores: int
    joblib: int
    native: NativeLimits

    @classmethod
    def of(cls, plan: Plan) -> Share:
        """Give the share of one worker; what this process's libraries were told is looked up."""
        return cls(
            plan.cores,
            _least_for_joblib(plan.cores),
            find_limits(plan.threads, plan.native_set, is_asked=plan.threads_asked),
        )

    @property
    def variables(self) -> dict[str, str]:
        """What stands in a worker's environment to say so."""
        return {**self._budget, **self.native.variables}

    @property
    def _budget(self) -> dict[str, str]:
        """What bounds that which items start; the run that this worker is of has met the others."""
        return {CORES_VARIABLE: str(self.cores), LOKY_VARIABLE: str(self.joblib), SHARE_VARIABLE: "0"}

    def adopt(self, *, is_just_forked: bool = False) -> None:
        """Have this process, a worker, keep to it."""
        for name, value in self._budget.items():
            os.environ[name] = value
        limit_process(self.native, is_just_forked=is_just_forked)

    def confirm(self) -> None:
        """Tell libraries that the job has brought: by the environment they take no more than there are cores."""
        if (self.native.usual or 0) > (os.cpu_count() or 1):
            limit_process(self.native)


def _least_for_joblib(cores: int) -> int:
    """Heed what the user has said of that."""
    said = os.environ.get(LOKY_VARIABLE, "")
    return min(cores, int(said)) if said.isdecimal() and int(said) else cores
