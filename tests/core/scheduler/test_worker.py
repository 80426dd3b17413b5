"""What a worker holds, and what of that is to blame or can be had back."""

from __future__ import annotations

from math import inf

import pytest

from allcores._core.messages import Moment
from allcores._core.scheduler.pace import Pace
from allcores._core.scheduler.worker import Batch, Worker

pytestmark = pytest.mark.once


def holding(*ranges: tuple[int, int], fixed: int | None = None) -> Worker:
    worker = Worker(3, allowance=inf, failed_starts=0)
    pace = Pace(workers=1, fixed=fixed)
    worker.batches = [Batch(token, start, stop, pace) for token, (start, stop) in enumerate(ranges)]
    return worker


def test_it_holds_what_it_has_not_reported() -> None:
    worker = holding((3, 5), (8, 9))
    assert [index for index in range(12) if worker.holds_any(index, index + 1)] == [3, 4, 8]
    assert worker.holds_any(0, 100)
    assert not worker.holds_any(5, 8)


@pytest.mark.parametrize(
    ("ranges", "fixed", "waits"),
    [
        ([], None, False),
        ([(0, 1)], None, False),
        ([(0, 2)], None, True),
        ([(0, 2)], 2, False),
        ([(0, 1), (1, 2)], 1, True),
    ],
)
def test_items_wait_behind_others_of_their_batch_or_of_the_one_before(ranges, fixed, waits) -> None:
    assert holding(*ranges, fixed=fixed).holds_waiting(since=-1) == waits


def test_what_was_asked_for_before_is_not_waiting() -> None:
    worker = holding((0, 2), (2, 4))
    assert [worker.holds_waiting(since=token) for token in (-1, 0, 1)] == [True, True, False]


@pytest.mark.parametrize(
    ("moment", "running", "suspects"),
    [
        (Moment.RUNNING, (4, 5), (0, 4, 5)),
        (Moment.RUNNING, (1, 5), (0, 3, 5)),
        (Moment.RUNNING, (6, 7), (1, 6, 7)),
        (Moment.RUNNING, (1, 3), None),
        (Moment.MOVING, (0, 0), (0, 3, 6)),
        (Moment.UNKNOWN, (0, 0), (0, 3, 6)),
        (Moment.IDLE, (0, 0), None),
    ],
)
def test_of_a_death_those_are_suspect_that_it_held_and_was_at(moment, running, suspects) -> None:
    worker = holding((3, 6), (6, 8))
    found = worker.find_suspects(moment, *running)
    assert (found and (found[0].token, *found[1:])) == suspects


def test_a_batch_of_which_all_is_reported_is_not_suspect() -> None:
    worker = holding((6, 6), (6, 8))
    assert worker.find_suspects(Moment.UNKNOWN, 0, 0) == (worker.batches[1], 6, 8)


def test_the_repr_says_who_holds_what() -> None:
    assert repr(holding((3, 6))) == "<worker 3: [<batch 0: items 3 to 6>]>"
