"""Running a failed item again, here and now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from allcores._objects.entry import one_frame
from allcores._objects.outcomes import Failure, failure_of
from allcores._worker.current import RunningItem, text_here
from allcores._worker.streams import find_streams, keep_streams, seed_streams

__all__ = ["replay"]


def replay(failure: Failure | BaseException, *, debug: bool = False) -> Any:
    """Run a failed item again in this very process, with the random numbers that it had.

    The initializer and `state`, if the run had them, are called first, as they were in the worker, and the finalizer at
    last. What killed a worker will end this process too, which is of use under a debugger for compiled code.

    Args:
        failure: from ``errors="collect"`` or from a `Journal`, or the exception that `map` raised for an item.
        debug: whether to stop in `pdb` before the function's first line.

    Returns:
        What the function returns, should it not fail again.

    Raises:
        ValueError: the failure has left the process that it happened in, and its function stayed behind; or the
            exception is not from an item.
        BaseException: whatever the function raises.

    Example:
        >>> import allcores
        >>> failure = allcores.map(int, ["1", "x"], errors="collect", on="serial").failures[0]
        >>> allcores.replay(failure)
        Traceback (most recent call last):
            ...
        ValueError: invalid literal for int() with base 10: 'x'
    """
    with one_frame:
        return _replay(failure, debug=debug)


def _replay(failure: Failure | BaseException, *, debug: bool) -> Any:
    found = failure if isinstance(failure, Failure) else failure_of(failure)
    if found is None:
        raise ValueError(f"{failure!r} is not the failure of an item, nor an exception that was raised for one")
    if found.origin is None:
        raise ValueError(f"{found!r} has left the process that it happened in; take it from the journal to replay it")
    job = found.origin.job()._replace(chance=found.origin.chance)
    running = RunningItem(job.chance, found.tries + 1)
    with keep_streams(None), running.here(found.index, []):
        state = job.prepare()
        with ExitStack() as at_last:
            at_last.callback(state.end)
            job = state.bind(job).at_home()
            at_last.enter_context(keep_streams(job.captured))
            find_streams(text_here)
            if job.chance.is_seeded:
                seed_streams(running.text, job.captured)
            return _call(job.function, found.item if job.is_star else (found.item,), debug=debug)


def _call(function: Callable[..., Any], arguments: Iterable[Any], *, debug: bool) -> Any:
    if not debug:
        return function(*arguments)
    import pdb  # noqa: T100 - asked for

    return pdb.Pdb().runcall(function, *arguments)
