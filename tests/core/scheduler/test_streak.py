"""Failures in a row, of which those of one cause are one."""

from __future__ import annotations

import pytest

from allcores._core.scheduler.streak import Streak

pytestmark = pytest.mark.once


def test_failures_one_after_another_add_up() -> None:
    streak = Streak()
    for known in range(5):
        streak.count(known)
    assert streak.length == 5


def test_failures_that_were_begun_together_are_one() -> None:
    streak = Streak()
    for _ in range(5):
        streak.count(known=0)
    assert streak.length == 1


def test_a_late_failure_does_not_make_the_streak_shorter() -> None:
    streak = Streak()
    for known in (0, 1, 2, 0):
        streak.count(known)
    assert streak.length == 3


def test_what_had_failed_before_a_success_counts_no_more() -> None:
    streak = Streak()
    for known in range(5):
        streak.count(known)
    streak.end()
    assert streak.length == 0
    streak.count(known=5)
    assert repr(streak) == "<Streak: 1>"
