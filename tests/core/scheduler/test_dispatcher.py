"""What comes next, of the parts as they are."""

from __future__ import annotations

from typing import Any

import pytest

from allcores._core.messages import Command, Excuse, PullInput, SendBatch, StartWorkers
from allcores._core.scheduler.backlog import Backlog
from allcores._core.scheduler.dispatcher import Dispatcher
from allcores._core.scheduler.horizon import Horizon
from allcores._core.scheduler.idleness import IDLE_SECONDS, Idleness
from allcores._core.scheduler.pace import Pace
from allcores._core.scheduler.roster import HASTY_STARTS, PAUSE_SECONDS, Roster
from allcores._core.scheduler.tries import Tries
from allcores._core.scheduler.worker import Worker

pytestmark = pytest.mark.once


class Scene:
    """Items at hand, and workers who are ready for them."""

    def __init__(
        self, *, items: int = 100, ready: int = 0, workers: int = 2, batch: int | None = 1, **options: Any
    ) -> None:
        self.backlog = Backlog(items, Pace(workers=workers, fixed=batch))
        defaults = {"length": items, "is_pulled": False, "is_served": False, "ahead": None, "is_lazy": False}
        self.horizon = Horizon(self.backlog, workers, **{**defaults, **options})
        self.tries = Tries(1)
        self.roster = Roster(workers)
        self.idleness = Idleness(self.roster, self.horizon)
        self.dispatcher = Dispatcher(self.backlog, self.horizon, self.tries, self.roster, self.idleness)
        self.workers = [self.add_worker() for _ in range(ready)]

    def add_worker(self) -> Worker:
        worker = self.roster.start(0.0)
        assert worker is not None
        self.roster.come_up(worker.number)
        self.roster.make_ready(worker)
        self.roster.line_up(worker)
        return worker

    def go_on(self, now: float = 0.0) -> list[Command]:
        commands: list[Command] = []
        self.dispatcher.go_on(now, commands)
        return commands

    def sent(self) -> list[tuple[int, int, int]]:
        """Go on, and give who gets what of it."""
        return [(sent.worker, sent.start, sent.stop) for sent in self.go_on() if isinstance(sent, SendBatch)]


def test_all_who_stand_in_the_queue_get_a_batch() -> None:
    scene = Scene(ready=2, batch=3)
    assert scene.sent() == [(0, 0, 3), (1, 3, 6)]
    assert scene.sent() == []


def test_a_worker_gets_a_second_batch_behind_a_short_one() -> None:
    scene = Scene(ready=2)
    scene.backlog.pace.observe(1, 1e-6)
    assert scene.sent() == [(0, 0, 1), (1, 1, 2), (0, 2, 3), (1, 3, 4)]
    assert scene.idleness.latest_waiting == 3


def test_while_memory_is_short_it_does_not_and_only_so_many_are_busy() -> None:
    scene = Scene(ready=2)
    scene.backlog.pace.observe(1, 1e-6)
    scene.roster.measure(1)
    assert scene.sent() == [(0, 0, 1)]


def test_nobody_gets_more_than_it_may_take() -> None:
    scene = Scene(ready=1, workers=1, batch=5)
    scene.workers[0].allowance = 3
    assert scene.sent() == [(0, 0, 3)]
    assert (scene.workers[0].allowance, scene.workers[0].is_hungry) == (0, False)


def test_whoever_gets_nothing_stays_in_the_queue() -> None:
    scene = Scene(items=1, ready=2)
    assert scene.sent() == [(0, 0, 1)]
    assert list(scene.roster.hungry) == [scene.workers[1]]


def test_tokens_rise_and_tries_are_told() -> None:
    scene = Scene(ready=2, workers=2)
    scene.tries.fail(1, Excuse.RETRIABLE)
    assert scene.go_on() == [
        SendBatch(0, 0, 0, 1, may_give_back=False),
        SendBatch(1, 1, 1, 2, may_give_back=False, tries=2),
    ]


def test_a_starved_item_waits_until_nobody_is_busy_and_runs_alone() -> None:
    scene = Scene(ready=2)
    (first, _, _), (second, _, _) = scene.sent()
    scene.backlog.put_aside(0)
    for number in (first, second):
        assert scene.sent() == []
        scene.workers[number].batches.clear()
        scene.roster.line_up(scene.workers[number])
    assert scene.sent() == [(0, 0, 1)]
    assert scene.sent() == []
    scene.workers[0].batches.clear()
    scene.roster.line_up(scene.workers[0])
    assert scene.sent() == [(1, 2, 3), (0, 3, 4)]


def test_workers_are_started_one_at_a_time_as_far_as_there_are_batches_for_them() -> None:
    scene = Scene(items=3, workers=9)
    for number in range(3):
        assert scene.go_on(now=7.0) == [StartWorkers((number,))]
        assert scene.roster.start_due == 7.0 or number == 2
    assert scene.go_on() == []
    assert scene.roster.due > 7.0


def test_a_start_that_is_put_off_is_due_later() -> None:
    scene = Scene(workers=1)
    for number in range(HASTY_STARTS):
        assert scene.go_on() == [StartWorkers((number,))]
        scene.roster.lose(number, 0.0)
    assert scene.go_on() == []
    assert scene.roster.due == PAUSE_SECONDS
    assert scene.go_on(PAUSE_SECONDS) == [StartWorkers((HASTY_STARTS,))]


def test_input_is_pulled_once_for_workers_that_could_be_there() -> None:
    scene = Scene(items=0, length=None, is_pulled=True, batch=4)
    assert scene.go_on() == [PullInput(4)]
    assert scene.go_on() == []
    scene.horizon.bring(4, ())
    assert scene.go_on() == [StartWorkers((0,))]


def test_somebody_without_work_is_seen_to_be_idle() -> None:
    scene = Scene(items=4, ready=2, batch=None)
    scene.backlog.pace.observe(1, 1e-6)
    assert scene.sent() == [(0, 0, 4)]
    assert scene.idleness.due == IDLE_SECONDS
    assert repr(scene.dispatcher) == "<Dispatcher: 1 batches sent>"
