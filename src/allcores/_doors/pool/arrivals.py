"""What has come of the items of an `imap` and was not taken yet."""

from __future__ import annotations

import multiprocessing
import threading
from collections import deque
from typing import Any, NoReturn, Protocol

from allcores._core.kinds import is_a
from allcores._doors.pool.raised import exception_of
from allcores._doors.pool.waiting import require_able_to_wait
from allcores._objects.asking import give_field
from allcores._objects.entry import rethrow
from allcores._objects.outcomes import Failure
from allcores._run.service import Service
from allcores._worker.line import Line

__all__ = ["AnyOrder", "Arrivals", "Order"]


class Order(Protocol):
    """Decides which outcome comes next; an `OrderedSink` is one."""

    ready: deque[Any]

    def put(self, start: int, values: list[Any]) -> None:
        """Take outcomes of the items from `start` on."""


class AnyOrder:
    """Whatever comes first is taken first."""

    def __init__(self) -> None:
        self.ready: deque[Any] = deque()

    def put(self, start: int, values: list[Any]) -> None:
        """Take outcomes of the items from `start` on."""
        self.ready.extend(values)


class Arrivals:
    """The outcomes of items, between the service that brings them and whoever takes them one by one.

    Args:
        pool: is kept until all have come.
        service: brings them.
        line: what runs the items.
        order: decides which comes next.
        is_counted: whether somebody needs to know how many were taken.

    Attributes:
        changed: held by whoever looks at the others or changes them; notified of every change.
        settled: how many outcomes have come.
        taken: how many of them were taken, if that is counted.
        is_counted: whether it is.
        is_over: whether nothing more will be brought, nor is wanted.
        is_wanted: whether anybody is left who could take something.
    """

    def __init__(self, pool: object, service: Service, line: Line, order: Order, *, is_counted: bool) -> None:
        self.changed = threading.Condition()  # of a lock that a finalizer may take amid anything, in the same thread
        self.settled = self.taken = 0
        self.is_counted = is_counted
        self.is_over = False
        self.is_wanted = True
        self._pool = pool
        self._service = service
        self._line = line
        self._order = order
        self._count: int | None = None  # of all items, once that is known
        self._error: BaseException | None = None  # raised when all that have come are taken

    # --------------------------------------------------------------------------------------------- whoever brings them

    def put(self, start: int, outcomes: list[Any]) -> None:
        """Take the outcomes of the items from `start` on."""
        with self.changed:
            self.settled += len(outcomes)
            if self.is_wanted and not self.is_over:
                self._order.put(start, outcomes)
            self._change()

    def end(self, count: int, error: BaseException | None = None) -> None:
        """Hear how many items there are in all, and what the input has raised in the place of the next."""
        with self.changed:
            self._count = count
            self._error = error if self._error is None else self._error
            self._change()

    def abandon(self, error: BaseException) -> None:
        """Hear that nothing more will come, and why."""
        with self.changed:
            if not self.is_over:
                self.is_over = True
                self._error = error
                self._change()

    # ---------------------------------------------------------------------------------------------- whoever takes them

    def take(self, timeout: float | None) -> Any:
        """Wait for the next value, at most so many seconds.

        Raises:
            StopIteration: there is none.
            multiprocessing.TimeoutError: it has not come in time.
            RuntimeError: a callback would wait for its own thread; or an item raised StopIteration.
            BaseException: what came of the item; what the input has raised.
        """
        ready = self._order.ready
        while not ready:
            self._wait(timeout)
        try:
            outcome = ready.popleft()  # without the lock, which would cost more than all else
        except IndexError:  # another thread has taken it
            return self.take(timeout)
        if self.is_counted:
            with self.changed:
                self.taken += 1
                self.changed.notify_all()
        if type(outcome) is Failure and self._line.has_failed(outcome):
            _rethrow(exception_of(outcome))
        return outcome

    def _wait(self, timeout: float | None) -> None:
        """Wait for something to take; raise what stands at the end if nothing more will come."""
        with self.changed:
            if not self._can_take():
                require_able_to_wait(self._service)
                if not self.changed.wait_for(self._can_take, timeout):
                    raise multiprocessing.TimeoutError(f"nothing has come within {timeout} seconds")
            if not self._order.ready:
                self._raise_at_the_end()

    def forsake(self) -> None:
        """Hear that nobody is left who could take something."""
        with self.changed:
            self.is_wanted = False
            self.changed.notify_all()

    def _can_take(self) -> bool:
        return bool(self._order.ready) or self.is_over

    def _raise_at_the_end(self) -> None:
        error, self._error = self._error, None
        if error is None:
            raise StopIteration
        _rethrow(error)

    def _change(self) -> None:
        self.is_over = self.is_over or self.settled == self._count
        if self.is_over:
            self._pool = None
        self.changed.notify_all()


def _rethrow(error: BaseException) -> NoReturn:
    if is_a(error, StopIteration):  # raised by an iterator it would pass for the end
        raise RuntimeError("an item raised StopIteration") from error
    rethrow(error, give_field(error, "__traceback__"))
