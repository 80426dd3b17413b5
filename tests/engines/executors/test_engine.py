"""Any executor of concurrent.futures as an engine: what it keeps, what is refused, and what happens when it breaks."""

from __future__ import annotations

import decimal
import importlib
import itertools
import multiprocessing
import os
import pickle
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import allcores

FORK = multiprocessing.get_context("fork")
HERE = sys.version_info[:2]

# Has a process not find what lies in a folder, as if it were on another machine.
HIDE = """
import sys
def find_nothing(path, folder=%r):
    if path != folder:
        raise ImportError
    return type("Nothing", (), {"find_spec": lambda self, name, target=None: None})()
sys.path_hooks.insert(0, find_nothing)
sys.path_importer_cache.clear()
"""


def make_pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, mp_context=FORK)


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    with make_pool() as executor:
        yield executor


class Courier(Executor):
    """Calls at once, in the caller's thread, what has been pickled as on its way to another process, and counts.

    Args:
        mishap: called with what is about to be called; gives what the call is to raise, if it is any.
        answer: given for a call of a builtin, if that is not None.

    Attributes:
        sizes: of all that was sent but the first question, in bytes.
    """

    def __init__(
        self, mishap: Callable[[Any], BaseException | None] = lambda call: None, answer: object = None
    ) -> None:
        self.sizes: list[int] = []
        self._mishap = mishap
        self._answer = answer

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        data = pickle.dumps((fn, args, kwargs))
        function, arguments, keywords = pickle.loads(data)
        if function is eval and self._answer is not None:
            future.set_result(self._answer)
            return future
        if function is not eval:
            self.sizes.append(len(data))
        error = self._mishap(None if function is eval else pickle.loads(arguments[1]).batch)
        if error is None:
            future.set_result(pickle.loads(pickle.dumps(function(*arguments, **keywords))))
        else:
            future.set_exception(error)
        return future


# ------------------------------------------------------------------------------------------------ whose executor it is


def test_an_executor_that_was_given_is_used_and_goes_on(pool: ProcessPoolExecutor) -> None:
    pids = set(allcores.map(lambda _: os.getpid(), range(50), on=pool, batch=1))
    assert os.getpid() not in pids
    assert pids <= set(pool._processes)
    assert pool.submit(abs, -1).result() == 1


def test_an_executor_that_was_made_is_shut_down() -> None:
    made: list[ProcessPoolExecutor] = []

    def make() -> ProcessPoolExecutor:
        made.append(make_pool())
        return made[-1]

    assert allcores.map(abs, range(-9, 0), on=make) == list(range(9, 0, -1))
    (executor,) = made
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)


def test_nothing_is_made_before_the_first_result_is_asked_for() -> None:
    made: list[Executor] = []

    def make() -> ThreadPoolExecutor:
        made.append(ThreadPoolExecutor(2))
        return made[-1]  # type: ignore[return-value]  # it is one

    with allcores.imap(abs, range(3), on=make) as results:
        assert made == []
        assert next(results) == 0
    assert len(made) == 1


def test_in_threads_objects_are_the_callers_own() -> None:
    things, seen = [object() for _ in range(100)], []
    with ThreadPoolExecutor(2) as executor:
        results = allcores.map(lambda thing: seen.append(thing) or thing, things, on=executor)
    assert all(result is thing for result, thing in zip(results, things, strict=True))
    assert len(seen) == len(things)


def test_processes_that_start_anew_find_what_the_caller_has(run_python: Any) -> None:
    program = """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        import allcores

        class Point:
            def __init__(self, x):
                self.x = x

        OFFSET = 1

        def move(point):
            assert isinstance(point, Point), type(point)
            return Point(point.x + OFFSET)

        if __name__ == "__main__":
            OFFSET = 10
            for how in ("fork", "spawn"):
                with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(how)) as executor:
                    moved = allcores.map(move, [Point(x) for x in range(20)], on=executor)
                    assert {type(point) for point in moved} == {Point}
                    assert [point.x for point in moved] == list(range(10, 30)), how
                    OFFSET = 20
                    assert allcores.map(move, [Point(0)], on=executor)[0].x == 20
                    OFFSET = 10
            print("done")
    """
    lines = program.splitlines()
    assert run_python("\n".join(line[8:] for line in lines)).stdout == "done\n"


def test_a_variable_that_the_caller_has_changed_since_in_a_module_is_the_one_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: ProcessPoolExecutor
) -> None:
    (tmp_path / "set_since.py").write_text("FACTOR = 1\ndef times(x):\n    return FACTOR * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import set_since

    assert allcores.map(set_since.times, range(4), on=pool) == [0, 1, 2, 3]
    set_since.FACTOR = 5
    assert allcores.map(set_since.times, range(4), on=pool) == [0, 5, 10, 15]
    del sys.modules["set_since"]


# ------------------------------------------------------------------------------------------------------ what is kept


def test_a_module_that_processes_lack_travels_and_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "class Number(int):\n    def more(self):\n        return Number(self + 1)\n"
    (tmp_path / "brought_along.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    brought = importlib.import_module("brought_along")
    try:
        hide = HIDE % str(tmp_path) + "del sys.modules['brought_along']\n"
        with ProcessPoolExecutor(2, mp_context=FORK, initializer=exec, initargs=(hide, {})) as executor:
            for _ in range(2):
                found = allcores.map(lambda x: x.more(), map(brought.Number, range(40)), on=executor)
                assert found == list(range(1, 41))
                assert {type(number) for number in found} == {brought.Number}
            left = executor.submit(eval, "'brought_along' in __import__('sys').modules").result()
            assert not left
    finally:
        del sys.modules["brought_along"]


def test_arrays_come_back_as_ones_that_can_be_written_to(pool: ProcessPoolExecutor) -> None:
    arrays = [np.full(100_000, x, float) for x in range(6)]
    for result, array in zip(allcores.map(lambda a: a * 2, arrays, on=pool), arrays, strict=True):
        assert np.array_equal(result, array * 2)
        result[0] = 1


def test_a_large_job_goes_only_to_who_lacks_it() -> None:
    table = bytes(1 << 20)
    courier = Courier()
    assert allcores.map(lambda x: len(table) + x, range(40), on=courier, batch=2) == [(1 << 20) + x for x in range(40)]
    large = [size > len(table) for size in courier.sizes]
    assert 1 <= sum(large) <= 4  # those that were sent before anything came back
    assert not any(large[8:])


def test_the_state_and_the_initializer_are_once_in_each_process_and_anew_in_each_run(
    pool: ProcessPoolExecutor, tmp_path: Path
) -> None:
    def note(what: str) -> None:
        with open(tmp_path / what, "a") as file:
            file.write(f"{os.getpid()}\n")

    def make() -> list[int]:
        note("made")
        return []

    def count(state: list[int], _: int) -> tuple[int, int]:
        state.append(1)
        return os.getpid(), len(state)

    for runs in (1, 2):
        counts = allcores.map(count, range(50), on=pool, batch=1, state=make, initializer=note, initargs=["begun"])
        pids = {pid for pid, _ in counts}
        assert all(
            sorted(n for p, n in counts if p == pid) == [*range(1, 1 + sum(p == pid for p, _ in counts))]
            for pid in pids
        )
        for what in ("made", "begun"):
            noted = (tmp_path / what).read_text().split()
            assert all(noted.count(str(pid)) <= runs for pid in pids)
            assert runs <= len(noted) <= 2 * runs


def test_an_initializer_that_fails_raises_its_error(pool: ProcessPoolExecutor) -> None:
    def fail() -> None:
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        allcores.map(abs, range(10), on=pool, initializer=fail, errors="collect")


def test_seeded_numbers_are_the_same_bits_as_anywhere(pool: ProcessPoolExecutor) -> None:
    def draw(_: int) -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(allcores.rng().random())  # noqa: NPY002 - it is meant

    assert allcores.map(draw, range(30), seed=3, on=pool) == allcores.map(draw, range(30), seed=3, on="serial")


def test_without_a_seed_no_two_processes_draw_the_same(pool: ProcessPoolExecutor) -> None:
    numbers = allcores.map(lambda _: float(np.random.random()), range(20), on=pool, batch=1)  # noqa: NPY002 - as above
    assert len(set(numbers)) == 20


def test_the_callers_settings_hold_and_only_while_items_run(pool: ProcessPoolExecutor) -> None:
    pool.submit(abs, 1).result()  # from now on the processes are there
    with decimal.localcontext() as context:
        context.prec = 7
        assert allcores.map(lambda x: str(decimal.Decimal(1) / 3), range(3), on=pool) == ["0.3333333"] * 3
    assert {future.result() for future in [pool.submit(_precision) for _ in range(8)]} == {28}


def _precision() -> int:
    return decimal.getcontext().prec


def test_a_journal_that_was_begun_elsewhere_is_finished_here(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    def invert(x: int) -> float:
        if (tmp_path / "is fixed").exists():
            return 1.0
        return 1 / x

    journal = tmp_path / "run.journal"
    allcores.map(invert, [1, 2, 0, 4], errors="collect", resume=journal, workers=2)
    (tmp_path / "is fixed").touch()
    again = allcores.map(invert, [1, 2, 0, 4], resume=journal, on=pool)
    assert again == [1.0, 0.5, 1.0, 0.25]
    assert again.report.recalled == 3


def test_no_more_calls_are_with_the_executor_than_workers_says() -> None:
    class Counting(ThreadPoolExecutor):
        now = most = 0

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            Counting.now += 1
            Counting.most = max(Counting.most, Counting.now)
            future = super().submit(fn, *args, **kwargs)
            future.add_done_callback(self._count_down)
            return future

        def _count_down(self, _: object) -> None:
            Counting.now -= 1

    with Counting(8) as executor:
        assert allcores.map(abs, range(500), on=executor, workers=2, batch=1) == list(range(500))
    assert Counting.most <= 2


def test_an_endless_input_is_read_no_further_than_needed(pool: ProcessPoolExecutor) -> None:
    pulled = itertools.count()
    with allcores.imap(lambda x: x + 1, pulled, on=pool, ahead=10) as results:
        assert list(itertools.islice(results, 5)) == [1, 2, 3, 4, 5]
    assert next(pulled) <= 40


def test_the_report_tells_the_executors_own_number_of_workers(pool: ProcessPoolExecutor) -> None:
    plan = allcores.plan(on=pool)
    assert (plan.on, plan.workers) == ("executor", 2)
    assert "as many as the executor has" in str(plan)
    assert "workers= says so" in allcores.plan(on=make_pool).workers_reason


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 1},
        {"memory": "1GB"},
        {"recycle": 10},
        {"devices": [0]},
        {"finalizer": print},
        {"start": "fork"},
        {"threads": 2},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_an_executor_cannot_keep_is_refused_by_name_before_anything_runs(options: dict[str, Any]) -> None:
    courier = Courier()
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}="):
        allcores.map(abs, range(3), on=courier, **options)
    assert courier.sizes == []


def test_an_executor_that_runs_nothing_is_waited_for_no_longer_than_was_said() -> None:
    class Queue(Courier):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            asked.append(Future())
            return asked[-1]

    asked: list[Future[Any]] = []
    with pytest.raises(
        allcores.WorkersUnavailable, match=r"waited 0\.05 seconds \(timeout_start\) for the Queue to run a first call"
    ):
        allcores.map(abs, range(9), on=Queue(), workers=2, timeout_start=0.05)
    assert [future.cancelled() for future in asked] == [True]


def test_what_makes_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match=r"made 3, which is not a concurrent\.futures\.Executor"):
        allcores.map(abs, range(3), on=lambda: 3)  # type: ignore[call-overload]  # that is the point


def test_pools_and_executors_of_ours_refuse_it(pool: ProcessPoolExecutor) -> None:
    for kind in (allcores.Pool, allcores.Executor):
        with pytest.raises(ValueError, match="is for a run over one dataset"):
            kind(on=pool)


def test_a_function_that_cannot_travel_is_refused_before_it_runs(pool: ProcessPoolExecutor) -> None:
    lock = threading.Lock()
    with pytest.raises(allcores.UnpicklableError, match="'lock', a lock, cannot be pickled"):
        allcores.map(lambda x: lock and x, range(3), on=pool)
    with ThreadPoolExecutor(2) as executor:
        assert allcores.map(lambda x: lock and x, range(3), on=executor) == [0, 1, 2]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (((3, 1), "0.0.1", None, None), "Python 3.1 runs there and Python 3"),
        (((3, 1), None, None, None), "Python 3.1 runs there and Python 3"),
        ((HERE, "0.0.1", None, None), "allcores 0.0.1 is installed there and allcores"),
        ((HERE, None, None, None), "allcores is not installed there"),
        ((HERE, allcores.__version__, "1.2", None), "cloudpickle 1.2 is installed there and cloudpickle"),
        ((HERE, allcores.__version__, None, "0.9"), "NumPy 0.9 is installed there and NumPy"),
    ],
)
def test_other_versions_are_told_in_one_sentence_before_the_first_item(answer: object, said: str) -> None:
    courier = Courier(answer=answer)
    with pytest.raises(allcores.WorkersUnavailable, match=f"a worker of the executor cannot be used: {said}"):
        allcores.map(abs, range(3), on=courier)
    assert courier.sizes == []


def test_a_numpy_that_may_give_other_numbers_is_told_when_the_run_is_over() -> None:
    other = f"{np.__version__.partition('.')[0]}.999"
    courier = Courier(answer=(HERE, allcores.__version__, None, other))
    said = f"^on a worker of the executor NumPy {other} is installed there and NumPy .* so numbers need not be the same"
    with pytest.warns(RuntimeWarning, match=said):
        assert allcores.map(abs, range(3), on=courier) == [0, 1, 2]


# --------------------------------------------------------------------------------------------------- what breaks


def kill_at(*indices: int) -> Callable[[int], int]:
    def work(x: int) -> int:
        if x in indices:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    return work


def test_each_item_that_kills_its_worker_fails_and_no_other_does() -> None:
    def work(x: int) -> int:
        if x == 88:
            raise SystemExit
        return kill_at(77, 150)(x)

    results = allcores.map(work, range(300), on=make_pool, workers=2, errors="collect")
    assert [failure.index for failure in results.failures] == [77, 88, 150]
    kinds = [type(failure.exception) for failure in results.failures]
    assert kinds == [allcores.WorkerDied, SystemExit, allcores.WorkerDied]
    assert "broke its executor (BrokenProcessPool: " in str(results.failures[0].exception)
    assert "while it ran item 77" in str(results.failures[0].exception)
    assert [result for result in results if isinstance(result, int)] == [
        x for x in range(300) if x not in {77, 88, 150}
    ]


def test_an_item_that_killed_its_worker_is_tried_again(tmp_path: Path) -> None:
    def work(x: int) -> tuple[int, int]:
        tries = allcores.current_item().tries
        if x == 3 and tries == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return x, tries

    results = allcores.map(work, range(10), on=make_pool, retries=1, batch=2)
    assert results == [(x, 2 if x == 3 else 1) for x in range(10)]


def test_a_broken_executor_that_was_given_ends_the_run_and_what_was_finished_is_kept(
    pool: ProcessPoolExecutor,
) -> None:
    with pytest.raises(allcores.WorkersUnavailable, match=r"while it had items .*function that makes one") as caught:
        allcores.map(kill_at(60), range(100), on=pool, batch=1, errors="collect")
    finished = allcores.finished(caught.value)
    assert finished.items() <= {x: x for x in range(60)}.items() | {x: x for x in range(61, 100)}.items()
    assert len(finished) > 30


def test_an_executor_that_was_shut_down_is_told_to_be() -> None:
    with make_pool() as executor:
        pass
    with pytest.raises(allcores.WorkersUnavailable, match=r"the executor is broken .*after shutdown"):
        allcores.map(abs, range(3), on=executor)


def test_a_call_that_was_cancelled_by_others_runs_again() -> None:
    cancelled: list[int] = []

    class Cancelling(Courier):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            if len(self.sizes) == 3 and not cancelled:
                cancelled.append(1)
                future: Future[Any] = Future()
                future.cancel()
                future.set_running_or_notify_cancel()
                return future
            return super().submit(fn, *args, **kwargs)

    assert allcores.map(abs, range(20), on=Cancelling(), batch=2) == list(range(20))
    assert cancelled


def test_a_call_that_is_lost_while_the_executor_goes_on_blames_exactly_one_item() -> None:
    def mishap(batch: Any) -> BaseException | None:
        return OSError("worker lost") if batch is not None and batch.start <= 13 < batch.stop else None

    results = allcores.map(abs, range(40), on=Courier(mishap), batch=5, errors="collect")
    assert [failure.index for failure in results.failures] == [13]
    assert "was lost (OSError: worker lost)" in str(results.failures[0].exception)
    assert [result for result in results if isinstance(result, int)] == [x for x in range(40) if x != 13]


def test_a_new_executor_that_breaks_before_it_has_done_anything_ends_the_run() -> None:
    def mishap(batch: Any) -> BaseException | None:
        return OSError("no queue") if batch is None else None

    made: list[Courier] = []

    def make() -> Courier:
        made.append(Courier(mishap))
        return made[-1]

    with pytest.raises(allcores.WorkersUnavailable, match="no queue"):
        allcores.map(abs, range(3), on=make)
    assert len(made) == 1


def test_an_executor_that_breaks_while_it_has_nothing_to_do_blames_nobody_and_is_made_anew() -> None:
    class Breaking(Courier):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            if len(self.sizes) == 3 and len(made) == 1:
                raise BrokenExecutor("an idle process was killed")
            return super().submit(fn, *args, **kwargs)

    made: list[Courier] = []

    def make() -> Courier:
        made.append(Breaking())
        return made[-1]

    assert allcores.map(abs, range(30), on=make, batch=1, workers=1) == list(range(30))
    assert len(made) == 2


def test_an_executor_may_break_before_a_process_has_had_all_that_it_lacks() -> None:
    table = bytes(1 << 20)

    class Breaking(Courier):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            if self.sizes and len(made) == 1:
                raise BrokenExecutor("gone")
            return super().submit(fn, *args, **kwargs)

    made: list[Courier] = []

    def make() -> Courier:
        made.append(Breaking())
        return made[-1]

    assert allcores.map(lambda x: len(table) + x, range(8), on=make, batch=1) == [(1 << 20) + x for x in range(8)]
    assert len(made) == 2


def test_what_a_function_raises_that_makes_executors_is_raised() -> None:
    def make() -> Executor:
        raise LookupError("no cluster")

    with pytest.raises(LookupError, match="no cluster"):
        allcores.map(abs, range(3), on=make)


def test_ctrl_c_ends_the_run_with_what_was_finished_and_leaves_the_executor(run_python: Any) -> None:
    done = run_python(
        """
import os, signal
from concurrent.futures import ThreadPoolExecutor
import allcores

signal.signal(signal.SIGINT, signal.default_int_handler)

def work(x):
    if x == 5:
        os.kill(os.getpid(), signal.SIGINT)
    return x

with ThreadPoolExecutor(2) as executor:
    try:
        allcores.map(work, iter(range(10**9)), on=executor, batch=1)
    except KeyboardInterrupt as error:
        finished = allcores.finished(error)
        assert all(index == value for index, value in finished.items()), finished
    print(executor.submit(abs, -3).result())
"""
    )
    assert done.stdout == "3\n"
