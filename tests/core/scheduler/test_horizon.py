"""How far a run may pull and send."""

from __future__ import annotations

from typing import Any

import pytest

from allcores._core.scheduler.backlog import Backlog
from allcores._core.scheduler.horizon import AHEAD_BATCHES, RECALL_STRIDE, Horizon
from allcores._core.scheduler.pace import Pace

pytestmark = pytest.mark.once


def make_reach(
    *, workers: int = 2, available: int = 0, batch: int | None = None, **options: Any
) -> tuple[Horizon, Backlog]:
    backlog = Backlog(available, Pace(workers=workers, fixed=batch))
    defaults = {"length": None, "is_pulled": True, "is_served": False, "ahead": None, "is_lazy": False}
    return Horizon(backlog, workers, **{**defaults, **options}), backlog


def test_all_that_is_at_hand_may_be_sent_where_nobody_takes_results_one_by_one() -> None:
    horizon, _ = make_reach(length=100, available=100, is_pulled=False, ahead=3)
    assert horizon.sendable_stop(1) == 100


def test_a_lazy_run_goes_so_far_ahead_of_what_was_taken() -> None:
    horizon, _ = make_reach(length=100, available=100, is_pulled=False, ahead=3, is_lazy=True)
    horizon.settled = 50
    horizon.taken = 10
    assert horizon.sendable_stop(1) == 13


def test_a_run_of_unknown_length_goes_so_far_ahead_of_what_is_settled() -> None:
    horizon, backlog = make_reach(ahead=3)
    backlog.available = 100
    horizon.settled = 50
    assert horizon.sendable_stop(1) == 53


def test_without_the_option_it_is_a_few_batches_per_worker() -> None:
    horizon, backlog = make_reach(workers=3)
    backlog.available = 1000
    assert horizon.sendable_stop(5) == AHEAD_BATCHES * 3 * 5


@pytest.mark.parametrize(("ahead", "most"), [(40, 10), (1, 1), (None, 4000)])
def test_a_batch_leaves_room_for_others_within_what_is_ahead(ahead: int | None, most: int) -> None:
    horizon, backlog = make_reach(workers=2, length=10**9, ahead=ahead, is_lazy=True)
    assert horizon.next_size() == 1
    backlog.pace.observe(1000, 1e-3)
    assert horizon.next_size() == most


def test_a_batch_whose_size_was_asked_for_keeps_it() -> None:
    assert make_reach(batch=50, ahead=4)[0].next_size() == 50


def test_toward_the_end_of_a_stretch_batches_are_smaller() -> None:
    horizon, backlog = make_reach(is_pulled=False, is_served=True)
    backlog.pace.observe(1000, 1e-3)
    backlog.available = 100_000
    size = horizon.next_size()
    backlog.begin_stretch(100_000, Pace(workers=2, fixed=None))
    backlog.take(99_000, 100_000)
    backlog.available = 200_000
    assert horizon.next_size() < size


def test_it_is_pulled_as_far_as_there_are_takers_with_nothing_to_run() -> None:
    horizon, _ = make_reach(batch=3)
    assert horizon.next_pull(takers=2) == 3
    horizon.bring(3, ())
    assert horizon.next_pull(takers=1) is None
    assert horizon.next_pull(takers=2) == 6


def test_nothing_is_asked_for_twice() -> None:
    horizon, _ = make_reach(batch=3)
    horizon.request(3)
    assert horizon.next_pull(takers=2) is None
    horizon.bring(3, ())
    assert horizon.next_pull(takers=2) == 6


def test_it_is_pulled_no_further_than_ahead_nor_than_there_is_input() -> None:
    assert make_reach(batch=3, ahead=2)[0].next_pull(takers=1) == 2
    assert make_reach(batch=3, length=1)[0].next_pull(takers=1) == 1
    assert make_reach(batch=3, length=0)[0].next_pull(takers=1) is None
    assert make_reach(batch=3, length=9, is_pulled=False)[0].next_pull(takers=1) is None


def test_pulls_grow_while_all_that_they_bring_is_settled_already() -> None:
    horizon, backlog = make_reach(length=10_000, batch=1)
    sizes = []
    while (stop := horizon.next_pull(takers=1)) is not None and len(sizes) < 12:
        sizes.append(stop - backlog.available)
        horizon.bring(stop, ((backlog.available, stop),))
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, RECALL_STRIDE)
    assert horizon.settled == backlog.available == backlog.cursor
    horizon.bring(backlog.available + 1, ())
    assert horizon.next_pull(takers=2) == backlog.available + 1


def test_there_may_be_more_until_the_input_has_ended_and_all_is_sent() -> None:
    horizon, backlog = make_reach(ahead=9)
    assert horizon.may_have_more()
    horizon.bring(2, ())
    horizon.end(2)
    assert horizon.may_have_more()
    backlog.take(2, 2)
    assert not horizon.may_have_more()
    backlog.put_back(0, 1)
    assert horizon.may_have_more()


def test_what_others_hand_in_is_work_while_some_of_it_is_not_sent() -> None:
    horizon, backlog = make_reach(is_pulled=False, is_served=True)
    assert not horizon.may_have_work()
    horizon.bring(1, ())
    assert horizon.may_have_work()
    backlog.take(1, 1)
    assert not horizon.may_have_work()


def test_the_repr_is_a_status_line() -> None:
    horizon, _ = make_reach()
    assert repr(horizon) == "<Horizon: 0 of ? items settled>"
    horizon.bring(5, ((0, 2),))
    horizon.end(5)
    assert repr(horizon) == "<Horizon: 2 of 5 items settled>"
