"""The entry points, which begin an errand and await it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Literal, TypeVar, Unpack, overload

from allcores._core.options import OptionKeywords
from allcores._doors.asynchronous.errand import Errand
from allcores._doors.asynchronous.iterator import AsyncResultIterator
from allcores._objects.entry import one_frame
from allcores._objects.outcomes import Failure, Results
from allcores._run.sinks import ListSink, OrderedSink, UnorderedSink
from allcores._run.start import conclude

__all__ = ["aimap", "aimap_unordered", "amap"]

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")


@overload
async def amap(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> Results[R]: ...
@overload
async def amap(
    fn: Callable[[S, T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: Callable[[], S],
    **options: Unpack[OptionKeywords],
) -> Results[R]: ...
@overload
async def amap(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> Results[R | Failure]: ...
@overload
async def amap(
    fn: Callable[[S, T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: Callable[[], S],
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
    state: Callable[[], Any] | None = None,
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
    state: Callable[[], Any] | None = None,
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
    errand = Errand(ListSink(results), is_lazy=False)
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
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[R]: ...
@overload
def aimap(
    fn: Callable[[S, T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: Callable[[], S],
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[R]: ...
@overload
def aimap(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[R | Failure]: ...
@overload
def aimap(
    fn: Callable[[S, T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: Callable[[], S],
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
    state: Callable[[], Any] | None = None,
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
    state: Callable[[], Any] | None = None,
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
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[tuple[int, R]]: ...
@overload
def aimap_unordered(
    fn: Callable[[S, T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: Callable[[], S],
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[tuple[int, R]]: ...
@overload
def aimap_unordered(
    fn: Callable[[T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> AsyncResultIterator[tuple[int, R | Failure]]: ...
@overload
def aimap_unordered(
    fn: Callable[[S, T], R],
    iterable: Iterable[T] | AsyncIterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: Callable[[], S],
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
    state: Callable[[], Any] | None = None,
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
    state: Callable[[], Any] | None = None,
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
