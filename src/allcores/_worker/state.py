"""What a worker makes for its items: one value, given to each of them first, and to the finalizer at the end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from allcores._core.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allcores._worker.job import Job

__all__ = ["WorkerState"]


class WorkerState:
    """The state of one worker, which never leaves it.

    Args:
        made: the value that the factory gave; empty where there is no factory.
        finalizer: called with it at the end; None where nothing is to be done.
    """

    __slots__ = ("_finalizer", "_made")

    def __init__(self, made: tuple[Any, ...] = (), finalizer: Callable[..., object] | None = None) -> None:
        self._made = made
        self._finalizer = finalizer

    @property
    def has_finalizer(self) -> bool:
        """Whether something is still to be done at the end."""
        return self._finalizer is not None

    def bind(self, job: Job) -> Job:
        """Have a job's function be given the value before its other arguments."""
        return job._replace(function=partial(job.function, *self._made)) if self._made else job

    def drop(self) -> None:
        """Let go of the value, and have nothing done."""
        self._made, self._finalizer = (), None

    def end(self) -> None:
        """Let go of the value, which the finalizer is given, if it was not before; raises what that raises."""
        made, finalizer = self._made, self._finalizer
        self.drop()
        if finalizer is not None:
            finalizer(*made)
