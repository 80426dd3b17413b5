"""The results of a pool's imap, one after another."""

from __future__ import annotations

import multiprocessing.pool
from typing import Generic, Self, TypeVar
from weakref import finalize

from allcores._doors.pool.arrivals import Arrivals
from allcores._objects.entry import cut_frames, one_frame
from allcores._system.leaving import stop_if_left

__all__ = ["PoolIterator"]

R = TypeVar("R")


class PoolIterator(multiprocessing.pool.IMapIterator, Generic[R]):  # type: ignore[type-arg]  # it takes none
    """Gives results as they come; several threads may share it. An item that failed raises, and the next goes on.

    Args:
        arrivals: what has come.
    """

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        finalize(self, arrivals.forsake).atexit = False

    def __repr__(self) -> str:
        return f"<allcores {type(self).__name__}: {self._arrivals.settled} results have come>"

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:  # type: ignore[override]  # `next` takes the timeout
        try:
            value: R = self._arrivals.take(None)
        except BaseException as error:  # a block of `one_frame` would cost each result as much again
            stop_if_left()
            cut_frames(error)
            raise
        return value

    def next(self, timeout: float | None = None) -> R:
        """Wait for the next result, at most so many seconds.

        Raises:
            StopIteration: there is none.
            multiprocessing.TimeoutError: it has not come in time.
            BaseException: what the function raised for the item, or the input in its place.
        """
        with one_frame:
            return self._take(timeout)

    def _take(self, timeout: float | None) -> R:
        try:
            value: R = self._arrivals.take(timeout)
        except BaseException:
            stop_if_left()
            raise
        return value
