"""The inbox of a run that serves others: what is posted, what the scheduler hears of it, who gets what."""

from __future__ import annotations

import random
from typing import Any

import pytest

from allcores._core.errors import ItemCancelled
from allcores._core.messages import (
    InputEnded,
    InputPulled,
    ItemsCancelled,
    ItemsWithdrawn,
    RunStopped,
    StretchBegan,
)
from allcores._objects.outcomes import DROPPED
from allcores._run.calls import Calls
from allcores._run.inbox import STALE, Inbox
from allcores._run.submission import Submission
from allcores._worker.job import Job
from allcores._worker.line import Line

pytestmark = pytest.mark.once


class Listener:
    """Writes down what it is told."""

    def __init__(self, *, is_wanted: bool = True, error: Exception | None = None) -> None:
        self.outcomes: dict[int, Any] = {}
        self.asked = 0
        self.abandoned: BaseException | None = None
        self._is_wanted = is_wanted
        self._error = error

    def begin(self) -> bool:
        self.asked += 1
        return self._is_wanted

    def put(self, start: int, outcomes: list[Any]) -> None:
        if self._error is not None:
            raise self._error
        self.outcomes.update(enumerate(outcomes, start))

    def abandon(self, error: BaseException) -> None:
        self.abandoned = error


def make_line(batch: int | None = None, depth: int = 2) -> Line:
    return Line(Job(str, is_star=False, stops_at_failure=False), batch=batch, depth=depth)


def hand_in(inbox: Inbox, line: Line, items: Any, listener: Listener | None = None) -> tuple[Submission, Listener]:
    listener = listener or Listener()
    submission = Submission(line, items, listener)
    inbox.submit(submission)
    return submission, listener


def test_whoever_posts_wakes_the_driver_but_with_items_which_its_service_may_send_at_once():
    inbox, woken = Inbox(), []
    inbox.wake = lambda: woken.append(1)
    submission, _ = hand_in(inbox, make_line(), "ab")
    assert not woken
    inbox.cancel(submission)
    inbox.close()
    inbox.stop()
    assert len(woken) == 3
    assert inbox.has_news


def test_items_of_one_line_share_a_stretch_and_those_of_another_begin_one():
    inbox, line, other = Inbox(), make_line(), make_line(batch=1, depth=1)
    hand_in(inbox, line, "ab")
    hand_in(inbox, line, "c")
    hand_in(inbox, other, "d")
    hand_in(inbox, line, "e")
    assert list(inbox.news()) == [
        StretchBegan(0, None, 2),
        InputPulled(3),
        StretchBegan(3, 1, 1),
        InputPulled(4),
        StretchBegan(4, None, 2),
        InputPulled(5),
    ]
    assert list(inbox.news()) == []


def test_the_end_is_told_once_and_after_what_was_handed_in_before():
    inbox = Inbox()
    hand_in(inbox, make_line(), "abc")
    inbox.close()
    inbox.close()
    inbox.stop()
    assert list(inbox.news())[2:] == [InputEnded(3), RunStopped()]


def test_items_are_found_wherever_they_came_from():
    inbox, line = Inbox(), make_line()
    parts = [hand_in(inbox, line, list(part))[0] for part in ("ab", "cde", "f")]
    list(inbox.news())
    assert inbox.items(0, 2) == ["a", "b"]
    assert inbox.items(1, 6) == list("bcdef")
    assert inbox.items(3, 4) == ["d"]
    assert inbox.place(4) == (parts[1], 2)
    assert inbox.line(5) is line


def test_outcomes_reach_those_who_wait_for_them_in_any_order():
    inbox, line = Inbox(), make_line()
    listeners = [hand_in(inbox, line, range(size))[1] for size in (3, 1, 4)]
    list(inbox.news())
    for start, stop in ((5, 8), (2, 5), (0, 2)):
        inbox.put(start, [index * 10 for index in range(start, stop)])
        inbox.settle(start, stop)
    expected = [{0: 0, 1: 10, 2: 20}, {0: 30}, {0: 40, 1: 50, 2: 60, 3: 70}]
    assert [listener.outcomes for listener in listeners] == expected
    assert not inbox.has_line(line.number)


def test_what_a_receiver_raises_is_shown_and_hurts_nobody_else(monkeypatch):
    shown: list[Any] = []
    monkeypatch.setattr("threading.excepthook", lambda args: shown.append(args.exc_value))
    inbox, line, error = Inbox(), make_line(), KeyError("a callback's")
    hand_in(inbox, line, "a", Listener(error=error))
    _, other = hand_in(inbox, line, "b")
    list(inbox.news())
    inbox.put(0, [1, 2])
    assert (shown, other.outcomes) == ([error], {0: 2})


def test_a_receiver_is_asked_once_whether_it_still_wants_its_items():
    inbox, line = Inbox(), make_line()
    _, unwilling = hand_in(inbox, line, "ab", Listener(is_wanted=False))
    _, willing = hand_in(inbox, line, "cd")
    list(inbox.news())
    assert [inbox.is_dropped(*where) for where in ((0, 1), (1, 2), (1, 3), (2, 4))] == [True, True, False, False]
    assert (unwilling.asked, willing.asked) == (1, 1)


def test_what_is_cancelled_does_not_run_and_whoever_runs_it_is_named():
    inbox, line = Inbox(), make_line()
    hand_in(inbox, line, "ab")
    submission, listener = hand_in(inbox, line, "cd")
    list(inbox.news())
    assert not inbox.is_dropped(2, 3)
    inbox.cancel(submission)
    assert list(inbox.news()) == [ItemsCancelled(2, 4)]
    assert inbox.is_dropped(3, 4)
    inbox.settle(2, 4)
    inbox.cancel(submission)
    assert list(inbox.news()) == []
    assert listener.asked == 1


def test_everybody_who_waits_hears_that_nothing_more_will_come():
    inbox, line = Inbox(), make_line()
    _, settled = hand_in(inbox, line, "a")
    _, pending = hand_in(inbox, line, "bc")
    list(inbox.news())
    _, posted = hand_in(inbox, line, "d")
    inbox.settle(0, 2)
    error = RuntimeError("over")
    inbox.abandon(error)
    assert (settled.abandoned, pending.abandoned, posted.abandoned) == (None, error, error)


@pytest.mark.parametrize("seed", range(3))
def test_very_many_submissions_are_found_and_forgotten(seed: int):
    inbox, line, dice = Inbox(), make_line(), random.Random(seed)
    sizes = [dice.choice([1, 1, 1, 5]) for _ in range(3 * STALE)]
    for number, size in enumerate(sizes):
        hand_in(inbox, line, [number] * size)
    list(inbox.news())
    expected = [number for number, size in enumerate(sizes) for _ in range(size)]
    indices = list(range(len(expected)))
    dice.shuffle(indices)
    for index in indices:
        assert list(inbox.items(index, index + 1)) == [expected[index]]
        inbox.settle(index, index + 1)
    assert not inbox.has_line(line.number)
    assert len(inbox._starts) <= STALE + 1


def test_calls_under_other_conditions_share_no_batch_but_what_is_known_of_them():
    inbox, line = Inbox(), make_line()
    for conditions in ("one", "one", "other"):
        inbox.submit(Submission(line, "a", Listener(), conditions))
    assert list(inbox.news()) == [
        StretchBegan(0, None, 2),
        InputPulled(2),
        StretchBegan(2, None, 2, is_same_kind=True),
        InputPulled(3),
    ]


def test_in_a_batch_nothing_stands_for_calls_that_nobody_wants():
    inbox = Inbox()
    line = Calls(Job(str, is_star=True, stops_at_failure=False), batch=None, depth=2)
    call = (len, ("a",), {})
    wanted, unwanted = Listener(), Listener(is_wanted=False)
    for listener in (wanted, unwanted, wanted):
        hand_in(inbox, line, (call,), listener)
    list(inbox.news())
    assert not inbox.is_dropped(0, 3)
    first, (drop, args, _), last = inbox.items(0, 3)
    assert first == last == call
    assert drop(*args) is DROPPED


def test_what_is_withdrawn_is_asked_back():
    inbox, line = Inbox(), make_line()
    kept, dropped = hand_in(inbox, line, "a")[1], hand_in(inbox, line, "b")[1]
    list(inbox.news())
    inbox.withdraw(kept=1)
    assert list(inbox.news()) == [ItemsWithdrawn()]
    assert kept.abandoned is None
    assert isinstance(dropped.abandoned, ItemCancelled)
