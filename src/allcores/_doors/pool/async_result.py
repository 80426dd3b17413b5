"""What comes of a call, or of all items of a map, some time later."""

from __future__ import annotations

import multiprocessing.pool
import threading
import time
from collections.abc import Callable
from functools import partial
from math import ceil
from types import TracebackType
from typing import Any, TypeVar

from allcores._core.kinds import type_name
from allcores._doors.pool.raised import exception_of
from allcores._doors.pool.waiting import require_able_to_wait
from allcores._objects.asking import give_field
from allcores._objects.entry import one_frame, rethrow
from allcores._objects.outcomes import Failure
from allcores._run.service import Service
from allcores._run.submission import showing_errors
from allcores._system.leaving import stop_if_left
from allcores._worker.line import Line

__all__ = ["AsyncResult", "Callback", "MapResult"]

R = TypeVar("R")

Callback = Callable[[Any], object]


class AsyncResult(multiprocessing.pool.AsyncResult[R]):
    """What comes of a call, for whoever handed it in; it is the `Receiver`, too.

    Args:
        pool: is kept as long as nothing has come.
        service: runs the call.
        line: what runs it.
        callback: called with the value, in the pool's own thread.
        error_callback: called with the exception, in the same.
    """

    def __init__(
        self,
        pool: object,
        service: Service,
        line: Line,
        *,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> None:
        self._pool = pool
        self._service = service
        self._line = line
        self._callback = callback
        self._error_callback = error_callback
        self._is_over = False
        self._waiting: list[threading.Event] = []  # of those who wait and do not turn the service's loop
        self._value: Any = None
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None  # as it came, whoever has raised it since

    def __repr__(self) -> str:
        if not self.ready():
            stage = "waiting"
        else:
            stage = "ready" if self._error is None else f"failed: {type_name(self._error)}"
        return f"<allcores {type(self).__name__}: {stage}>"

    def ready(self) -> bool:
        """Whether it is done, for better or worse."""
        return self._is_over

    def successful(self) -> bool:
        """Whether nothing has failed.

        Raises:
            ValueError: it is not done yet.
        """
        if not self.ready():
            raise ValueError(f"{self!r} is not ready")
        return self._error is None

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is done, at most so many seconds.

        Raises:
            RuntimeError: a callback would wait for its own thread.
        """
        if not self.ready():
            require_able_to_wait(self._service)
            until = None if timeout is None else time.monotonic() + timeout
            if self._callback is None and self._error_callback is None:  # they are called elsewhere, before it is done
                self._service.attend(self.ready, timeout)
            self._wait_aside(None if until is None else until - time.monotonic())
            stop_if_left()

    def get(self, timeout: float | None = None) -> R:
        """Wait for the value, at most so many seconds, and give it.

        Raises:
            multiprocessing.TimeoutError: it is not done in time.
            BaseException: what the function raised, `WorkerDied` if it killed its worker, `Terminated` if the pool was
                ended; of several items that failed, that of the first one in the input.
        """
        with one_frame:
            return self.obtain(timeout)

    def obtain(self, timeout: float | None = None) -> R:
        """Do the work of `get`, for who is an entry point, too."""
        self.wait(timeout)
        if not self.ready():
            raise multiprocessing.TimeoutError(f"nothing has come within {timeout} seconds")
        if self._error is not None:
            rethrow(self._error, self._trace)
        value: R = self._value
        return value

    def _wait_aside(self, timeout: float | None) -> None:
        event = threading.Event()
        self._waiting.append(event)
        if not self._is_over:
            event.wait(timeout)

    def begin(self) -> bool:
        """Every call is wanted."""
        return True

    def put(self, start: int, outcomes: list[Any]) -> None:
        """Take what came of the call."""
        (outcome,) = outcomes
        if self._line.has_failed(outcome):
            self.abandon(exception_of(outcome))
        else:
            self.settle(outcome)

    def settle(self, value: Any) -> None:
        """Take the value."""
        self._value = value
        self._conclude_after(self._callback, value)

    def abandon(self, error: BaseException) -> None:
        """Hear that no value will come, and why."""
        self._error, self._trace = error, give_field(error, "__traceback__")
        self._conclude_after(self._error_callback, error)

    def _conclude_after(self, callback: Callback | None, outcome: Any) -> None:
        if callback is None:
            self._conclude()
        else:
            self._service.call_back(partial(self._tell, callback, outcome))

    def _tell(self, callback: Callback, outcome: Any) -> None:
        with showing_errors:
            callback(outcome)
        self._conclude()

    def _conclude(self) -> None:
        self._pool = self._callback = self._error_callback = None
        self._is_over = True
        for event in self._waiting:  # asked after the line above, as they ask for that after they are here
            event.set()


class MapResult(AsyncResult[list[R]], multiprocessing.pool.MapResult[R]):
    """What comes of all items of a map.

    Args:
        pool: as for a call.
        service: runs the items.
        line: what runs them.
        count: how many there are.
        chunksize: how many of them count as one to those who look behind the standard library's face.
        callback: called with the list of values, in the pool's own thread.
        error_callback: called with the exception of the first item in the input that failed.
    """

    def __init__(
        self,
        pool: object,
        service: Service,
        line: Line,
        count: int,
        *,
        chunksize: int,
        callback: Callback | None,
        error_callback: Callback | None,
    ) -> None:
        super().__init__(pool, service, line, callback=callback, error_callback=error_callback)
        self._values: list[Any] = [None] * count
        self._missing = count
        self._chunksize = chunksize
        self._failure: Failure | None = None  # the first one in the input, as far as is known

    @property
    def _number_left(self) -> int:
        """How many chunks nothing has come of; programs ask for it that show how far they are."""
        return ceil(self._missing / self._chunksize)

    def put(self, start: int, outcomes: list[Any]) -> None:
        """Take what came of some items."""
        self._values[start : start + len(outcomes)] = outcomes
        if Failure in map(type, outcomes):
            self._note_failures(outcomes)
        self._missing -= len(outcomes)
        if not self._missing:
            self._conclude_all()

    def abandon(self, error: BaseException) -> None:
        """Hear that nothing more will come, and why."""
        self._values = []
        super().abandon(error)

    def _note_failures(self, outcomes: list[Any]) -> None:
        failed = [self._failure, *filter(self._line.has_failed, outcomes)]
        known = [failure for failure in failed if failure is not None]
        self._failure = min(known, key=lambda failure: failure.index, default=None)

    def _conclude_all(self) -> None:
        values, self._values = self._values, []
        if self._failure is None:
            self.settle(values)
        else:
            self.abandon(exception_of(self._failure))
