"""The driver, between the true scheduler and an engine that does what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import allcores
from allcores._core.errors import UnpicklableResult, WorkerDied, WorkersUnavailable
from allcores._core.messages import (
    BatchAdvanced,
    BatchFinished,
    BatchRefused,
    BatchUnreadable,
    Command,
    EngineLost,
    Event,
    KillWorker,
    Moment,
    ReleaseWorker,
    SendBatch,
    StartWorkers,
    WorkerDown,
    WorkerSetupFailed,
    WorkerUp,
)
from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._core.scheduler.roster import FAILED_STARTS, HASTY_STARTS, PAUSE_SECONDS, START_SECONDS
from allcores._core.scheduler.scheduler import SETBACKS, Scheduler
from allcores._engines.engine import Arrival, MemoryUse
from allcores._input.dataset import Stream, make_dataset
from allcores._objects.outcomes import Raised
from allcores._run.driver import Run
from allcores._run.sinks import ListSink, OrderedSink, Sink, UnorderedSink
from allcores._run.standing import Standing, Watcher
from allcores._system.memory import Room
from allcores.testing import EngineCommand, FakeClock, FakeEngine, News, come_up

FACTS = Facts(cores=1, cores_bound="the test", can_fork=True, fork_hazard=None, can_start_clean=True)
SECONDS = 0.5  # that a batch takes, as the engine says


def squared(batch: SendBatch) -> Arrival:
    """What comes of a batch whose items are their indices."""
    values = [index * index for index in range(batch.start, batch.stop)]
    return Arrival(BatchFinished(batch.worker, batch.token, batch.stop, SECONDS), batch.start, values)


def failed(batch: SendBatch, error: Exception) -> Arrival:
    """The last item of the batch fails."""
    return failed_at(batch, {batch.stop - 1: error})


def failed_at(batch: SendBatch, errors: dict[int, Exception]) -> Arrival:
    """Some items of the batch fail."""
    arrival = squared(batch)
    arrival.event = BatchFinished(batch.worker, batch.token, batch.stop, SECONDS, tuple(errors))
    for index, error in errors.items():
        arrival.values[index - batch.start] = None
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
    watcher: Watcher | None = None,
    **options: Any,
) -> Run:
    asked = Options(**{"on": "threads", "workers": FACTS.cores, "batch": 1, **options})
    return Run(
        make_plan(asked, FACTS),
        make_dataset((items,)),
        lambda: engine,
        sink,
        retry_on=asked.retry_on_types,
        is_lazy=is_lazy,
        watcher=watcher,
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
    run = Run(plan, dataset, lambda: engine, ListSink(), is_lazy=False)
    run.run_to_end()
    assert dataset.pulled == 100
    assert vars(dataset)["_chunks"] == {}


def test_values_that_come_together_with_the_end_are_kept() -> None:
    def fail_early(command: EngineCommand) -> list[News]:
        if isinstance(command, SendBatch):
            batches.append(command)
            return [failed(batches[0], ValueError()), squared(batches[1])] if len(batches) == 2 else []
        return come_up(command)

    batches: list[SendBatch] = []
    sink = ListSink()
    run = make_run(FakeEngine(fail_early), sink, range(2), workers=2)
    run.run_to_end()
    assert sink.finished() == {1: 1}
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

    plan = make_plan(Options(on="threads", workers=1), FACTS)
    run = Run(plan, make_dataset(([1, 2],)), make_engine, ListSink(), is_lazy=False)
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
        command for worker in range(FAILED_STARTS) for command in (StartWorkers((worker,)), KillWorker(worker))
    ]
    pauses = sum(PAUSE_SECONDS * 2**put_off for put_off in range(FAILED_STARTS - HASTY_STARTS))
    assert clock.now == pytest.approx(FAILED_STARTS * START_SECONDS + pauses)
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
    blame, next_steps = error.__notes__
    assert blame == "allcores: item 2 (2) failed on worker 0 (pid unknown on nowhere)"
    assert next_steps.startswith("allcores: 2 of 100 finished: allcores.finished(error); ")
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
        if isinstance(command, StartWorkers):
            (worker,) = command.workers
            return [Arrival(WorkerUp(worker)), Arrival(WorkerSetupFailed(worker), cause=error)]
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


def test_of_several_failures_in_a_batch_the_run_raises_that_of_the_first_item() -> None:
    errors = {1: ValueError("first"), 3: ValueError("later")}
    run = make_run(FakeEngine(square_all_but(4, lambda batch: failed_at(batch, errors))), ListSink(), range(5), batch=5)
    run.run_to_end()
    assert run.error is errors[1]
    assert allcores.finished(errors[1]) == {0: 0, 2: 4, 4: 16}


# ------------------------------------------------------------------------------------------------------------ retries


def fail_tries(errors: dict[int, list[Exception]]) -> Callable[[EngineCommand], list[News]]:
    """Answer as workers do that square, but whose items fail with these exceptions, one at each try."""

    def answer(command: EngineCommand) -> list[News]:
        if not isinstance(command, SendBatch):
            return come_up(command)
        indices = range(command.start, command.stop)
        return [failed_at(command, {index: errors[index].pop(0) for index in indices if errors.get(index)})]

    return answer


def sent(engine: FakeEngine) -> list[SendBatch]:
    return [command for command in engine.commands if isinstance(command, SendBatch)]


class Puts(ListSink):
    """Notes which items' values were put, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.indices: list[int] = []

    def put(self, start: int, values: list[Any]) -> None:
        self.indices += range(start, start + len(values))
        super().put(start, values)


@pytest.mark.parametrize("errors", ["raise", "collect"])
@pytest.mark.parametrize("kind", [list, iter], ids=["columns", "stream"])
def test_the_value_of_an_item_that_is_tried_again_is_delivered_once_and_in_place(
    kind: Callable[[Iterable[int]], Iterable[int]], errors: str
) -> None:
    engine = FakeEngine(fail_tries({0: [OSError()], 5: [OSError(), OSError()], 7: [OSError()], 11: [OSError()]}))
    sink = Puts()
    run = make_run(engine, sink, kind(range(12)), workers=2, batch=4, retries=2, errors=errors)
    run.run_to_end()
    assert sink.values == [index * index for index in range(12)]
    assert sorted(sink.indices) == list(range(12))
    assert run.error is None
    assert run.failures == []
    assert (run.report.items, run.report.failed, run.report.tries) == (12, 0, 17)
    again = [(batch.start, batch.stop, batch.tries) for batch in sent(engine) if batch.tries > 1]
    assert sorted(again) == [(0, 1, 2), (5, 6, 2), (5, 6, 3), (7, 8, 2), (11, 12, 2)]


def test_the_parts_of_a_batch_around_an_item_that_is_tried_again_are_delivered_at_once() -> None:
    engine, sink = FakeEngine(), OrderedSink()
    run = make_run(engine, sink, range(7), batch=7, retries=1)
    while not sent(engine):
        run.turn()
    engine.report(failed_at(sent(engine)[0], {2: OSError(), 5: OSError()}))
    run.turn()
    assert list(sink.ready) == [0, 1]
    assert sink.finished() == {0: 0, 1: 1, 3: 9, 4: 16, 6: 36}
    while not run.is_finished:
        engine.report(squared(sent(engine)[-1]))
        run.turn()
    run.close()
    assert list(sink.ready) == [index * index for index in range(7)]


def test_a_failure_tells_how_often_its_item_was_tried() -> None:
    errors: dict[int, list[Exception]] = {1: [OSError(), OSError(), OSError("last")], 2: [OSError(), KeyError()]}
    sink = ListSink()
    options: dict[str, Any] = {"retries": 2, "retry_on": OSError, "errors": "collect"}
    run = make_run(FakeEngine(fail_tries(errors)), sink, range(4), batch=4, **options)
    run.run_to_end()
    first, second = run.failures
    assert [(failure.index, failure.tries) for failure in run.failures] == [(1, 3), (2, 2)]
    assert str(first.exception) == "last"
    assert first.exception.__notes__[0].endswith("failed on worker 0 (pid unknown on nowhere), try 3 of 3")
    assert second.exception.__notes__[0].endswith(", try 2 of 3")
    assert sink.values == [0, first, second, 9]
    assert (run.report.tries, run.report.failed) == (7, 2)


def test_in_raise_mode_what_is_not_worth_another_try_ends_the_run() -> None:
    error = KeyError("not worth it")
    engine, sink = FakeEngine(fail_tries({1: [OSError()], 2: [error]})), ListSink()
    run = make_run(engine, sink, range(8), batch=4, retries=2, retry_on=OSError)
    run.run_to_end()
    assert run.error is error
    assert allcores.finished(error) == {0: 0, 3: 9}
    assert run.report.tries == 4


def deadly(batch: SendBatch, **death: Any) -> Arrival:
    cause = WorkerDied("was killed by SIGKILL", exit="SIGKILL", pid=4711, **death)
    return Arrival(WorkerDown(batch.worker, Moment.RUNNING, batch.stop - 1, batch.stop), cause=cause)


def test_an_item_whose_worker_dies_at_every_try_fails_with_a_sentence_that_says_which_try_it_was() -> None:
    sink = ListSink()
    engine = FakeEngine(square_all_but(2, deadly))
    run = make_run(engine, sink, range(4), batch=3, retries=2, errors="collect")
    run.run_to_end()
    (failure,) = run.failures
    assert sink.values == [0, 1, failure, 9]
    assert failure.tries == 3
    assert str(failure.exception).endswith("while it ran item 2 (2), try 3 of 3")
    assert (run.report.deaths, run.report.tries) == (3, 6)
    assert len([command for command in engine.commands if isinstance(command, StartWorkers)]) == 4


def test_without_retries_nothing_is_said_about_tries() -> None:
    run = make_run(FakeEngine(square_all_but(2, deadly)), ListSink(), range(4), errors="collect")
    run.run_to_end()
    assert run.failures[0].tries == 1
    assert str(run.failures[0].exception).endswith("while it ran item 2 (2)")


# ------------------------------------------------------------------------------------------------------------- memory


class BusyEngine(FakeEngine):
    """Workers that use memory, and time: the oldest batch is finished when nothing else happens.

    Attributes:
        crowds: how many batches were running whenever one was sent.
    """

    def __init__(self, clock: FakeClock, size: int, news: Callable[[SendBatch], News] = squared) -> None:
        super().__init__(come_up, clock)
        self.crowds: list[int] = []
        self._held: list[SendBatch] = []
        self._size = size
        self._how = news
        self._peaks: list[int] = []
        self._kills: list[int] = []

    def send(self, batch: SendBatch) -> None:
        super().send(batch)
        self._held.append(batch)
        self.crowds.append(len({held.worker for held in self._held}))

    def wait(self, timeout: float | None) -> list[Arrival]:
        if not self._news and timeout != 0 and self._held:
            self._clock.advance(1.0)
            news = self._how(self._held.pop(0))
            cause = news.cause if isinstance(news, Arrival) else None
            if isinstance(cause, WorkerDied) and cause.is_out_of_memory:
                self._kills.append(cause.memory or 0)
            elif self._size:
                self._peaks.append(self._size)
            self.report(news)
        return super().wait(timeout)

    def memory(self) -> MemoryUse:
        use = MemoryUse([self._size] * len(self._held) if self._size else [], self._peaks, self._kills)
        self._peaks, self._kills = [], []
        return use


def crowds(monkeypatch, free: int, size: int, news: Callable[[SendBatch], News] = squared, **options: Any) -> list[int]:
    """How many items ran at once, over the run."""
    monkeypatch.setattr("allcores._run.admission_control.free_memory", lambda: Room(free, 1000, "the test"))
    clock = FakeClock()
    engine, sink = BusyEngine(clock, size, news), ListSink()
    run = make_run(engine, sink, range(20), clock=clock, workers=4, **options)
    run.run_to_end()
    assert sink.values == [index * index for index in range(20)]
    return engine.crowds


def test_while_memory_is_short_fewer_items_run_at_once(monkeypatch) -> None:
    assert max(crowds(monkeypatch, free=900, size=100, on="processes")[5:]) == 4
    assert max(crowds(monkeypatch, free=50, size=100, on="processes")[5:]) == 1
    assert max(crowds(monkeypatch, free=50, size=100, on="threads")[5:]) == 4, "threads' memory is everybody's"


@pytest.mark.parametrize(("is_out_of_memory", "most"), [(True, 1), (False, 4)])
def test_a_kill_for_lack_of_memory_lets_in_fewer_though_nobody_knows_what_they_use(
    monkeypatch, *, is_out_of_memory: bool, most: int
) -> None:
    def die_once(batch: SendBatch) -> News:
        if (batch.start, batch.tries) != (3, 1):
            return squared(batch)
        return deadly(batch, memory=500, is_out_of_memory=is_out_of_memory)

    seen = crowds(monkeypatch, free=600, size=0, news=die_once, on="processes", retries=1)
    assert max(seen[:4]) == 4
    assert max(seen[-8:]) == most


@pytest.mark.parametrize("error", [WorkerDied("was killed", is_out_of_memory=True), MemoryError()])
def test_an_item_that_was_lost_to_a_lack_of_memory_is_tried_once_more_without_being_asked_for(error: Exception) -> None:
    def lose(batch: SendBatch) -> Arrival:
        if isinstance(error, WorkerDied):
            return Arrival(WorkerDown(batch.worker, Moment.RUNNING, 2, 3), cause=error)
        return failed(batch, error)

    run = make_run(FakeEngine(square_all_but(2, lose)), ListSink(), range(4), errors="collect")
    run.run_to_end()
    assert [(failure.index, failure.tries) for failure in run.failures] == [(2, 2)]
    assert run.report.tries == 5


def test_an_item_that_exceeds_a_limit_is_not_tried_once_more() -> None:
    error = allcores.MemoryLimitExceeded("too much", limit=1, used=2)
    answer = square_all_but(2, lambda batch: failed(batch, error))
    run = make_run(FakeEngine(answer), ListSink(), range(4), errors="collect")
    run.run_to_end()
    assert [(failure.index, failure.tries) for failure in run.failures] == [(2, 1)]


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


class Interrupted(Puts):
    """A sink in which Ctrl-C comes once, before or after the values of this item are taken."""

    def __init__(self, index: int, *, is_late: bool) -> None:
        super().__init__()
        self._index = index
        self._is_late = is_late

    def put(self, start: int, values: list[Any]) -> None:
        is_it, is_late = self._index in range(start, start + len(values)), self._is_late
        if is_it:
            self._index = -1
        if is_it and not is_late:
            raise KeyboardInterrupt
        super().put(start, values)
        if is_it:
            raise KeyboardInterrupt


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("interrupted", [0, 2, 4, 5])
def test_ctrl_c_in_the_middle_of_an_arrival_loses_nothing_that_had_arrived(interrupted: int, *, is_late: bool) -> None:
    """The first batch has two failures, so that its values are put in three parts; the second one waits behind it."""

    def fail_together(command: EngineCommand) -> list[News]:
        if not isinstance(command, SendBatch):
            return come_up(command)
        batches.append(command)
        return [failed_at(batches[0], {1: OSError(), 3: OSError()}), squared(batches[1])] if len(batches) == 2 else []

    batches: list[SendBatch] = []
    engine, sink = FakeEngine(fail_together), Interrupted(interrupted, is_late=is_late)
    run = make_run(engine, sink, range(100), workers=2, batch=5, retries=1)
    with pytest.raises(KeyboardInterrupt) as caught:
        run.run_to_end()
    assert allcores.finished(caught.value) == {index: index * index for index in (0, 2, 4, 5, 6, 7, 8, 9)}
    assert sorted(sink.indices) == [0, 2, 4, 5, 6, 7, 8, 9], "each once"
    assert engine.is_closed
    assert {batch.start for batch in sent(engine)} <= {0, 5, 1}, "nothing new began"


@pytest.mark.parametrize("is_late", [False, True], ids=["before", "after"])
def test_ctrl_c_in_the_middle_of_a_decision_loses_nothing_that_had_arrived(monkeypatch, *, is_late: bool) -> None:
    def handle_and_interrupt(scheduler: Scheduler, event: Event, now: float) -> list[Command]:
        if isinstance(event, BatchFinished) and not is_late:
            raise KeyboardInterrupt
        commands = handle(scheduler, event, now)
        if isinstance(event, BatchFinished):
            raise KeyboardInterrupt
        return commands

    def finish_together(command: EngineCommand) -> list[News]:
        if not isinstance(command, SendBatch):
            return come_up(command)
        batches.append(command)
        return list(map(squared, batches)) if len(batches) == 2 else []

    batches: list[SendBatch] = []
    handle = Scheduler.handle
    monkeypatch.setattr(Scheduler, "handle", handle_and_interrupt)
    engine, sink = FakeEngine(finish_together), Puts()
    run = make_run(engine, sink, range(100), workers=2, batch=5)
    with pytest.raises(KeyboardInterrupt) as caught:
        run.run_to_end()
    assert allcores.finished(caught.value) == {index: index * index for index in range(10)}
    assert sorted(sink.indices) == list(range(10)), "each once"
    assert engine.is_closed


class StubbornEngine(FakeEngine):
    """An engine in whose end Ctrl-C comes, so many times."""

    def __init__(self, answer: Callable[[EngineCommand], Iterable[News]], interrupts: Iterable[BaseException]) -> None:
        super().__init__(answer)
        self.closings = 0
        self._interrupts = iter(interrupts)

    def close(self) -> None:
        self.closings += 1
        for interrupt in self._interrupts:
            raise interrupt
        super().close()


def test_ctrl_c_while_closing_is_raised_once_everything_is_let_go() -> None:
    interrupts = [KeyboardInterrupt("once"), KeyboardInterrupt("twice")]
    engine = StubbornEngine(square, interrupts)
    run = make_run(engine, ListSink(), range(3))
    with pytest.raises(KeyboardInterrupt, match="twice") as caught:
        run.run_to_end()
    assert engine.is_closed
    assert engine.closings == 3
    assert allcores.finished(caught.value) == {0: 0, 1: 1, 2: 4}
    run.close()
    assert engine.closings == 3


def test_a_second_ctrl_c_while_the_first_one_closes_the_run_leaves_nothing_open() -> None:
    interrupt_at_2 = square_all_but(2, lambda batch: KeyboardInterrupt("first"))
    engine = StubbornEngine(interrupt_at_2, [KeyboardInterrupt("second")])
    run = make_run(engine, ListSink(), range(5))
    with pytest.raises(KeyboardInterrupt, match="second") as caught:
        run.run_to_end()
    assert engine.is_closed
    assert engine.closings == 2
    assert allcores.finished(caught.value) == {0: 0, 1: 1}


def test_an_error_while_closing_is_not_tried_again() -> None:
    engine = StubbornEngine(square, [OSError("the engine's own")])
    run = make_run(engine, ListSink(), range(3))
    with pytest.raises(OSError, match="the engine's own") as caught:
        run.run_to_end()
    assert engine.closings == 1
    assert allcores.finished(caught.value) == {0: 0, 1: 1, 2: 4}


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
    assert (report.tries, report.deaths, report.recalled, report.unrecorded) == (4, 0, 0, 0)
    assert report.item_seconds == 4 * SECONDS


class Listener:
    """Writes down how the run stands; wants to hear every so many seconds, or never."""

    def __init__(self, every: float | None = None) -> None:
        self.heard: list[Standing] = []
        self.due = self._every = every

    def hear(self, standing: Standing) -> None:
        self.heard.append(standing)
        self.due = None if self._every is None else standing.seconds + self._every


def test_a_watcher_hears_of_every_growth_and_of_the_end() -> None:
    listener = Listener()
    run = make_run(FakeEngine(square), ListSink(), range(7), batch=2, watcher=listener)
    run.run_to_end()
    counts = [standing.settled for standing in listener.heard]
    assert counts == sorted(set(counts))
    assert counts[-1] == 7


def test_a_watcher_hears_when_it_wants_to_though_nothing_has_happened() -> None:
    clock, listener = FakeClock(), Listener(every=2.0)
    engine = FakeEngine(lambda command: come_up(command) if isinstance(command, StartWorkers) else [], clock)
    run = make_run(engine, ListSink(), range(7), clock=clock, watcher=listener)
    while len(listener.heard) < 3:
        run.turn()
    assert [standing.seconds for standing in listener.heard] == [2.0, 4.0, 6.0]
    assert listener.heard[-1] == Standing(seconds=6.0, settled=0, recalled=0, failed=0, workers=1)
    run.close()


def test_a_watcher_hears_of_failures() -> None:
    listener = Listener()
    answer = square_all_but(1, lambda batch: failed(batch, ValueError("one")))
    make_run(FakeEngine(answer), ListSink(), range(3), errors="collect", watcher=listener).run_to_end()
    assert [standing.failed for standing in listener.heard] == [0, 1, 1]


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
