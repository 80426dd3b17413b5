"""Workers x native threads stay within the usable cores, whatever was imported first: counted, not believed."""

from __future__ import annotations

import os
from typing import Any

import pytest

import allcores

np = pytest.importorskip("numpy", reason="NumPy is not installed")
threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")

CORES = int(allcores.usable_cores())
pytestmark = pytest.mark.usefixtures("nobody_has_said_anything")


@pytest.fixture
def nobody_has_said_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def may_use(_: object = None) -> int:
    """Multiply, and say how many threads the library may use for that."""
    np.ones((64, 64)) @ np.ones((64, 64))
    return max(library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas")


def alive(_: object = None) -> tuple[int, int]:
    """Multiply what is worth several threads; give this process and how many threads it has."""
    np.ones((400, 400)) @ np.ones((400, 400))
    return os.getpid(), len(os.listdir("/proc/self/task"))


@pytest.mark.starts
@pytest.mark.parametrize("workers", sorted({1, 2, CORES, 2 * CORES}))
def test_each_worker_has_its_share(start: str, workers: int) -> None:
    share = max(1, CORES // workers)
    assert set(allcores.map(may_use, range(4), workers=workers, start=start)) == {share}
    assert may_use() == CORES


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system has no /proc")
def test_threads_that_are_alive_are_no_more_than_cores_and_workers(start: str) -> None:
    threads = dict(allcores.map(alive, range(8), workers=CORES, start=start, batch=1))
    assert sum(threads.values()) <= CORES + 2 * len(threads), threads  # a main one, and one that reports, each


def test_a_warm_worker_has_the_share_of_its_present_run() -> None:
    for workers in (CORES, 1, CORES):
        assert set(allcores.map(may_use, range(4), workers=workers, start="forkserver")) == {CORES // workers}


def test_pools_and_executors_bound_theirs_too(start: str) -> None:
    with allcores.Pool(CORES, start=start) as pool:
        assert set(pool.map(may_use, range(4))) == {1}
    with allcores.Executor(CORES, start=start) as executor:
        assert executor.submit(may_use).result() == 1


def test_pools_of_threads_put_it_back_though_another_thread_ends_them() -> None:
    with allcores.Pool(CORES, on="threads") as pool:
        assert set(pool.map(may_use, range(4))) == {1}
    assert may_use() == CORES
    with threadpoolctl.threadpool_limits(1):
        assert may_use() == 1, "it is left to whoever tells it next"
    assert may_use() == CORES


def test_runs_in_forked_workers_may_fork_as_ever() -> None:
    may_use()
    assert set(allcores.map(lambda _: allcores.plan().start, range(4), workers=CORES, start="fork")) == {"fork"}


def test_runs_in_threads_bound_what_is_loaded_and_put_it_back() -> None:
    assert set(allcores.map(may_use, range(4), on="threads", workers=CORES)) == {1}
    assert may_use() == CORES
    with pytest.raises(ZeroDivisionError):
        allcores.map(lambda x: 1 // x, [0], on="threads", workers=CORES)
    assert may_use() == CORES


def test_a_number_that_was_asked_for_is_had(home: dict[str, Any]) -> None:
    asked = CORES + 1
    assert set(allcores.map(may_use, range(2), workers=2, threads=asked, **home)) == {asked}
    assert may_use() == CORES


def test_libraries_can_be_left_alone(place: dict[str, Any]) -> None:
    assert set(allcores.map(may_use, range(2), workers=2, threads=None, **place)) == {CORES}


def test_what_a_library_was_told_by_the_caller_stays(start: str) -> None:
    with threadpoolctl.threadpool_limits(1):
        assert set(allcores.map(may_use, range(2), workers=1, start=start)) == {1}


NESTED = """
import os, allcores
import numpy as np

def inner(_):
    np.ones((64, 64)) @ np.ones((64, 64))
    from threadpoolctl import threadpool_info
    return int(allcores.usable_cores()), max(library["num_threads"] for library in threadpool_info())

def outer(_):
    return allcores.map(inner, range(2)), os.environ["OMP_NUM_THREADS"]

print(allcores.map(outer, range(2), workers=2, start={start!r}))
"""


def test_runs_in_runs_share_the_share(start: str, run_python: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    share = max(1, CORES // 2)
    inner = [(1, 1)] * 2 if share == 1 else None
    done = run_python(NESTED.format(start=start))
    if inner is not None:
        assert done.stdout.strip() == repr([(inner, str(share))] * 2)
    else:
        assert f"'{share}'" in done.stdout


LATER = """
import allcores

def run(_):
    import numpy as np  # in the worker alone
    from threadpoolctl import threadpool_info
    np.ones((64, 64)) @ np.ones((64, 64))
    return max(library["num_threads"] for library in threadpool_info())

print(set(allcores.map(run, range(4), workers={workers}, start={start!r})))
"""


def test_a_library_that_an_item_loads_is_bounded(start: str, run_python: Any) -> None:
    assert run_python(LATER.format(workers=CORES, start=start)).stdout.strip() == "{1}"


LATER_IN_THREADS = """
import threading, allcores

def load():
    import numpy as np
    from threadpoolctl import threadpool_info
    np.ones((64, 64)) @ np.ones((64, 64))
    return max(library["num_threads"] for library in threadpool_info())

have_loaded = threading.Barrier({workers})

def run(x):
    number = load()
    if x < {workers}:
        have_loaded.wait()  # each thread has had an item, so another has finished importing
    return number

found = allcores.map(run, range(4 * {workers}), workers={workers}, on="threads", batch=1)
print(set(found[{workers}:]), load())
"""


def test_in_threads_a_library_that_an_item_loads_is_bounded_for_those_that_follow(run_python: Any) -> None:
    workers = max(2, CORES)
    done = run_python(LATER_IN_THREADS.format(workers=workers))
    assert done.stdout.strip() == f"{{{max(1, CORES // workers)}}} {CORES}"


def test_what_the_user_has_set_stays_and_is_told(start: str, run_python: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    program = LATER.format(workers=4, start=start) + "print(allcores.plan(workers=4))"
    lines = run_python(program).stdout.splitlines()
    assert lines[0] == "{2}"
    assert any("OPENBLAS_NUM_THREADS=2, as the environment says" in line for line in lines)


def test_the_callers_environment_is_left_alone(place: dict[str, Any]) -> None:
    before = dict(os.environ)
    allcores.map(may_use, range(2), workers=2, **place)
    assert dict(os.environ) == before


NESTED_IN_ALL_WAYS = """
import importlib, allcores, joblib

def budget():
    return int(allcores.usable_cores()), allcores.plan().workers, allcores.plan(on="threads").cores, joblib.cpu_count()

def third(_):
    return budget()

def second(_):
    with allcores.Executor() as executor:
        below = executor.submit(third, 0).result()
    importlib.import_module("allcores.joblib")  # registers the backend, also in workers that start clean
    with joblib.parallel_config("allcores"):
        besides = joblib.Parallel(n_jobs=2)([joblib.delayed(third)(0)])[0]
    return budget(), below, besides, allcores.map(third, [0], on="threads", workers=2)[0]

def first(_):
    return budget(), allcores.map(second, [0], workers=2)[0]

print(allcores.map(first, [0], workers=2)[0])
"""


def test_a_budget_goes_down_three_levels_through_all_doors(run_python: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of sixteen cores, which Python is told to have: eight for each of two, four of these, then what is left."""
    pytest.importorskip("joblib", reason="joblib is not installed")
    monkeypatch.setenv("PYTHON_CPU_COUNT", "16")
    outer, (inner, executor, joblibs, threads) = eval(run_python(NESTED_IN_ALL_WAYS).stdout)
    assert outer[:2] == (8, 8)
    assert inner[:2] == (4, 4)
    assert executor[:2] == (1, 1)
    assert joblibs[:2] == (2, 2)
    assert threads[:2] == (2, 2)
    assert outer[3] <= 8
    assert inner[3] <= 4
