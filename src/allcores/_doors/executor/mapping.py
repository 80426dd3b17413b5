"""The results of an executor's map, in the order of the items."""

from __future__ import annotations

import queue  # whose names gevent and eventlet may change later
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any

from allcores._core.errors import ItemCancelled
from allcores._doors.executor.broken import broken, exception_of, translated_refusals
from allcores._input.dataset import is_still
from allcores._input.snapshots import Snapshots
from allcores._objects.asking import give_field
from allcores._objects.entry import cut_frames, rethrow
from allcores._objects.outcomes import DROPPED
from allcores._run.service import Service
from allcores._run.sinks import OrderedSink
from allcores._run.submission import Submission
from allcores._system.leaving import stop_if_left
from allcores._worker.line import Line

__all__ = ["Mapping"]


class Mapping:
    """Items on their way through a function; what comes of them is taken in one thread.

    Args:
        service: runs them.
        line: what runs them.
        items: the input.
        timeout: how many seconds from now on the results may be waited for; None: for ever.
        ahead: how many items may be handed in past what was taken; None: all, and at once.
    """

    def __init__(
        self, service: Service, line: Line, items: Iterator[Any], *, timeout: float | None, ahead: int | None
    ) -> None:
        self._service = service
        self._line = line
        self._items = items
        needs_snapshots = service.sends_items and not is_still(items)
        self._snapshots = Snapshots(shares_files=True) if needs_snapshots else None
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._arrived: queue.SimpleQueue[tuple[int, list[Any]] | BaseException] = queue.SimpleQueue()
        self._sink = OrderedSink()
        self._submissions: list[Submission] = []
        self._is_bounded = ahead is not None
        self._handed_in = 0
        self._hand_in(ahead)

    def results(self) -> Iterator[Any]:
        """Yield the results; whoever leaves early has the rest cancelled."""
        try:
            ready, taken = self._sink.ready, 0
            while taken < self._handed_in:
                if not ready:
                    self._await_next()
                taken += 1
                if self._is_bounded:
                    self._hand_in(1)
                yield self._value(ready.popleft())
        except BaseException as error:
            cut_frames(error)
            raise
        finally:
            for submission in self._submissions:
                self._service.cancel(submission)

    def _hand_in(self, count: int | None) -> None:
        items: list[Any] = []
        if self._snapshots is None:
            items.extend(islice(self._items, count))
        else:
            self._snapshots.gather(islice(self._items, count), items)
        if count is None or len(items) < count:  # at its end an iterator may still have what it was made of
            self._items = iter(())
        if items:
            part = _Part(self._arrived, self._handed_in)
            self._submissions = [one for one in self._submissions if one.unsettled]
            with translated_refusals(self._service):
                self._submissions.append(self._service.submit(self._line, items, part))
            self._handed_in += len(items)

    def _await_next(self) -> None:
        while not self._sink.ready:
            arrived = self._next_arrival()
            if isinstance(arrived, ItemCancelled):
                raise CancelledError
            if isinstance(arrived, BaseException):
                raise broken(arrived)
            self._sink.put(*arrived)

    def _next_arrival(self) -> tuple[int, list[Any]] | BaseException:
        patience = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            arrived = self._arrived.get(timeout=patience)
        except queue.Empty:
            raise TimeoutError from None
        stop_if_left()
        return arrived

    def _value(self, outcome: Any) -> Any:
        if outcome is DROPPED:
            raise CancelledError
        if self._line.has_failed(outcome):
            error = exception_of(outcome)
            rethrow(error, give_field(error, "__traceback__"))
        return outcome


class _Part:
    """Receives what comes of items that were handed in together; their positions begin at `start`."""

    def __init__(self, arrived: queue.SimpleQueue[Any], start: int) -> None:
        self._arrived = arrived
        self._start = start

    def begin(self) -> bool:
        """Whoever does not want the items cancels them."""
        return True

    def put(self, start: int, outcomes: Sequence[Any]) -> None:
        """Take what came of some."""
        self._arrived.put((self._start + start, outcomes))

    def abandon(self, error: BaseException) -> None:
        """Hear that nothing more will come."""
        self._arrived.put(error)
