"""What comes of a call, for whoever handed it in."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from concurrent.futures._base import FINISHED, PENDING, RUNNING
from types import TracebackType
from typing import Any

from allcores._core.errors import ItemCancelled, Terminated
from allcores._doors.executor.broken import broken, exception_of, translated_refusals
from allcores._objects.asking import give_field
from allcores._objects.entry import one_frame, rethrow
from allcores._objects.outcomes import DROPPED
from allcores._run.service import Service
from allcores._run.submission import Submission
from allcores._worker.line import Line

__all__ = ["Call", "Future"]

UNDONE = (PENDING, RUNNING)


class Future(concurrent.futures.Future[Any]):
    """What comes of a call.

    It differs from the standard library's in that it can be cancelled while it runs, if it does so in a process, which
    is killed then.

    Attributes:
        trace: the traceback that the call's exception came with, whoever has raised it since.
    """

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.trace: TracebackType | None = None
        self._call = call

    def result(self, timeout: float | None = None) -> Any:
        """Wait for what the call returned or raised, at most so many seconds.

        Raises:
            TimeoutError: it is not done in time.
            CancelledError: it was cancelled.
            BaseException: what the call raised.
        """
        with one_frame:
            left = self._wait(timeout)
            error = self._exception if self._state == FINISHED else super().exception(left)
            if error is not None:
                rethrow(error, self.trace)
            return self._result

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for what the call raised, at most so many seconds; None if it did not.

        Raises:
            TimeoutError: it is not done in time.
            CancelledError: it was cancelled.
        """
        with one_frame:
            return super().exception(self._wait(timeout))

    def running(self) -> bool:
        """Whether the call runs, or was sent to a worker, which will come to it soon."""
        return self._call.has_begun and not self.done()

    def cancel(self) -> bool:
        """Cancel the call, which may be running; say whether it is cancelled.

        Returns:
            False if it is finished, or runs where it cannot be ended: in a thread.
        """
        is_cancelled = super().cancel()
        if is_cancelled:
            self._call.withdraw()
        return is_cancelled

    def _wait(self, timeout: float | None) -> float | None:
        """Wait for the call as long as there is something to do here for it; give the seconds that are left."""
        if timeout is None:
            self._call.service.attend(self._is_over)
            return None
        until = time.monotonic() + timeout
        self._call.service.attend(self._is_over, timeout)
        return max(0.0, until - time.monotonic())

    def _is_over(self) -> bool:
        """Whether it is done; unlike `done`, without the lock, which Ctrl-C can leave locked for ever."""
        return self._state not in UNDONE

    def _invoke_callbacks(self) -> None:
        if self._done_callbacks:  # type: ignore[attr-defined]  # the stubs lack it, and the method
            self._call.service.call_back(super()._invoke_callbacks)  # type: ignore[misc]


class Call:
    """A call on its way, and the `Receiver` of what comes of it.

    To its future it is pending for as long as it can be cancelled. So it is the future's own lock that decides who
    comes first, somebody who cancels it or the outcome.

    Args:
        service: runs it.
        has_cause: whether its exception has the cause that programs look for; see `exception_of`.

    Attributes:
        future: of this call; None once it is done.
        has_begun: whether it was given to a worker.
        service: runs it.

    Args:
        service: runs it.
        line: of the service's, for calls; by default the one that all share.
    """

    def __init__(self, service: Service, line: Line | None = None, *, has_cause: bool = True) -> None:
        self._has_cause = has_cause
        self.future: Future | None = Future(self)
        self.has_begun = False
        self.service = service
        self._line = line or service.calls
        self._submission: Submission | None = None
        self._is_expected: bool | None = None  # None: it may yet be cancelled

    def send(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hand the call in."""
        try:
            with translated_refusals(self.service):
                self._submission = self.service.call(function, args, kwargs, self, self._line)
        except BaseException:
            self.future = None  # the two would hold each other, and the service
            raise

    def withdraw(self) -> None:
        """Have it not run, or end it."""
        if self._submission is not None:
            self.service.cancel(self._submission)

    def begin(self) -> bool:
        """Hear that the call is about to run."""
        if self.future is None:  # whoever handed it in was interrupted, and knows of no future
            return False
        self.has_begun = True
        can_be_ended = self.service.plan.on == "processes"
        return not self.future.cancelled() if can_be_ended else self._expect(self.future)

    def put(self, start: int, outcomes: list[Any]) -> None:
        """Take what came of it."""
        if self.future is None:
            return
        (outcome,) = outcomes
        if outcome is DROPPED:
            self.abandon(ItemCancelled("it was cancelled"))
        elif self._line.has_failed(outcome):
            self._fail(exception_of(outcome, has_cause=self._has_cause))
        elif self._expect(self.future):
            self.future.set_result(outcome)
        self.future = None

    def abandon(self, error: BaseException) -> None:
        """Hear that nothing will come of it."""
        if self.future is None:
            return
        if isinstance(error, ItemCancelled) or (isinstance(error, Terminated) and not self.has_begun):
            concurrent.futures.Future.cancel(self.future)  # the inbox knows already
        self._fail(broken(error))
        self.future = None

    def _fail(self, error: BaseException) -> None:
        assert self.future is not None
        if self._expect(self.future):
            self.future.trace = give_field(error, "__traceback__")
            self.future.set_exception(error)

    def _expect(self, future: Future) -> bool:
        """Whether the future takes an outcome; from now on it cannot be cancelled."""
        if self._is_expected is None:
            self._is_expected = future.set_running_or_notify_cancel()
        return self._is_expected
