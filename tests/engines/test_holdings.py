"""What waits at a worker is taken back; who has begun what nobody wants is ended, and nobody else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from allcores._core.messages import ItemsTakenBack, SendBatch
from allcores._engines import holdings
from allcores._engines.holdings import Takings
from allcores._transport.board import INDEX, KEPT_TOKEN, SINCE, SPAN, Board, Mark


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Mark:
    monkeypatch.setattr(holdings, "SETTLING_SECONDS", 0.0)
    board = Board(1)
    return board.mark(board.take_slot())


def run(mark: Mark, token: int, index: int) -> None:
    """Have the worker be inside of an item."""
    mark.words[KEPT_TOKEN], mark.words[INDEX], mark.words[SPAN] = token, index, 1


def batch(token: int, start: int, stop: int) -> SendBatch:
    return SendBatch(0, token, start, stop, may_give_back=True)


def take(takings: Takings) -> tuple[list[Any], list[tuple[int, int]]]:
    """Give the events, and who was ended, at which item."""
    ended: list[tuple[int, int]] = []
    return [arrival.event for arrival in takings.take(lambda *who: ended.append(who))], ended


def test_what_waits_behind_an_item_is_taken(mark: Mark) -> None:
    takings, held = Takings(), {1: batch(1, 0, 1), 2: batch(2, 1, 4)}
    run(mark, 1, 0)
    takings.ask(0, mark, held, ((2, 3),))
    assert take(takings) == ([ItemsTakenBack(0, 1, 1, 2)], [])
    assert list(held) == [1]


def test_who_has_begun_what_nobody_wants_is_ended(mark: Mark) -> None:
    takings, held = Takings(), {1: batch(1, 0, 1), 2: batch(2, 1, 4)}
    takings.ask(0, mark, held, ((1, 2),))
    takings.ask(0, mark, held)  # for another reason: what was unwanted still is
    run(mark, 2, 1)
    assert take(takings) == ([], [(0, 1)])


def test_who_has_marked_what_nobody_wants_since_it_was_asked_gives_it_back(mark: Mark) -> None:
    takings, held = Takings(), {1: batch(1, 0, 1), 2: batch(2, 1, 4)}
    takings.ask(0, mark, held, ((1, 2),))
    mark.words[SINCE] = time.monotonic_ns() + 1
    run(mark, 2, 1)
    assert take(takings) == ([], [])


def test_a_batch_that_was_sent_later_is_nobodys_business(mark: Mark) -> None:
    takings, held = Takings(), {1: batch(1, 0, 1), 2: batch(2, 1, 4)}
    takings.ask(0, mark, held, ((1, 2),))
    held.clear()  # the worker has given all back
    held[3] = batch(3, 1, 4)
    run(mark, 3, 1)
    assert take(takings) == ([], [])
    assert list(held) == [3]
