"""Items on their way from an iterator to a service.

A thread of its own pulls them, as an iterator may block, and what it waits for may be one of the results. Whatever was
pulled before must run meanwhile. So an item is handed in at once where workers could be short of work; otherwise it
waits for the next outcomes to come, and what waits then is handed in together, which is cheaper by far.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from allcores._doors.pool.arrivals import Arrivals
from allcores._input.dataset import is_still
from allcores._input.snapshots import Snapshots
from allcores._run.service import Service
from allcores._worker.line import Line

__all__ = ["Part", "Puller"]

MOST_UNSETTLED = 10_000  # items that have been pulled and nothing has come of: enough for batches of the fastest
FIRST_UNSETTLED = 32  # per worker, before anything has come; items may be large, and take long


class Part:
    """The `Receiver` of items that were handed in together: the first one's position is `start`."""

    def __init__(self, arrivals: Arrivals | Puller, start: int) -> None:
        self._arrivals = arrivals
        self._start = start

    def begin(self) -> bool:
        """All of them are wanted."""
        return True

    def put(self, start: int, outcomes: list[Any]) -> None:
        """Take what came of some."""
        self._arrivals.put(self._start + start, outcomes)

    def abandon(self, error: BaseException) -> None:
        """Hear that nothing more will come, and why."""
        self._arrivals.abandon(error)


class Puller:
    """Pulls items and hands them in.

    Args:
        service: runs them.
        line: what runs them.
        items: the input.
        arrivals: where outcomes go.
        unit: how many items are pulled at a time; if the input fails meanwhile, they are lost.
        ahead: how many items may be pulled past what was taken; None: as many as `MOST_UNSETTLED` allows, whether they
            are taken or not.
        when_over: called in the end, when all has been handed in.
    """

    def __init__(
        self,
        service: Service,
        line: Line,
        items: Iterator[Any],
        arrivals: Arrivals,
        *,
        unit: int,
        ahead: int | None,
        when_over: Callable[[Puller], object],
    ) -> None:
        self._service = service
        self._line = line
        self._items = items
        needs_snapshots = service.sends_items and not is_still(items)
        self._snapshots = Snapshots(shares_files=True) if needs_snapshots else None
        self._arrivals = arrivals
        self._unit = unit if ahead is None else min(unit, ahead)
        self._ahead = ahead
        self._when_over = when_over
        workers = service.plan.workers
        self._enough = 2 * self._unit * workers  # unsettled items that keep workers busy for a while
        self._first = max(FIRST_UNSETTLED * workers, self._enough)
        self._waiting: deque[Any] = deque()  # pulled, and not handed in
        self._pulled = self._handed_in = 0

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, name="allcores-puller", daemon=True).start()

    def put(self, start: int, outcomes: list[Any]) -> None:
        """Take what came of some items, and hand in what waits."""
        self._arrivals.put(start, outcomes)
        with self._arrivals.changed:
            self._hand_in()

    def abandon(self, error: BaseException) -> None:
        """Hear that nothing more will come, and why."""
        self._arrivals.abandon(error)

    def _run(self) -> None:
        error = None
        try:
            while self._await_room() and (items := self._next_items()):
                self._add(items)
        except BaseException as raised:  # the input's own; it is raised where its item would have been given
            error = raised
        self._items = iter(())  # at its end an iterator may still have what it was made of
        with self._arrivals.changed:
            self._hand_in()
            self._arrivals.end(self._pulled, error)
        self._when_over(self)

    def _next_items(self) -> list[Any]:
        coming = islice(self._items, self._unit)
        if self._snapshots is None:
            return list(coming)
        items: list[Any] = []
        self._snapshots.gather(coming, items)
        return items

    def _await_room(self) -> bool:
        """Wait until more may be pulled; say whether anybody wants it."""
        if not self._has_room():
            with self._arrivals.changed:
                self._arrivals.changed.wait_for(self._has_room)
        return not self._is_over()

    def _has_room(self) -> bool:
        if self._is_over():
            return True
        if self._ahead is not None:
            return self._pulled + self._unit - self._arrivals.taken <= self._ahead
        settled = self._arrivals.settled
        return self._pulled - settled < max(self._first, min(MOST_UNSETTLED, self._first + settled))

    def _is_over(self) -> bool:
        is_forsaken = self._ahead is not None and not self._arrivals.is_wanted
        return self._arrivals.is_over or is_forsaken

    def _add(self, items: list[Any]) -> None:
        # Without the lock, which would cost more than all else. Whoever brings outcomes counts them before it looks for
        # what waits, so that one of the two sees to what is put there here.
        self._waiting.extend(items)
        self._pulled += len(items)
        if self._handed_in - self._arrivals.settled < self._enough:
            with self._arrivals.changed:
                self._hand_in()

    def _hand_in(self) -> None:
        if not self._waiting or self._is_over():
            return
        items = [self._waiting.popleft() for _ in range(len(self._waiting))]
        start, self._handed_in = self._handed_in, self._handed_in + len(items)
        try:
            self._service.submit(self._line, items, Part(self, start))
        except BaseException as error:  # the service has broken down, of whatever its initializer raised
            self._arrivals.abandon(error)
