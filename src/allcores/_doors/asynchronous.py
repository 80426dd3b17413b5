"""amap, aimap, aimap_unordered: one line on all cores, while the event loop goes on.

The run's loop is in a thread of its own. It and the event loop share two things: the sink, whose queue one side fills
and the other empties, and an event that says that it is worth looking. Whatever the event loop has to say, it tells the
run as an event like any other.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Generic, Literal, Self, TypeVar, Unpack, overload
from weakref import WeakSet, finalize

from allcores._core.kinds import is_a
from allcores._core.messages import ResultsTaken, RunStopped
from allcores._core.options import OptionKeywords
from allcores._core.report import Report
from allcores._doors.asynchronous_input import AsyncInput
from allcores._objects.asking import give_field
from allcores._objects.entry import one_frame, rethrow
from allcores._objects.outcomes import Failure, Results, attach_finished
from allcores._run.driver import Run
from allcores._run.sinks import ListSink, OrderedSink, Sink, UnorderedSink
from allcores._run.start import conclude, prepare
from allcores._settings.conditions import Conditions
from allcores._system.leaving import begin_to_leave, go_on_when_leaving, stop_if_left

__all__ = ["AsyncResultIterator", "aimap", "aimap_unordered", "amap"]

T = TypeVar("T")
R = TypeVar("R")

TURN_SECONDS = 0.000_5  # a consumer that finds results ready lets the event loop look around this often
LEAVE_SECONDS = 1.0  # for a run that was stopped to be over: it may be waiting for an input of the caller's


@overload
async def amap(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    **options: Unpack[OptionKeywords],
) -> Results[R]: ...
@overload
async def amap(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["collect"],
    **options: Unpack[OptionKeywords],
) -> Results[R | Failure]: ...
@overload
async def amap(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["raise"] = "raise",
    **options: Unpack[OptionKeywords],
) -> Results[R]: ...
@overload
async def amap(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["collect"],
    **options: Unpack[OptionKeywords],
) -> Results[R | Failure]: ...
async def amap(
    fn: Callable[..., Any], /, *iterables: Iterable[Any] | AsyncIterable[Any], **options: Any
) -> Results[Any]:
    """Call `fn` on every item, on all cores, while the event loop goes on; otherwise as `map`.

    Cancelling the task that awaits it ends the run: workers that run an item are killed, and `finished` gives from the
    `asyncio.CancelledError` what was finished. The task waits for that, a second at most if the run is in an input, or
    in an item with ``on="serial"``, that does not return; the run then ends as soon as it does.

    Args:
        fn: a plain function, as for `map`.
        iterables: as for `map`, or one asynchronous iterable. That one is iterated in a task of the event loop, others
            in the run's thread, in which a `progress` callback is called, too.
        errors: as for `map`.
        options: see `Options`. ``start="auto"`` forks only where nothing else will do, as the loop has a thread of its
            own.

    Returns:
        A list, which also bears `failures` and `report`.

    Raises:
        BaseException: as for `map`.

    Example:
        >>> import allcores, asyncio
        >>> async def main():
        ...     return await allcores.amap(pow, [2, 3, 4], [5, 2, 1], workers=2)
        >>> asyncio.run(main())
        [32, 9, 4]
    """
    results: Results[Any] = Results()
    errand = _Errand(ListSink(results), is_lazy=False)
    with one_frame:
        errand.begin(fn, iterables, options)
        try:
            await errand.end()
        except asyncio.CancelledError as error:
            await errand.leave(error)
            raise
        conclude(results, errand.require_success())
    return results


@overload
def aimap(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[R]: ...
@overload
def aimap(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["collect"],
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[R | Failure]: ...
@overload
def aimap(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["raise"] = "raise",
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[R]: ...
@overload
def aimap(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["collect"],
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[R | Failure]: ...
def aimap(
    fn: Callable[..., Any], /, *iterables: Iterable[Any] | AsyncIterable[Any], **options: Any
) -> AsyncResultIterator[Any]:
    """Call `fn` on every item, on all cores, and yield the results in order to ``async for``; otherwise as `imap`.

    The input is read no further than the option `ahead` past what was taken. Unlike those of `imap`, arguments and
    options are checked when the first result is asked for. Cancelling the task that waits for a result ends the run, as
    with `amap`; while a plain input blocks, results that are finished wait, too, and an asynchronous input holds up
    nothing. Leaving the loop early ends the run as well, and ``aclose()``, or the end of an ``async with`` block, also
    waits until the workers are gone.

    Args:
        fn: as for `amap`.
        iterables: as for `amap`.
        errors: as for `imap`.
        options: as for `amap`.

    Returns:
        An asynchronous iterator, which also bears `failures` and `report`.

    Example:
        >>> import allcores, asyncio, itertools
        >>> async def main():
        ...     async with allcores.aimap(lambda x: x * x, itertools.count(), workers=2) as squares:
        ...         async for square in squares:
        ...             print(square)
        ...             if square == 9:
        ...                 break
        >>> asyncio.run(main())
        0
        1
        4
        9
    """
    return AsyncResultIterator(fn, iterables, options, OrderedSink())


@overload
def aimap_unordered(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[tuple[int, R]]: ...
@overload
def aimap_unordered(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["collect"],
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[tuple[int, R | Failure]]: ...
@overload
def aimap_unordered(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["raise"] = "raise",
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[tuple[int, R]]: ...
@overload
def aimap_unordered(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["collect"],
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[tuple[int, R | Failure]]: ...
def aimap_unordered(
    fn: Callable[..., Any], /, *iterables: Iterable[Any] | AsyncIterable[Any], **options: Any
) -> AsyncResultIterator[Any]:
    """Call `fn` on every item, on all cores, and yield ``(index, result)`` as the items finish; otherwise as `aimap`.

    Example:
        >>> import allcores, asyncio
        >>> async def main():
        ...     return sorted([pair async for pair in allcores.aimap_unordered(str.upper, "abc", workers=2)])
        >>> asyncio.run(main())
        [(0, 'A'), (1, 'B'), (2, 'C')]
    """
    return AsyncResultIterator(fn, iterables, options, UnorderedSink())


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
        self._errand: _Errand | None = None
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

    def _begin(self) -> _Errand:
        self._errand = errand = _Errand(self._sink, is_lazy=True)
        errand.begin(*self._what)
        finalize(self, errand.stop).atexit = False  # an iterator that nobody closes ends its run when it is forgotten
        return errand

    async def _advance(self, errand: _Errand) -> None:
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


class _Errand:
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
        progress = start.progress()

        def hear(settled: int) -> None:
            progress(settled)
            if self._is_lazy:
                self._show_news()

        try:
            self.run = start.run(self._sink, is_lazy=self._is_lazy, on_progress=hear, hears_others=True)
            if self._is_stopped:  # asked after the line above: `stop` looks there after it has said so
                self.run.tell(RunStopped())
            self.run.run_to_end()
            self._error = self.run.error
        finally:
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


_errands: WeakSet[_Errand] = WeakSet()


def _leave() -> None:
    begin_to_leave()
    for errand in list(_errands):
        errand.stop()
        errand.join()


atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_errands.clear)
