"""Which items go next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from allcores._core.scheduler.backlog import SUSPECT_PIECES, Backlog
from allcores._core.scheduler.pace import Pace

pytestmark = pytest.mark.once


def make_backlog(available: int) -> Backlog:
    return Backlog(available, Pace(workers=1, fixed=None))


def take_all(backlog: Backlog, count: int) -> Iterator[tuple[int, int]]:
    while (items := backlog.take(count, backlog.available)) is not None:
        yield items


def test_fresh_items_go_in_order() -> None:
    backlog = make_backlog(7)
    assert list(take_all(backlog, 3)) == [(0, 3), (3, 6), (6, 7)]
    assert backlog.cursor == 7


def test_no_fresh_item_goes_from_the_stop_on() -> None:
    backlog = make_backlog(7)
    assert [backlog.take(3, 4) for _ in range(3)] == [(0, 3), (3, 4), None]


def test_returned_items_go_first_the_lowest_before_others() -> None:
    backlog = make_backlog(10)
    backlog.take(8, 10)
    backlog.put_back(5, 7)
    backlog.put_back(1, 4)
    assert backlog.returned == 5
    assert list(take_all(backlog, 2)) == [(1, 3), (3, 4), (5, 7), (8, 10)]
    assert backlog.returned == 0


def test_nothing_is_put_back_where_nothing_is_left() -> None:
    backlog = make_backlog(0)
    backlog.put_back(3, 3)
    assert (backlog.returned, backlog.take(1, 0)) == (0, None)


def test_returned_items_go_even_where_no_fresh_one_may() -> None:
    backlog = make_backlog(5)
    backlog.take(5, 5)
    backlog.put_back(3, 4)
    assert backlog.take(9, 0) == (3, 4)


def test_suspects_go_in_pieces() -> None:
    backlog = make_backlog(100)
    backlog.take(100, 100)
    backlog.put_back(0, 80, is_suspect=True)
    assert backlog.take(100, 100) == (0, 80 // SUSPECT_PIECES)
    assert backlog.take(2, 100) == (10, 12)
    backlog.put_back(0, 3, is_suspect=True)
    assert backlog.take(100, 100) == (0, 1)


def test_the_cursor_steps_over_what_is_recalled() -> None:
    backlog = make_backlog(10)
    assert backlog.recall(((0, 2), (4, 5), (8, 10))) == 5
    assert (backlog.cursor, backlog.recalled) == (2, 3)
    assert list(take_all(backlog, 3)) == [(2, 4), (5, 8)]
    assert (backlog.cursor, backlog.recalled) == (10, 0)


def test_no_range_reaches_across_two_stretches_and_each_has_a_pace_of_its_own() -> None:
    backlog = make_backlog(0)
    first, second, third = paces = [Pace(workers=1, fixed=None) for _ in range(3)]
    for start, pace in zip((0, 4, 6), paces, strict=True):
        backlog.begin_stretch(start, pace)
    backlog.available = 9
    assert (backlog.pace, backlog.stretch_stop) == (first, 4)
    taken = [(items, backlog.pace) for items in take_all(backlog, 3)]
    assert taken == [((0, 3), first), ((3, 4), second), ((4, 6), third), ((6, 9), third)]
    assert backlog.stretch_stop == 9


def test_what_is_put_aside_goes_alone() -> None:
    backlog = make_backlog(10)
    backlog.take(5, 10)
    for index in (4, 2):
        backlog.put_aside(index)
    assert (backlog.returned, backlog.is_exclusive) == (2, True)
    assert [backlog.take_starved(), backlog.is_exclusive] == [2, True]
    assert [backlog.take_starved(), backlog.is_exclusive] == [4, True], "until it is done"
    assert [backlog.take_starved(), backlog.is_exclusive] == [None, False]
    assert list(take_all(backlog, 5)) == [(5, 10)]


def test_the_repr_is_a_status_line() -> None:
    backlog = make_backlog(10)
    backlog.take(5, 10)
    backlog.put_back(3, 5)
    assert repr(backlog) == "<Backlog: 10 items at hand, 5 passed, 2 returned>"
