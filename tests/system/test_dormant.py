"""An OpenBLAS whose threads stayed behind at the fork is bounded without beginning them, and has as many as allowed."""

from __future__ import annotations

import os
import sys
from ctypes import CDLL, c_int
from types import SimpleNamespace
from typing import Any

import pytest
import threadpoolctl

import allcores
from allcores._system.dormant import HAVE_BEGUN, bound_dormant
from allcores._system.native_threads import loaded_pools

np = pytest.importorskip("numpy")

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a process's threads"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="on a single core OpenBLAS has no threads"),
]


@pytest.fixture(autouse=True)
def own_threads() -> None:
    """NumPy's own OpenBLAS, with threads of its own."""
    layers = {getattr(pool, "threading_layer", None) for pool in loaded_pools() if pool.internal_api == "openblas"}
    if "pthreads" not in layers:
        pytest.skip("this NumPy comes without an OpenBLAS that has threads of its own")


def multiply() -> None:
    matrix = np.ones((600, 600))
    matrix @ matrix


def has_begun(pool: Any) -> bool:
    return bool(c_int.in_dll(pool.dynlib, HAVE_BEGUN).value)


def threads_and_numbers(*, after: object = None) -> tuple[int, set[int]]:
    """Give how many threads this process has, and how many each BLAS may use."""
    if callable(after):
        after()
    numbers = {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}
    return len(os.listdir("/proc/self/task")), numbers


def test_a_forked_worker_begins_no_thread_to_be_bounded() -> None:
    seen = allcores.map(lambda _: threads_and_numbers(after=multiply), range(2), workers=2, start="fork", threads=1)
    assert seen == [(1, {1})] * 2


def test_it_begins_as_many_as_it_may_use_once_it_needs_them() -> None:
    before = threads_and_numbers(after=multiply)
    seen = allcores.map(
        lambda _: (threads_and_numbers(), threads_and_numbers(after=multiply)),
        range(1),
        workers=1,
        start="fork",
        threads=2,
    )
    assert seen == [((1, {2}), (2, {2}))]
    assert threads_and_numbers(after=multiply) == before


def test_one_that_is_awake_is_left_to_its_own_function() -> None:
    multiply()
    awake = [pool for pool in loaded_pools() if pool.internal_api == "openblas" and has_begun(pool)]
    assert awake
    assert not any(bound_dormant(pool, 1) for pool in awake)


@pytest.mark.parametrize(
    "pool",
    [
        SimpleNamespace(),
        SimpleNamespace(dynlib=CDLL(None), threading_layer="pthreads"),
        SimpleNamespace(dynlib=CDLL(None), threading_layer="openmp"),
    ],
)
def test_what_does_not_look_like_one_is_left_alone(pool: SimpleNamespace) -> None:
    assert not bound_dormant(pool, 1)
