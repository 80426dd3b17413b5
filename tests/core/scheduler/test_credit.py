"""How long work in hand should last follows from what was measured of round trips."""

from __future__ import annotations

import pytest

from allcores._core.scheduler.credit import (
    DRY_SECONDS,
    HANDOVER_GROWTH,
    LEAST_SECONDS,
    MEMORY,
    MOST_GROWTH,
    MOST_HANDOVER,
    TRIPS,
    Credit,
)

WAITED = 10 * DRY_SECONDS
NEXT = DRY_SECONDS / 10  # waited for a batch that is there


def begun() -> Credit:
    credit = Credit()
    credit.observe(NEXT, 0.0)
    return credit


def test_nothing_is_known_before_somebody_has_waited() -> None:
    credit = Credit()
    assert credit.seconds == 0
    credit.observe(DRY_SECONDS / 2, 0.05)
    assert credit.seconds == 0


@pytest.mark.parametrize("round_trip", [LEAST_SECONDS, 0.001, 0.05, 1.0])
def test_it_comes_to_what_lasts_for_the_round_trips_that_are_measured(round_trip: float) -> None:
    credit = begun()
    for _ in range(60):
        credit.observe(WAITED, round_trip)
    assert credit.seconds == pytest.approx(TRIPS * round_trip, rel=0.01)


def test_an_outlier_counts_for_little() -> None:
    credit = begun()
    for _ in range(60):
        credit.observe(WAITED, 0.001)
    credit.observe(WAITED, 10.0)
    assert credit.seconds == pytest.approx(TRIPS * 0.001 * (MEMORY + (1 - MEMORY) * MOST_GROWTH), rel=0.01)


@pytest.mark.parametrize("round_trip", [0.0, -1.0])  # as clocks of two processes differ, and what they measure
def test_it_is_never_less_than_the_least(round_trip: float) -> None:
    credit = begun()
    credit.observe(WAITED, round_trip)
    assert credit.seconds == TRIPS * LEAST_SECONDS


def test_what_is_known_before_holds_until_it_is_measured() -> None:
    credit = Credit(0.01)
    assert credit.seconds == TRIPS * 0.01
    credit.observe(NEXT, 0.0)
    assert credit.seconds == TRIPS * 0.01
    for _ in range(60):
        credit.observe(WAITED, 0.001)
    assert credit.seconds == pytest.approx(TRIPS * 0.001, rel=0.01)


def test_what_is_always_waited_is_no_round_trip_but_the_cost_of_handing_over() -> None:
    credit = Credit()
    for _ in range(60):
        credit.observe(0.002, 0.09)
        credit.observe(0.003, 0.09)
    assert credit.seconds == 0
    assert credit.handover == pytest.approx(0.002, rel=2 * (HANDOVER_GROWTH - 1))


def test_who_always_waits_for_long_waits_for_messages() -> None:
    credit = Credit()
    for _ in range(60):
        credit.observe(0.05, 0.06)
    assert credit.handover == MOST_HANDOVER
    assert credit.seconds == pytest.approx(TRIPS * 0.06, rel=0.01)


def test_handing_over_that_comes_to_cost_more_is_seen() -> None:
    credit = begun()
    for _ in range(200):
        credit.observe(0.002, 0.0)
    assert credit.handover == pytest.approx(0.002)


def test_the_repr_is_a_status_line() -> None:
    assert repr(Credit()) == "<Credit: work for 0 s>"
