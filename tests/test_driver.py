"""The driver, between the true scheduler and an engine that does what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import allcores
from allcores._dataset import Stream, make_dataset
from allcores._driver import Run
from allcores._engines import Arrival
from allcores._errors import UnpicklableResult, WorkerDied, WorkersUnavailable
from allcores._messages import (
    BatchAdvanced,
    BatchFinished,
    BatchRefused,
    BatchUnreadable,
    EngineLost,
    KillWorker,
    Moment,
    ReleaseWorker,
    SendBatch,
    StartWorker,
    WorkerDown,
    WorkerSetupFailed,
    WorkerUp,
)
from allcores._options import Options
from allcores._outcomes import Raised
from allcores._plan import Facts, make_plan
from allcores._scheduler import FAILED_STARTS, SETBACKS, START_SECONDS
from allcores._sinks import ListSink, OrderedSink, Sink, UnorderedSink
from allcores.testing import EngineCommand, FakeClock, FakeEngine, News, come_up

FACTS = Facts(cores=1, cores_bound="the test", can_fork=True, fork_hazard=None, can_start_clean=True)
SECONDS = 0.5  # that a batch takes, as the engine says


def squared(batch: SendBatch) -> Arrival:
    """What comes of a batch whose items are their indices."""
    values = [index * index for index in range(batch.start, batch.stop)]
    return Arrival(BatchFinished(batch.worker, batch.token, batch.stop, SECONDS), batch.start, values)


def failed(batch: SendBatch, error: Exception) -> Arrival:
    """The last item of the batch fails."""
    arrival, index = squared(batch), batch.stop - 1
    arrival.event = BatchFinished(batch.worker, batch.token, batch.stop, SECONDS, (index,))
    arrival.values[-1] = None
    arrival.raised[index] = Raised(error, "the traceback")
    return arrival


def square(command: EngineCommand) -> list[News]:
    """Answer as workers do that square every item at once."""
    return [squared(command)] if isinstance(command, SendBatch) else come_up(command)


def square_all_but(index: int, news: Callable[[SendBatch], News]) -> Callable[[EngineCommand], list[News]]:
    """Answer in another way to the batch that ends with this item."""

    def answer(command: EngineCommand) -> list[News]:
        is_it = isinstance(command, SendBatch) and command.stop == index + 1
        return [news(command)] if is_it and isinstance(command, SendBatch) else square(command)

    return answer


def make_run(
    engine: FakeEngine,
    sink: Sink,
    items: Iterable[Any],
    *,
    clock: FakeClock | None = None,
    is_lazy: bool = False,
    on_progress: Callable[[int], None] = lambda settled: None,
    **options: Any,
) -> Run:
    plan = make_plan(Options(on="threads", **{"batch": 1, **options}), FACTS)
    return Run(
        plan,
        make_dataset((items,)),
        lambda: engine,
        sink,
        is_lazy=is_lazy,
        on_progress=on_progress,
        clock=FakeClock() if clock is None else clock,
    )


def broken_input(count: int, error: BaseException) -> Iterator[int]:
    yield from range(count)
    raise error


# ------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("items", [range(10), iter(range(10))], ids=["columns", "stream"])
def test_every_value_finds_its_place(items: Iterable[int]) -> None:
    engine, sink = FakeEngine(square), ListSink()
    run = make_run(engine, sink, items, workers=2, batch=3)
    run.run_to_end()
    assert sink.values == [index * index for index in range(10)]
    assert run.error is None
    assert run.failures == []


def test_values_are_in_order_whatever_finishes_first() -> None:
    engine, sink = FakeEngine(), OrderedSink()
    run = make_run(engine, sink, range(3), workers=3)
    while len(batches := [command for command in engine.commands if isinstance(command, SendBatch)]) < 3:
        run.turn()
    engine.report(squared(batches[2]), squared(batches[1]))
    run.turn()
    assert list(sink.ready) == []
    engine.report(squared(batches[0]))
    run.turn()
    assert list(sink.ready) == [0, 1, 4]
    assert run.is_finished
    run.close()


def test_parts_of_a_batch_arrive_while_it_runs() -> None:
    def in_parts(batch: SendBatch) -> Arrival:
        return Arrival(BatchAdvanced(0, batch.token, 2, SECONDS), 0, ["a", "b"])

    engine, sink = FakeEngine(square_all_but(3, in_parts)), ListSink()
    run = make_run(engine, sink, range(4), batch=4)
    while not sink.values:
        run.turn()
    engine.report(Arrival(BatchFinished(0, 0, 4, SECONDS), 2, ["c", "d"]))
    run.run_to_end()
    assert sink.values == ["a", "b", "c", "d"]


def test_a_stream_holds_no_item_that_is_settled() -> None:
    dataset = Stream(iter(range(100)))
    plan = make_plan(Options(on="threads", workers=2, ahead=8), FACTS)
    engine = FakeEngine(square)
    run = Run(plan, dataset, lambda: engine, ListSink(), is_lazy=False, on_progress=lambda settled: None)
    run.run_to_end()
    assert dataset.pulled == 100
    assert vars(dataset)["_chunks"] == {}


def test_values_that_come_after_the_end_are_dropped() -> None:
    def fail_early(command: EngineCommand) -> list[News]:
        if isinstance(command, SendBatch):
            batches.append(command)
            return [failed(batches[0], ValueError()), squared(batches[1])] if len(batches) == 2 else []
        return come_up(command)

    batches: list[SendBatch] = []
    sink = ListSink()
    run = make_run(FakeEngine(fail_early), sink, range(2), workers=2)
    run.run_to_end()
    assert sink.finished() == {}
    assert run.report.items == 1


def test_values_of_a_worker_that_is_gone_are_dropped() -> None:
    def die_and_report(batch: SendBatch) -> Arrival:
        engine.report(Arrival(WorkerDown(batch.worker, Moment.IDLE)))
        return Arrival(squared(batch).event, batch.start, ["from the dead"])

    engine, sink = FakeEngine(), ListSink()
    answers = iter([square_all_but(0, die_and_report)])

    def answer(command: EngineCommand) -> Iterable[News]:
        return next(answers, square)(command) if isinstance(command, SendBatch) else come_up(command)

    engine = FakeEngine(answer)
    run = make_run(engine, sink, range(2))
    run.run_to_end()
    assert sink.values == [0, 1]
    assert run.report.items == 2


# ---------------------------------------------------------------------------------------------------- start and finish


@pytest.mark.parametrize("items", [[], iter([])], ids=["columns", "stream"])
def test_an_empty_input_starts_nothing(items: Iterable[int]) -> None:
    engine = FakeEngine()
    run = make_run(engine, ListSink(), items)
    run.run_to_end()
    assert engine.commands == []
    assert not engine.is_closed, "it was never made"
    assert run.report.items == run.report.workers == 0


def test_workers_that_are_idle_at_the_end_are_released_and_the_engine_is_closed() -> None:
    engine = FakeEngine(square)
    make_run(engine, ListSink(), range(2)).run_to_end()
    assert engine.commands[-1] == ReleaseWorker(0)
    assert engine.is_closed


def test_an_engine_that_cannot_be_made_is_asked_for_once() -> None:
    asked = []

    def make_engine() -> FakeEngine:
        asked.append("engine")
        raise allcores.UnpicklableError("it captures a lock")

    plan = make_plan(Options(on="threads"), FACTS)
    run = Run(plan, make_dataset(([1, 2],)), make_engine, ListSink(), is_lazy=False, on_progress=lambda settled: None)
    with pytest.raises(allcores.UnpicklableError):
        run.run_to_end()
    assert asked == ["engine"]


def test_a_run_that_is_closed_early_lets_every_worker_go_once() -> None:
    engine = FakeEngine()
    run = make_run(engine, OrderedSink(), range(5), workers=2, is_lazy=True)
    while not any(isinstance(command, SendBatch) for command in engine.commands):
        run.turn()
    run.close()
    run.close()
    assert [command for command in engine.commands if isinstance(command, KillWorker)] == [
        KillWorker(0),
        KillWorker(1),
    ]
    assert engine.is_closed
    assert run.is_finished


def test_without_blocking_a_turn_only_takes_what_has_happened() -> None:
    engine, sink = FakeEngine(), OrderedSink()
    run = make_run(engine, sink, range(1), is_lazy=True)
    run.turn()
    run.turn(may_block=False)
    run.turn(may_block=False)
    assert not sink.ready
    run.close()


def test_a_consumer_that_takes_results_lets_the_run_go_on() -> None:
    engine, sink = FakeEngine(square), OrderedSink()
    run = make_run(engine, sink, range(3), ahead=1, is_lazy=True)
    taken = []
    while not run.is_finished:
        run.turn(may_block=False)
        while sink.ready:
            taken.append(sink.ready.popleft())
            run.took(len(taken))
    run.close()
    assert taken == [0, 1, 4]


def test_a_worker_that_never_comes_up_is_killed_and_after_some_the_run_gives_up() -> None:
    clock = FakeClock()
    engine = FakeEngine(lambda command: [], clock)
    run = make_run(engine, ListSink(), range(1), clock=clock)
    run.run_to_end()
    assert engine.commands == [
        command for worker in range(FAILED_STARTS) for command in (StartWorker(worker), KillWorker(worker))
    ]
    assert clock.now == FAILED_STARTS * START_SECONDS
    assert isinstance(run.error, WorkersUnavailable)
    assert "no worker can be started" in str(run.error)
    assert "None" not in str(run.error)


# ----------------------------------------------------------------------------------------------------------- failures


def test_in_raise_mode_a_failure_ends_the_run_and_is_what_the_run_raises() -> None:
    error = ValueError("bad item")
    engine, sink = FakeEngine(square_all_but(2, lambda batch: failed(batch, error))), ListSink()
    run = make_run(engine, sink, range(100))
    run.run_to_end()
    assert run.error is error
    assert allcores.finished(error) == {0: 0, 1: 1}
    assert error.__notes__ == ["allcores: item 2 (2) failed on worker 0 (pid unknown on nowhere)"]
    assert engine.is_closed
    assert len([command for command in engine.commands if isinstance(command, SendBatch)]) == 3


def test_in_raise_mode_what_the_batch_finished_before_the_failure_counts() -> None:
    error = ValueError()
    engine, sink = FakeEngine(square_all_but(2, lambda batch: failed(batch, error))), ListSink()
    make_run(engine, sink, range(3), batch=3).run_to_end()
    assert allcores.finished(error) == {0: 0, 1: 1}


def test_in_collect_mode_a_failed_position_holds_its_failure() -> None:
    error = ValueError("bad item")
    engine, sink = FakeEngine(square_all_but(2, lambda batch: failed(batch, error))), ListSink()
    run = make_run(engine, sink, iter(range(5)), errors="collect")
    run.run_to_end()
    (failure,) = run.failures
    assert sink.values == [0, 1, failure, 9, 16]
    assert (failure.index, failure.item, failure.exception, failure.traceback) == (2, 2, error, "the traceback")
    assert run.error is None
    assert (run.report.items, run.report.failed) == (5, 1)


def test_the_item_that_a_worker_died_in_fails_with_a_sentence_that_says_so() -> None:
    def die(batch: SendBatch) -> Arrival:
        cause = WorkerDied("was killed by SIGKILL", exit="SIGKILL", pid=4711)
        return Arrival(WorkerDown(batch.worker, Moment.RUNNING, 2, 3), cause=cause)

    sink = ListSink()
    run = make_run(FakeEngine(square_all_but(2, die)), sink, range(4), errors="collect")
    run.run_to_end()
    (failure,) = run.failures
    assert sink.values == [0, 1, failure, 9]
    assert isinstance(failure.exception, WorkerDied)
    assert (failure.exception.exit, failure.exception.pid) == ("SIGKILL", 4711)
    assert "worker 0 (pid unknown on nowhere) was killed by SIGKILL while it ran item 2 (2)" in str(failure.exception)


def test_a_result_that_cannot_be_read_fails_its_item() -> None:
    def garble(batch: SendBatch) -> Arrival:
        event = BatchUnreadable(batch.worker, batch.token, batch.stop, is_last=True)
        return Arrival(event, cause=UnpicklableResult("no such module"))

    sink = OrderedSink()
    run = make_run(FakeEngine(square_all_but(1, garble)), sink, range(3), errors="collect")
    run.run_to_end()
    (failure,) = run.failures
    assert list(sink.ready) == [0, failure, 4]
    assert isinstance(failure.exception, UnpicklableResult)


def test_the_error_of_a_failed_setup_is_what_the_run_raises() -> None:
    error = ValueError("no such database")

    def fail_setup(command: EngineCommand) -> list[News]:
        if isinstance(command, StartWorker):
            return [Arrival(WorkerUp(command.worker)), Arrival(WorkerSetupFailed(command.worker), cause=error)]
        return []

    engine = FakeEngine(fail_setup)
    run = make_run(engine, ListSink(), range(3))
    run.run_to_end()
    assert run.error is error
    assert engine.is_closed


def test_a_run_whose_batches_are_all_refused_gives_up() -> None:
    def refuse(command: EngineCommand) -> list[News]:
        if isinstance(command, SendBatch):
            return [Arrival(BatchRefused(command.worker, command.token), cause=OSError("no space"))]
        return come_up(command)

    engine = FakeEngine(refuse)
    run = make_run(engine, ListSink(), range(3))
    run.run_to_end()
    assert isinstance(run.error, WorkersUnavailable)
    assert "no space" in str(run.error)
    assert len([command for command in engine.commands if isinstance(command, SendBatch)]) == SETBACKS


def test_a_lost_engine_ends_the_run_with_what_was_finished() -> None:
    lost = Arrival(EngineLost(), cause=ConnectionError("the cluster is gone"))
    run = make_run(FakeEngine(square_all_but(1, lambda batch: lost)), ListSink(), range(3))
    run.run_to_end()
    assert isinstance(run.error, WorkersUnavailable)
    assert "the cluster is gone" in str(run.error)
    assert allcores.finished(run.error) == {0: 0}


# --------------------------------------------------------------------------------------------------- input, interrupts


def test_an_error_of_the_input_is_raised_after_what_came_before_it() -> None:
    error = ConnectionError("the stream broke")
    engine, sink = FakeEngine(square), UnorderedSink()
    run = make_run(engine, sink, broken_input(3, error), workers=2)
    run.run_to_end()
    assert sorted(sink.ready) == [(0, 0), (1, 1), (2, 4)]
    assert run.error is error
    assert allcores.finished(error) == {0: 0, 1: 1, 2: 4}
    assert engine.is_closed


def test_a_failure_of_an_item_before_the_input_broke_is_what_the_plain_loop_would_raise() -> None:
    error = ValueError("bad item")
    engine = FakeEngine()
    run = make_run(engine, ListSink(), broken_input(1, ConnectionError("the stream broke")), workers=2)
    while not (batches := [command for command in engine.commands if isinstance(command, SendBatch)]):
        run.turn()
    engine.report(failed(batches[0], error))
    run.run_to_end()
    assert run.error is error


def test_ctrl_c_while_waiting_closes_the_engine_and_keeps_what_was_finished() -> None:
    engine, sink = FakeEngine(square_all_but(2, lambda batch: KeyboardInterrupt())), ListSink()
    run = make_run(engine, sink, range(5))
    with pytest.raises(KeyboardInterrupt) as caught:
        run.run_to_end()
    assert allcores.finished(caught.value) == {0: 0, 1: 1}
    assert engine.commands[-1] == KillWorker(0)
    assert engine.is_closed


def test_ctrl_c_in_the_input_closes_the_engine_and_keeps_what_had_arrived() -> None:
    engine, sink = FakeEngine(square), ListSink()
    run = make_run(engine, sink, broken_input(2, KeyboardInterrupt()), workers=2)
    with pytest.raises(KeyboardInterrupt) as caught:
        run.run_to_end()
    assert allcores.finished(caught.value).items() <= {0: 0, 1: 1}.items()
    assert engine.is_closed


def test_a_run_that_is_being_closed_keeps_what_had_arrived_and_starts_nothing_new() -> None:
    def interrupt_sending(command: EngineCommand) -> list[News]:
        if not isinstance(command, SendBatch):
            return come_up(command)
        if command.start == 2:
            raise KeyboardInterrupt
        sent.append(command)
        return [squared(batch) for batch in sent] if len(sent) == 2 else []

    sent: list[SendBatch] = []
    engine, sink = FakeEngine(interrupt_sending), ListSink()
    run = make_run(engine, sink, range(100), workers=2)
    with pytest.raises(KeyboardInterrupt):
        run.run_to_end()
    assert sink.finished() == {0: 0, 1: 1}
    assert [command.start for command in engine.commands if isinstance(command, SendBatch)] == [0, 1, 2]


# --------------------------------------------------------------------------------------------------- report, progress


def test_the_report_tells_what_the_run_has_cost() -> None:
    clock = FakeClock(100.0)
    run = make_run(FakeEngine(square), ListSink(), range(4), workers=2, clock=clock)
    clock.advance(1.5)
    run.run_to_end()
    clock.advance(1000.0)
    report = run.report
    assert report.wall_seconds == 1.5
    assert (report.items, report.failed, report.workers) == (4, 0, 2)
    assert report.item_seconds == 4 * SECONDS


def test_progress_hears_of_every_growth_and_of_the_end() -> None:
    heard: list[int] = []
    run = make_run(FakeEngine(square), ListSink(), range(7), batch=2, on_progress=heard.append)
    run.run_to_end()
    assert heard == sorted(set(heard))
    assert heard[-1] == 7


# -------------------------------------------------------------------------------------------------------------- fakes


def test_a_fake_engine_gives_what_is_scripted_up_to_an_exception_and_then_raises_it() -> None:
    engine = FakeEngine()
    engine.report(Arrival(WorkerUp(0)), Arrival(WorkerUp(1)), KeyboardInterrupt(), Arrival(WorkerUp(2)))
    assert [arrival.event for arrival in engine.wait(None)] == [WorkerUp(0), WorkerUp(1)]
    with pytest.raises(KeyboardInterrupt):
        engine.wait(None)
    assert [arrival.event for arrival in engine.wait(None)] == [WorkerUp(2)]


def test_a_fake_engine_lets_time_pass_but_not_for_ever() -> None:
    clock = FakeClock(10.0)
    engine = FakeEngine(clock=clock)
    assert engine.wait(2.5) == []
    assert clock() == 12.5
    with pytest.raises(AssertionError, match="waits for ever"):
        engine.wait(None)
