"""The executor: futures as everyone knows them, and what a death, a cancellation and an end mean to them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import decimal
import gc
import itertools
import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, CancelledError, Future, as_completed, wait
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import refusal

import allcores
from allcores._core.scheduler import idleness, pace
from allcores._doors.executor.broken import BrokenWorker

pytestmark = pytest.mark.timeout(60)

MARK = "ALLCORES_TEST_MARK"

MakeExecutor = Callable[..., allcores.Executor]


@pytest.fixture
def make() -> Iterator[MakeExecutor]:
    """Make executors whose workers are killed after the test: ``make(**options)``."""
    with ExitStack() as executors:

        def make(workers: int = 2, **options: Any) -> allcores.Executor:
            executor = allcores.Executor(workers, **options)
            executors.callback(executor.shutdown)
            executors.callback(executor.kill_workers)
            return executor

        yield make


class Gate:
    """A call that has begun and goes on until it may end; across processes, by files."""

    def __init__(self, folder: Path) -> None:
        self._begun, self._open = folder / "begun", folder / "open"

    def __call__(self, value: int = 0) -> int:
        self._begun.touch()
        while not self._open.exists():
            time.sleep(0.002)
        return value

    def has_begun(self) -> bool:
        return self._begun.exists()

    def await_begin(self) -> None:
        while not self._begun.exists():
            time.sleep(0.002)

    def open(self) -> None:
        self._open.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.open()


def square(x: int) -> int:
    return x * x


def divide(x: int, y: int) -> float:
    return x / y


def die(x: int = 0) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Thing:
    """Something that can be referred to weakly."""


def make_thing(_: object) -> Thing:
    return Thing()


def leave_mark(value: str) -> None:
    os.environ[MARK] = value


def read_mark() -> str | None:
    return os.environ.get(MARK)


def fail_to_start() -> None:
    raise ValueError("no licence")


# ---------------------------------------------------------------------------------------------------------- calls


def test_a_call_gives_its_value_or_its_exception(make, home):
    executor = make(**home)
    future = executor.submit(divide, 6, y=2)
    assert future.result(20) == 3
    assert (future.done(), future.running(), future.cancelled()) == (True, False, False)
    with pytest.raises(ZeroDivisionError):
        executor.submit(divide, 1, 0).result(20)


def test_calls_take_any_arguments_and_return_anything(make):
    executor = make()
    offset = 7
    assert executor.submit(lambda *args, **kwargs: (args, kwargs, offset), 1, self=2, fn=3).result(20) == (
        (1,),
        {"self": 2, "fn": 3},
        7,
    )
    failure = executor.submit(allcores.map, square, ["x"], on="serial", errors="collect").result(20)[0]
    assert isinstance(failure, allcores.Failure)  # a value like any other


def test_futures_are_waited_for_together(make, start, gate):
    executor = make(start=start)
    slow, quick = executor.submit(gate, 1), executor.submit(square, 2)
    assert wait([slow, quick], 20, FIRST_COMPLETED) == ({quick}, {slow})
    assert slow.running()
    gate.open()
    assert {future.result() for future in as_completed([slow, quick], 20)} == {1, 4}
    assert wait([slow, quick], 20, ALL_COMPLETED) == ({slow, quick}, set())


def test_asyncio_awaits_calls_and_futures(make):
    executor = make()

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(executor, square, x) for x in range(5)]
        return [*await asyncio.gather(*calls), await asyncio.wrap_future(executor.submit(square, 9))]

    assert asyncio.run(main()) == [0, 1, 4, 9, 16, 81]


def test_a_cancelled_task_has_its_worker_killed(make, gate):
    executor = make(1)

    async def main() -> None:
        call = asyncio.get_running_loop().run_in_executor(executor, gate)
        await asyncio.to_thread(gate.await_begin)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    assert executor.submit(square, 3).result(20) == 9


def test_callbacks_may_hand_in_more(make, home):
    executor, sums = make(**home), Future()  # type: ignore[var-annotated]

    def go_on(future: Future[int]) -> None:
        executor.submit(square, future.result()).add_done_callback(lambda last: sums.set_result(last.result()))

    executor.submit(square, 3).add_done_callback(go_on)
    assert sums.result(20) == 81


def test_the_text_of_the_workers_traceback_is_at_hand(make):
    error = make().submit(divide, 1, 0).exception(20)
    assert error is not None
    assert "return x / y" in str(error.__cause__)
    assert error.__traceback__ is not None
    assert error.__traceback__.tb_frame.f_code.co_name == "divide"


def test_an_exception_keeps_its_own_cause(make):
    def chained() -> None:
        raise KeyError("outer") from ValueError("inner")

    error = make().submit(chained).exception(20)
    assert isinstance(error, KeyError)
    assert isinstance(error.__cause__, ValueError)


# --------------------------------------------------------------------------------------------------------- deaths


def test_a_death_fails_its_own_future_alone(make, start, gate):
    executor = make(start=start)
    other, dead = executor.submit(gate, 5), executor.submit(die)
    error = dead.exception(20)
    assert isinstance(error, allcores.WorkerDied)
    assert isinstance(error, BrokenProcessPool)
    assert error.exit == "SIGKILL"
    assert "the call of die" in str(error)
    gate.open()
    assert other.result(20) == 5
    assert executor.submit(square, 4).result(20) == 16


def test_the_error_of_a_death_survives_pickling():
    error = BrokenWorker("worker 1 died", exit="SIGKILL", pid=12, memory=3)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is BrokenWorker
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_a_death_in_a_run_inside_of_a_call_is_not_the_calls_own(make):
    error = make(1).submit(allcores.map, die, [1], workers=1).exception(20)
    assert isinstance(error, allcores.WorkerDied)
    assert not isinstance(error, BrokenProcessPool)


def test_an_initializer_that_fails_breaks_the_executor(make, home):
    executor = make(initializer=fail_to_start, **home)
    error = executor.submit(square, 1).exception(20)
    assert isinstance(error, BrokenProcessPool)
    assert isinstance(error.__cause__, ValueError)
    executor.shutdown()
    for hand_in in (executor.submit, executor.map):
        with pytest.raises(BrokenProcessPool, match="no licence") as caught:
            hand_in(square, [1])
        assert isinstance(caught.value.__cause__, ValueError)


def test_the_initializer_has_run_in_each_worker(make, home):
    executor = make(initializer=leave_mark, initargs=("here",), **home)
    try:
        assert executor.submit(read_mark).result(20) == "here"
    finally:
        os.environ.pop(MARK, None)  # threads have set it here


# -------------------------------------------------------------------------------------------------- cancellations


def test_a_running_future_can_be_cancelled_and_its_worker_is_killed(make, start, gate):
    executor = make(1, start=start)
    pid = executor.submit(os.getpid).result(20)
    future = executor.submit(gate)
    gate.await_begin()
    assert future.running()
    assert future.cancel()
    assert (future.done(), future.running(), future.cancelled()) == (True, False, True)
    with pytest.raises(CancelledError):
        future.result(20)
    assert wait([future], 20).done == {future}
    assert executor.submit(os.getpid).result(20) != pid


def test_a_future_can_be_cancelled_at_any_moment(make, start):
    executor = make(start=start)
    executor.submit(square, 1).result(20)
    futures = [executor.submit(time.sleep, 100) for _ in range(8)]
    assert all(future.cancel() for future in futures)  # some on their way to a worker, some not sent
    assert wait(futures, 20).not_done == set()
    assert executor.submit(square, 5).result(20) == 25


def test_a_cancelled_future_that_waits_never_runs_and_is_told_of_at_once(make, start, gate, tmp_path):
    executor, mark = make(1, start=start), tmp_path / "mark"
    running, waiting = executor.submit(gate), executor.submit(mark.touch)
    gate.await_begin()
    assert not waiting.running()
    assert waiting.cancel()
    assert wait([waiting], 20).done == {waiting}
    gate.open()
    assert running.result(20) == 0
    assert executor.submit(square, 2).result(20) == 4
    assert not mark.exists()


@pytest.fixture
def make_quick(make: MakeExecutor, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[allcores.Executor, int]]:
    """Make executors of one worker that are sure that calls are quick; give the worker's process id, too."""
    monkeypatch.setattr(pace, "QUEUED_SECONDS", 1e9)
    monkeypatch.setattr(pace, "TARGET_SECONDS", 1e9)
    monkeypatch.setattr(idleness, "STUCK_SECONDS", 1000)

    def make_quick(start: str) -> tuple[allcores.Executor, int]:
        executor = make(1, start=start)
        pids = [future.result(20) for future in [executor.submit(os.getpid) for _ in range(50)]]
        return executor, pids[0]

    return make_quick


def await_sent(future: Future[Any]) -> None:
    while not future.running():
        time.sleep(0.002)


def send_behind(
    executor: allcores.Executor, gate: Gate, folder: Path
) -> tuple[Future[int], list[Path], list[Future[None]]]:
    """Have calls wait at a worker behind the gate, which each leave a mark: give the gate's, the marks, and theirs."""
    running = executor.submit(gate)
    gate.await_begin()
    marks = [folder / f"mark{number}" for number in range(5)]
    waiting = [executor.submit(mark.touch) for mark in marks]
    await_sent(waiting[0])
    return running, marks, waiting


def test_a_cancelled_future_never_runs_that_waits_at_a_worker_behind_another(make_quick, start, gate, tmp_path):
    executor, pid = make_quick(start)
    running, marks, waiting = send_behind(executor, gate, tmp_path)
    assert waiting[0].cancel()
    assert waiting[2].cancel()
    gate.open()
    assert running.result(20) == 0
    assert [future.cancelled() or future.result(20) for future in waiting] == [True, None, True, None, None]
    assert [mark.exists() for mark in marks] == [False, True, False, True, True]
    assert executor.submit(os.getpid).result(20) == pid, "nobody was killed for that"


def test_a_call_behind_a_cancelled_one_is_not_lost(make_quick, start, gate):
    executor, pid = make_quick(start)
    running = executor.submit(gate)
    gate.await_begin()
    behind = [executor.submit(square, x) for x in range(5)]
    await_sent(behind[0])
    assert running.cancel()
    assert [future.result(20) for future in behind] == [0, 1, 4, 9, 16]
    assert executor.submit(os.getpid).result(20) != pid


def test_a_call_that_comes_back_is_sent_again_as_it_was_handed_in(make_quick, start, gate):
    executor, _ = make_quick(start)
    running = executor.submit(gate)
    gate.await_begin()
    row = {"x": 1}
    waiting, other = executor.submit(dict, row), executor.submit(square, 2)
    await_sent(waiting)
    assert other.cancel()
    row["x"] = 2
    gate.open()
    assert running.result(20) == 0
    assert waiting.result(20) == {"x": 1}


def test_shutdown_cancels_what_waits_at_a_worker_behind_another(make_quick, start, gate, tmp_path):
    executor, _ = make_quick(start)
    running, marks, waiting = send_behind(executor, gate, tmp_path)
    executor.shutdown(wait=False, cancel_futures=True)
    gate.open()
    assert running.result(20) == 0
    assert wait(waiting, 20).not_done == set()
    assert all(future.cancelled() for future in waiting)
    assert not any(mark.exists() for mark in marks)


def test_what_is_finished_is_told_while_a_later_call_of_the_same_message_runs(make_quick, start, gate):
    executor, _ = make_quick(start)
    held = threading.Event()
    first = executor.submit(square, 3)
    first.add_done_callback(lambda _: held.wait(20))  # no more is sent meanwhile, so that the next go together
    later = [executor.submit(square, 4), executor.submit(gate, 5), executor.submit(square, 6)]
    held.set()
    assert later[0].result(20) == 16
    gate.await_begin()
    assert not later[1].done()
    gate.open()
    assert [future.result(20) for future in later] == [16, 5, 36]


def test_each_call_of_a_message_runs_under_its_own_settings(make_quick, start):
    executor, _ = make_quick(start)
    precisions = [3, 3, 5, 5, 3, 7]
    futures = []
    for precision in precisions:
        with decimal.localcontext(decimal.Context(prec=precision)):
            futures.append(executor.submit(lambda: decimal.getcontext().prec))
    assert [future.result(20) for future in futures] == precisions


def test_a_running_thread_cannot_be_cancelled(make, gate):
    executor = make(1, on="threads")
    future = executor.submit(gate, 3)
    gate.await_begin()
    assert future.running()
    assert not future.cancel()
    gate.open()
    assert future.result(20) == 3
    assert not future.cancel()


def test_a_cancellation_and_a_result_never_both_win(make):
    executor = make(start="fork")
    for _ in range(30):
        told: list[Future[int]] = []
        future = executor.submit(square, 3)
        future.add_done_callback(told.append)
        while not future.running() and not future.done():
            pass
        if future.cancel():
            assert future.cancelled()
        else:
            assert future.result(20) == 9
        assert told == [future]


# ------------------------------------------------------------------------------------------------------------ map


def test_map_gives_results_in_order(make, home):
    executor = make(**home)
    assert list(executor.map(square, range(1000))) == [x * x for x in range(1000)]
    assert list(executor.map(pow, range(10), itertools.repeat(2))) == [x * x for x in range(10)]
    assert list(executor.map(square, range(40), chunksize=7)) == [x * x for x in range(40)]
    assert list(executor.map(square, [])) == list(executor.map(square)) == []


def test_map_reads_its_input_at_once(make):
    taken: list[int] = []
    results = make().map(square, (taken.append(x) or x for x in range(5)))
    assert taken == [0, 1, 2, 3, 4]
    assert list(results) == [0, 1, 4, 9, 16]


def test_map_reads_no_further_than_it_is_told(make):
    taken: list[int] = []
    executor = make()
    results = executor.map(square, (taken.append(x) or x for x in itertools.count()), buffersize=3)
    assert taken == [0, 1, 2]
    for number in range(10):
        assert next(results) == number * number
        assert len(taken) == number + 1 + 3
    results.close()
    ahead = make(1, ahead=4).map(square, (taken.append(x) or x for x in itertools.count()))
    assert len(taken) == 13 + 4
    ahead.close()


def test_an_exception_is_raised_in_its_place_and_ends_the_results(make, home):
    results = make(**home).map(divide, [4, 6, 1, 8], [2, 2, 0, 2])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


def test_whoever_leaves_early_has_the_rest_cancelled(make, tmp_path):
    def touch(x: int) -> None:
        (tmp_path / f"{x}").touch()
        if x:
            time.sleep(100)

    executor = make(1)
    results = executor.map(touch, range(100))
    assert next(results) is None
    results.close()
    assert executor.submit(square, 2).result(20) == 4
    assert len(list(tmp_path.iterdir())) <= 2


def test_results_that_nobody_asks_for_are_worked_out_all_the_same(make, tmp_path):
    executor = make()
    executor.map(Path.touch, [tmp_path / f"{x}" for x in range(20)])
    executor.shutdown()
    assert len(list(tmp_path.iterdir())) == 20


def test_a_timeout_counts_from_the_call_and_hides_no_result_that_is_there(make):
    executor = make()
    executor.submit(square, 1).result(20)
    results = executor.map(time.sleep, [0, 0, 100], timeout=1)
    assert [next(results), next(results)] == [None, None]
    with pytest.raises(TimeoutError):
        next(results)
    assert executor.submit(square, 5).result(20) == 25


def test_an_input_that_raises_raises_from_map(make):
    def items() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more files")

    executor = make()
    with pytest.raises(RuntimeError, match=r"^no more files$"):
        executor.map(square, items())
    with pytest.raises(RuntimeError, match=r"^no more files$"):
        list(executor.map(square, items(), buffersize=1))


def test_a_death_is_raised_from_its_place_in_a_map(make):
    executor = make()
    results = executor.map(lambda x: die() if x == 2 else x, range(4), chunksize=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(BrokenProcessPool, match="item 2"):
        next(results)
    assert executor.submit(square, 2).result(20) == 4


def test_a_function_that_cannot_travel_raises_at_once(make):
    lock = threading.Lock()
    with pytest.raises(allcores.UnpicklableError, match="lock"):
        make().map(lambda x: lock, [1])


def test_a_result_is_not_held(make):
    for thing in make().map(make_thing, range(10)):
        is_gone = threading.Event()
        weakref.finalize(thing, is_gone.set)
        del thing
        gc.collect()
        assert is_gone.wait(20)  # the thread that has brought it may still have it for a moment


@pytest.mark.parametrize("name", ["chunksize", "buffersize"])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_map_takes_only_counts(make, name, value, error):
    with pytest.raises(error, match=f"{name}={value}"):
        make().map(square, [1], **{name: value})


# ----------------------------------------------------------------------------------------------------------- ends


def test_after_shutdown_nothing_is_taken(make, home):
    executor = make(**home)
    future = executor.submit(square, 3)
    executor.shutdown()
    assert future.result(0) == 9
    for hand_in in (executor.submit, executor.map):
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            hand_in(square, [1])


def test_shutdown_need_not_wait(make, gate):
    executor = make()
    future = executor.submit(gate, 1)
    executor.shutdown(wait=False)
    gate.open()
    assert future.result(20) == 1


def test_shutdown_cancels_what_has_not_begun(make, gate):
    executor = make(1)
    running = executor.submit(gate, 1)
    waiting = [executor.submit(square, x) for x in range(5)]
    results = executor.map(square, range(5))
    gate.await_begin()
    executor.shutdown(wait=False, cancel_futures=True)
    assert wait(waiting, 20).not_done == set()
    assert all(future.cancelled() for future in waiting)
    with pytest.raises(CancelledError):
        next(results)
    gate.open()
    assert running.result(20) == 1


def test_shutdown_leaves_of_a_map_that_has_begun_what_has(make, gate):
    executor = make(1)
    results = executor.map(gate, range(5))
    gate.await_begin()
    executor.shutdown(wait=False, cancel_futures=True)
    gate.open()
    assert next(results) == 0
    with pytest.raises(CancelledError):
        list(results)


@pytest.mark.parametrize("end", [allcores.Executor.kill_workers, allcores.Executor.terminate_workers])
def test_killed_workers_fail_what_runs_and_cancel_what_waits(make, gate, end):
    executor = make(1)
    running, waiting = executor.submit(gate), executor.submit(square, 2)
    gate.await_begin()
    end(executor)
    assert isinstance(running.exception(20), BrokenProcessPool)
    assert wait([waiting], 20).done == {waiting}
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(square, 1)


def test_an_executor_that_is_forgotten_finishes_its_work_and_ends():
    executor = allcores.Executor(2)
    service = weakref.ref(executor._service)
    future = executor.submit(square, 3)
    results = executor.map(square, range(10))
    thread = executor._service._thread
    del executor
    assert future.result(20) == 9
    assert list(results) == [x * x for x in range(10)]
    thread.join(20)
    assert not thread.is_alive()
    del thread, results, future
    assert service() is None


def test_arguments_are_not_held_by_a_future_that_is_done(make):
    thing = Thing()
    argument = weakref.ref(thing)
    future = make().submit(id, thing)
    del thing
    assert isinstance(future.result(20), int)
    deadline = time.monotonic() + 20
    while argument() is not None and time.monotonic() < deadline:  # the thread lets go of it after the result is there
        time.sleep(0.001)
    assert argument() is None


PROGRAM = """
import atexit, sys, time
import allcores

def work(x):
    time.sleep(0.05)
    print(x, flush=True)

def too_late():
    try:
        executor.submit(work, 0)
    except RuntimeError as error:
        print(error)

if __name__ == "__main__":
    atexit.register(too_late)
    executor = allcores.Executor(2, **{options!r})
    for x in range(4):
        executor.submit(work, x)
"""


def test_other_libraries_find_how_many_workers_there_may_be(make):
    """Dask looks there."""
    assert make(3)._max_workers == 3


def test_the_interpreters_exit_waits_for_what_was_handed_in(run_python, home):
    if (3, 12) <= sys.version_info < (3, 12, 2) and home in ({"start": "fork"}, {"on": "threads"}):
        pytest.skip("this Python neither forks nor starts a thread once its main thread has ended; 3.12.2 does")
    lines = run_python(PROGRAM.replace("{options!r}", repr(home))).stdout.splitlines()
    assert sorted(lines[:4]) == ["0", "1", "2", "3"]
    assert lines[4].startswith("cannot schedule new futures after shutdown")


PRIVATE = """
import concurrent.futures.process, threading
vars(threading).pop("_register_atexit", None)
import allcores

def work(x):
    return x

if __name__ == "__main__":
    executor = allcores.Executor(2)
    assert executor.submit(work, 3).result() == 3
    with allcores.Pool(2) as pool:
        assert pool.map(work, range(5)) == list(range(5))
"""


def test_it_needs_nothing_of_threading_that_is_private(run_python):
    run_python(PRIVATE)


def test_a_forked_child_is_told_that_it_cannot_use_it(make):
    executor = make()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        try:
            executor.submit(square, 1)
        except RuntimeError as error:
            theirs.send(str(error))

    process = context.Process(target=child)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads
        process.start()
    process.join(20)
    assert "a forked child cannot use it" in ours.recv()
    ours.close()
    theirs.close()
    process.close()


# -------------------------------------------------------------------------------------------------------- options


def test_it_takes_the_standard_librarys_names_for_options(make):
    executor = make(3, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=5)
    plan = executor._service.plan
    assert (plan.workers, plan.start, plan.recycle_items) == (3, "spawn", 5)


def test_a_worker_is_replaced_after_so_many_calls(make, start):
    executor = make(1, start=start, max_tasks_per_child=2)
    pids = [executor.submit(os.getpid).result(20) for _ in range(6)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4] == pids[5]


def test_limits_are_kept_for_calls_as_for_items(make):
    executor = make(1, timeout=0.2)
    assert isinstance(executor.submit(time.sleep, 100).exception(20), allcores.ItemTimeout)
    assert executor.submit(square, 2).result(20) == 4


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"max_workers": 0}, ValueError, "max_workers must be greater than 0"),
        ({"max_workers": 2, "workers": 3}, ValueError, "max_workers=2 contradicts workers=3"),
        ({"max_tasks_per_child": 2, "recycle": 3}, ValueError, "max_tasks_per_child=2 contradicts recycle=3"),
        (
            {"mp_context": multiprocessing.get_context("spawn"), "start": "forkserver"},
            ValueError,
            "mp_context='spawn' contradicts start='forkserver'",
        ),
        ({"max_tasks_per_child": 0}, ValueError, "max_tasks_per_child=0"),
        ({"initializer": 5}, TypeError, "initializer=5"),
        ({"resume": "file"}, ValueError, "resume='file'"),
        ({"errors": "collect"}, ValueError, "errors='collect'"),
        ({"progress": True}, ValueError, "progress=True"),
        ({"worker": 2}, TypeError, "did you mean 'workers'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error, text):
    with pytest.raises(error, match=text):
        allcores.Executor(**options)


# ------------------------------------------------------------------------------------- what it is to those who look


def test_it_is_an_executor_of_processes_and_its_futures_are_futures(make):
    executor = make()
    assert isinstance(executor, ProcessPoolExecutor)
    assert issubclass(allcores.Executor, concurrent.futures.Executor)
    assert isinstance(executor.submit(abs, -1), Future)


class Stubborn:
    """Raises what it was made with when it is pickled."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no"), ValueError),
        (AttributeError("no"), AttributeError),
        (json.JSONDecodeError("no", "", 0), ValueError),
        (OSError(2, "no"), OSError),
        (UnicodeDecodeError("ascii", b"", 0, 1, "no"), Exception),  # no text alone makes one of these
    ],
)
def test_what_cannot_be_pickled_raises_what_its_pickling_raises_and_ours(make, error, kind):
    executor = make()
    for future, ours in (
        (executor.submit(id, Stubborn(error)), allcores.UnpicklableItem),
        (executor.submit(Stubborn, error), allcores.UnpicklableResult),
    ):
        with pytest.raises(kind, match=r"a Stubborn,? cannot be pickled") as caught:
            future.result()
        assert isinstance(caught.value, ours)
        assert isinstance(caught.value, pickle.PicklingError)
        assert caught.value.__notes__
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (type(copy), str(copy), vars(copy)) == (type(caught.value), str(caught.value), vars(caught.value))


@pytest.mark.parametrize("argument", [threading.Lock(), [1, {"key": (2, threading.Lock())}]])
def test_the_very_thing_is_named_that_cannot_be_pickled(make, argument):
    executor = make()
    with pytest.raises(TypeError, match=r"a lock cannot be pickled: TypeError: cannot pickle ._thread.lock. object"):
        executor.submit(id, argument).result()
    with pytest.raises(TypeError, match="a lock cannot be pickled"):
        list(executor.map(id, [1, argument]))


def test_a_container_that_holds_itself_ends_the_search(make):
    argument: list[Any] = [threading.Lock]
    argument += [argument, threading.Lock()]
    with pytest.raises(TypeError, match="cannot be pickled"):
        make().submit(id, argument).result()


@pytest.mark.parametrize(
    "options",
    [
        {"max_workers": "2"},
        {"max_workers": 0},
        {"max_workers": 1.5},
        {"max_tasks_per_child": "1"},
        {"max_tasks_per_child": 0},
        {"max_tasks_per_child": 1.5},
        {"initializer": 3},
        {"mp_context": "fork"},
        {"initargs": 3},
        {"max_workers": True},
    ],
)
def test_arguments_are_refused_as_by_the_original_before_anything_starts(options):
    options = {"mp_context": multiprocessing.get_context("fork")} | options  # others leave a helper running
    assert refusal(allcores.Executor, options) is refusal(ProcessPoolExecutor, options)


def test_an_executor_says_how_it_stands():
    with allcores.Executor(3, on="threads") as executor:
        assert repr(executor) == "<allcores.Executor: ready, 3 on threads>"
    assert repr(executor) == "<allcores.Executor: shut down, 3 on threads>"
