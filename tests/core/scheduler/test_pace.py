"""How batch sizes follow from what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from allcores._core.scheduler.credit import TRIPS, Credit
from allcores._core.scheduler.horizon import AHEAD_BATCHES
from allcores._core.scheduler.pace import (
    BATCHES_IN_HAND,
    BOUNDED_IN_HAND,
    FLOOR_HANDOVERS,
    FLOOR_SECONDS,
    GROWTH,
    HANDOVERS,
    HEAVY_BYTES,
    LONG_SECONDS,
    LONG_SHARE,
    MEMORY,
    QUEUED_SECONDS,
    TAIL_SHARE,
    TARGET_SECONDS,
    Pace,
)

INSTANT = 1e-9  # seconds per item: no batch is ever long enough


def measured(items: int, item_seconds: float, *, workers: int = 1, fixed: int | None = None, **options: Any) -> Pace:
    pace = Pace(workers=workers, fixed=fixed, **options)
    pace.observe(items, items * item_seconds)
    return pace


def credit_for(round_trip: float) -> Credit:
    credit = Credit()
    credit.observe(1e-6, 0.0)
    for _ in range(100):
        credit.observe(1.0, round_trip)
    return credit


def test_before_anything_is_measured_a_batch_has_one_item_and_none_waits_behind_it() -> None:
    pace = Pace(workers=8, fixed=None)
    assert pace.batch_size(None) == pace.batch_size(1_000_000) == 1
    assert pace.queue_depth(1) == 1


def test_a_fixed_size_is_kept_whatever_is_measured() -> None:
    pace = Pace(workers=8, fixed=7)
    assert pace.batch_size(None) == 7
    pace.observe(7, 1000.0)
    assert pace.batch_size(1) == 7


def test_batches_grow_step_by_step() -> None:
    pace = Pace(workers=1, fixed=None)
    sizes = []
    for _ in range(5):
        sizes.append(pace.batch_size(None))
        pace.observe(sizes[-1], sizes[-1] * INSTANT)
    assert sizes == [GROWTH**step for step in range(5)]


def test_items_that_take_no_measurable_time_do_not_stop_the_growth() -> None:
    assert measured(10, 0.0).batch_size(None) == 10 * GROWTH


def test_a_small_batch_does_not_undo_the_growth() -> None:
    pace = measured(100, INSTANT)
    pace.observe(1, INSTANT)
    assert pace.batch_size(None) == 100 * GROWTH


@pytest.mark.parametrize("item_seconds", [1e-5, 1e-4, 1e-3])
def test_a_batch_takes_about_the_time_it_shall(item_seconds: float) -> None:
    size = measured(1000, item_seconds).batch_size(None)
    assert size * item_seconds == pytest.approx(TARGET_SECONDS, rel=0.11)


@pytest.mark.parametrize("item_seconds", [TARGET_SECONDS, 1.0, 1e6])
def test_long_items_go_one_by_one(item_seconds: float) -> None:
    assert measured(3, item_seconds).batch_size(None) == 1


def test_toward_the_end_a_batch_is_a_share_of_what_remains() -> None:
    pace = measured(10_000, 1e-6, workers=4)
    assert pace.batch_size(8000) == 8000 // (4 * TAIL_SHARE)


def test_while_much_remains_a_batch_is_longer_and_never_a_large_share_of_it() -> None:
    pace = measured(100_000, 1e-6, workers=4)
    assert pace.batch_size(None) == int(TARGET_SECONDS / 1e-6)
    assert pace.batch_size(100_000_000) == int(LONG_SECONDS / 1e-6)
    assert pace.batch_size(700_000) == 700_000 // (4 * LONG_SHARE)


def test_where_results_are_taken_one_by_one_batches_stay_short() -> None:
    pace = measured(100_000, 1e-6, workers=4, is_awaited=True)
    assert pace.batch_size(100_000_000) == int(TARGET_SECONDS / 1e-6)


def test_a_batch_is_never_so_small_that_handing_it_over_costs_more_than_it_evens_out() -> None:
    pace = measured(10_000, 1e-6, workers=4)
    assert pace.batch_size(8) == int(FLOOR_SECONDS / 1e-6)


def test_the_floor_does_not_make_a_batch_larger_than_it_would_be_without_an_end() -> None:
    pace = measured(10, 1e-6, workers=4)
    assert pace.batch_size(8) == pace.batch_size(None) == 10 * GROWTH


@pytest.mark.parametrize("remaining", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("item_seconds", [0.0, INSTANT, 1e-3, 10.0])
def test_a_batch_has_at_least_one_item(remaining: int, item_seconds: float) -> None:
    assert measured(1, item_seconds, workers=100).batch_size(remaining) >= 1


def test_a_second_batch_waits_behind_a_short_one_only() -> None:
    size = int(QUEUED_SECONDS / 1e-3)
    pace = measured(100, 1e-3, fixed=size)
    assert [pace.queue_depth(items) for items in (1, size - 1, size + 1)] == [2, 2, 1]


def test_a_second_batch_waits_behind_one_of_several_items_which_can_be_taken_back() -> None:
    assert measured(100, 1e-3).queue_depth(int(LONG_SECONDS / 1e-3)) == 2
    assert measured(100, QUEUED_SECONDS).queue_depth(1) == 1


@pytest.mark.parametrize("round_trip", [0.001, 0.01, 0.05])
@pytest.mark.parametrize("fixed", [None, 1, 5])
def test_as_many_batches_wait_as_last_until_there_can_be_more(round_trip: float, fixed: int | None) -> None:
    pace = measured(100, 1e-3, fixed=fixed, credit=credit_for(round_trip))
    for remaining in (10_000, 1000, 100, 10, 1):
        size = pace.batch_size(remaining)
        depth = pace.queue_depth(size)
        assert 2 <= depth <= BATCHES_IN_HAND
        assert (depth - 1) * size * 1e-3 >= 0.99 * round_trip or depth == BATCHES_IN_HAND
        assert (depth - 2) * size * 1e-3 <= TRIPS * round_trip


def test_however_long_the_round_trip_a_few_batches_bridge_it() -> None:
    pace = measured(10_000, 1e-3, credit=credit_for(0.5))
    size = pace.batch_size(None)
    assert (pace.queue_depth(size) - 1) * size * 1e-3 > 0.5


def test_nobody_gets_more_batches_while_they_grow_nor_where_they_are_heavy_nor_where_none_may_wait() -> None:
    credit = credit_for(0.1)
    growing = measured(1, 1e-3, credit=credit)
    assert growing.queue_depth(growing.batch_size(None)) == 2
    heavy = measured(1000, 1e-3, credit=credit)
    heavy.weigh(10, 10 * HEAVY_BYTES)
    assert heavy.queue_depth(heavy.batch_size(None)) == 2
    assert measured(1000, 1e-3, depth=1, fixed=1, credit=credit).queue_depth(1) == 1


def test_nothing_waits_behind_an_item_that_takes_far_longer_than_the_round_trip() -> None:
    assert measured(10, 1.0, credit=credit_for(0.05)).queue_depth(1) == 1


def test_old_measurements_fade() -> None:
    pace = measured(1, 1.0)
    pace.observe(1, 0.0)
    assert pace.item_seconds == pytest.approx(MEMORY / (MEMORY + 1))
    for _ in range(50):
        pace.observe(1, 0.5)
    assert pace.item_seconds == pytest.approx(0.5, rel=1e-4)


def test_the_repr_is_a_status_line() -> None:
    assert repr(Pace(workers=1, fixed=None)) == "<Pace: 0 s per item, next batch 1>"
    assert repr(measured(100, 0.001)) == "<Pace: 0.001 s per item, next batch 10>"


def test_batches_of_heavy_items_are_small() -> None:
    pace = measured(1000, INSTANT)
    pace.weigh(10, 10 * HEAVY_BYTES)
    assert pace.batch_size(None) == 1
    pace.weigh(100, 2 * HEAVY_BYTES)
    assert pace.batch_size(None) == 50


def test_heavy_items_are_forgotten_once_others_are_light() -> None:
    pace = measured(1000, INSTANT)
    pace.weigh(1, 5 * HEAVY_BYTES)
    sizes = []
    for _ in range(100):
        sizes.append(pace.batch_size(None))
        pace.observe(sizes[-1], sizes[-1] * INSTANT)
    assert sizes[:3] == [1, 1, 1]
    assert sizes[-1] >= 1000 * GROWTH


def test_in_a_run_that_goes_only_so_far_ahead_no_worker_has_many_in_hand() -> None:
    far = credit_for(0.5)
    assert measured(100, 1e-3, fixed=1, credit=far).queue_depth(1) == BATCHES_IN_HAND
    bounded = measured(100, 1e-3, fixed=1, credit=far, in_hand=BOUNDED_IN_HAND)
    assert bounded.queue_depth(1) == BOUNDED_IN_HAND < AHEAD_BATCHES
    adapted = measured(10_000, 1e-3, credit=far, in_hand=BOUNDED_IN_HAND)
    assert adapted.batch_size(None) * 1e-3 == pytest.approx(far.seconds / BOUNDED_IN_HAND, rel=0.01)


def test_where_to_hand_over_a_batch_costs_much_batches_are_longer() -> None:
    credit = Credit()
    for _ in range(60):
        credit.observe(0.002, 0.0)
    pace = measured(10_000, 1e-3, credit=credit)
    assert pace.batch_size(None) == pytest.approx(HANDOVERS * 2, abs=1)
    assert pace.batch_size(60) == pytest.approx(60 // TAIL_SHARE, abs=1)
    assert pace.batch_size(30) == pytest.approx(FLOOR_HANDOVERS * 2, abs=1)


def test_while_a_message_travels_a_batch_may_grow_by_what_runs_meanwhile() -> None:
    assert measured(1, 1e-3, credit=Credit(0.008)).batch_size(None) == 8
    assert measured(1, 1e-3).batch_size(None) == GROWTH
