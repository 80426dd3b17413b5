"""map, starmap, imap, imap_unordered: one line on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import chain
from weakref import finalize

from allcores._core.hints import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload
from allcores._core.options import OptionKeywords, Options
from allcores._core.plan import Plan, make_plan
from allcores._core.report import Report
from allcores._objects.asking import give_field
from allcores._objects.entry import one_frame, rethrow
from allcores._objects.outcomes import Failure, Results
from allcores._run.sinks import ListSink, OrderedSink, UnorderedSink
from allcores._run.start import conclude, prepare
from allcores._system.interrupts import hold_interrupts
from allcores._system.machine import find_facts

if TYPE_CHECKING:
    from allcores._run.lazy import LazyRun

__all__ = ["ResultIterator", "collect", "imap", "imap_unordered", "map", "plan", "starmap"]

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")


@overload
def map(
    fn: Callable[[T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> Results[R]: ...
@overload
def map(
    fn: Callable[[S, T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: Callable[[], S],
    **options: Unpack[OptionKeywords],
) -> Results[R]: ...
@overload
def map(
    fn: Callable[[T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> Results[R | Failure]: ...
@overload
def map(
    fn: Callable[[S, T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: Callable[[], S],
    **options: Unpack[OptionKeywords],
) -> Results[R | Failure]: ...
@overload
def map(
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
def map(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["collect"],
    state: Callable[[], Any] | None = None,
    **options: Unpack[OptionKeywords],
) -> Results[R | Failure]: ...
def map(fn: Callable[..., Any], /, *iterables: Iterable[Any], **options: Any) -> Results[Any]:
    """Call `fn` on every item, on all cores; give the results in the items' order.

    The same as ``[fn(x) for x in iterable]``, or, with several iterables, as ``list(map(fn, *iterables))``.

    Args:
        fn: a function of as many arguments as there are iterables. Lambdas, closures, bound methods and functions of
            ``__main__`` or of a notebook will do.
        iterables: the dataset; with several, items are taken side by side and the shortest ends.
        errors: ``"raise"``: the first failure stops the run and raises the original exception, from which `finished`
            gives what was finished; ``"collect"``: every item runs, and a failed position holds its `Failure`.
        options: see `Options`.

    Returns:
        A list, which also bears `failures` and `report`.

    Raises:
        TypeError, ValueError: an argument or an option makes no sense.
        UnpicklableError: `fn` captures something that cannot travel to a worker; no worker has been started.
        WorkerDied: a worker died while it ran an item.
        WorkersUnavailable: no worker can be started.
        BaseException: whatever `fn`, the initializer or an iterable raises.

    Example:
        >>> import allcores
        >>> allcores.map(pow, [2, 3, 4], [5, 2, 1], workers=2)
        [32, 9, 4]
    """
    with one_frame:
        return collect(fn, iterables, options, is_star=len(iterables) > 1)


@overload
def starmap(
    fn: Callable[..., R],
    iterable: Iterable[Iterable[Any]],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: Callable[[], Any] | None = None,
    **options: Unpack[OptionKeywords],
) -> Results[R]: ...
@overload
def starmap(
    fn: Callable[..., R],
    iterable: Iterable[Iterable[Any]],
    /,
    *,
    errors: Literal["collect"],
    state: Callable[[], Any] | None = None,
    **options: Unpack[OptionKeywords],
) -> Results[R | Failure]: ...
def starmap(fn: Callable[..., Any], iterable: Iterable[Iterable[Any]], /, **options: Any) -> Results[Any]:
    """Call ``fn(*item)`` on every item, on all cores; otherwise as `map`.

    Example:
        >>> import allcores
        >>> allcores.starmap(pow, [(2, 5), (3, 2)], workers=2)
        [32, 9]
    """
    with one_frame:
        return collect(fn, (iterable,), options, is_star=True)


@overload
def imap(
    fn: Callable[[T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> ResultIterator[R]: ...
@overload
def imap(
    fn: Callable[[S, T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: Callable[[], S],
    **options: Unpack[OptionKeywords],
) -> ResultIterator[R]: ...
@overload
def imap(
    fn: Callable[[T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> ResultIterator[R | Failure]: ...
@overload
def imap(
    fn: Callable[[S, T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: Callable[[], S],
    **options: Unpack[OptionKeywords],
) -> ResultIterator[R | Failure]: ...
@overload
def imap(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["raise"] = "raise",
    state: Callable[[], Any] | None = None,
    **options: Unpack[OptionKeywords],
) -> ResultIterator[R]: ...
@overload
def imap(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["collect"],
    state: Callable[[], Any] | None = None,
    **options: Unpack[OptionKeywords],
) -> ResultIterator[R | Failure]: ...
def imap(fn: Callable[..., Any], /, *iterables: Iterable[Any], **options: Any) -> ResultIterator[Any]:
    """Call `fn` on every item, on all cores, and yield the results in order while later items are still running.

    The input may be endless: it is read no further than the option `ahead` past what was taken. Nothing runs before the
    first result is asked for. Leaving the loop early ends the run; so does ``close()``, or leaving a ``with`` block.

    Args:
        fn: as for `map`.
        iterables: as for `map`.
        errors: as for `map`; with ``"raise"``, the results before the failure in order that are finished come first.
        options: see `Options`.

    Returns:
        An iterator, which also bears `failures` and `report`.

    Example:
        >>> import allcores, itertools
        >>> with allcores.imap(lambda x: x * x, itertools.count(), workers=2) as squares:
        ...     print(list(itertools.islice(squares, 5)))
        [0, 1, 4, 9, 16]
    """
    with one_frame:
        return _iterate(fn, iterables, options, OrderedSink())


@overload
def imap_unordered(
    fn: Callable[[T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> ResultIterator[tuple[int, R]]: ...
@overload
def imap_unordered(
    fn: Callable[[S, T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["raise"] = "raise",
    state: Callable[[], S],
    **options: Unpack[OptionKeywords],
) -> ResultIterator[tuple[int, R]]: ...
@overload
def imap_unordered(
    fn: Callable[[T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: None = None,
    **options: Unpack[OptionKeywords],
) -> ResultIterator[tuple[int, R | Failure]]: ...
@overload
def imap_unordered(
    fn: Callable[[S, T], R],
    iterable: Iterable[T],
    /,
    *,
    errors: Literal["collect"],
    state: Callable[[], S],
    **options: Unpack[OptionKeywords],
) -> ResultIterator[tuple[int, R | Failure]]: ...
@overload
def imap_unordered(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["raise"] = "raise",
    state: Callable[[], Any] | None = None,
    **options: Unpack[OptionKeywords],
) -> ResultIterator[tuple[int, R]]: ...
@overload
def imap_unordered(
    fn: Callable[..., R],
    first: Iterable[Any],
    second: Iterable[Any],
    /,
    *more: Iterable[Any],
    errors: Literal["collect"],
    state: Callable[[], Any] | None = None,
    **options: Unpack[OptionKeywords],
) -> ResultIterator[tuple[int, R | Failure]]: ...
def imap_unordered(fn: Callable[..., Any], /, *iterables: Iterable[Any], **options: Any) -> ResultIterator[Any]:
    """Call `fn` on every item, on all cores, and yield ``(index, result)`` as the items finish; otherwise as `imap`.

    Example:
        >>> import allcores
        >>> sorted(allcores.imap_unordered(str.upper, "abc", workers=2))
        [(0, 'A'), (1, 'B'), (2, 'C')]
    """
    with one_frame:
        return _iterate(fn, iterables, options, UnorderedSink())


def plan(**options: Any) -> Plan:
    """Say how a run with these options would be done here and now, and why.

    Args:
        options: see `Options`.

    Example:
        >>> import allcores
        >>> allcores.plan(workers=3).workers
        3
    """
    from allcores._settings.hooks import what_stays, what_travels

    with one_frame:
        asked = Options.from_keywords(options)
        facts = find_facts(asked, is_detailed=True)._replace(settings=what_travels(), left=what_stays())
        return make_plan(asked, facts)


class ResultIterator(chain[R]):
    """The results of a lazy run, one after another.

    Attributes:
        failures: the `Failure` of every item that failed so far; empty unless ``errors="collect"``.
        report: what the run has cost so far; None before the first result was asked for.
    """

    def __new__(cls, lazy: LazyRun) -> Self:
        """Chain the chunks: nothing of ours runs between two results of one."""
        return cls.from_iterable(lazy.chunks())  # type: ignore[return-value]  # it is of this class

    def __init__(self, lazy: LazyRun) -> None:
        self._lazy = lazy
        # An iterator that nobody closes is closed when it is forgotten, or at the interpreter's exit.
        finalize(self, lazy.forget, os.getpid())

    @property
    def failures(self) -> list[Failure]:
        """The failures so far."""
        return self._lazy.failures

    @property
    def report(self) -> Report | None:
        """What the run has cost so far."""
        return self._lazy.report

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._lazy.status}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the run: workers are let go, results that were not taken are lost."""
        self._lazy.close()


def _iterate(
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    keywords: dict[str, Any],
    sink: OrderedSink | UnorderedSink,
) -> ResultIterator[Any]:
    from allcores._run.lazy import LazyRun  # here, as a plain map does without

    return ResultIterator(LazyRun(prepare(fn, iterables, keywords, is_star=len(iterables) > 1), sink))


def collect(
    fn: Callable[..., Any], iterables: tuple[Iterable[Any], ...], keywords: dict[str, Any], *, is_star: bool
) -> Results[Any]:
    """Run to the end what `map` and the like were called with; what they share, for who is an entry point, too."""
    start = prepare(fn, iterables, keywords, is_star=is_star)
    results: Results[Any] = Results()
    run = None
    try:
        with hold_interrupts():
            progress = start.progress(is_lazy=False)
            run = start.run(ListSink(results), is_lazy=False, watcher=progress)
            try:
                run.run_to_end()
            finally:
                if progress is not None:
                    progress.close()
            conclude(results, run)
    except BaseException as error:
        if run is not None:
            run.attach_finished(error)  # to an interrupt that was held back, too
        raise
    if run.error is not None:
        rethrow(run.error, give_field(run.error, "__traceback__"))
    return results
