"""What becomes of items that were sent."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from allcores._core.messages import BatchAdvanced, BatchFinished, Command, Excuse, FailItem, RetryItem
from allcores._core.scheduler.backlog import Backlog
from allcores._core.scheduler.horizon import Horizon
from allcores._core.scheduler.ledger import Ledger
from allcores._core.scheduler.pace import Pace
from allcores._core.scheduler.streak import Streak
from allcores._core.scheduler.tries import Tries
from allcores._core.scheduler.worker import Batch, Worker

pytestmark = pytest.mark.once


class Scene:
    """A batch of the first items is sent, after a setback."""

    def __init__(self, size: int = 4, *, retries: int = 0, stops_at_failure: bool = True) -> None:
        self.backlog = Backlog(size, Pace(workers=1, fixed=None))
        self.horizon = Horizon(
            self.backlog, 1, length=size, is_pulled=False, is_served=False, ahead=None, is_lazy=False
        )
        self.tries = Tries(retries)
        self.setbacks = Streak()
        self.setbacks.count(known=0)
        self.ledger = Ledger(self.backlog, self.horizon, self.tries, self.setbacks, stops_at_failure=stops_at_failure)
        self.backlog.take(size, size)
        self.batch = Batch(0, 0, size, self.backlog.pace)
        self.commands: list[Command] = []

    def finish(self, stop: int, *failed: int, excuse: Excuse = Excuse.NONE) -> bool:
        excuses = tuple((index, excuse) for index in failed if excuse is not Excuse.NONE)
        return self.ledger.settle(self.batch, BatchFinished(0, 0, stop, 1.0, failed, excuses), self.commands)

    def suspect(self, start: int, stop: int, excuse: Excuse = Excuse.NONE) -> bool:
        return self.ledger.suspect(start, stop, excuse, self.commands)


def test_what_is_reported_is_settled_and_measured_and_ends_the_setbacks() -> None:
    scene = Scene()
    assert not scene.ledger.settle(scene.batch, BatchAdvanced(0, 0, 3, 0.6), scene.commands)
    assert (scene.horizon.settled, scene.batch.start, scene.setbacks.length) == (3, 3, 0)
    assert scene.batch.pace.item_seconds == pytest.approx(0.2)
    assert repr(scene.ledger) == "<Ledger: 3 items settled, 0 returned>"


def test_a_report_of_nothing_changes_nothing() -> None:
    scene = Scene()
    assert not scene.finish(0)
    assert (scene.horizon.settled, scene.batch.start, scene.setbacks.length) == (0, 0, 1)


@pytest.mark.parametrize("stops", [False, True])
def test_a_failure_settles_and_ends_the_run_if_it_shall(stops) -> None:
    scene = Scene(stops_at_failure=stops)
    assert scene.finish(4, 3) == stops
    assert (scene.horizon.settled, scene.commands) == (4, [])


def test_a_failure_that_is_excused_returns_the_item_and_ends_nothing() -> None:
    scene = Scene(retries=1)
    assert not scene.finish(4, 3, excuse=Excuse.RETRIABLE)
    assert scene.commands == [RetryItem(3)]
    assert (scene.horizon.settled, scene.backlog.take(9, 0)) == (3, (3, 4))
    assert scene.tries.failed == {3: 1}


def test_an_item_that_finishes_at_last_is_no_trouble_any_more() -> None:
    scene = Scene(retries=1)
    scene.finish(4, 3, excuse=Excuse.RETRIABLE)
    scene.batch = Batch(1, 3, 4, scene.backlog.pace)
    assert not scene.finish(4)
    assert (scene.horizon.settled, scene.tries.failed) == (4, {})


def test_a_starved_item_is_put_aside_whenever_it_is_returned() -> None:
    scene = Scene()
    scene.finish(4, 3, excuse=Excuse.STARVED)
    assert (scene.backlog.is_exclusive, scene.backlog.take_starved()) == (True, 3)
    scene.ledger.put_back(3, 4)
    assert scene.backlog.take_starved() == 3
    scene.ledger.put_back(3, 3)
    assert scene.backlog.take_starved() is None


def test_of_several_suspects_none_fails() -> None:
    scene = Scene(20)
    assert not scene.suspect(0, 20)
    assert scene.commands == []
    assert scene.backlog.take(20, 0) == (0, 2)
    assert (scene.horizon.settled, scene.setbacks.length) == (0, 1)


@pytest.mark.parametrize("stops", [False, True])
def test_a_suspect_alone_fails(stops) -> None:
    scene = Scene(stops_at_failure=stops)
    assert scene.suspect(2, 3) == stops
    assert (scene.commands, scene.horizon.settled, scene.setbacks.length) == ([FailItem(2)], 1, 0)


def test_a_suspect_alone_may_be_tried_again() -> None:
    scene = Scene(retries=1)
    assert not scene.suspect(2, 3, Excuse.RETRIABLE)
    assert (scene.commands, scene.horizon.settled, scene.backlog.returned) == ([RetryItem(2)], 0, 1)


def test_no_suspect_is_no_failure() -> None:
    scene = Scene()
    assert not scene.suspect(2, 2)
    assert (scene.commands, scene.backlog.returned) == ([], 0)


def test_a_worker_may_take_what_it_gives_back_once_more() -> None:
    scene = Scene()
    worker: Any = Worker(0, allowance=10, failed_starts=0)
    scene.batch.start = 1
    scene.ledger.give_back(worker, scene.batch)
    assert (worker.allowance, scene.backlog.take(9, 0)) == (13, (1, 4))
    worker.allowance = -inf
    scene.ledger.give_back(worker, scene.batch)
    assert worker.allowance == -inf
