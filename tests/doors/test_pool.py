"""`allcores.Pool` does what `multiprocessing.Pool` does, and ends well where that one hangs."""

from __future__ import annotations

import gc
import itertools
import multiprocessing.pool
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import refusal
from gate import Gate

import allcores

MakePool = Callable[..., allcores.Pool]
SECONDS = 20  # that nothing here takes


@pytest.fixture
def make_pool() -> Iterator[MakePool]:
    """Make pools that are terminated after the test; their workers are forked, which is fast, unless told otherwise."""
    with ExitStack() as pools:

        def make(processes: int | None = 2, *args: Any, **options: Any) -> allcores.Pool:
            pool = allcores.Pool(processes, *args, **{"start": "fork", **options})
            pools.callback(pool.terminate)
            return pool

        yield make


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """The types of the exceptions that threads show to nobody in particular."""
    types: list[type] = []
    monkeypatch.setattr(threading, "excepthook", lambda shown: types.append(shown.exc_type))
    return types


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def invert(x: int) -> float:
    return 1 / x


# --------------------------------------------------------------------------------------------------- what comes back


def test_everything_gives_what_the_builtin_would(make_pool, home):
    pool = make_pool(**home)
    squares = [x * x for x in range(200)]
    assert pool.apply(int, ("11",), {"base": 2}) == 3
    assert pool.apply_async(divmod, [7, 3]).get(SECONDS) == (2, 1)
    assert pool.map(lambda x: x * x, range(200)) == squares
    assert pool.map_async(lambda x: x * x, iter(range(200)), 7).get(SECONDS) == squares
    assert pool.starmap(pow, zip([2, 3], [3, 2], strict=True)) == [8, 9]
    assert pool.starmap_async(pow, [(2, 3), (3, 2)], 1).get(SECONDS) == [8, 9]
    assert list(pool.imap(lambda x: x * x, list(range(200)))) == squares
    assert list(pool.imap(lambda x: x * x, iter(range(200)), 7)) == squares
    assert sorted(pool.imap_unordered(lambda x: x * x, range(200), 7)) == squares
    assert sorted(pool.imap_unordered(lambda x: x * x, iter(range(200)))) == squares


@pytest.mark.parametrize("items", ["abc", {"a": 1, "b": 2}, {1, 2}, b"xy", ()])
def test_any_iterable_will_do(make_pool, items):
    pool = make_pool(on="threads")
    assert pool.map(repr, items) == list(pool.imap(repr, items)) == [repr(item) for item in items]


def test_arrays_are_handed_in_as_they_are(make_pool):
    numpy = pytest.importorskip("numpy")
    rows = numpy.arange(6.0).reshape(3, 2)
    assert make_pool().map(lambda row: float(row.sum()), rows) == [1.0, 5.0, 9.0]


def test_a_list_may_be_changed_once_it_was_handed_in(make_pool, gate):
    pool, items = make_pool(1), list(range(100))
    pool.apply_async(gate.enter)
    gate.await_entry()
    mapped, iterated = pool.map_async(abs, items), pool.imap(abs, items)
    items.clear()
    gate.open()
    assert mapped.get(SECONDS) == list(iterated) == list(range(100))


def test_the_classic_functions_of_a_module_that_is_run_work(run_python, start):
    source = """
import allcores
limit = 3
def clip(x):
    return min(x, limit)
with allcores.Pool(2, start={start!r}) as pool:
    print(pool.map(clip, range(6)), pool.apply(lambda: limit))
"""
    assert run_python(source.format(start=start)).stdout == "[0, 1, 2, 3, 3, 3] 3\n"


# --------------------------------------------------------------------------------------------------- what goes wrong


def test_the_first_failure_in_the_input_is_raised_when_all_items_have_run(make_pool, tmp_path, home):
    def touch_or_fail(x: int) -> None:
        (tmp_path / f"{x}").touch()
        if x in (3, 17):
            raise LookupError(x)

    pool = make_pool(**home)
    with pytest.raises(LookupError, match="3") as caught:
        pool.map(touch_or_fail, range(20), 1)
    assert len(list(tmp_path.iterdir())) == 20
    assert "allcores: item 3 (3) failed on worker" in caught.value.__notes__[0]


def test_a_failure_can_be_run_again_here(make_pool):
    pool = make_pool()
    ways = [lambda: pool.map(invert, [1, 0]), lambda: pool.apply(invert, (0,)), lambda: list(pool.imap(invert, [0]))]
    for fail in ways:
        with pytest.raises(ZeroDivisionError) as caught:
            fail()
        with pytest.raises(ZeroDivisionError):
            allcores.replay(caught.value)


def test_a_failure_bears_the_workers_traceback_as_programs_look_for_it(make_pool, start):
    with pytest.raises(ZeroDivisionError) as caught:
        make_pool(start=start).apply(invert, (0,))
    assert type(caught.value.__cause__) is multiprocessing.pool.RemoteTraceback
    assert "return 1 / x" in str(caught.value.__cause__)


def test_a_cause_of_the_items_own_stays(make_pool):
    def fail() -> None:
        raise LookupError("outer") from KeyError("inner")

    with pytest.raises(LookupError, match="outer") as caught:
        make_pool().apply(fail)
    assert type(caught.value.__cause__) is KeyError


@pytest.mark.parametrize("end", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(3)])
def test_a_worker_that_dies_fails_its_task_alone(make_pool, start, end):
    pool = make_pool(start=start)
    others = pool.map_async(abs, range(100))
    with pytest.raises(allcores.WorkerDied, match="while it ran the call of") as caught:
        pool.apply(end)
    assert caught.value.__cause__ is None
    assert others.get(SECONDS) == pool.map(abs, range(100)) == list(range(100))


def test_sys_exit_in_a_task_is_its_error(make_pool, home):
    pool = make_pool(**home)
    with pytest.raises(SystemExit, match="5"):
        pool.apply(sys.exit, (5,))
    assert pool.apply(abs, (-1,)) == 1


def test_an_item_that_cannot_be_pickled_raises_what_its_pickling_raises(make_pool):
    class Stubborn:
        def __reduce__(self):
            raise LookupError("not today")

    with pytest.raises(LookupError, match="not today") as caught:
        make_pool().map(id, [1, Stubborn()])
    assert type(caught.value.__cause__) is allcores.UnpicklableItem


def test_a_result_that_cannot_be_pickled_fails_its_task(make_pool):
    pool = make_pool()
    with pytest.raises(allcores.UnpicklableResult, match="cannot be pickled") as caught:
        pool.apply(threading.Lock)
    assert isinstance(caught.value, multiprocessing.pool.MaybeEncodingError)  # as of the original
    assert "cannot be pickled" in str(caught.value)
    assert caught.value.__notes__  # which say what it was, and where
    assert pool.apply(abs, (-1,)) == 1


def test_a_function_that_cannot_travel_is_refused_at_once(make_pool):
    pool, lock = make_pool(), threading.Lock()
    for hand_in in (pool.map_async, pool.imap, pool.imap_unordered, pool.starmap_async):
        with pytest.raises(allcores.UnpicklableError, match="variable 'lock'"):
            hand_in(lambda x: (lock, x), [1])


def fail_to_begin() -> None:
    raise LookupError("no model")


def test_an_initializer_that_fails_is_heard_of_everywhere(make_pool, start):
    pool = make_pool(2, fail_to_begin, start=start)
    waiting = [pool.apply_async(abs, (1,)), pool.map_async(abs, range(10))]
    iterated = pool.imap(abs, itertools.count())
    for get in (*(result.get for result in waiting), iterated.next, lambda _: pool.apply(abs, (1,))):
        with pytest.raises(LookupError, match="no model"):
            get(SECONDS)
    assert [result.successful() for result in waiting] == [False, False]
    pool.close()
    pool.join()


def test_a_failed_item_of_an_iterator_hurts_no_other(make_pool):
    results = make_pool().imap(invert, [1, 0, 2])
    assert next(results) == 1.0
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == [0.5]


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_an_item_that_raises_stop_iteration_does_not_end_the_results(make_pool, name):
    def stop(x: int) -> int:
        if not x:
            raise StopIteration
        return x

    results = getattr(make_pool(1), name)(stop, [0, 1], 1)
    with pytest.raises(RuntimeError, match="StopIteration"):
        next(results)
    assert list(results) == [1]


# --------------------------------------------------------------------------------------------------- results to come


def test_a_result_tells_whether_it_is_there(make_pool, gate):
    pool = make_pool()
    result = pool.apply_async(gate.enter, (7,))
    gate.await_entry()
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(timeout=0.01)
    assert result.wait(0.01) is None
    gate.open()
    assert result.get(SECONDS) == 7
    assert result.ready()
    assert result.successful()


def test_callbacks_hear_before_whoever_waits(make_pool):
    pool, heard = make_pool(), []
    how = {"callback": heard.append, "error_callback": lambda error: heard.append(type(error))}
    pool.apply_async(abs, (-1,), **how).wait()
    pool.apply_async(invert, (0,), **how).wait()
    pool.map_async(abs, [-1, -2], **how).wait()
    pool.map_async(abs, [], **how).wait()
    pool.starmap_async(divmod, [(1, 0)], **how).wait()
    assert heard == [1, ZeroDivisionError, [1, 2], [], ZeroDivisionError]


@pytest.mark.parametrize("error", [LookupError, SystemExit])
def test_a_callback_that_fails_is_shown_and_hurts_nobody(make_pool, told, error):
    def fail(_: object) -> None:
        raise error

    pool = make_pool()
    assert pool.apply_async(abs, (-1,), callback=fail).get(SECONDS) == 1
    assert pool.map(abs, [-2]) == [2]
    assert told == [error]


def test_a_callback_may_hand_in_more_but_not_wait(make_pool):
    pool, heard = make_pool(), queue.SimpleQueue()

    def hand_in_more(value: int) -> None:
        pool.apply_async(abs, (-value - 1,), callback=heard.put)
        waits = [lambda: pool.apply(abs, (1,)), lambda: pool.map(abs, [1]), lambda: next(pool.imap(abs, [1]))]
        for wait in [*waits, pool.apply_async(abs, (1,)).get, pool.apply_async(abs, (1,)).wait]:
            with pytest.raises(RuntimeError, match="wait for ever"):
                wait()
        heard.put("refused")

    pool.apply_async(abs, (-1,), callback=hand_in_more)
    assert {heard.get(timeout=SECONDS), heard.get(timeout=SECONDS)} == {"refused", 2}


# --------------------------------------------------------------------------------------------------- iterators


def test_the_next_result_may_be_waited_for_so_long(make_pool, gate):
    results = make_pool().imap(gate.enter, [7])
    gate.await_entry()
    with pytest.raises(multiprocessing.TimeoutError):
        results.next(timeout=0.01)
    gate.open()
    assert results.next(SECONDS) == 7
    with pytest.raises(StopIteration):
        results.next(0)


@pytest.mark.parametrize(("chunksize", "before"), [(None, 7), (1, 7), (2, 6), (4, 4)])
def test_what_a_generator_raises_takes_the_place_of_its_next_chunk(make_pool, chunksize, before):
    def generate() -> Iterator[int]:
        yield from range(7)
        raise LookupError

    results = make_pool().imap(abs, generate(), chunksize)
    assert [next(results) for _ in range(before)] == list(range(before))
    with pytest.raises(LookupError):
        next(results)
    assert list(results) == []


@pytest.mark.parametrize("ahead", [None, 3])
def test_a_generator_may_wait_for_results(make_pool, ahead):
    permits = threading.Semaphore(2)

    def generate() -> Iterator[int]:
        for x in range(100):
            assert permits.acquire(timeout=SECONDS)
            yield x

    results = []
    for result in make_pool().imap(abs, generate(), ahead=ahead):
        results.append(result)
        permits.release()
    assert results == list(range(100))


def test_a_generator_that_blocks_hurts_nobody(make_pool):
    pool, given = make_pool(), queue.SimpleQueue()
    results = pool.imap(abs, iter(given.get, None))
    for x in range(10):
        given.put(x)
    assert [results.next(SECONDS) for _ in range(10)] == list(range(10))
    assert pool.apply(abs, (-1,)) == 1
    given.put(None)
    assert list(results) == []


class Numbers:
    """1, 2, 3 and so on."""

    def __init__(self) -> None:
        self.pulled = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.pulled += 1
        return self.pulled


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
@pytest.mark.parametrize(("default", "ahead"), [(5, None), (None, 5), (99, 5)])
@pytest.mark.parametrize("chunksize", [None, 2, 50])
def test_a_bounded_iterator_never_pulls_further(make_pool, name, default, ahead, chunksize):
    numbers = Numbers()
    results = getattr(make_pool(on="threads", ahead=default), name)(abs, numbers, chunksize, ahead=ahead)
    for taken in range(50):
        assert numbers.pulled <= taken + 5
        results.next(SECONDS)


def test_a_bounded_iterator_bounds_a_list_too(make_pool, tmp_path):
    with make_pool() as pool:
        results = pool.imap(lambda x: (tmp_path / str(x)).touch(), list(range(1000)), ahead=4)
        next(results)
        assert len(list(tmp_path.iterdir())) <= 5


def test_an_endless_generator_is_pulled_as_its_items_are_done(make_pool, gate):
    numbers = Numbers()
    results = make_pool(1).imap(gate.enter, numbers, 1)
    gate.await_entry()
    assert numbers.pulled < 100
    gate.open()
    assert next(results) == 1


def test_items_run_though_nobody_takes_their_results(make_pool, tmp_path):
    pool = make_pool()
    results = pool.imap_unordered(lambda x: (tmp_path / f"kept{x}").touch(), (x for x in range(300)))
    pool.imap_unordered(lambda x: (tmp_path / f"forgotten{x}").touch(), (x for x in range(300)))
    pool.close()
    pool.join()
    assert len(list(tmp_path.iterdir())) == 600
    assert len(list(results)) == 300


def test_a_bounded_iterator_that_nobody_can_take_from_keeps_nobody_waiting(make_pool):
    pool = make_pool()
    for result in pool.imap(abs, itertools.count(), ahead=10):
        if result == 20:
            break
    del result
    pool.close()
    pool.join()
    with pytest.raises(ValueError, match="not running"):
        pool.map(abs, [1])


# --------------------------------------------------------------------------------------------------- the end


def test_closing_lets_everything_finish(make_pool, start):
    pool = make_pool(start=start)
    results = [pool.apply_async(abs, (-x,)) for x in range(50)]
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    pool.join()
    assert [result.get(0) for result in results] == list(range(50))


@pytest.mark.parametrize("end", [allcores.Pool.close, allcores.Pool.terminate])
def test_a_pool_that_was_ended_takes_nothing(make_pool, end):
    pool = make_pool()
    end(pool)
    end(pool)
    ways = [lambda: pool.apply(abs, (1,)), lambda: pool.map(abs, [1]), lambda: pool.imap(abs, [1]), pool.__enter__]
    for hand_in in ways:
        with pytest.raises(ValueError, match="Pool not running"):
            hand_in()
    pool.join()


def test_whoever_waits_when_a_pool_is_terminated_hears_of_it(make_pool, gate, start):
    with make_pool(start=start) as pool:
        running = pool.apply_async(gate.enter)
        waiting = pool.map_async(gate.enter, range(10))
        iterated = pool.imap(gate.enter, itertools.count())
        gate.await_entry()
    for get in (running.get, waiting.get, iterated.next):
        with pytest.raises(allcores._core.errors.Terminated):
            get(SECONDS)


def test_whoever_waits_for_a_generator_that_blocks_hears_of_the_end_too(make_pool):
    given = queue.SimpleQueue()
    pool = make_pool()
    results = pool.imap(abs, iter(given.get, None))
    pool.terminate()
    with pytest.raises(allcores._core.errors.Terminated):
        results.next(SECONDS)
    given.put(None)


def test_a_pool_that_is_forgotten_warns_and_ends_its_workers(start, outliving):
    pools = [allcores.Pool(1, start=start)]
    pid = pools[0].apply(os.getpid)
    with pytest.warns(ResourceWarning, match="unclosed running multiprocessing pool <allcores.Pool state=RUN"):
        pools.clear()
    if start == "fork":  # others stay warm for whoever comes next
        assert outliving([pid]) == set()


def test_a_pool_that_is_forgotten_at_the_interpreters_end_warns_without_the_names_of_its_module(monkeypatch):
    pools = [allcores.Pool(1)]
    monkeypatch.setattr(sys.modules[allcores.Pool.__module__], "warnings", None)
    with pytest.warns(ResourceWarning, match="unclosed"):
        pools.clear()


def test_a_pool_lasts_until_the_last_result_has_come(gate):
    result = allcores.Pool(1).apply_async(gate.enter, (7,))
    gate.await_entry()
    gc.collect()
    with pytest.warns(ResourceWarning, match="unclosed"):
        assert _let_pass(gate, result) == 7
    for thread in threading.enumerate():
        if thread.name == "allcores-pool":
            thread.join(SECONDS)
            assert not thread.is_alive()


def _let_pass(gate: Gate, result: Any) -> Any:
    gate.open()
    return result.get(SECONDS)


def test_the_interpreter_ends_though_something_runs(run_python):
    source = """
import allcores, itertools, time
pool = allcores.Pool(1)
print(pool.apply(abs, (-1,)))
results = pool.imap(time.sleep, itertools.repeat(60))
waiting = pool.map_async(time.sleep, [60])
"""
    assert run_python(source, timeout=SECONDS, warnings="default").stdout == "1\n"


def test_it_can_neither_be_pickled_nor_used_in_a_forked_child(make_pool):
    pool = make_pool()
    with pytest.raises(NotImplementedError):
        pickle.dumps(pool)
    with pytest.raises(NotImplementedError):
        pool.apply(id, (pool,))
    child = os.fork()
    if child == 0:
        try:
            pool.map(abs, [1])
        except RuntimeError as error:
            pool.terminate()  # ends nothing of the parent's
            os._exit("a forked child cannot use it" in str(error))
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert pool.apply(abs, (-1,)) == 1


# --------------------------------------------------------------------------------------------------- how it is made


def test_workers_are_replaced_after_so_many_items(make_pool, start, tmp_path):
    pool = make_pool(1, maxtasksperchild=3, start=start)
    pids = [pool.apply(os.getpid) for _ in range(9)]
    assert [len(list(group)) for _, group in itertools.groupby(pids)] == [3, 3, 3]


def begin(value: str) -> None:
    os.environ["ALLCORES_TEST"] = value


def test_an_initializer_is_called_with_its_arguments_in_each_worker(make_pool, start):
    pool = make_pool(1, begin, ("begun",), start=start)
    assert pool.apply(os.getenv, ("ALLCORES_TEST",)) == "begun"


def test_arguments_of_no_initializer_are_ignored(make_pool):
    assert make_pool(1, None, (1, 2)).apply(abs, (-1,)) == 1


def test_a_context_says_how_processes_start(start):
    with allcores.Pool(2, context=multiprocessing.get_context(start)) as pool:
        assert pool._service.plan.start == start
    with allcores.Pool(3, start=start) as pool:
        assert repr(pool) == "<allcores.Pool state=RUN pool_size=3>"
        assert pool._processes == 3  # where dynesty looks
    assert repr(pool) == "<allcores.Pool state=TERMINATE pool_size=3>"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"processes": 0}, ValueError, "processes=0"),
        ({"processes": 1.5}, TypeError, "1.5 is not a whole number"),
        ({"maxtasksperchild": 0}, ValueError, "maxtasksperchild=0"),
        ({"maxtasksperchild": "500MB"}, ValueError, "maxtasksperchild='500MB'"),
        ({"initializer": 5}, TypeError, "initializer=5"),
        ({"processes": 2, "workers": 3}, ValueError, "processes=2 contradicts workers=3"),
        ({"maxtasksperchild": 2, "recycle": "1GB"}, ValueError, "contradicts recycle='1GB'"),
        ({"context": multiprocessing.get_context("spawn"), "start": "fork"}, ValueError, "contradicts start='fork'"),
        ({"errors": "collect"}, ValueError, "allcores.map has it"),
        ({"resume": "journal"}, ValueError, "allcores.map has it"),
        ({"progress": True}, ValueError, "allcores.map has it"),
        ({"wokers": 2}, TypeError, "did you mean 'workers'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        allcores.Pool(**arguments)


def test_options_hold_for_every_item(make_pool, start):
    pool = make_pool(timeout=0.2, retries=1, retry_on=LookupError, seed=1, start=start)
    with pytest.raises(allcores.ItemTimeout):
        pool.apply(signal.pause)
    assert pool.apply(lambda: allcores.current_item().tries) == 1


@pytest.mark.parametrize("name", ["map", "starmap_async", "imap", "imap_unordered"])
@pytest.mark.parametrize(("chunksize", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_chunksizes_that_make_no_sense_are_refused(make_pool, name, chunksize, error):
    with pytest.raises(error):
        getattr(make_pool(), name)(abs, [1], chunksize)


def test_classes_that_a_forked_worker_has_inherited_need_not_be_picklable(run_python):
    run_python("""
import threading
import allcores

class Case:
    lock = threading.Lock()

    @classmethod
    def of_class(cls, _):
        return cls.__name__

    def of_instance(self, _):
        return type(self).__name__

def name(cls):
    return cls.__name__

with allcores.Pool(1, start="fork") as pool:
    for function, argument in ((Case.of_class, 1), (Case().of_instance, lambda: 1), (name, Case)):
        assert pool.apply(function, (argument,)) == "Case"
        assert pool.map(function, [argument]) == list(pool.imap(function, [argument])) == ["Case"]
with allcores.Executor(1, start="fork") as executor:
    assert list(executor.map(Case.of_class, [1])) == ["Case"]
    assert executor.submit(Case.of_class, lambda: 1).result() == "Case"
""")


# ------------------------------------------------------------------------------------- what it is to those who look


def test_it_is_a_pool_and_gives_what_a_pool_gives(make_pool):
    pool = make_pool()
    assert isinstance(pool, multiprocessing.pool.Pool)
    assert isinstance(pool.apply_async(abs, (-1,)), multiprocessing.pool.AsyncResult)
    assert isinstance(pool.map_async(abs, [-1]), multiprocessing.pool.MapResult)
    assert isinstance(pool.imap(abs, [-1]), multiprocessing.pool.IMapIterator)


@pytest.mark.parametrize(("chunksize", "left"), [(None, 7), (1, 7), (3, 3)])
def test_how_many_chunks_are_left_is_told(make_pool, gate, chunksize, left):
    result = make_pool(1).map_async(gate.enter, range(7), chunksize=chunksize)
    gate.await_entry()
    assert result._number_left == left
    assert result._number_left * result._chunksize >= 7
    for _ in range(6):
        gate.open()
        gate.await_entry()
    gate.open()
    result.wait()
    assert result._number_left == 0


@pytest.mark.parametrize(
    "options",
    [
        {"processes": "2"},
        {"processes": 0},
        {"maxtasksperchild": "1"},
        {"maxtasksperchild": 0},
        {"initializer": 3},
        {"context": "fork"},
        {"initargs": 3},
        {"processes": True, "maxtasksperchild": True},
    ],
)
def test_arguments_are_refused_as_by_the_original_before_anything_starts(options):
    options = {"context": multiprocessing.get_context("fork")} | options  # others leave a server running
    assert refusal(allcores.Pool, options) is refusal(multiprocessing.pool.Pool, options)


def test_results_say_how_they_stand():
    gate = threading.Event()
    with allcores.Pool(1, on="threads") as pool:
        waiting, failed, results = pool.apply_async(gate.wait), pool.map_async(int, ["x"]), pool.imap(abs, [1, 2])
        assert repr(waiting) == "<allcores AsyncResult: waiting>"
        gate.set()
        waiting.wait()
        failed.wait()
        assert list(results) == [1, 2]
        assert repr(waiting) == "<allcores AsyncResult: ready>"
        assert repr(failed) == "<allcores MapResult: failed: ValueError>"
        assert repr(results) == "<allcores PoolIterator: 2 results have come>"
