"""The scheduler: each of its rules by example, then random histories against an account kept by the outside world."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import inf
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from allcores._core.errors import InternalError
from allcores._core.messages import (
    AbortReason,
    AbortRun,
    BatchAdvanced,
    BatchFinished,
    BatchRefused,
    BatchUnreadable,
    Command,
    CondemnItems,
    DeadlinePassed,
    EngineLost,
    Event,
    Excuse,
    FailItem,
    InputEnded,
    InputPulled,
    ItemsCancelled,
    ItemsTakenBack,
    ItemsWithdrawn,
    KillWorker,
    Moment,
    PullInput,
    ReleaseWorker,
    ResultsTaken,
    RetryItem,
    RoomMeasured,
    RunStarted,
    RunStopped,
    SendBatch,
    StartWorkers,
    StretchBegan,
    TakeBackItems,
    WorkerDown,
    WorkerReady,
    WorkerSetupFailed,
    WorkersOffered,
    WorkerUp,
    WorkerWorn,
)
from allcores._core.scheduler.backlog import SUSPECT_PIECES
from allcores._core.scheduler.horizon import AHEAD_BATCHES, RECALL_STRIDE
from allcores._core.scheduler.idleness import IDLE_SECONDS
from allcores._core.scheduler.pace import BATCHES_IN_HAND
from allcores._core.scheduler.roster import FAILED_STARTS, HASTY_STARTS, PAUSE_SECONDS, START_SECONDS
from allcores._core.scheduler.scheduler import SETBACKS, Scheduler

pytestmark = pytest.mark.once

C = TypeVar("C")

EXCUSES = tuple(Excuse)

SHORT = 1e-6  # seconds per item: a second batch may queue behind one of these
LONG = 1.0  # seconds per item: nothing may


def tell(scheduler: Scheduler, *events: Event, now: float = 0.0) -> list[Command]:
    """Let the events happen at the same time, and give all commands."""
    return [command for event in events for command in scheduler.handle(event, now)]


def start(
    *, ready: int = 0, workers: int = 2, length: int | None = 100, **options: Any
) -> tuple[Scheduler, list[Command]]:
    """Start a run, make its first `ready` workers ready, and give the commands that follow when the last one is."""
    scheduler = Scheduler(workers=workers, length=length, **options)
    commands = tell(scheduler, RunStarted())
    for worker in range(ready):
        commands = tell(scheduler, DeadlinePassed(), WorkerUp(worker), WorkerReady(worker))
    return scheduler, commands


def only(kind: type[C], commands: Iterable[Command]) -> list[C]:
    return [command for command in commands if isinstance(command, kind)]


def ranges(commands: Iterable[Command]) -> list[tuple[int, int]]:
    return [(batch.start, batch.stop) for batch in only(SendBatch, commands)]


def finish(
    batch: SendBatch, seconds: float = LONG, *, failed: tuple[int, ...] = (), excuse: Excuse = Excuse.NONE
) -> BatchFinished:
    excuses = tuple((index, excuse) for index in failed if excuse is not Excuse.NONE)
    return BatchFinished(batch.worker, batch.token, batch.stop, seconds * (batch.stop - batch.start), failed, excuses)


def fail(batch: SendBatch, excuse: Excuse = Excuse.NONE) -> BatchFinished:
    """The batch's last item fails."""
    return finish(batch, failed=(batch.stop - 1,), excuse=excuse)


def fail_start(scheduler: Scheduler, event: WorkerDown, now: float) -> tuple[list[Command], float]:
    """Let a start fail, and wait for the next one if it is put off; give all commands and what the clock shows."""
    commands = tell(scheduler, event, now=now)
    if not commands and (deadline := scheduler.next_deadline) is not None:
        now = deadline
        commands = tell(scheduler, DeadlinePassed(), now=now)
    return commands, now


def run_on(scheduler: Scheduler, commands: Iterable[Command]) -> list[tuple[int, int]]:
    """Let everything that was sent, and what is sent then, finish; give the ranges in the order of sending."""
    sent = []
    while batches := only(SendBatch, commands):
        sent += ranges(batches)
        commands = tell(scheduler, *map(finish, batches))
    return sent


# --------------------------------------------------------------------------------------------------- starting workers


@pytest.mark.parametrize(
    ("workers", "length", "batch", "started"), [(4, 2, 1, 2), (4, 2, 2, 1), (4, 9, 2, 4), (3, 100, 1, 3)]
)
def test_starts_as_many_workers_as_have_a_batch_to_run(workers: int, length: int, batch: int, started: int) -> None:
    scheduler, commands = start(workers=workers, length=length, batch=batch)
    while scheduler.next_deadline == 0.0:
        commands += tell(scheduler, DeadlinePassed())
    groups = [command.workers for command in only(StartWorkers, commands)]
    assert [number for group in groups for number in group] == list(range(started))
    assert all(len(group) <= max(1, group[0]) for group in groups), "no more at once than there are"
    assert scheduler.peak_workers == 0
    tell(scheduler, *map(WorkerUp, range(started)))
    assert scheduler.peak_workers == started


def test_starts_one_worker_at_a_time_and_asks_to_be_called_at_once_for_the_next() -> None:
    scheduler, commands = start(workers=2)
    assert commands == [StartWorkers((0,))]
    assert scheduler.next_deadline == 0.0
    assert tell(scheduler, DeadlinePassed(), now=1.0) == [StartWorkers((1,))]
    assert scheduler.next_deadline == START_SECONDS


def test_waits_for_nothing_but_events_once_all_workers_are_up() -> None:
    scheduler, _ = start(workers=1)
    tell(scheduler, WorkerUp(0))
    assert scheduler.next_deadline is None


def test_sends_to_a_worker_only_when_it_is_ready() -> None:
    scheduler, _ = start(workers=1, batch=1)
    assert tell(scheduler, WorkerUp(0)) == []
    assert tell(scheduler, WorkerReady(0)) == [SendBatch(0, 0, 0, 1, may_give_back=False)]


def test_an_early_worker_runs_while_later_ones_are_still_to_be_started() -> None:
    scheduler, _ = start(workers=3, batch=1)
    assert ranges(tell(scheduler, WorkerUp(0), WorkerReady(0))) == [(0, 1)]
    assert "3 of 3 workers" in repr(scheduler)


def test_kills_a_worker_that_does_not_come_up_and_starts_another() -> None:
    scheduler, _ = start(workers=1)
    assert tell(scheduler, DeadlinePassed(), now=START_SECONDS - 1) == []
    assert tell(scheduler, DeadlinePassed(), now=START_SECONDS) == [KillWorker(0), StartWorkers((1,))]
    assert scheduler.next_deadline == 2 * START_SECONDS


def test_a_worker_that_is_up_may_take_its_time_to_prepare() -> None:
    scheduler, _ = start(workers=1)
    tell(scheduler, WorkerUp(0))
    assert tell(scheduler, DeadlinePassed(), now=10 * START_SECONDS) == []


@pytest.mark.parametrize("moment", [Moment.STARTING, Moment.PREPARING, Moment.UNKNOWN])
def test_failed_starts_in_a_row_abort_the_run(moment: Moment) -> None:
    scheduler, _ = start(workers=1)
    now = 0.0
    for worker in range(FAILED_STARTS - 1):
        tell(scheduler, WorkerUp(worker), now=now)
        commands, now = fail_start(scheduler, WorkerDown(worker, moment), now)
        assert commands == [StartWorkers((worker + 1,))]
    assert tell(scheduler, WorkerDown(FAILED_STARTS - 1, moment), now=now) == [AbortRun(AbortReason.NO_WORKERS)]
    assert scheduler.is_finished


def test_after_a_few_failed_starts_in_a_row_each_further_one_is_put_off_twice_as_long() -> None:
    scheduler, _ = start(workers=1)
    times = [100.0]
    for worker in range(FAILED_STARTS - 1):
        times.append(fail_start(scheduler, WorkerDown(worker, Moment.STARTING), times[-1])[1])
    pauses = [PAUSE_SECONDS * 2**more for more in range(FAILED_STARTS - HASTY_STARTS)]
    assert [after - before for before, after in pairwise(times)] == pytest.approx([0.0] * (HASTY_STARTS - 1) + pauses)


def test_nobody_is_started_before_a_start_that_was_put_off_is_due() -> None:
    scheduler, _ = start(workers=1)
    assert tell(scheduler, *[WorkerDown(worker, Moment.STARTING) for worker in range(HASTY_STARTS)])[-1:] == [
        StartWorkers((HASTY_STARTS - 1,))
    ]
    assert scheduler.next_deadline == PAUSE_SECONDS
    assert tell(scheduler, DeadlinePassed(), now=0.9 * PAUSE_SECONDS) == []
    assert tell(scheduler, DeadlinePassed(), now=PAUSE_SECONDS) == [StartWorkers((HASTY_STARTS,))]


def test_starts_that_fail_together_count_as_one() -> None:
    scheduler, _ = start(workers=5)
    tell(scheduler, *[DeadlinePassed()] * 4)
    commands = tell(scheduler, *[WorkerDown(worker, Moment.STARTING) for worker in range(5)])
    assert only(StartWorkers, commands) == [StartWorkers((worker,)) for worker in range(5, 10)]
    assert scheduler.next_deadline == START_SECONDS, "none was put off"


def test_a_start_that_succeeds_forgives_the_failed_ones() -> None:
    scheduler, _ = start(workers=1)
    tell(scheduler, WorkerDown(0, Moment.STARTING), WorkerDown(1, Moment.STARTING))
    tell(scheduler, WorkerUp(2), WorkerReady(2), WorkerDown(2, Moment.IDLE))
    assert tell(scheduler, WorkerDown(3, Moment.STARTING)) == [StartWorkers((4,))]


def test_what_had_failed_before_a_start_that_succeeds_does_not_count_for_those_under_way_either() -> None:
    scheduler, _ = start(workers=2)
    tell(scheduler, WorkerDown(0, Moment.STARTING), WorkerDown(1, Moment.STARTING), DeadlinePassed())
    tell(scheduler, WorkerUp(2), WorkerReady(2))  # worker 3 has been started after two that failed, like this one
    assert tell(scheduler, WorkerDown(3, Moment.STARTING)) == [StartWorkers((4,))]


def test_failed_starts_do_not_abort_while_there_is_somebody_but_no_more_are_tried() -> None:
    scheduler, _ = start(ready=1, workers=2, batch=1)
    now = 0.0
    for worker in range(1, FAILED_STARTS):
        commands, now = fail_start(scheduler, WorkerDown(worker, Moment.STARTING), now)
        assert commands == [StartWorkers((worker + 1,))]
    assert tell(scheduler, WorkerDown(FAILED_STARTS, Moment.STARTING), now=now) == []
    assert not scheduler.is_finished
    assert scheduler.next_deadline is None


def test_all_that_do_not_come_up_in_time_are_killed_once() -> None:
    scheduler, _ = start(workers=5)
    tell(scheduler, *[DeadlinePassed()] * 4)
    commands = tell(scheduler, DeadlinePassed(), now=START_SECONDS)
    assert commands == [*[KillWorker(worker) for worker in range(5)], StartWorkers((5,))]
    for workers in ((6,), (7, 8), (9,)):
        assert tell(scheduler, DeadlinePassed(), now=START_SECONDS) == [StartWorkers(workers)]
    assert tell(scheduler, DeadlinePassed(), now=START_SECONDS) == []


def test_a_failed_setup_aborts_the_run() -> None:
    scheduler, _ = start(ready=1, workers=2, batch=1)
    tell(scheduler, WorkerUp(1))
    commands = tell(scheduler, WorkerSetupFailed(1))
    assert commands == [AbortRun(AbortReason.SETUP_FAILED), KillWorker(0), KillWorker(1)]


# ------------------------------------------------------------------------------------------------- served by others

SINGLE = {"batch": 1, "depth": 1}
ADAPTIVE = {"batch": None, "depth": 2}


def serve(*, ready: int = 0, workers: int = 2, first: int = 0, **stretch: Any) -> tuple[Scheduler, list[Command]]:
    """Start a run that others hand items to, with its first stretch, and make workers ready as in `start`."""
    scheduler, _ = start(workers=workers, length=None, is_served=True)
    commands = tell(scheduler, StretchBegan(0, **stretch), InputPulled(first))
    for worker in range(ready):
        commands = tell(scheduler, DeadlinePassed(), WorkerUp(worker), WorkerReady(worker))
    return scheduler, commands


def test_nobody_is_started_and_nothing_is_pulled_before_something_is_handed_in() -> None:
    scheduler, commands = start(length=None, is_served=True)
    assert commands == []
    assert tell(scheduler, StretchBegan(0, **SINGLE)) == []
    assert tell(scheduler, InputPulled(1)) == [StartWorkers((0,))]


def test_tells_whether_new_items_would_be_sent_at_once_or_make_no_difference() -> None:
    scheduler, commands = serve(ready=1, first=1, **SINGLE)
    assert not scheduler.has_free_workers(1)
    assert not scheduler.is_saturated  # another worker may be started
    tell(scheduler, finish(only(SendBatch, commands)[0]))
    assert [scheduler.has_free_workers(count) for count in (1, 2)] == [True, False]
    (first,) = only(SendBatch, tell(scheduler, InputPulled(2)))
    tell(scheduler, InputPulled(3), DeadlinePassed(), WorkerUp(1), WorkerReady(1))
    assert scheduler.is_saturated
    assert tell(scheduler, InputPulled(5)) == []
    (second,) = only(SendBatch, tell(scheduler, finish(first)))
    assert (second.start, scheduler.has_free_workers(1), scheduler.is_saturated) == (3, False, True)
    tell(scheduler, RunStopped())
    assert not scheduler.has_free_workers(0)


def test_a_worker_that_may_hold_one_batch_gets_no_second_one_however_short_they_are() -> None:
    scheduler, commands = serve(ready=1, workers=1, first=10, **SINGLE)
    for index in range(5):
        (batch,) = only(SendBatch, commands)
        assert (batch.start, batch.stop, batch.may_give_back) == (index, index + 1, False)
        commands = tell(scheduler, finish(batch, SHORT))


def test_no_batch_reaches_across_two_stretches() -> None:
    scheduler, commands = serve(ready=1, workers=1, first=1000, **ADAPTIVE)
    tell(scheduler, StretchBegan(1000, **ADAPTIVE), InputPulled(2000), StretchBegan(2000, **SINGLE), InputPulled(2002))
    sent = only(SendBatch, commands)
    for batch in sent:  # grows while it is walked
        sent += only(SendBatch, tell(scheduler, finish(batch, SHORT)))
    assert sorted(ranges(sent))[-2:] == [(2000, 2001), (2001, 2002)]
    assert not [batch for batch in sent if batch.start < 1000 < batch.stop or batch.start < 2000 < batch.stop]
    assert sum(batch.stop - batch.start for batch in sent) == 2002


def test_what_was_measured_of_one_stretch_says_nothing_of_the_next() -> None:
    scheduler, commands = serve(ready=1, workers=1, first=5000, **ADAPTIVE)
    sent = only(SendBatch, commands)
    for batch in sent:  # grows while it is walked
        sent += only(SendBatch, tell(scheduler, finish(batch, SHORT)))
    assert max(batch.stop - batch.start for batch in sent) > 100
    commands = tell(scheduler, StretchBegan(5000, **ADAPTIVE), InputPulled(10_000))
    assert ranges(commands) == [(5000, 5001)]


def test_a_run_that_serves_goes_on_until_it_is_told_that_nothing_more_will_come() -> None:
    scheduler, commands = serve(ready=1, workers=1, first=1, **SINGLE)
    assert tell(scheduler, *map(finish, only(SendBatch, commands))) == []
    assert not scheduler.is_finished
    assert tell(scheduler, InputEnded(1)) == [ReleaseWorker(0)]
    assert scheduler.is_finished


def test_long_items_hold_up_nothing_that_is_handed_in_later() -> None:
    scheduler, _ = serve(ready=1, workers=2, first=1, **SINGLE)
    tell(scheduler, InputPulled(100), WorkerUp(1), WorkerReady(1))
    for index in range(2, 50):
        commands = tell(scheduler, BatchFinished(1, index - 1, index, SHORT))
        assert ranges(commands) == [(index, index + 1)], "the first item still runs"


def test_whoever_holds_an_item_that_is_cancelled_is_condemned_and_nobody_else() -> None:
    scheduler, _ = serve(ready=2, workers=2, first=2, **SINGLE)
    tell(scheduler, InputPulled(5))
    assert tell(scheduler, ItemsCancelled(1, 2)) == [CondemnItems(1, 1, 2)]
    assert tell(scheduler, ItemsCancelled(3, 5)) == []


# ---------------------------------------------------------------------------------------------------- sending batches


def test_fresh_items_are_sent_in_order() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=3, length=10)
    assert run_on(scheduler, commands) == [(0, 3), (3, 6), (6, 9), (9, 10)]


def test_everyone_gets_a_first_batch_before_anyone_gets_a_second() -> None:
    scheduler, _ = start(workers=2, batch=1, ahead=2, is_lazy=True)
    commands = tell(scheduler, DeadlinePassed(), WorkerUp(0), WorkerReady(0), WorkerUp(1), WorkerReady(1))
    assert tell(scheduler, *[finish(batch, SHORT) for batch in only(SendBatch, commands)]) == []
    commands = tell(scheduler, ResultsTaken(2))
    assert [(batch.worker, batch.start) for batch in only(SendBatch, commands)] == [(0, 2), (1, 3)]


def test_a_second_batch_waits_behind_a_short_one() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1)
    commands = tell(scheduler, *[finish(batch, SHORT) for batch in only(SendBatch, commands)])
    assert ranges(commands) == [(1, 2), (2, 3)]


def test_nothing_waits_behind_a_long_batch() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1)
    commands = tell(scheduler, *[finish(batch, LONG) for batch in only(SendBatch, commands)])
    assert ranges(commands) == [(1, 2)]


def test_adaptive_batches_may_be_given_back_and_fixed_ones_may_not() -> None:
    _, adaptive = start(ready=1, workers=1)
    _, fixed = start(ready=1, workers=1, batch=1)
    assert [batch.may_give_back for batch in only(SendBatch, adaptive + fixed)] == [True, False]


def test_what_a_worker_gives_back_goes_first() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=4)
    (batch,) = only(SendBatch, commands)
    assert ranges(tell(scheduler, BatchFinished(0, batch.token, 1, LONG))) == [(1, 4)]


def test_what_is_returned_is_sent_in_batches_of_the_size_that_is_right_by_now() -> None:
    scheduler, commands = start(ready=1, workers=1, length=10_000)
    while (batch := only(SendBatch, commands)[-1]).stop - batch.start < 100:
        commands = tell(scheduler, finish(batch, SHORT))
    commands = tell(scheduler, BatchFinished(0, batch.token, batch.start + 1, LONG))
    assert ranges(commands) == [(batch.start + 1, batch.start + 2)]


def test_of_what_was_returned_the_lowest_index_goes_first() -> None:
    scheduler, _ = start(ready=2, workers=2, batch=2)
    tell(scheduler, BatchFinished(0, 0, 2, 2 * LONG))
    commands = tell(scheduler, WorkerDown(0, Moment.IDLE), WorkerDown(1, Moment.IDLE))
    commands = tell(scheduler, DeadlinePassed(), WorkerUp(2), WorkerReady(2))
    assert ranges(commands) == [(2, 4)]


def test_a_refused_batch_is_sent_again_and_nobody_is_blamed() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=2)
    (batch,) = only(SendBatch, commands)
    commands = tell(scheduler, BatchRefused(0, batch.token))
    assert commands == [SendBatch(0, batch.token + 1, 0, 2, may_give_back=False)]


def test_partial_results_settle_items_and_keep_the_worker_busy() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=4)
    (batch,) = only(SendBatch, commands)
    assert tell(scheduler, BatchAdvanced(0, batch.token, 3, LONG)) == []
    assert scheduler.settled == 3


def test_the_end_of_the_last_batch_ends_the_run_and_releases_the_workers() -> None:
    scheduler, commands = start(ready=1, workers=1, length=1)
    assert tell(scheduler, *map(finish, only(SendBatch, commands))) == [ReleaseWorker(0)]
    assert scheduler.is_finished
    assert scheduler.next_deadline is None


def test_workers_that_are_not_ready_at_the_end_are_killed() -> None:
    scheduler, _ = start(workers=2, length=2, batch=1)
    tell(scheduler, DeadlinePassed())
    (batch,) = only(SendBatch, tell(scheduler, WorkerUp(0), WorkerReady(0)))
    (batch,) = only(SendBatch, tell(scheduler, finish(batch)))
    assert tell(scheduler, finish(batch)) == [ReleaseWorker(0), KillWorker(1)]


# -------------------------------------------------------------------------------------------------- what is taken back


def leave_idle(**options: Any) -> tuple[Scheduler, list[SendBatch]]:
    """Have worker 1 finish all that worker 0 does not hold; give what that holds."""
    scheduler, commands = start(ready=1, length=100, **options)
    held = [*only(SendBatch, commands)]
    while len(held) < 2:  # until batches are so short that a second one waits
        commands = tell(scheduler, finish(held.pop(), SHORT))
        held += only(SendBatch, commands)
    commands = tell(scheduler, DeadlinePassed(), WorkerUp(1), WorkerReady(1))
    while batches := only(SendBatch, commands):
        commands = tell(scheduler, *(finish(batch, SHORT) for batch in batches))
    return scheduler, held


def test_somebody_who_is_idle_for_a_moment_has_others_asked_for_what_they_have_not_begun() -> None:
    scheduler, held = leave_idle()
    assert [batch.worker for batch in held] == [0, 0]
    assert scheduler.next_deadline == IDLE_SECONDS
    assert tell(scheduler, DeadlinePassed(), now=IDLE_SECONDS) == [TakeBackItems(0)]
    assert scheduler.next_deadline is None, "nobody is asked twice for the same"


def test_what_is_taken_from_behind_a_long_item_is_sent_to_others() -> None:
    scheduler, (running, waiting) = leave_idle()
    tell(scheduler, DeadlinePassed(), now=IDLE_SECONDS)
    begun = running.start + 1
    commands = tell(scheduler, ItemsTakenBack(0, running.token, begun, waiting.token))
    rest = [index for start, stop in run_on(scheduler, commands) for index in range(start, stop)]
    assert rest == [*range(begun, running.stop), *range(waiting.start, waiting.stop)]
    commands = tell(scheduler, BatchFinished(0, running.token, begun, LONG))
    assert scheduler.is_finished
    assert len(only(ReleaseWorker, commands)) == 2


def test_what_was_sent_after_they_were_asked_stays_with_them() -> None:
    scheduler, (running, waiting) = leave_idle()
    tell(scheduler, DeadlinePassed(), now=IDLE_SECONDS)
    assert tell(scheduler, ItemsTakenBack(0, running.token, running.stop, running.token)) == []
    assert tell(scheduler, finish(running), finish(waiting))[-2:] == [ReleaseWorker(0), ReleaseWorker(1)]


def test_who_was_asked_gets_nothing_before_all_has_come_back_which_then_goes_first() -> None:
    scheduler, _ = start(length=None, is_served=True, workers=1)
    tell(scheduler, StretchBegan(0, batch=1, depth=2), InputPulled(1))
    (first,) = only(SendBatch, tell(scheduler, WorkerUp(0), WorkerReady(0)))
    commands = tell(scheduler, finish(first, SHORT), InputPulled(6))
    held = only(SendBatch, commands)
    assert ranges(held) == [(1, 2), (2, 3)]
    assert tell(scheduler, ItemsWithdrawn()) == [TakeBackItems(0)]
    given_back = [BatchFinished(0, batch.token, batch.start, 0.0) for batch in held]
    assert tell(scheduler, given_back[0]) == [], "or 3 would go before 2"
    assert ranges(tell(scheduler, given_back[1])) == [(1, 2), (2, 3)]


def test_a_worker_that_runs_what_is_cancelled_gets_nothing_before_that_has_ended() -> None:
    scheduler, _ = start(length=None, is_served=True, workers=1)
    tell(scheduler, StretchBegan(0, batch=1, depth=2), InputPulled(1))
    (first,) = only(SendBatch, tell(scheduler, WorkerUp(0), WorkerReady(0)))
    (running,) = only(SendBatch, tell(scheduler, finish(first, SHORT), InputPulled(2)))
    assert tell(scheduler, ItemsCancelled(1, 2)) == [CondemnItems(0, 1, 2)]
    assert tell(scheduler, InputPulled(3)) == []
    assert ranges(tell(scheduler, finish(running, SHORT))) == [(2, 3)]


def test_what_was_measured_holds_for_a_stretch_of_the_same_kind() -> None:
    scheduler, _ = start(length=None, is_served=True, workers=1)
    tell(scheduler, StretchBegan(0, batch=1, depth=2), InputPulled(1))
    (first,) = only(SendBatch, tell(scheduler, WorkerUp(0), WorkerReady(0)))
    tell(scheduler, finish(first, SHORT))
    same = StretchBegan(1, batch=1, depth=2, is_same_kind=True)
    assert ranges(tell(scheduler, same, InputPulled(9))) == [(1, 2), (2, 3)]
    scheduler, _ = start(length=None, is_served=True, workers=1)
    tell(scheduler, StretchBegan(0, batch=1, depth=2), InputPulled(1))
    (first,) = only(SendBatch, tell(scheduler, WorkerUp(0), WorkerReady(0)))
    tell(scheduler, finish(first, SHORT))
    assert ranges(tell(scheduler, same._replace(is_same_kind=False), InputPulled(9))) == [(1, 2)]


def test_an_item_alone_is_not_asked_for_nor_a_batch_of_a_size_that_was_asked_for() -> None:
    scheduler, commands = start(ready=2, length=2)
    tell(scheduler, finish(SendBatch(0, 0, 0, 1, may_give_back=True)))
    assert scheduler.next_deadline is None
    scheduler, commands = start(ready=2, length=12, batch=4)
    tell(scheduler, *(finish(batch, LONG) for batch in only(SendBatch, commands)))
    assert scheduler.next_deadline is None


def test_a_batch_of_a_size_that_was_asked_for_is_taken_whole_or_not_at_all() -> None:
    scheduler, (running, waiting) = leave_idle(batch=10)
    assert tell(scheduler, DeadlinePassed(), now=IDLE_SECONDS) == [TakeBackItems(0)]
    commands = tell(scheduler, ItemsTakenBack(0, running.token, running.stop, waiting.token))
    assert ranges(commands) == [(waiting.start, waiting.stop)]
    assert [batch.worker for batch in only(SendBatch, commands)] == [1]


def test_what_waits_behind_the_only_worker_is_taken_back_for_one_that_can_be_started() -> None:
    scheduler, _ = start(length=None, is_served=True, batch=1)
    tell(scheduler, InputPulled(1))
    (first,) = only(SendBatch, tell(scheduler, WorkerUp(0), WorkerReady(0)))
    running, waiting = tell(scheduler, finish(first, SHORT), InputPulled(3))
    assert tell(scheduler, DeadlinePassed(), now=IDLE_SECONDS) == [TakeBackItems(0)]
    commands = tell(scheduler, ItemsTakenBack(0, running.token, running.stop, waiting.token))
    assert commands == [StartWorkers((1,))]
    assert ranges(tell(scheduler, WorkerUp(1), WorkerReady(1))) == [(waiting.start, waiting.stop)]


# ------------------------------------------------------------------------------------------------------ deaths, blame


def test_a_death_inside_an_item_fails_exactly_that_item_and_returns_the_rest() -> None:
    scheduler, _ = start(ready=1, workers=1, length=5, batch=5, stops_at_failure=False)
    assert tell(scheduler, WorkerDown(0, Moment.RUNNING, 2, 3)) == [FailItem(2), StartWorkers((1,))]
    first = tell(scheduler, WorkerUp(1), WorkerReady(1))
    second = tell(scheduler, *map(finish, only(SendBatch, first)))
    assert ranges(first + second) == [(0, 2), (3, 5)]


def test_items_reported_before_the_death_are_not_run_again() -> None:
    scheduler, _ = start(ready=1, workers=1, length=5, batch=5, stops_at_failure=False)
    tell(scheduler, BatchAdvanced(0, 0, 2, LONG), WorkerDown(0, Moment.RUNNING, 3, 4))
    assert ranges(tell(scheduler, WorkerUp(1), WorkerReady(1))) == [(2, 3)]


def test_a_death_blames_the_batch_that_holds_the_item_not_the_one_behind_it() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=2, stops_at_failure=False)
    commands = tell(scheduler, *[finish(batch, SHORT) for batch in only(SendBatch, commands)])
    assert ranges(commands) == [(2, 4), (4, 6)]
    assert only(FailItem, tell(scheduler, WorkerDown(0, Moment.RUNNING, 3, 4))) == [FailItem(3)]
    assert ranges(tell(scheduler, WorkerUp(1), WorkerReady(1))) == [(2, 3), (4, 6)]


@pytest.mark.parametrize("moment", [Moment.IDLE, Moment.STARTING, Moment.PREPARING])
def test_a_death_between_batches_blames_nobody(moment: Moment) -> None:
    scheduler, _ = start(ready=1, workers=1, length=3, batch=3, stops_at_failure=False)
    assert tell(scheduler, WorkerDown(0, moment)) == [StartWorkers((1,))]
    assert ranges(tell(scheduler, WorkerUp(1), WorkerReady(1))) == [(0, 3)]


def test_a_death_among_several_items_makes_suspects_of_them_alone() -> None:
    scheduler, _ = start(ready=1, workers=1, length=8, batch=8, stops_at_failure=False)
    assert tell(scheduler, WorkerDown(0, Moment.RUNNING, 3, 5)) == [StartWorkers((1,))]
    assert run_on(scheduler, tell(scheduler, WorkerUp(1), WorkerReady(1))) == [(0, 3), (3, 4), (4, 5), (5, 8)]


def test_a_death_among_items_that_were_partly_reported_suspects_the_others() -> None:
    scheduler, _ = start(ready=1, workers=1, length=8, batch=8, stops_at_failure=False)
    tell(scheduler, BatchAdvanced(0, 0, 4, LONG))
    assert tell(scheduler, WorkerDown(0, Moment.RUNNING, 3, 5)) == [FailItem(4), StartWorkers((1,))]
    assert run_on(scheduler, tell(scheduler, WorkerUp(1), WorkerReady(1))) == [(5, 8)]


def test_a_death_inside_an_item_that_the_worker_did_not_hold_blames_nobody() -> None:
    scheduler, _ = start(ready=1, workers=1, length=3, batch=1)
    assert tell(scheduler, WorkerDown(0, Moment.RUNNING, 2, 3)) == [StartWorkers((1,))]


@pytest.mark.parametrize("moment", [Moment.MOVING, Moment.UNKNOWN])
def test_suspects_run_in_smaller_and_smaller_pieces_until_the_culprit_is_alone(moment: Moment) -> None:
    scheduler, _ = start(ready=1, workers=1, length=1000, batch=1000, stops_at_failure=False)
    culprit, deaths = 700, [1000]  # items of the batches that ended a worker
    commands = tell(scheduler, WorkerDown(0, moment))
    while FailItem(culprit) not in commands:
        worker = len(deaths)
        (batch,) = only(SendBatch, tell(scheduler, WorkerUp(worker), WorkerReady(worker)))
        while not batch.start <= culprit < batch.stop:
            (batch,) = only(SendBatch, tell(scheduler, finish(batch)))
        deaths.append(batch.stop - batch.start)
        commands = tell(scheduler, WorkerDown(worker, moment))
    assert deaths[-1] == 1
    assert all(SUSPECT_PIECES * after <= max(SUSPECT_PIECES, before) for before, after in pairwise(deaths))


@pytest.mark.parametrize("moment", [Moment.MOVING, Moment.UNKNOWN])
def test_few_suspects_run_alone_until_one_of_them_fails(moment: Moment) -> None:
    scheduler, _ = start(ready=1, workers=1, length=3, batch=3, stops_at_failure=False)
    assert tell(scheduler, WorkerDown(0, moment)) == [StartWorkers((1,))]
    commands = tell(scheduler, WorkerUp(1), WorkerReady(1))
    assert ranges(commands) == [(0, 1)]
    commands = tell(scheduler, *map(finish, only(SendBatch, commands)))
    assert ranges(commands) == [(1, 2)]
    assert tell(scheduler, WorkerDown(1, moment)) == [FailItem(1), StartWorkers((2,))]
    commands = tell(scheduler, WorkerUp(2), WorkerReady(2))
    assert ranges(commands) == [(2, 3)]
    assert tell(scheduler, *map(finish, only(SendBatch, commands))) == [ReleaseWorker(2)]


def test_a_batch_waiting_behind_the_suspects_is_no_suspect() -> None:
    scheduler, commands = start(ready=1, workers=1, length=6, batch=2, stops_at_failure=False)
    tell(scheduler, *[finish(batch, SHORT) for batch in only(SendBatch, commands)])
    tell(scheduler, WorkerDown(0, Moment.UNKNOWN))
    commands = tell(scheduler, WorkerUp(1), WorkerReady(1))
    assert run_on(scheduler, commands) == [(2, 3), (3, 4), (4, 6)]


def test_unreadable_items_run_alone_and_the_rest_of_the_batch_goes_on() -> None:
    scheduler, commands = start(ready=1, workers=1, length=4, batch=4, stops_at_failure=False)
    (batch,) = only(SendBatch, commands)
    assert tell(scheduler, BatchUnreadable(0, batch.token, 2, is_last=False)) == []
    commands = tell(scheduler, BatchFinished(0, batch.token, 4, 2 * LONG))
    assert ranges(commands) == [(0, 1)]
    assert scheduler.settled == 2


def test_an_unreadable_item_alone_fails_and_the_rest_of_its_batch_is_returned() -> None:
    scheduler, commands = start(ready=1, workers=1, length=4, batch=4, stops_at_failure=False)
    (batch,) = only(SendBatch, commands)
    commands = tell(scheduler, BatchUnreadable(0, batch.token, 1, is_last=True))
    assert commands == [FailItem(0), SendBatch(0, batch.token + 1, 1, 4, may_give_back=False)]


def test_a_worker_whose_last_batch_is_unreadable_is_released() -> None:
    scheduler, commands = start(ready=1, workers=1, length=1)
    (batch,) = only(SendBatch, commands)
    commands = tell(scheduler, BatchUnreadable(0, batch.token, 1, is_last=True))
    assert commands == [FailItem(0), ReleaseWorker(0)]


def test_ten_setbacks_in_a_row_abort_the_run() -> None:
    scheduler, commands = start(ready=1, workers=1)
    for _ in range(SETBACKS):
        assert not scheduler.is_finished
        commands = tell(scheduler, *[BatchRefused(0, batch.token) for batch in only(SendBatch, commands)])
    assert commands == [AbortRun(AbortReason.NO_WORKERS), ReleaseWorker(0)]


def test_workers_that_end_together_are_one_setback() -> None:
    scheduler, commands = start(ready=SETBACKS, workers=SETBACKS, batch=1)
    commands = tell(scheduler, *[WorkerDown(worker, Moment.IDLE) for worker in range(SETBACKS)])
    assert only(AbortRun, commands) == []
    assert not scheduler.is_finished


def test_a_finished_item_forgives_the_setbacks() -> None:
    scheduler, commands = start(ready=1, workers=1)
    for _ in range(SETBACKS - 1):
        commands = tell(scheduler, *[BatchRefused(0, batch.token) for batch in only(SendBatch, commands)])
    commands = tell(scheduler, *map(finish, only(SendBatch, commands)))
    assert only(AbortRun, tell(scheduler, *[BatchRefused(0, batch.token) for batch in only(SendBatch, commands)])) == []


def test_a_lost_engine_aborts_the_run() -> None:
    scheduler, _ = start(ready=1, workers=1)
    assert tell(scheduler, EngineLost()) == [AbortRun(AbortReason.ENGINE_LOST), KillWorker(0)]


# ------------------------------------------------------------------------------------------------------ failing items


def test_in_raise_mode_the_first_failure_ends_the_run() -> None:
    scheduler, _ = start(ready=2, workers=2, batch=1)
    tell(scheduler, DeadlinePassed())
    assert tell(scheduler, BatchFinished(0, 0, 1, LONG, failed=(0,))) == [ReleaseWorker(0), KillWorker(1)]
    assert scheduler.is_finished


def test_in_raise_mode_a_worker_that_goes_on_with_its_batch_is_killed() -> None:
    scheduler, _ = start(ready=1, workers=1, batch=4)
    assert tell(scheduler, BatchAdvanced(0, 0, 1, LONG, failed=(0,))) == [KillWorker(0)]


def test_in_raise_mode_a_death_inside_an_item_ends_the_run() -> None:
    scheduler, _ = start(ready=1, workers=1, batch=4)
    assert tell(scheduler, WorkerDown(0, Moment.RUNNING, 1, 2)) == [FailItem(1)]
    assert scheduler.is_finished


def test_in_collect_mode_every_item_runs() -> None:
    scheduler, commands = start(ready=1, workers=1, length=3, stops_at_failure=False)
    while not scheduler.is_finished:
        (batch,) = only(SendBatch, commands)
        commands = tell(scheduler, finish(batch, LONG, failed=(batch.start,)))
    assert scheduler.settled == 3


# ------------------------------------------------------------------------------------------------------------ retries


def test_an_item_whose_failure_is_excused_runs_again_as_a_batch_of_its_own() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=4, retries=1)
    commands = tell(scheduler, fail(*only(SendBatch, commands), Excuse.RETRIABLE))
    assert commands == [RetryItem(3), SendBatch(0, 1, 3, 4, may_give_back=False, tries=2)]
    assert scheduler.settled == 3
    commands = tell(scheduler, finish(*only(SendBatch, commands)))
    assert commands == [SendBatch(0, 2, 4, 8, may_give_back=False)]
    assert scheduler.settled == 4


def test_after_its_last_try_an_item_fails() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1, retries=2)
    tries = []
    while not scheduler.is_finished:
        (batch,) = only(SendBatch, commands)
        tries.append(batch.tries)
        commands = tell(scheduler, fail(batch, Excuse.RETRIABLE))
    assert tries == [1, 2, 3]
    assert commands == [ReleaseWorker(0)]


@pytest.mark.parametrize(("retries", "excuse"), [(0, Excuse.RETRIABLE), (3, Excuse.NONE)])
def test_a_failure_that_is_not_excused_is_final(retries: int, excuse: Excuse) -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1, retries=retries)
    assert tell(scheduler, fail(*only(SendBatch, commands), excuse)) == [ReleaseWorker(0)]


def test_of_several_failures_only_those_that_are_excused_are_tried_again() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=4, length=4, retries=1, stops_at_failure=False)
    (batch,) = only(SendBatch, commands)
    event = BatchFinished(0, batch.token, 4, LONG, (0, 2, 3), ((3, Excuse.RETRIABLE), (0, Excuse.RETRIABLE)))
    commands = tell(scheduler, event)
    assert only(RetryItem, commands) == [RetryItem(0), RetryItem(3)]
    assert scheduler.settled == 2
    assert run_on(scheduler, commands) == [(0, 1), (3, 4)]


def test_an_item_of_a_batch_that_goes_on_is_tried_again_elsewhere_at_once() -> None:
    scheduler, _ = start(ready=1, workers=2, length=4, batch=4, retries=1)
    commands = tell(scheduler, BatchAdvanced(0, 0, 1, LONG, (0,), ((0, Excuse.RETRIABLE),)))
    assert commands == [RetryItem(0), StartWorkers((1,))]
    assert ranges(tell(scheduler, WorkerUp(1), WorkerReady(1))) == [(0, 1)]


def test_a_death_that_is_excused_is_no_failure() -> None:
    scheduler, _ = start(ready=1, workers=1, batch=3, retries=1)
    commands = tell(scheduler, WorkerDown(0, Moment.RUNNING, 1, 2, Excuse.RETRIABLE))
    assert commands == [RetryItem(1), StartWorkers((1,))]
    commands = tell(scheduler, WorkerUp(1), WorkerReady(1))
    assert ranges(commands) == [(0, 1)]
    commands = tell(scheduler, finish(*only(SendBatch, commands)))
    assert commands == [SendBatch(1, 2, 1, 2, may_give_back=False, tries=2)]
    assert tell(scheduler, WorkerDown(1, Moment.RUNNING, 1, 2, Excuse.RETRIABLE)) == [FailItem(1)]


def test_a_result_that_cannot_be_read_may_be_tried_again() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1, retries=1)
    (batch,) = only(SendBatch, commands)
    commands = tell(scheduler, BatchUnreadable(0, batch.token, 1, is_last=True, excuse=Excuse.RETRIABLE))
    assert commands == [RetryItem(0), SendBatch(0, 1, 0, 1, may_give_back=False, tries=2)]


def test_a_death_among_several_items_is_no_try_of_any() -> None:
    scheduler, _ = start(ready=1, workers=1, batch=3, length=3, retries=1)
    assert tell(scheduler, WorkerDown(0, Moment.UNKNOWN, excuse=Excuse.RETRIABLE)) == [StartWorkers((1,))]
    (batch,) = only(SendBatch, tell(scheduler, WorkerUp(1), WorkerReady(1)))
    assert batch.tries == 1
    commands = tell(scheduler, WorkerDown(1, Moment.UNKNOWN, excuse=Excuse.RETRIABLE))
    assert only(RetryItem, commands) == [RetryItem(0)]


def test_a_try_that_never_began_is_no_try() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1, retries=1)
    (batch,) = only(SendBatch, tell(scheduler, fail(*only(SendBatch, commands), Excuse.RETRIABLE)))
    (batch,) = only(SendBatch, tell(scheduler, BatchRefused(0, batch.token)))
    assert (batch.start, batch.tries) == (0, 2)
    tell(scheduler, WorkerDown(0, Moment.IDLE))
    (batch,) = only(SendBatch, tell(scheduler, WorkerUp(1), WorkerReady(1)))
    assert (batch.start, batch.tries) == (0, 2)


# ----------------------------------------------------------------------------------------------------- lack of memory


def start_starved(**options: Any) -> tuple[Scheduler, SendBatch]:
    """Start a run of two workers, have item 0 lost to a lack of memory, and give the batch that runs beside it."""
    scheduler, _ = start(ready=1, workers=2, batch=1, **options)
    (other,) = only(SendBatch, tell(scheduler, WorkerUp(1), WorkerReady(1)))
    assert tell(scheduler, fail(SendBatch(0, 0, 0, 1, may_give_back=False), Excuse.STARVED)) == [RetryItem(0)]
    return scheduler, other


def test_a_starved_item_runs_when_nobody_is_busy_and_nothing_runs_beside_it() -> None:
    scheduler, other = start_starved()
    (alone,) = only(SendBatch, tell(scheduler, finish(other)))
    assert (alone.start, alone.stop, alone.tries) == (0, 1, 2)
    assert ranges(tell(scheduler, finish(alone))) == [(2, 3), (3, 4)]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_starved_item_has_one_try_more(retries: int) -> None:
    scheduler, other = start_starved(retries=retries)
    commands, tries = tell(scheduler, finish(other)), 1
    while not scheduler.is_finished:
        (batch,) = only(SendBatch, commands)
        tries += 1
        assert (batch.start, batch.tries) == (0, tries), "something runs beside it"
        commands = tell(scheduler, fail(batch, Excuse.STARVED if tries % 2 else Excuse.RETRIABLE))
    assert tries == 1 + retries + 1


def test_starved_items_run_one_after_another() -> None:
    scheduler, other = start_starved(retries=1)
    commands = tell(scheduler, fail(other, Excuse.STARVED))
    assert [batch.start for batch in only(SendBatch, commands)] == [0]
    commands = tell(scheduler, finish(*only(SendBatch, commands)))
    assert [batch.start for batch in only(SendBatch, commands)] == [1]
    assert len(ranges(tell(scheduler, finish(*only(SendBatch, commands))))) == 2


def test_a_starved_item_whose_try_never_began_still_runs_alone() -> None:
    scheduler, other = start_starved()
    (alone,) = only(SendBatch, tell(scheduler, finish(other)))
    (alone,) = only(SendBatch, tell(scheduler, BatchRefused(alone.worker, alone.token)))
    assert (alone.start, alone.tries) == (0, 2)
    commands = tell(scheduler, WorkerDown(alone.worker, Moment.IDLE))
    assert [(batch.start, batch.tries) for batch in only(SendBatch, commands)] == [(0, 2)]


def test_a_starved_item_that_finishes_lets_the_others_go_on_when_its_worker_is_done() -> None:
    scheduler, other = start_starved()
    (alone,) = only(SendBatch, tell(scheduler, finish(other)))
    assert tell(scheduler, BatchAdvanced(alone.worker, alone.token, 1, LONG)) == []
    assert len(ranges(tell(scheduler, BatchFinished(alone.worker, alone.token, 1, 0.0)))) == 2


# -------------------------------------------------------------------------------------------------- replacing workers


def test_a_worker_is_replaced_after_as_many_items_as_it_may_take() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=2, recycle=3)
    assert ranges(commands) == [(0, 2)]
    commands = tell(scheduler, finish(*only(SendBatch, commands)))
    assert ranges(commands) == [(2, 3)]
    assert tell(scheduler, finish(*only(SendBatch, commands))) == [KillWorker(0), StartWorkers((1,))]
    assert ranges(tell(scheduler, WorkerUp(1), WorkerReady(1))) == [(3, 5)]
    assert scheduler.deaths == 0


def test_a_batch_that_waits_counts_among_the_items_that_a_worker_may_take() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1, recycle=3)
    commands = tell(scheduler, finish(*only(SendBatch, commands), SHORT))
    assert ranges(commands) == [(1, 2), (2, 3)]
    first, second = only(SendBatch, commands)
    assert tell(scheduler, finish(first, SHORT)) == []
    assert tell(scheduler, finish(second, SHORT)) == [KillWorker(0), StartWorkers((1,))]


def test_items_that_a_worker_gives_back_do_not_count() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=4, recycle=4)
    (batch,) = only(SendBatch, commands)
    commands = tell(scheduler, BatchFinished(0, batch.token, 1, LONG))
    assert ranges(commands) == [(1, 4)]
    (batch,) = only(SendBatch, commands)
    assert ranges(tell(scheduler, BatchRefused(0, batch.token))) == [(1, 4)]


def test_items_that_were_lost_in_a_worker_count() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=2, recycle=2, stops_at_failure=False)
    (batch,) = only(SendBatch, commands)
    assert tell(scheduler, BatchUnreadable(0, batch.token, 2, is_last=True)) == [KillWorker(0), StartWorkers((1,))]


def test_a_worn_worker_that_is_idle_is_replaced_at_once() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1, ahead=1, is_lazy=True)
    assert tell(scheduler, *map(finish, only(SendBatch, commands))) == []
    assert tell(scheduler, WorkerWorn(0)) == [KillWorker(0)]
    assert tell(scheduler, ResultsTaken(1)) == [StartWorkers((1,))]


def test_a_worn_worker_ends_what_it_has_and_is_replaced() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1)
    first, second = only(SendBatch, tell(scheduler, finish(*only(SendBatch, commands), SHORT)))
    assert tell(scheduler, WorkerWorn(0)) == []
    assert tell(scheduler, finish(first, SHORT)) == []
    assert tell(scheduler, BatchRefused(0, second.token)) == [KillWorker(0), StartWorkers((1,))]


def test_a_worker_that_is_worn_before_it_is_ready_takes_nothing() -> None:
    scheduler, _ = start(workers=1)
    assert tell(scheduler, WorkerUp(0), WorkerWorn(0)) == []
    assert tell(scheduler, WorkerReady(0)) == [KillWorker(0), StartWorkers((1,))]


# ----------------------------------------------------------------------------------------------------- room in memory


def test_no_more_workers_hold_a_batch_than_there_is_room_for() -> None:
    scheduler, commands = start(ready=1, workers=2, batch=1)
    batches = only(SendBatch, commands + tell(scheduler, WorkerUp(1), WorkerReady(1)))
    assert scheduler.busy == 2
    assert tell(scheduler, RoomMeasured(1), finish(batches[0])) == []
    commands = tell(scheduler, finish(batches[1]))
    assert ranges(commands) == [(2, 3)]
    assert scheduler.busy == 1
    assert ranges(tell(scheduler, RoomMeasured(2))) == [(3, 4)]


def test_while_memory_is_short_no_batch_waits_behind_another() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1)
    tell(scheduler, RoomMeasured(1))
    commands = tell(scheduler, finish(*only(SendBatch, commands), SHORT))
    assert ranges(commands) == [(1, 2)]
    tell(scheduler, RoomMeasured(None))
    assert ranges(tell(scheduler, finish(*only(SendBatch, commands), SHORT))) == [(2, 3), (3, 4)]


def test_no_more_workers_are_started_than_there_is_room_for() -> None:
    scheduler, _ = start(workers=4, batch=1)
    assert tell(scheduler, RoomMeasured(2)) == [StartWorkers((1,))]
    assert tell(scheduler, DeadlinePassed()) == []
    assert tell(scheduler, RoomMeasured(None)) == [StartWorkers((2, 3))]


def test_nobody_is_called_back_when_the_room_gets_smaller() -> None:
    scheduler, _ = start(ready=1, workers=2, batch=1)
    tell(scheduler, WorkerUp(1), WorkerReady(1))
    assert tell(scheduler, RoomMeasured(1)) == []


# ---------------------------------------------------------------------------------------------------- input, consumer


def test_an_empty_input_starts_nothing() -> None:
    scheduler, commands = start(length=0)
    assert commands == []
    assert scheduler.is_finished


def test_an_empty_stream_starts_nothing() -> None:
    scheduler, commands = start(length=None)
    assert commands == [PullInput(1)]
    assert tell(scheduler, InputEnded(0)) == []
    assert scheduler.is_finished


def test_a_stream_is_pulled_as_far_as_there_are_workers_without_work() -> None:
    scheduler, commands = start(length=None, workers=2, batch=3)
    assert commands == [PullInput(3)]
    assert tell(scheduler, InputPulled(3)) == [StartWorkers((0,))]
    assert tell(scheduler, WorkerUp(0)) == [PullInput(6)]
    assert tell(scheduler, InputPulled(6)) == [StartWorkers((1,))]
    assert tell(scheduler, WorkerReady(0)) == [SendBatch(0, 0, 0, 3, may_give_back=False)]
    assert tell(scheduler, finish(SendBatch(0, 0, 0, 3, may_give_back=False))) == [
        SendBatch(0, 1, 3, 6, may_give_back=False),
        PullInput(9),
    ]


def test_a_stream_that_ends_ends_the_run_when_its_items_are_settled() -> None:
    scheduler, _ = start(length=None, workers=1, batch=2)
    commands = tell(scheduler, InputPulled(2), InputEnded(3), WorkerUp(0), WorkerReady(0))
    assert ranges(commands) == [(0, 2)]
    commands = tell(scheduler, finish(only(SendBatch, commands)[0]))
    assert ranges(commands) == [(2, 3)]
    assert tell(scheduler, finish(only(SendBatch, commands)[0])) == [ReleaseWorker(0)]


def test_nothing_is_asked_for_twice() -> None:
    scheduler, commands = start(length=None, workers=1)
    assert commands == [PullInput(1)]
    assert tell(scheduler, DeadlinePassed(), DeadlinePassed()) == []


def test_a_lazy_run_sends_no_further_than_ahead_of_what_was_taken() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=2, ahead=3, is_lazy=True)
    assert ranges(commands) == [(0, 2)]
    commands = tell(scheduler, finish(only(SendBatch, commands)[0]))
    assert ranges(commands) == [(2, 3)]
    assert tell(scheduler, finish(only(SendBatch, commands)[0])) == []
    assert ranges(tell(scheduler, ResultsTaken(1))) == [(3, 4)]


def test_a_lazy_run_pulls_no_further_than_ahead_of_what_was_taken() -> None:
    scheduler, commands = start(length=None, workers=4, batch=2, ahead=3, is_lazy=True)
    assert commands == [PullInput(2)]
    assert tell(scheduler, InputPulled(2), WorkerUp(0)) == [StartWorkers((0,)), PullInput(3)]
    assert only(PullInput, tell(scheduler, InputPulled(3), WorkerReady(0))) == []
    assert only(PullInput, tell(scheduler, ResultsTaken(2))) == [PullInput(5)]


def test_an_eager_run_pulls_no_further_than_ahead_of_what_is_settled() -> None:
    scheduler, _ = start(length=None, workers=1, batch=1, ahead=2)
    (batch,) = only(SendBatch, tell(scheduler, InputPulled(1), WorkerUp(0), WorkerReady(0)))
    assert only(PullInput, tell(scheduler, finish(batch, SHORT))) == [PullInput(2)]
    commands = tell(scheduler, InputPulled(2))
    assert only(PullInput, commands) == [PullInput(3)]
    commands = tell(scheduler, InputPulled(3))
    assert only(PullInput, commands) == []
    assert scheduler.settled == 1


def test_an_eager_run_over_columns_does_not_mind_ahead() -> None:
    _, commands = start(ready=1, workers=1, batch=5, ahead=1)
    assert ranges(commands) == [(0, 5)]


def test_without_the_option_a_lazy_run_reads_a_few_batches_per_worker_ahead() -> None:
    scheduler, commands = start(ready=1, workers=1, batch=1, is_lazy=True)
    assert len(run_on(scheduler, commands)) == AHEAD_BATCHES


def test_adaptive_batches_leave_room_for_all_workers_within_ahead() -> None:
    scheduler, commands = start(ready=1, workers=2, length=1000, ahead=40, is_lazy=True)
    for _ in range(5):
        commands = tell(scheduler, *[finish(batch, SHORT) for batch in only(SendBatch, commands)])
        assert all(stop - start <= 10 for start, stop in ranges(commands))


def test_an_input_of_known_length_that_is_pulled_is_pulled_to_its_end_and_no_further() -> None:
    scheduler, commands = start(workers=1, length=5, is_pulled=True, batch=3)
    assert commands == [PullInput(3)]
    assert tell(scheduler, InputPulled(3)) == [StartWorkers((0,))]
    (batch,) = only(SendBatch, tell(scheduler, WorkerUp(0), WorkerReady(0)))
    commands = tell(scheduler, finish(batch))
    assert commands == [PullInput(5)]
    commands = tell(scheduler, InputPulled(5))
    assert ranges(commands) == [(3, 5)]
    assert tell(scheduler, finish(*only(SendBatch, commands))) == [ReleaseWorker(0)]


def test_an_eager_run_of_known_length_is_pulled_without_minding_ahead() -> None:
    _, commands = start(length=100, is_pulled=True, batch=5, ahead=1)
    assert commands == [PullInput(5)]


def test_recalled_items_are_settled_and_never_sent() -> None:
    scheduler, _ = start(workers=1, length=10, is_pulled=True, batch=8)
    tell(scheduler, InputPulled(8, ((0, 1), (3, 5), (6, 7))))
    assert scheduler.settled == 4
    commands = tell(scheduler, WorkerUp(0), WorkerReady(0))
    assert run_on(scheduler, commands) == [(1, 3), (5, 6), (7, 8)]
    assert repr(scheduler) == "<Scheduler running: 8 of 10 items settled, 0 sent, 0 returned, 1 of 1 workers>"


@pytest.mark.parametrize("length", [5, None])
def test_an_input_that_is_recalled_altogether_starts_nothing(length: int | None) -> None:
    scheduler, commands = start(length=length, is_pulled=True)
    pulled = 0
    while (pulls := only(PullInput, commands)) and pulled < 5:
        assert commands == pulls
        before, pulled = pulled, min(5, pulls[0].stop)
        commands = tell(scheduler, InputPulled(pulled, ((before, pulled),)))
    if length is None:
        commands = tell(scheduler, InputEnded(5))
    assert commands == []
    assert scheduler.is_finished


def test_workers_are_started_for_items_that_are_not_recalled() -> None:
    scheduler, _ = start(workers=4, length=9, is_pulled=True, batch=1)
    commands = tell(scheduler, InputPulled(4, ((1, 3),)))
    assert only(StartWorkers, commands + tell(scheduler, DeadlinePassed())) == [StartWorkers((0,)), StartWorkers((1,))]
    assert only(StartWorkers, tell(scheduler, DeadlinePassed(), DeadlinePassed())) == []


def test_a_worker_is_started_for_an_item_that_may_be_sent_whatever_is_recalled_behind_it() -> None:
    scheduler, _ = start(workers=1, length=None, is_lazy=True, stops_at_failure=False)
    (batch,) = only(SendBatch, tell(scheduler, InputPulled(1), WorkerUp(0), WorkerReady(0)))
    assert tell(scheduler, finish(batch, SHORT), ResultsTaken(1)) == [PullInput(5)]
    assert only(PullInput, tell(scheduler, InputPulled(5))) == [PullInput(9)]
    tell(scheduler, RoomMeasured(1), InputPulled(9, ((6, 9),)), BatchAdvanced(0, 1, 4, LONG))
    assert tell(scheduler, WorkerDown(0, Moment.RUNNING, 4, 5)) == [FailItem(4)]
    assert tell(scheduler, ResultsTaken(2)) == [StartWorkers((1,))]


def test_pulls_grow_while_they_bring_nothing_to_run() -> None:
    scheduler, commands = start(workers=1, length=10_000, is_pulled=True, batch=1)
    pulled, counts = 0, []
    while pulled < 2 * RECALL_STRIDE:
        (pull,) = only(PullInput, commands)
        counts.append(pull.stop - pulled)
        commands = tell(scheduler, InputPulled(pull.stop, ((pulled, pull.stop),)))
        pulled = pull.stop
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (1, RECALL_STRIDE)
    assert len(counts) < 20
    (pull,) = only(PullInput, commands)
    commands = tell(scheduler, InputPulled(pull.stop), WorkerUp(0), WorkerReady(0))
    assert only(PullInput, commands) == []


# ------------------------------------------------------------------------------------------------- late, illegal, end


def test_a_stopped_run_lets_every_worker_go() -> None:
    scheduler, _ = start(ready=1, workers=2, batch=1)
    tell(scheduler, WorkerUp(1))
    assert tell(scheduler, RunStopped()) == [KillWorker(0), KillWorker(1)]
    assert scheduler.is_finished


def test_a_run_may_be_stopped_before_it_starts() -> None:
    scheduler = Scheduler(workers=1, length=1)
    assert tell(scheduler, RunStopped(), RunStarted()) == []


LATE = [
    WorkerUp(0),
    WorkerReady(0),
    WorkerSetupFailed(0),
    WorkerDown(0, Moment.RUNNING, 0, 1),
    BatchAdvanced(0, 0, 1, LONG),
    BatchFinished(0, 0, 2, LONG),
    BatchRefused(0, 0),
    BatchUnreadable(0, 0, 2, is_last=True),
    WorkerWorn(0),
]


@pytest.mark.parametrize("event", LATE, ids=repr)
def test_late_events_of_a_worker_that_is_gone_are_ignored(event: Event) -> None:
    scheduler, _ = start(ready=1, workers=1, batch=2)
    assert tell(scheduler, WorkerDown(0, Moment.IDLE)) == [StartWorkers((1,))]
    assert tell(scheduler, event) == []
    assert scheduler.settled == 0


@pytest.mark.parametrize(
    "event", [RunStarted(), DeadlinePassed(), ResultsTaken(1), RoomMeasured(1), EngineLost(), *LATE], ids=repr
)
def test_events_after_the_end_are_ignored(event: Event) -> None:
    scheduler, _ = start(ready=1, workers=1, batch=2)
    tell(scheduler, RunStopped())
    assert tell(scheduler, event) == []
    assert scheduler.settled == 0


@pytest.mark.parametrize(
    "event",
    [
        RunStarted(),
        WorkerReady(0),
        WorkerReady(1),
        InputPulled(101),
        InputEnded(100),
        BatchFinished(0, 7, 2, LONG),
        BatchFinished(0, 0, 3, LONG),
        BatchAdvanced(0, 0, 0, LONG),
        BatchRefused(0, 1),
        BatchUnreadable(0, 0, 3, is_last=True),
    ],
    ids=repr,
)
def test_an_illegal_event_raises_with_the_history(event: Event) -> None:
    scheduler, _ = start(ready=1, workers=2, batch=2)
    tell(scheduler, BatchAdvanced(0, 0, 1, LONG))
    with pytest.raises(InternalError) as caught:
        scheduler.handle(event, 0.0)
    text = str(caught.value)
    assert text.startswith(f"{event} cannot happen: ")
    assert repr(scheduler) in text
    assert text.index("RunStarted()") < text.index("WorkerUp(worker=0)") < text.index("token=0, stop=1")


def test_an_input_does_not_shrink() -> None:
    scheduler, _ = start(length=None, workers=1)
    tell(scheduler, InputPulled(5))
    with pytest.raises(InternalError, match="5 items at hand"):
        scheduler.handle(InputPulled(4), 0.0)
    with pytest.raises(InternalError, match="5 items at hand"):
        scheduler.handle(InputEnded(4), 0.0)


def test_the_repr_is_a_status_line() -> None:
    scheduler = Scheduler(workers=2, length=10, batch=4, stops_at_failure=False)
    assert repr(scheduler) == "<Scheduler new: 0 of 10 items settled, 0 sent, 0 returned, 0 of 2 workers>"
    tell(scheduler, RunStarted(), DeadlinePassed(), WorkerUp(0), WorkerReady(0), WorkerUp(1), WorkerReady(1))
    tell(scheduler, BatchAdvanced(0, 0, 1, LONG), WorkerDown(1, Moment.RUNNING, 5, 6))
    assert repr(scheduler) == "<Scheduler running: 2 of 10 items settled, 3 sent, 3 returned, 2 of 2 workers>"
    tell(scheduler, RunStopped())
    assert repr(scheduler) == "<Scheduler finished: 2 of 10 items settled, 3 sent, 3 returned, 0 of 2 workers>"
    assert repr(Scheduler(workers=1, length=None)).startswith("<Scheduler new: 0 of ? items settled")


def test_who_may_come_beside_those_there_are_is_started_and_gets_a_share() -> None:
    scheduler, _ = start(ready=1, workers=1, batch=1)
    assert tell(scheduler, WorkersOffered(3)) == [StartWorkers((1,))]
    assert tell(scheduler, DeadlinePassed()) == [StartWorkers((2,))]


# --------------------------------------------------------------------------------------------------- random histories
#
# The world below is everything that a scheduler is not: workers, input and consumer. It does what the commands say,
# lets things happen, and keeps its own account of who holds which items, so that it can tell after each step what the
# scheduler owes.


@dataclass(frozen=True)
class Setting:
    """What a history is about."""

    workers: int
    length: int
    is_stream: bool
    batch: int | None
    ahead: int | None
    is_lazy: bool
    is_ordered: bool  # whether the consumer takes results in the items' order
    stops_at_failure: bool
    item_seconds: float
    patience: int  # steps before something may happen that ends the whole run
    is_pulled: bool  # even if the length is known
    recalled: int  # bits: item i is recalled if bit i % 16 is set
    retries: int
    recycle: int | None

    def recalls(self, index: int) -> bool:
        return self.has_journal and bool(self.recalled >> index % 16 & 1)

    @property
    def has_journal(self) -> bool:
        return self.is_stream or self.is_pulled


@dataclass
class HeldBatch:
    token: int
    start: int  # the first item not reported
    stop: int
    is_begun: bool = False
    is_alone: bool = False  # whether nothing else may run until it is done

    @property
    def rest(self) -> range:
        return range(self.start, self.stop)


@dataclass
class OutsideWorker:
    deadline: float
    failed_starts: int = 0  # when it was started
    setbacks: int = 0  # when it was sent something
    is_up: bool = False
    is_ready: bool = False
    is_worn: bool = False
    given: int = 0  # items that it was sent and has not given back
    asked: int | None = None  # the last token that it had when it was asked for what it has not begun
    latest_asked: int = -1  # such a token, of any time
    long: int = -1  # the token of the batch that it was in when others were taken from behind it
    held: list[HeldBatch] = field(default_factory=list)  # oldest first


class World:
    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.scheduler = Scheduler(
            workers=setting.workers,
            length=None if setting.is_stream else setting.length,
            is_pulled=setting.is_pulled,
            batch=setting.batch,
            ahead=setting.ahead,
            is_lazy=setting.is_lazy,
            stops_at_failure=setting.stops_at_failure,
            retries=setting.retries,
            recycle=setting.recycle,
        )
        self.now = 0.0
        self.steps = 0
        self.at_hand = 0 if setting.has_journal else setting.length
        self.knows_end = not setting.is_stream
        self.requested: int | None = None  # items that shall be pulled
        self.brought_nothing = False  # whether all that was pulled last was recalled
        self.cursor = 0  # the first item never sent, nor recalled
        self.returned: set[int] = set()
        self.failed_tries: dict[int, int] = {}  # {item that is tried again: how often it failed}
        self.was_starved: set[int] = set()  # items that have lost a try to a lack of memory
        self.suspects: dict[int, int] = {}  # {returned item: of so many suspects}
        self.settled: set[int] = set()
        self.recalled: set[int] = set()
        self.taken = 0

        self.workers: dict[int, OutsideWorker] = {}
        self.gone: dict[int, list[HeldBatch]] = {}  # {worker: what it held}
        self.last_worker = self.last_token = -1
        self.failed_starts = self.setbacks = self.deaths = 0
        self.may_start_at = 0.0
        self.room: int | None = None
        self.limit = setting.workers

        # What the scheduler must say in this step.
        self.must_kill: set[int] = set()
        self.must_fail: list[int] = []
        self.must_retry: list[int] = []
        self.must_abort: AbortReason | None = None
        self.must_end = False
        self._tell(RunStarted())

    def __repr__(self) -> str:
        return f"World({self.setting})"

    @property
    def is_over(self) -> bool:
        return self.scheduler.is_finished

    def step(self, act: Act, which: int, far: int) -> None:
        """Let something happen; if it cannot, let something happen that must.

        Args:
            act: what happens; says whether it could.
            which: any number, modulo the workers that it may happen to.
            far: any number, modulo the items, batches or events that there are to choose from.
        """
        self.steps += 1
        if not act(self, which, far) and not self.is_over:
            self.go_on(which)

    def go_on(self, which: int) -> None:
        """Let the run come one step nearer to its end."""
        could = (
            self.pull(which, 0)
            or self.get_ready(which, 0)
            or self.come_up(which, 0)
            or self.finish(which, 0)
            or self.take(which, 0)
            or self.reach_deadline(which, 0)
        )
        assert could, f"nothing can happen any more: {self.scheduler}"

    def run_out(self) -> None:
        """Let the run come to its end without another mishap."""
        for _ in range(ENOUGH * (1 + self.setting.length)):
            if self.is_over:
                return
            self.go_on(0)
        raise AssertionError(f"there is no end to it: {self.scheduler}")

    # What may happen.

    def come_up(self, which: int, far: int) -> bool:
        number = pick([number for number, worker in self.workers.items() if not worker.is_up], which)
        if number is None:
            return False
        self.workers[number].is_up = True
        return self._tell(WorkerUp(number))

    def get_ready(self, which: int, far: int) -> bool:
        number = self._pick_preparing(which)
        if number is None:
            return False
        self.workers[number].is_ready = True
        self.failed_starts = 0
        self._replace_if_done(number)
        return self._tell(WorkerReady(number))

    def fail_setup(self, which: int, far: int) -> bool:
        number = self._pick_preparing(which)
        if number is None or not self._may_end:
            return False
        self.must_abort = AbortReason.SETUP_FAILED
        return self._tell(WorkerSetupFailed(number))

    def die(self, which: int, far: int) -> bool:
        number = pick(list(self.workers), which)
        if number is None:
            return False
        worker = self.workers.pop(number)
        self.gone[number] = list(worker.held)
        moment = list(Moment)[far % len(Moment)]
        batches = [batch for batch in worker.held if batch.rest]
        suspects = range(0)
        if batches and moment is Moment.RUNNING:
            items = batches[which % len(batches)].rest
            suspects = items[far % len(items) :][: 1 + far // 4]
        elif batches and moment in {Moment.MOVING, Moment.UNKNOWN}:
            suspects = batches[0].rest
        self.deaths += worker.is_ready
        excuse = EXCUSES[(which + far) % len(EXCUSES)]
        if suspects:
            self._suspect(suspects, excuse)
        elif worker.is_ready:
            self._count_setback(worker)
        else:
            self._count_failed_start(worker)
        for batch in batches:
            self.returned.update(set(batch.rest).difference(suspects))
        return self._tell(WorkerDown(number, moment, suspects.start, suspects.stop, excuse))

    def wear(self, which: int, far: int) -> bool:
        number = pick(list(self.workers), which)
        if number is None:
            return False
        self.workers[number].is_worn = True
        if self.workers[number].is_ready:
            self._replace_if_done(number)
        return self._tell(WorkerWorn(number))

    def offer(self, which: int, far: int) -> bool:
        self.limit += 1 + far % 2
        return self._tell(WorkersOffered(self.limit))

    def measure_room(self, which: int, far: int) -> bool:
        self.room = pick([None, *range(1, 1 + self.limit)], far)
        return self._tell(RoomMeasured(self.room))

    def advance(self, which: int, far: int) -> bool:
        number = self._pick_busy(which)
        if number is None:
            return False
        batch = self.workers[number].held[0]
        part = batch.rest[: 1 + far % max(1, len(batch.rest))]
        failed, excuses = self._settle(batch, part, which, far)
        told = failed, excuses, self._waited(which)
        return self._tell(BatchAdvanced(number, batch.token, batch.start, self._seconds(part, far), *told))

    def finish(self, which: int, far: int) -> bool:
        return self._finish(which, far, gives_back=False)

    def give_back(self, which: int, far: int) -> bool:
        return self._finish(which, far, gives_back=True)

    def be_taken_from(self, which: int, far: int) -> bool:
        """Lose what waits behind the items that run."""
        number = pick([n for n, worker in self.workers.items() if worker.held and worker.asked is not None], which)
        if number is None:
            return False
        worker = self.workers[number]
        last, worker.asked = worker.asked, None
        batch = worker.held[0]
        if not batch.rest or last is None or batch.token > last:
            return False
        batch.is_begun = True
        worker.long = batch.token
        taken = batch.rest[1 + far % len(batch.rest) :] if self.setting.batch is None else range(0)
        batch.stop -= len(taken)
        for behind in worker.held[1:]:
            if behind.token <= last:
                worker.held.remove(behind)
                taken = [*taken, *behind.rest]
        worker.given -= len(taken)
        self.returned.update(taken)
        return self._tell(ItemsTakenBack(number, batch.token, batch.stop, last))

    def refuse(self, which: int, far: int) -> bool:
        number = self._pick_busy(which)
        if number is None:
            return False
        held = self.workers[number].held
        batch = held[far % len(held)]
        if batch.is_begun:
            return False
        self._put_down(number, batch)
        self._count_setback(self.workers[number])
        return self._tell(BatchRefused(number, batch.token))

    def garble(self, which: int, far: int) -> bool:
        number = self._pick_busy(which)
        if number is None:
            return False
        batch = self.workers[number].held[0]
        part = batch.rest[: 1 + far // 2 % max(1, len(batch.rest))]
        batch.start, batch.is_begun = part.stop, True
        is_last, excuse = bool(far % 2), EXCUSES[which % len(EXCUSES)]
        self._suspect(part, excuse)
        if is_last:
            self._put_down(number, batch)
        return self._tell(BatchUnreadable(number, batch.token, part.stop, is_last, excuse))

    def come_late(self, which: int, far: int) -> bool:
        """Report something of a worker that is gone already."""
        number = pick(list(self.gone), which)
        if number is None:
            return False
        batch = [*self.gone[number], HeldBatch(0, 0, 1)][0]
        late: list[Event] = [
            WorkerUp(number),
            WorkerReady(number),
            WorkerSetupFailed(number),
            WorkerDown(number, Moment.RUNNING, batch.start, batch.stop),
            WorkerDown(number, Moment.UNKNOWN),
            BatchAdvanced(number, batch.token, batch.stop, 1.0),
            BatchFinished(number, batch.token, batch.stop, 1.0, (batch.start,)),
            BatchRefused(number, batch.token),
            ItemsTakenBack(number, batch.token, batch.stop, batch.token),
            BatchUnreadable(number, batch.token, batch.stop, is_last=True),
            WorkerWorn(number),
        ]
        return self._tell(late[far % len(late)])

    def pull(self, which: int, far: int) -> bool:
        if self.requested is None:
            return False
        stop, self.requested = self.requested, None
        pulled = range(self.at_hand, min(stop, self.setting.length))
        recalled = [index for index in pulled if self.setting.recalls(index)]
        self.at_hand = pulled.stop
        self.brought_nothing = list(pulled) == recalled
        self.recalled.update(recalled)
        self.settled.update(recalled)
        self._step_over_recalled()
        self._tell(InputPulled(pulled.stop, tuple(as_ranges(recalled))))
        if pulled.stop == stop:
            return True
        self.knows_end = True
        return self._tell(InputEnded(self.setting.length))

    def take(self, which: int, far: int) -> bool:
        if not self.setting.is_lazy:
            return False
        settled = sorted(self.settled)
        if self.setting.is_ordered:
            settled = [index for at, index in enumerate(settled) if at == index]
        if self.taken == len(settled):
            return False
        self.taken += 1 + far % (len(settled) - self.taken)
        return self._tell(ResultsTaken(self.taken))

    def reach_deadline(self, which: int, far: int) -> bool:
        deadline = self.scheduler.next_deadline
        if deadline is None:
            return False
        self.now = max(self.now, deadline)
        return self._meet_deadline()

    def let_time_pass(self, which: int, far: int) -> bool:
        self.now += START_SECONDS / 3
        return self._meet_deadline()

    def stop(self, which: int, far: int) -> bool:
        if not self._may_end:
            return False
        self.must_end = True
        return self._tell(RunStopped())

    def lose_engine(self, which: int, far: int) -> bool:
        if not self._may_end:
            return False
        self.must_abort = AbortReason.ENGINE_LOST
        return self._tell(EngineLost())

    # The account.

    @property
    def _may_end(self) -> bool:
        return not self.is_over and self.steps > self.setting.patience

    def _pick_preparing(self, which: int) -> int | None:
        return pick([n for n, worker in self.workers.items() if worker.is_up and not worker.is_ready], which)

    def _pick_busy(self, which: int) -> int | None:
        return pick([number for number, worker in self.workers.items() if worker.held], which)

    def _finish(self, which: int, far: int, *, gives_back: bool) -> bool:
        number = self._pick_busy(which)
        if number is None:
            return False
        batch = self.workers[number].held[0]
        part = batch.rest[: far % (1 + len(batch.rest))] if gives_back else batch.rest
        failed, excuses = self._settle(batch, part, which, far)
        self._put_down(number, batch)
        told = failed, excuses, self._waited(which)
        return self._tell(BatchFinished(number, batch.token, part.stop, self._seconds(part, far), *told))

    def _seconds(self, part: range, far: int) -> float:
        return len(part) * self.setting.item_seconds * (1 + far)

    def _waited(self, which: int) -> float:
        return which % 3 * self.setting.item_seconds

    def _settle(self, batch: HeldBatch, part: range, which: int, far: int) -> tuple[tuple[int, ...], Excuses]:
        """Take in that a part of the batch is finished; give what failed of it: the last item, or two, now and then."""
        assert self.settled.isdisjoint(part)
        self.settled.update(part)
        batch.start, batch.is_begun = part.stop, True
        if part:
            self.setbacks = 0
        failed = {3: tuple(part[-1:]), 7: tuple(part[-2:])}.get(far % 8, ())
        excuses = {index: EXCUSES[(index + which) % len(EXCUSES)] for index in failed}
        for index, excuse in excuses.items():
            if self._is_retried(index, excuse):
                self.settled.remove(index)
            else:
                self.must_end |= self.setting.stops_at_failure
        return failed, tuple((index, excuse) for index, excuse in excuses.items() if excuse is not Excuse.NONE)

    def _is_retried(self, index: int, excuse: Excuse) -> bool:
        """Take in that an item failed; say whether it has another try."""
        failed = self.failed_tries.pop(index, 0) + 1
        is_first_lack = excuse is Excuse.STARVED and index not in self.was_starved
        has_tries_left = failed - (index in self.was_starved) <= self.setting.retries
        if excuse is Excuse.NONE or not (is_first_lack or has_tries_left):
            return False
        if is_first_lack:
            self.was_starved.add(index)
        self.failed_tries[index] = failed
        self.must_retry.append(index)
        self.returned.add(index)
        return True

    def _suspect(self, items: range, excuse: Excuse) -> None:
        if len(items) != 1:
            self.returned.update(items)
            self.suspects.update(dict.fromkeys(items, len(items)))
            return
        (index,) = items
        assert index not in self.settled
        self.setbacks = 0
        if not self._is_retried(index, excuse):
            self.settled.add(index)
            self.must_fail.append(index)
            self.must_end |= self.setting.stops_at_failure

    def _put_down(self, number: int, batch: HeldBatch) -> None:
        self.workers[number].held.remove(batch)
        self.workers[number].given -= len(batch.rest)
        self.returned.update(batch.rest)
        self._replace_if_done(number)

    def _replace_if_done(self, number: int) -> None:
        worker = self.workers[number]
        if not worker.held and (worker.is_worn or worker.given == self.setting.recycle):
            self.must_kill.add(number)

    def _step_over_recalled(self) -> None:
        while self.cursor in self.recalled:
            self.cursor += 1

    def _meet_deadline(self) -> bool:
        for number, worker in list(self.workers.items()):
            if not worker.is_up and worker.deadline <= self.now and self.must_abort is None:
                del self.workers[number]
                self.gone[number] = []
                self.must_kill.add(number)
                self._count_failed_start(worker)
        return self._tell(DeadlinePassed())

    def _count_failed_start(self, worker: OutsideWorker) -> None:
        self.failed_starts = max(self.failed_starts, min(self.failed_starts, worker.failed_starts) + 1)
        if self.failed_starts >= FAILED_STARTS and not self.workers:
            self.must_abort = AbortReason.NO_WORKERS
        elif self.failed_starts >= HASTY_STARTS:
            self.may_start_at = self.now + PAUSE_SECONDS * 2 ** (self.failed_starts - HASTY_STARTS)

    def _count_setback(self, worker: OutsideWorker) -> None:
        self.setbacks = max(self.setbacks, min(self.setbacks, worker.setbacks) + 1)
        if self.setbacks >= SETBACKS:
            self.must_abort = AbortReason.NO_WORKERS

    def _ahead_stop(self) -> float | None:
        """Give the first item that must not be sent or pulled yet; None where only the scheduler knows."""
        setting = self.setting
        taken = self.taken if setting.is_lazy else len(self.settled)
        if not (setting.is_stream or setting.is_lazy):
            return inf
        if setting.ahead is not None:
            return taken + setting.ahead
        if setting.batch is not None:
            return taken + AHEAD_BATCHES * self.limit * setting.batch
        return None

    def _pull_stop(self) -> float:
        """Give the item past which nothing may be pulled yet, as far as that is known."""
        stop = inf if (ahead_stop := self._ahead_stop()) is None else ahead_stop
        if self.brought_nothing and self.setting.ahead is None:
            stop = max(stop, len(self.settled) + AHEAD_BATCHES * self.limit * RECALL_STRIDE)
        return min(stop, self.setting.length) if self.knows_end else stop

    # What the scheduler says, and whether it may.

    def _tell(self, event: Event) -> bool:
        if self.is_over:
            assert self.scheduler.handle(event, self.now) == []
            return True
        all_settled = self.knows_end and len(self.settled) == self.setting.length
        self.must_end |= self.must_abort is not None or all_settled
        for command in self.scheduler.handle(event, self.now):
            self._obey(command)
        assert self.must_end or not self.must_kill
        assert not self.must_fail
        assert not self.must_retry
        assert self.must_abort is None
        assert self.scheduler.is_finished == self.must_end
        assert self.scheduler.settled == len(self.settled)
        assert self.scheduler.deaths == self.deaths
        if self.must_end:
            assert not self.workers, "a worker was not let go at the end"
        else:
            self._check_items()
        return True

    def _check_items(self) -> None:
        held = [index for worker in self.workers.values() for batch in worker.held for index in batch.rest]
        everywhere = self.settled.union(self.returned, held)
        assert len(everywhere) == len(self.settled) + len(self.returned) + len(held), "an item is in two places"
        assert everywhere == self.recalled.union(range(self.cursor)), "an item is in none"
        assert self.scheduler.busy == self._busy()
        if any(worker.is_ready and not worker.held for worker in self.workers.values()):
            self._check_that_an_idle_worker_must_wait()

    def _check_that_an_idle_worker_must_wait(self) -> None:
        ahead_stop = self._ahead_stop()
        if self.cursor == self.at_hand < min(self.setting.length, 0 if ahead_stop is None else ahead_stop):
            assert self.requested is not None, "a worker waits although there are items to pull"
        if self._runs_alone() or self._busy() >= (inf if self.room is None else self.room):
            return
        if self.returned & self.was_starved:
            assert self._busy(), "a worker waits although an item may run alone"
            return
        assert not self.returned, "a worker waits although items were returned"
        if ahead_stop is not None:
            assert self.cursor >= min(self.at_hand, ahead_stop), "a worker waits although there are fresh items"

    def _busy(self) -> int:
        return sum(bool(worker.held) for worker in self.workers.values())

    def _runs_alone(self) -> bool:
        return any(batch.is_alone for worker in self.workers.values() for batch in worker.held)

    def _start(self, number: int) -> None:
        assert not self.must_end
        assert number > self.last_worker
        self.last_worker = number
        self.workers[number] = OutsideWorker(self.now + START_SECONDS, self.failed_starts)
        assert len(self.workers) <= min(self.limit, self.room or inf)
        assert self.now >= self.may_start_at
        assert self.failed_starts < FAILED_STARTS or len(self.workers) == 1

    def _obey(self, command: Command) -> None:  # noqa: C901 - a line or two for each command
        match command:
            case StartWorkers(numbers):
                for number in numbers:
                    self._start(number)
            case SendBatch():
                assert not self.must_end
                self._receive(command)
            case TakeBackItems(number):
                assert not self.must_end
                self._ask_back(self.workers[number])
            case KillWorker(number):
                assert self.must_end or number in self.must_kill
                self.must_kill.discard(number)
                self._let_go(number)
            case ReleaseWorker(number):
                assert self.must_end
                assert self.workers[number].is_ready
                assert not self.workers[number].held
                self._let_go(number)
            case PullInput(stop):
                assert not self.must_end
                assert self.requested is None
                assert self.at_hand < stop <= self._pull_stop()
                self.requested = stop
            case FailItem(index):
                self.must_fail.remove(index)
            case RetryItem(index):
                self.must_retry.remove(index)
            case AbortRun(reason):
                assert reason is self.must_abort
                self.must_abort = None

    def _ask_back(self, worker: OutsideWorker) -> None:
        is_idle = any(other.is_ready and not other.held for other in self.workers.values())
        may_come = len(self.workers) < min(self.limit, self.room or inf)
        assert is_idle or may_come, "nobody is idle, nor could be started"
        is_divisible = self.setting.batch is None and len(worker.held[0].rest) > 1
        assert len(worker.held) > 1 or is_divisible, "there is nothing behind what runs that may be taken"
        assert worker.held[-1].token > worker.latest_asked, "it was asked before"
        worker.asked = worker.latest_asked = worker.held[-1].token

    def _let_go(self, number: int) -> None:
        worker = self.workers.pop(number, None)
        self.gone[number] = [] if worker is None else worker.held

    def _receive(self, batch: SendBatch) -> None:
        items = range(batch.start, batch.stop)
        assert items
        assert self.settled.isdisjoint(items)
        assert self.setting.batch is None or len(items) <= self.setting.batch
        assert batch.may_give_back == (self.setting.batch is None)
        assert batch.token > self.last_token
        self.last_token = batch.token
        assert batch.tries == 1 + self.failed_tries.get(batch.start, 0)
        assert batch.tries <= 1 + self.setting.retries + (batch.start in self.was_starved)
        assert len(items) == 1 or self.failed_tries.keys().isdisjoint(items), "a try is not a batch of its own"
        assert not self._runs_alone(), "something runs beside an item that must run alone"
        is_alone = bool(self.was_starved & self.returned)
        if is_alone:
            assert not self._busy(), "an item that must run alone does not"
            assert batch.start == min(self.was_starved & self.returned)
            self.returned.remove(batch.start)
        elif self.returned:
            self._take_returned(items)
        else:
            assert batch.start == self.cursor
            assert batch.stop <= min(self.at_hand, self._ahead_stop() or inf)
            self.cursor = batch.stop
            self._step_over_recalled()
        self._hand_over(batch, is_alone=is_alone)

    def _take_returned(self, items: range) -> None:
        assert items.start == min(self.returned)
        assert self.returned.issuperset(items)
        self.returned.difference_update(items)
        suspicions = {self.suspects.pop(index, None) for index in items}
        assert len(suspicions) == 1, "suspects and others are in one batch"
        if (count := suspicions.pop()) is not None:
            assert len(items) <= max(1, count // SUSPECT_PIECES)

    def _hand_over(self, batch: SendBatch, *, is_alone: bool) -> None:
        worker = self.workers[batch.worker]
        assert worker.is_ready
        assert not worker.is_worn
        assert all(held.token != worker.long for held in worker.held), "it is sent what was taken from it"
        worker.held.append(HeldBatch(batch.token, batch.start, batch.stop, is_alone=is_alone))
        worker.given += batch.stop - batch.start
        worker.setbacks = self.setbacks
        assert worker.given <= (self.setting.recycle or inf)
        assert len(worker.held) <= (BATCHES_IN_HAND if self.room is None else 1)
        assert len(worker.held) == 2 or self._busy() <= (self.room or inf)


def as_ranges(indices: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Put ascending indices together to ranges."""
    for _, group in groupby(enumerate(indices), lambda at_index: at_index[1] - at_index[0]):
        run = [index for _, index in group]
        yield run[0], run[-1] + 1


Act = Callable[[World, int, int], bool]
Excuses = tuple[tuple[int, Excuse], ...]

ACTS: tuple[Act, ...] = (
    World.come_up,
    World.get_ready,
    World.fail_setup,
    World.die,
    World.advance,
    World.finish,
    World.give_back,
    World.be_taken_from,
    World.refuse,
    World.garble,
    World.come_late,
    World.pull,
    World.take,
    World.reach_deadline,
    World.let_time_pass,
    World.stop,
    World.lose_engine,
    World.wear,
    World.measure_room,
    World.offer,
)
CHOICES = 16  # for `which` and `far`
STEPS = 40  # of a history, before it runs out
ENOUGH = 50  # steps for an item, its worker's start included
HISTORIES = 12_000  # without hypothesis, which is thorough and slow


def pick(numbers: Sequence[int], which: int) -> int | None:
    return numbers[which % len(numbers)] if numbers else None


class Histories(RuleBasedStateMachine):
    """Runs in which anything may happen that the scheduler's neighbours can do."""

    world: World

    @initialize(
        setting=st.builds(
            Setting,
            workers=st.integers(1, 4),
            length=st.integers(0, 60),
            is_stream=st.booleans(),
            batch=st.none() | st.integers(1, 6),
            ahead=st.none() | st.integers(1, 12),
            is_lazy=st.booleans(),
            is_ordered=st.booleans(),
            stops_at_failure=st.booleans(),
            item_seconds=st.sampled_from([1e-6, 0.0, 1e-3, 0.1]),
            patience=st.integers(0, STEPS).map(lambda steps: STEPS - steps),
            is_pulled=st.booleans(),
            recalled=st.sampled_from([0, 0xFFFF]) | st.integers(0, 0xFFFF),
            retries=st.integers(0, 3),
            recycle=st.none() | st.integers(1, 8),
        )
    )
    def start(self, setting: Setting) -> None:
        self.world = World(setting)

    @rule(act=st.sampled_from(ACTS), which=st.integers(0, CHOICES - 1), far=st.integers(0, CHOICES - 1))
    def step(self, act: Act, which: int, far: int) -> None:
        self.world.step(act, which, far)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.run_out()


def test_histories_that_hypothesis_thinks_of() -> None:
    checks = settings(
        max_examples=500,
        stateful_step_count=STEPS,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        derandomize="CI" in os.environ,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Histories, settings=checks)


@pytest.mark.parametrize("seed", range(4))
def test_many_random_histories(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(HISTORIES // 4):
        world = World(roll_setting(dice))
        weights = [dice.choice([0.2, 1, 1, 1, 5]) for _ in ACTS]  # no two histories have the same character
        told: list[tuple[Act, int, int]] = []
        try:
            for act in dice.choices(ACTS, weights, k=STEPS):
                told.append((act, dice.randrange(CHOICES), dice.randrange(CHOICES)))
                world.step(*told[-1])
                if world.is_over:
                    break
            world.run_out()
        except Exception as error:
            steps = "\n".join(f"world.step(World.{act.__name__}, {which}, {far})" for act, which, far in told)
            error.add_note(f"world = World({world.setting})\n{steps}\nworld.run_out()")
            raise


def roll_setting(dice: random.Random) -> Setting:
    return Setting(
        workers=dice.randint(1, 4),
        length=dice.randrange(1 + dice.choice([10, 10, 30, 60, 200])),
        is_stream=dice.random() < 0.5,
        batch=dice.choice([None, None, dice.randint(1, 6)]),
        ahead=dice.choice([None, dice.randint(1, 12)]),
        is_lazy=dice.random() < 0.5,
        is_ordered=dice.random() < 0.5,
        stops_at_failure=dice.random() < 0.25,
        item_seconds=dice.choice([0.0, 1e-6, 1e-3, 0.1]),
        patience=dice.randint(0, 4 * STEPS),
        is_pulled=dice.random() < 0.3,
        recalled=dice.choice([0, 0, 0xFFFF, dice.getrandbits(16), dice.getrandbits(16) | dice.getrandbits(16)]),
        retries=dice.choice([0, 0, 1, 3]),
        recycle=dice.choice([None, None, dice.randint(1, 8)]),
    )
