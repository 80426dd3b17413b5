"""The iterator over what comes of a lazy run, for ``async for``."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar
from weakref import finalize

from allcores._core.messages import ResultsTaken
from allcores._core.report import Report
from allcores._doors.asynchronous.errand import Errand
from allcores._objects.entry import one_frame
from allcores._objects.outcomes import Failure
from allcores._run.sinks import OrderedSink, UnorderedSink

__all__ = ["AsyncResultIterator"]

R = TypeVar("R")

TURN_SECONDS = 0.000_5  # a consumer that finds results ready lets the event loop look around this often


class AsyncResultIterator(Generic[R]):
    """The results of a lazy run, one after another, for ``async for``; several tasks may share it.

    Attributes:
        failures: the `Failure` of every item that failed so far; empty unless ``errors="collect"``.
        report: what the run has cost so far; None before it began.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        iterables: tuple[Any, ...],
        options: dict[str, Any],
        sink: OrderedSink | UnorderedSink,
    ) -> None:
        self._what = (fn, iterables, options)
        self._sink = sink
        self._ready: deque[Any] = sink.ready
        self._errand: Errand | None = None
        self._taken = 0
        self._turn_at = 0.0
        self._is_closed = False

    @property
    def failures(self) -> list[Failure]:
        """The failures so far."""
        return [] if self._errand is None or self._errand.run is None else self._errand.run.failures

    @property
    def report(self) -> Report | None:
        """What the run has cost so far."""
        return None if self._errand is None or self._errand.run is None else self._errand.run.report

    def __repr__(self) -> str:
        run = None if self._errand is None else self._errand.run
        stage = "closed" if self._is_closed else "not begun" if run is None else "running"
        return f"<AsyncResultIterator: {stage}{'' if run is None else f', {run.settled} done'}>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        if not self._is_closed:
            errand = self._errand or self._begin()
            if not self._ready or time.perf_counter() >= self._turn_at:
                with one_frame:
                    await self._advance(errand)
        if self._is_closed:
            raise StopAsyncIteration
        self._taken += 1
        value: R = self._ready.popleft()
        return value

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the run, and wait until the workers are gone; results that were not taken are lost."""
        self._is_closed = True
        self._ready.clear()
        if self._errand is not None:
            await self._errand.leave()

    def _begin(self) -> Errand:
        self._errand = errand = Errand(self._sink, is_lazy=True)
        errand.begin(*self._what)
        finalize(self, errand.stop).atexit = False  # an iterator that nobody closes ends its run when it is forgotten
        return errand

    async def _advance(self, errand: Errand) -> None:
        """Let others have the event loop, and wait until a result is ready; raise the error that the run ends with."""
        errand.tell(ResultsTaken(self._taken))
        try:
            await asyncio.sleep(0)
            await errand.until(lambda: self._ready or errand.is_over)
        except asyncio.CancelledError as error:
            self._is_closed = True
            await errand.leave(error)
            raise
        self._turn_at = time.perf_counter() + TURN_SECONDS
        if not self._ready and not self._is_closed:
            self._is_closed = True
            await errand.end()
            errand.require_success()
