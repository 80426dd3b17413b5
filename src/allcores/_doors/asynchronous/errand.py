"""An errand: a run in a thread of its own, for an event loop that goes on."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncIterable, Callable
from typing import Any
from weakref import WeakSet

from allcores._core.kinds import is_a
from allcores._core.messages import ResultsTaken, RunStopped
from allcores._doors.asynchronous.input import AsyncInput
from allcores._objects.asking import give_field
from allcores._objects.entry import rethrow
from allcores._objects.outcomes import attach_finished
from allcores._run.driver import Run
from allcores._run.progress import Progress
from allcores._run.sinks import Sink
from allcores._run.standing import Standing
from allcores._run.start import prepare
from allcores._settings.conditions import Conditions
from allcores._system.leaving import begin_to_leave, go_on_when_leaving, stop_if_left

__all__ = ["Errand"]

LEAVE_SECONDS = 1.0  # for a run that was stopped to be over: it may be waiting for an input of the caller's


class Errand:
    """A run in a thread of its own, which is over when it says so to the event loop that it is made in.

    Args:
        sink: takes the values.
        is_lazy: whether a consumer takes results one by one; it tells with `ResultsTaken`.

    Attributes:
        run: None before it began.
        is_over: whether all is done, and the workers are gone.
    """

    def __init__(self, sink: Sink, *, is_lazy: bool) -> None:
        self.run: Run | None = None
        self.is_over = False
        self._sink = sink
        self._is_lazy = is_lazy
        self._is_stopped = False
        self._input: AsyncInput | None = None
        self._error: BaseException | None = None
        self._event_loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._pid = os.getpid()

    def begin(self, fn: Callable[..., Any], iterables: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Start the thread, and with an asynchronous input a task that feeds it."""
        if len(iterables) == 1 and isinstance(iterables[0], AsyncIterable):
            self._input = AsyncInput(iterables[0], self._wake)
            iterables = (self._input.trickle,)
        target, args = Conditions.here().run, (self._serve, fn, iterables, options)
        self._thread = threading.Thread(target=target, args=args, name="allcores-amap", daemon=True)
        self._thread.start()
        _errands.add(self)

    def tell(self, event: ResultsTaken | RunStopped) -> None:
        """Have the run hear of something."""
        if self.run is not None:
            self.run.tell(event)

    def stop(self) -> None:
        """Have the run end; any thread may call it, at any time."""
        self._is_stopped = True
        if self._pid == os.getpid():  # in a forked child it is not the child's to end
            self.tell(RunStopped())

    def join(self) -> None:
        """Wait for the thread, though not for ever."""
        self._thread.join(LEAVE_SECONDS)

    async def until(self, is_enough: Callable[[], object]) -> None:
        """Wait until something is so that the run's thread brings about."""
        while not is_enough():
            self._news.clear()
            if not is_enough():  # asked again after the line above: the thread looks there after each change
                await self._news.wait()
                stop_if_left()

    async def end(self) -> None:
        """Wait until the run is over, and its asynchronous input closed."""
        await self.until(lambda: self.is_over)
        if self._input is not None:
            await self._input.close()

    async def leave(self, error: BaseException | None = None) -> None:
        """Stop the run, and wait until it is over, though not for ever; attach what was finished to `error`."""
        self.stop()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self.end()
        except TimeoutError:
            pass  # it is in the caller's own code, and ends as soon as that returns
        except asyncio.CancelledError as another:
            attach_finished(another, self._sink.finished)
            raise
        if error is not None:
            attach_finished(error, self._sink.finished)

    def require_success(self) -> Run:
        """Give the run, which is over; raise what it ended with."""
        error = self._error
        if is_a(error, StopIteration) or is_a(error, StopAsyncIteration):  # raised here it would pass for the end
            raise RuntimeError(f"an item raised {type(error).__name__}") from error
        if error is not None:
            rethrow(error, give_field(error, "__traceback__"))
        assert self.run is not None
        return self.run

    def _serve(self, fn: Callable[..., Any], iterables: tuple[Any, ...], options: dict[str, Any]) -> None:
        go_on_when_leaving()
        try:
            self._run_to_end(fn, iterables, options)
        except BaseException as error:  # raised where the results are awaited
            self._error = error
        self.is_over = True
        if self._input is not None:
            self._input.stop()
        self._show_news()

    def _run_to_end(self, fn: Callable[..., Any], iterables: tuple[Any, ...], options: dict[str, Any]) -> None:
        start = prepare(fn, iterables, options, is_star=len(iterables) > 1, has_own_thread=True)
        progress = start.progress(is_lazy=self._is_lazy)
        watcher = _Consumer(progress, self._show_news) if self._is_lazy else progress
        try:
            self.run = start.run(self._sink, is_lazy=self._is_lazy, watcher=watcher, hears_others=True)
            if self._is_stopped:  # asked after the line above: `stop` looks there after it has said so
                self.run.tell(RunStopped())
            self.run.run_to_end()
            self._error = self.run.error
        finally:
            if progress is not None:
                progress.close()

    def _wake(self) -> None:
        if self.run is not None:  # as it is whenever the input was asked for anything
            self.run.wake()

    def _show_news(self) -> None:
        if not self._news.is_set():
            try:
                self._event_loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:  # the event loop is closed: nobody waits any more
                self.stop()


class _Consumer:
    """Hears that there may be results, beside whoever is told how the run stands.

    Args:
        progress: tells the latter.
        show_news: wakes the consumer.
    """

    def __init__(self, progress: Progress | None, show_news: Callable[[], None]) -> None:
        self._progress = progress
        self._show_news = show_news

    @property
    def due(self) -> float | None:
        """When it wants to hear even if nothing has happened, on the run's clock; None for never."""
        return None if self._progress is None else self._progress.due

    def hear(self, standing: Standing) -> None:
        """Hear how the run stands."""
        if self._progress is not None:
            self._progress.hear(standing)
        self._show_news()


_errands: WeakSet[Errand] = WeakSet()


def _leave() -> None:
    begin_to_leave()
    for errand in list(_errands):
        errand.stop()
        errand.join()


atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_errands.clear)
