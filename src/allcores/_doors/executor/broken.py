"""Failures of calls as programs expect them that know the standard library's executor of processes."""

from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool, _RemoteTraceback

from allcores._core.errors import UnpicklableItem, UnpicklableResult, WorkerDied
from allcores._core.kinds import is_a
from allcores._doors.executor.refused import refused
from allcores._objects.asking import describe, give_field, set_field
from allcores._objects.outcomes import Failure
from allcores._objects.tracebacks import tell_place
from allcores._run.service import Service

__all__ = ["BrokenWorker", "broken", "exception_of", "translated_refusals"]


class BrokenWorker(WorkerDied, BrokenProcessPool):
    """The worker died while it ran this call; only this call fails, and the executor goes on."""


def broken(cause: BaseException) -> BrokenProcessPool:
    """Give what is raised for calls that an executor does not run any more."""
    error = BrokenProcessPool(f"the executor has ended: {describe(cause)}")
    error.__cause__ = cause
    return error


class translated_refusals:  # noqa: N801 - used as a function is; one that yields takes longer than all the rest
    """Raise, where the service takes nothing more, what the standard library's executor raises."""

    __slots__ = ("_service",)

    def __init__(self, service: Service) -> None:
        self._service = service

    def __enter__(self) -> None:
        error = self._service.error
        if error is not None:  # not to be raised itself: it would hold the service by its traceback
            raise broken(error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        if error is self._service.error:  # an initializer may have raised anything
            raise broken(error) from error
        if is_a(error, RuntimeError):
            raise RuntimeError(f"cannot schedule new futures after shutdown: {error}") from None


def exception_of(failure: Failure, *, has_cause: bool = True) -> BaseException:
    """Give what is raised for an item that failed.

    Args:
        failure: the item's.
        has_cause: whether it has the cause that programs look for.
    """
    error = failure.exception
    if is_a(error, UnpicklableItem) or is_a(error, UnpicklableResult):
        return refused(error)
    if type(error) is WorkerDied and error.pid == failure.worker.pid:  # else it died in a run inside of the call
        return _broken_worker(error)
    if has_cause and failure.worker.pid != os.getpid():
        _bear_cause(error, failure)
    return error


def _broken_worker(death: WorkerDied) -> BrokenWorker:
    error = BrokenWorker(str(death))
    vars(error).update(vars(death))
    return error


def _bear_cause(error: BaseException, failure: Failure) -> None:
    """Set the cause that programs look for; one of the item's own is worth more.

    It would tell the traceback again, that the exception has itself, so it tells the last line alone.
    """
    if give_field(error, "__cause__") is None and give_field(error, "__context__") is None:
        text = f"raised in {failure.worker}, {tell_place(give_field(error, '__traceback__'))}\n"
        set_field(error, "__cause__", _RemoteTraceback(f'\n"""\n{text}"""'))  # type: ignore[arg-type]  # it is a text
