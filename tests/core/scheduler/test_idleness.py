"""When others are asked for what waits behind their items."""

from __future__ import annotations

from math import inf

import pytest

from allcores._core.scheduler.backlog import Backlog
from allcores._core.scheduler.horizon import Horizon
from allcores._core.scheduler.idleness import IDLE_SECONDS, PATIENCE, STUCK_SECONDS, Idleness
from allcores._core.scheduler.pace import Pace
from allcores._core.scheduler.roster import Roster
from allcores._core.scheduler.worker import Batch, Worker

pytestmark = pytest.mark.once


class Scene:
    """Two workers: all items wait with the first, and the second has none."""

    def __init__(self, *, is_served: bool = False) -> None:
        length = None if is_served else 10
        self.backlog = Backlog(10, Pace(workers=2, fixed=None))
        self.horizon = Horizon(
            self.backlog, 2, length=length, is_pulled=False, is_served=is_served, ahead=None, is_lazy=False
        )
        self.roster = Roster(2)
        self.idleness = Idleness(self.roster, self.horizon)
        self.loaded, self.idle = self.add_worker(), self.add_worker()
        self.backlog.take(10, 10)
        self.send(0, 0, 10)

    def add_worker(self) -> Worker:
        worker = self.roster.start(0.0)
        assert worker is not None
        self.roster.come_up(worker.number)
        self.roster.make_ready(worker)
        self.roster.line_up(worker)
        return worker

    def send(self, token: int, start: int, stop: int) -> None:
        self.loaded.batches.append(Batch(token, start, stop, self.backlog.pace))
        self.roster.stand_down(self.loaded)
        self.idleness.latest_waiting = token


def test_somebody_who_is_idle_has_others_asked_after_a_moment() -> None:
    scene = Scene()
    scene.idleness.watch(5.0)
    assert scene.idleness.due == 5.0 + IDLE_SECONDS
    scene.idleness.watch(5.001)
    assert scene.idleness.due == 5.0 + IDLE_SECONDS, "the moment does not begin anew"
    assert scene.idleness.ask(6.0) == [scene.loaded]
    assert scene.idleness.due == inf


def test_nobody_is_asked_twice_for_the_same() -> None:
    scene = Scene()
    scene.idleness.ask(6.0)
    scene.idleness.watch(5.0)
    assert scene.idleness.due == inf
    scene.send(1, 10, 12)
    scene.idleness.watch(5.0)
    assert scene.idleness.ask(6.0) == [scene.loaded]


def test_nobody_is_idle_in_vain_while_there_is_more() -> None:
    scene = Scene()
    scene.backlog.put_back(0, 1)
    scene.idleness.watch(5.0)
    assert scene.idleness.due == inf


def test_what_was_due_is_so_no_more_once_nobody_is_idle() -> None:
    scene = Scene()
    scene.idleness.watch(5.0)
    scene.roster.stand_down(scene.idle)
    scene.idleness.watch(5.001)
    assert scene.idleness.due == inf


def test_nobody_is_asked_where_all_turn_out_to_be_busy() -> None:
    scene = Scene()
    scene.idle.batches.append(Batch(1, 10, 11, scene.backlog.pace))
    scene.idleness.watch(5.0)
    assert scene.idleness.ask(6.0) == []
    scene.idleness.watch(5.0)
    assert scene.idleness.due == inf, "nor is that looked up again before something has changed"


def test_others_are_asked_for_a_worker_that_could_be_started() -> None:
    scene = Scene()
    scene.roster.dismiss(scene.idle)
    scene.idleness.watch(5.0)
    assert scene.idleness.due == 5.0 + IDLE_SECONDS
    assert scene.idleness.ask(6.0) == [scene.loaded]


def test_it_takes_longer_each_time_that_nothing_has_come_of_it() -> None:
    scene = Scene()
    waited = []
    for token in range(1, 4):
        scene.idleness.watch(0.0)
        waited.append(scene.idleness.due)
        scene.idleness.ask(6.0)
        scene.send(token, 0, 10)
    assert waited == pytest.approx([IDLE_SECONDS * PATIENCE**turn for turn in range(3)])
    scene.horizon.settled += 1
    scene.idleness.watch(0.0)
    assert scene.idleness.due == IDLE_SECONDS
    assert repr(scene.idleness) == "<Idleness: due at 0.002, 0.002 s after it is seen>"


def test_where_items_are_handed_in_others_are_asked_once_nothing_has_come_of_any_for_a_while() -> None:
    scene = Scene(is_served=True)
    scene.roster.stand_down(scene.idle)
    scene.idle.batches.append(Batch(1, 10, 11, scene.backlog.pace))
    scene.idleness.watch(5.0)
    assert scene.idleness.due == 5.0 + STUCK_SECONDS
    scene.horizon.settled += 1
    scene.idleness.watch(5.01)
    assert scene.idleness.due == 5.01 + STUCK_SECONDS, "something has come"
    scene.idleness.watch(5.02)
    assert scene.idleness.due == 5.01 + STUCK_SECONDS
    assert scene.idleness.ask(5.02) == []
    scene.idleness.watch(5.02)
    assert scene.idleness.ask(5.02 + STUCK_SECONDS) == [scene.loaded]
    scene.idleness.watch(6.0)
    assert scene.idleness.due == inf, "nobody is asked twice for the same"
