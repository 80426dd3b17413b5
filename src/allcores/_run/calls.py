"""Calls: functions that are handed in one by one, with their arguments, as all of that was at the time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import ref

from allcores._input.copier import opens_anew
from allcores._input.ownership import has_all_to_itself, is_constant
from allcores._input.snapshots import Snapshots
from allcores._objects.outcomes import DROPPED
from allcores._objects.short_repr import short_repr
from allcores._run.submission import Submission
from allcores._worker.current import text_here
from allcores._worker.job import find_captured
from allcores._worker.line import Line

__all__ = ["CallSnapshots", "Calls", "run_call", "run_call_with_state", "run_seeded_call"]


def run_call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do a call; this is what runs the items of lines of calls, where they have no seed.

    Its name is one that no module of the user's is likely to have, too: what a pickle might mention would travel along.
    """
    return function(*args, **kwargs)


def run_seeded_call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do a call, and seed what its function captures, which leaves the caller's where it was."""
    text = text_here()
    captured = None if text is None else find_captured(function)  # threads share it
    if text is None or captured is None:
        return function(*args, **kwargs)
    with captured.keep():
        captured.seed(text)
        return function(*args, **kwargs)


def run_call_with_state(
    run: Callable[..., Any], state: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Do a call where workers have a state, which the function is given first; `run` is one of the above."""
    return run(partial(function, state), args, kwargs)


def _drop(*_: object) -> object:
    """Be called in the place of what nobody wants to have called."""
    return DROPPED


class Calls(Line):
    """A line of calls."""

    blank: Any = (_drop, (), {})

    def name(self, position: int, item: Any) -> str:
        """Say in messages which call it is."""
        function, args, _ = item
        return f"the call of {getattr(function, '__qualname__', short_repr(function))} with {short_repr(args)}"


class CallSnapshots:
    """Has calls be what they are now, whatever their callers do with what they gave; one call after another.

    Something large that many of them have is copied once, as long as one waits that has it: the submissions hold the
    copies.
    """

    def __init__(self) -> None:
        self._latest: Callable[[], Snapshots | None] = lambda: None

    def keep(self, submission: Submission) -> None:
        """Put copies in the place of what may change in a submission's call."""
        function, args, kwargs = submission.items[0]
        if is_constant(function) and has_all_to_itself(args) and has_all_to_itself(kwargs):
            return
        snapshots = submission.snapshots = self._latest() or Snapshots(shares_files=True, is_to_travel=True)
        self._latest = ref(snapshots)
        if not (is_constant(function) or opens_anew(function)):
            function = snapshots.copy(function)
        if kwargs:
            args, kwargs = snapshots.copy((args, kwargs))
        else:
            args = snapshots.copy(args, is_alone=True)
        submission.items = ((function, args, kwargs),)
