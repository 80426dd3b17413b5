"""Which workers there are, whose turn it is, and when there may be more."""

from __future__ import annotations

from math import inf

import pytest

from allcores._core.scheduler.pace import Pace
from allcores._core.scheduler.roster import FAILED_STARTS, HASTY_STARTS, PAUSE_SECONDS, START_SECONDS, Roster
from allcores._core.scheduler.worker import Batch, Worker

pytestmark = pytest.mark.once


def begin(roster: Roster, now: float = 0.0) -> Worker:
    worker = roster.start(now)
    assert worker is not None
    return worker


def get_ready(roster: Roster) -> Worker:
    """Have a new worker stand in the queue."""
    worker = begin(roster)
    roster.come_up(worker.number)
    roster.make_ready(worker)
    assert roster.line_up(worker)
    return worker


def occupy(worker: Worker) -> None:
    worker.batches.append(Batch(0, 0, 1, Pace(workers=1, fixed=1)))


def test_numbers_are_never_used_twice() -> None:
    roster = Roster(2)
    assert begin(roster).number == 0
    roster.lose(0, 0.0)
    assert begin(roster).number == 1


def test_there_are_no_more_than_the_limit_nor_than_there_is_room_for() -> None:
    roster = Roster(2)
    begin(roster)
    assert roster.may_start()
    roster.measure(1)
    assert (roster.may_start(), roster.is_crowded) == (False, True)
    roster.measure(None)
    begin(roster)
    assert (roster.may_start(), roster.is_crowded) == (False, False)
    roster.measure(9)
    assert roster.room == 2


def test_a_worker_that_does_not_come_up_is_overdue() -> None:
    roster = Roster(3)
    begin(roster, 1.0)
    begin(roster, 2.0)
    roster.come_up(0)
    assert roster.due == 2.0 + START_SECONDS
    assert roster.find_overdue(roster.due - 1) is None
    assert roster.find_overdue(roster.due) == 1
    roster.come_up(1)
    assert roster.due == inf
    assert roster.find_overdue(1e9) is None


def test_those_on_their_way_are_counted_until_they_are_busy() -> None:
    roster = Roster(9)
    worker = begin(roster)
    begin(roster)
    assert (roster.coming, roster.peak) == (2, 0)
    roster.come_up(0)
    assert (roster.coming, roster.peak, roster.is_preparing(worker)) == (2, 1, True)
    roster.make_ready(worker)
    assert (roster.coming, roster.is_preparing(worker)) == (1, False)
    roster.line_up(worker)
    assert roster.coming == 2
    roster.end_turn()
    assert roster.coming == 1


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_worker_that_is_lost_counts_for_nothing_any_more(steps: int) -> None:
    roster = Roster(1)
    worker = begin(roster)
    if steps > 0:
        roster.come_up(0)
    if steps > 1:
        roster.make_ready(worker)
        roster.line_up(worker)
    assert roster.lose(0, 0.0) is worker
    assert roster.lose(0, 0.0) is None
    assert (roster.coming, roster.due, len(roster.hungry)) == (0, inf, 0)
    assert (roster.deaths, roster.failed_starts.length) == ((1, 0) if steps > 1 else (0, 1))


def test_after_a_few_failed_starts_the_next_is_put_off() -> None:
    roster = Roster(1)
    for _ in range(HASTY_STARTS):
        roster.lose(begin(roster, 5.0).number, 5.0)
    assert roster.start(5.0) is None
    assert roster.due == 5.0 + PAUSE_SECONDS
    assert roster.start(roster.due) is not None


def test_after_many_failed_starts_there_is_no_hope_unless_somebody_is_there() -> None:
    roster = Roster(2)
    helper = get_ready(roster)
    now = 0.0
    for _ in range(FAILED_STARTS):
        assert roster.may_start()
        roster.lose(begin(roster, now).number, now)
        now += 100.0
    assert (roster.may_start(), roster.is_lost) == (False, False)
    roster.dismiss(helper)
    assert (roster.may_start(), roster.is_lost) == (True, True)


def test_everybody_has_a_first_turn_before_anybody_has_a_second() -> None:
    roster = Roster(3)
    first, second, third = [get_ready(roster) for _ in range(3)]
    roster.pass_turn()
    assert list(roster.hungry) == [second, third, first]
    roster.end_turn()
    assert list(roster.hungry) == [third, first]
    assert [worker.is_hungry for worker in (first, second, third)] == [True, False, True]


def test_nobody_stands_in_the_queue_twice() -> None:
    roster = Roster(1)
    worker = get_ready(roster)
    assert roster.line_up(worker)
    assert list(roster.hungry) == [worker]
    roster.stand_down(worker)
    roster.stand_down(worker)
    assert (list(roster.hungry), worker.is_hungry) == ([], False)


def test_a_worker_takes_as_many_items_as_it_may_and_no_more() -> None:
    roster = Roster(1, recycle=5)
    worker = get_ready(roster)
    assert worker.allowance == 5
    roster.end_turn()
    worker.allowance -= 5
    assert not roster.line_up(worker)
    assert not worker.is_hungry


def test_whether_somebody_is_idle_is_looked_up_again_only_after_news() -> None:
    roster = Roster(2)
    assert not roster.may_have_idle()
    worker = get_ready(roster)
    assert roster.may_have_idle()
    occupy(worker)
    assert not roster.has_idle()
    assert not roster.may_have_idle()
    worker.batches.clear()
    roster.line_up(worker)
    assert roster.may_have_idle()
    assert roster.has_idle()


def test_the_busy_are_those_who_hold_a_batch() -> None:
    roster = Roster(2)
    occupy(get_ready(roster))
    get_ready(roster)
    assert roster.busy == 1
    assert repr(roster) == "<Roster: 2 of 2 workers, 2 hungry>"


def test_at_the_end_nobody_is_left_and_nothing_is_due() -> None:
    roster = Roster(2)
    get_ready(roster)
    begin(roster)
    roster.start_due = 3.0
    roster.clear()
    assert (roster.coming, roster.busy, roster.due) == (0, 0, inf)
