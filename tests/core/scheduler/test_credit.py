"""How long work in hand should last follows from what was measured of round trips."""

from __future__ import annotations

import pytest

from allcores._core.scheduler.credit import DRY_SECONDS, LEAST_SECONDS, MEMORY, MOST_GROWTH, TRIPS, Credit

WAITED = 10 * DRY_SECONDS


def test_nothing_is_known_before_somebody_has_waited() -> None:
    credit = Credit()
    assert credit.seconds == 0
    credit.observe(DRY_SECONDS / 2, 0.05)
    assert credit.seconds == 0


@pytest.mark.parametrize("round_trip", [LEAST_SECONDS, 0.001, 0.05, 1.0])
def test_it_comes_to_what_lasts_for_the_round_trips_that_are_measured(round_trip: float) -> None:
    credit = Credit()
    for _ in range(60):
        credit.observe(WAITED, round_trip)
    assert credit.seconds == pytest.approx(TRIPS * round_trip, rel=0.01)


def test_an_outlier_counts_for_little() -> None:
    credit = Credit()
    for _ in range(60):
        credit.observe(WAITED, 0.001)
    credit.observe(WAITED, 10.0)
    assert credit.seconds == pytest.approx(TRIPS * 0.001 * (MEMORY + (1 - MEMORY) * MOST_GROWTH), rel=0.01)


@pytest.mark.parametrize("round_trip", [0.0, -1.0])  # as clocks of two processes differ, and what they measure
def test_it_is_never_less_than_the_least(round_trip: float) -> None:
    credit = Credit()
    credit.observe(WAITED, round_trip)
    assert credit.seconds == TRIPS * LEAST_SECONDS


def test_the_repr_is_a_status_line() -> None:
    assert repr(Credit()) == "<Credit: work for 0 s>"
