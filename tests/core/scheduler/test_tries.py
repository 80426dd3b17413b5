"""Which items have another try."""

from __future__ import annotations

import pytest

from allcores._core.messages import Excuse
from allcores._core.scheduler.tries import Tries

pytestmark = pytest.mark.once


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_an_excused_failure_is_tried_again_as_often_as_was_said(retries: int) -> None:
    tries = Tries(retries)
    assert [tries.fail(7, Excuse.RETRIABLE) for _ in range(retries + 1)] == [True] * retries + [False]


def test_a_failure_without_an_excuse_is_final() -> None:
    assert not Tries(9).fail(7, Excuse.NONE)


def test_a_lack_of_memory_is_one_try_more_and_no_other_is() -> None:
    tries = Tries(1)
    assert [tries.fail(7, Excuse.STARVED) for _ in range(3)] == [True, True, False]


def test_an_item_that_starved_runs_alone_from_then_on() -> None:
    tries = Tries(2)
    tries.fail(7, Excuse.RETRIABLE)
    assert tries.starved == set()
    tries.fail(7, Excuse.STARVED)
    tries.fail(7, Excuse.RETRIABLE)
    assert (tries.failed, tries.starved) == ({7: 3}, {7})


@pytest.mark.parametrize("is_final_failure", [False, True])
def test_nothing_is_kept_of_an_item_that_is_settled(is_final_failure) -> None:
    tries = Tries(0)
    tries.fail(7, Excuse.STARVED)
    assert repr(tries) == "<Tries: 1 items failed and are tried again, 1 of them alone>"
    if is_final_failure:
        tries.fail(7, Excuse.STARVED)
    else:
        tries.succeed(7)
    assert (tries.failed, tries.starved) == ({}, set())


def test_an_item_may_succeed_at_its_first_try() -> None:
    Tries(0).succeed(7)
