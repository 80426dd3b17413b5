"""Workers are children of the caller's for multiprocessing, as its own are."""

from __future__ import annotations

import multiprocessing
import os
import threading

import pytest

import allcores
from allcores._system.descriptors import Descriptors

LABELS = {"fork": "Fork", "forkserver": "ForkServer", "spawn": "Spawn"}


def introduce(_: object) -> tuple[str, tuple[int, ...], bool]:
    me = multiprocessing.current_process()
    return me.name, me._identity, me.daemon


def describe_parent(_: object) -> tuple[str, int, bool]:
    parent = multiprocessing.parent_process()
    return parent.name, parent.pid, parent.is_alive()


@pytest.mark.starts
def test_a_worker_has_a_name_and_a_number_of_its_own(start):
    found = [
        introduced
        for _ in range(2)
        for introduced in allcores.map(introduce, range(2), workers=2, batch=1, start=start, recycle=1)
    ]
    assert len({identity for _, identity, _ in found}) == 4
    assert [is_daemon for *_, is_daemon in found] == [False] * 4
    assert {name for name, *_ in found} == {f"{LABELS[start]}Process-{number}" for _, (number,), _ in found}


def test_workers_of_a_pool_are_daemons_and_those_of_an_executor_are_not(start):
    with allcores.Pool(1, start=start) as pool, allcores.Executor(1, start=start) as executor:
        name, (number,), is_daemon = pool.apply(introduce, (None,))
        other_name, (other,), other_is_daemon = executor.submit(introduce, None).result()
    assert (name, is_daemon) == (f"{LABELS[start]}PoolWorker-{number}", True)
    assert (other_name, other_is_daemon) == (f"{LABELS[start]}Process-{other}", False)
    assert number != other


def test_a_worker_knows_its_parent(start):
    assert allcores.map(describe_parent, [None], start=start) == [("MainProcess", os.getpid(), True)]


def test_numbers_are_multiprocessings_own(start):
    """Neither a worker nor a process of multiprocessing's has the number of the other."""
    before = multiprocessing.Process()._identity
    ((_, (number,), _),) = allcores.map(introduce, [None], start=start)
    after = multiprocessing.Process()._identity
    assert before < (number,) < after


def test_a_worker_of_a_worker_is_numbered_below_it(start):
    def nest(_: object) -> tuple[tuple[int, ...], tuple[int, ...]]:
        ((_, inner, _),) = allcores.map(introduce, [None], start="fork")
        return multiprocessing.current_process()._identity, inner

    ((outer, inner),) = allcores.map(nest, [None], start=start)
    assert inner == (*outer, 1)


def test_what_a_worker_has_open_for_this_is_no_hazard_for_runs_inside(start):
    def look(_: object) -> dict[int, str]:
        multiprocessing.parent_process()
        return Descriptors().foreign

    (found,) = allcores.map(look, [None], start=start)
    assert set(found.values()) <= set(Descriptors().foreign.values())


def test_a_worker_that_is_used_again_opens_nothing_more(clean_start):
    def count_open(_: object) -> int:
        multiprocessing.parent_process().is_alive()
        return len(os.listdir("/proc/self/fd"))

    counts = {allcores.map(count_open, [None], workers=1, start=clean_start)[0] for _ in range(4)}
    assert len(counts) == 1


def test_items_run_in_a_main_thread(start):
    """Whichever thread has forked."""

    def look() -> tuple[str, bool, bool, bool]:
        thread = threading.current_thread()
        is_main = thread is threading.main_thread() and thread.native_id == threading.get_native_id()
        return thread.name, is_main, thread.daemon, threading.Thread().daemon

    with allcores.Executor(1, start=start) as executor:
        assert executor.submit(look).result() == ("MainThread", True, False, False)


LATE = """
import sys, allcores

def look(_):
    assert "multiprocessing" not in sys.modules
    import multiprocessing
    me = multiprocessing.current_process()
    return me.name, me._identity, multiprocessing.parent_process().is_alive()

found = allcores.map(look, range(2), workers=2, batch=1, recycle=1, start={start!r})
assert {{identity for _, identity, _ in found}} == {{(1,), (2,)}}, found
assert {{name.split("-")[1] for name, *_ in found}} == {{"1", "2"}}, found
assert [is_alive for *_, is_alive in found] == [True, True]
assert "multiprocessing" not in sys.modules
"""


def test_an_item_that_loads_multiprocessing_is_told_as_much(start, run_python):
    run_python(LATE.format(start=start))


def test_a_pool_in_a_pool_is_refused_as_by_multiprocessings(start):
    with allcores.Pool(1, start=start) as pool, pytest.raises(AssertionError, match="daemonic"):
        pool.apply(multiprocessing.get_context("fork").Pool, (1,))


def run_process(_: object) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=os._exit, args=(7,))
    process.start()
    process.join()
    return process.exitcode


def test_items_of_a_map_and_of_an_executor_may_run_processes(start):
    assert allcores.map(run_process, [None], start=start) == [7]
    with allcores.Executor(1, start=start) as executor:
        assert executor.submit(run_process, None).result() == 7


PROXIES = """
import multiprocessing, allcores

if __name__ == "__main__":
    with multiprocessing.Manager() as manager:
        lock, total = manager.Lock(), manager.dict(n=0)
        with lock:
            total["n"] = 0  # the caller has a connection now, which workers must not share

        def add(number):
            with lock:
                total["n"] += number

        allcores.map(add, range(40), workers=2, start="fork")
        assert total["n"] == sum(range(40)), total["n"]
        with allcores.Pool(2, start="fork") as pool:
            pool.map(add, range(40))
        assert total["n"] == 2 * sum(range(40)), total["n"]
        assert manager._number_of_objects() == 2
"""


def test_forked_workers_have_connections_of_their_own_to_a_manager(run_python):
    """And let go of what they refer to there when they end."""
    run_python(PROXIES, warnings="default", timeout=20)


USED_QUEUE = """
import multiprocessing, allcores

queue = multiprocessing.get_context("fork").Queue()

def put(item):
    queue.put(item)

queue.put(-1)  # starts a thread, which forked workers do not have
allcores.map(put, range(10), workers=2, start="fork")
assert sorted(queue.get(timeout=20) for _ in range(11)) == list(range(-1, 10))
"""


def test_forked_workers_put_into_a_queue_that_the_caller_has_used(run_python):
    run_python(USED_QUEUE, warnings="default", timeout=20)


INHERITED = """
import atexit, multiprocessing.util, allcores

def shout():
    print("the end", flush=True)

atexit.register(shout)
kept = multiprocessing.util.Finalize(None, shout, exitpriority=10)
print(allcores.map(abs, [-1, -2], workers=2, start="fork"), flush=True)
"""


def test_what_the_caller_does_at_its_end_its_workers_do_not(run_python):
    assert run_python(INHERITED).stdout == "[1, 2]\nthe end\nthe end\n"


INSIDE = """
import multiprocessing, sys, allcores

FACTOR = 3

class Point:
    def __init__(self, x):
        self.x = x

def scale(x):
    return Point(FACTOR * x)

def work(start, sending):
    points = allcores.map(scale, range(4), workers=2, start=start)
    with allcores.Executor(1, start=start) as executor:
        points += executor.map(lambda x: scale(x), range(2))
        points += executor.map(scale, range(2))
    assert all(type(point) is Point for point in points)
    sending.send([point.x for point in points])

if __name__ == "__main__":
    context = multiprocessing.get_context("{outer}")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=work, args=("{start}", sending))
    process.start()
    sending.close()
    assert receiving.recv() == [0, 3, 6, 9, 0, 3, 0, 3]
    process.join()
    assert process.exitcode == 0
"""


@pytest.mark.parametrize("outer", ["fork", "forkserver", "spawn"])
def test_a_process_of_multiprocessings_may_use_all_cores(start, outer, run_python):
    """Though the program's main module has another name there, and is there twice."""
    run_python(INSIDE.format(start=start, outer=outer), warnings="default")
