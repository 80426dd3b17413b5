"""Calls are what they were when they were handed in."""

from __future__ import annotations

from typing import Any

from allcores._run.calls import Calls, CallSnapshots, run_call
from allcores._run.submission import Submission
from allcores._worker.job import Job


class Nobody:
    """Hears nothing."""

    def begin(self) -> bool:
        return True

    def put(self, start: int, outcomes: list[Any]) -> None:
        """Nobody asks."""

    def abandon(self, error: BaseException) -> None:
        """Nobody asks."""


LINE = Calls(Job(run_call, is_star=True, stops_at_failure=False), batch=1, depth=1)


def handed_in(function: Any, *args: Any, **kwargs: Any) -> Submission:
    return Submission(LINE, ((function, args, kwargs),), Nobody())


def test_a_call_is_done_and_named_as_it_was_written() -> None:
    (item,) = handed_in(int, "11", base=2).items
    assert run_call(*item) == 3
    assert LINE.name(0, item) == "the call of int with ('11',)"


def test_arguments_that_change_later_are_what_they_were() -> None:
    row, named = [1], {"key": [2]}
    submission = handed_in(list, row, named=named)
    CallSnapshots().keep(submission)
    row.append(3)
    named["key"].append(3)
    assert submission.items == ((list, ([1],), {"named": {"key": [2]}}),)


def test_a_call_of_what_cannot_change_is_left_alone() -> None:
    submission = handed_in(pow, 2, 3)
    before = submission.items
    CallSnapshots().keep(submission)
    assert submission.items is before
    assert submission.snapshots is None


def test_calls_that_wait_share_a_copy_of_something_large() -> None:
    snapshots, model = CallSnapshots(), [b"x"] * 100_000
    first, second = handed_in(len, model), handed_in(len, model)
    snapshots.keep(first)
    snapshots.keep(second)
    assert first.snapshots is second.snapshots is not None
    assert first.items[0][1][0] == model
    assert first.items[0][1][0] is not model
