"""What the program has told multiprocessing holds for workers that nobody has chosen a start for."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.starts

# ------------------------------------------------------------------------------------- what multiprocessing was told

# What each start has of the caller's: a lock can only be inherited, and is each interpreter's own otherwise.
SET = """
import multiprocessing, os
multiprocessing.set_start_method({start!r})
import allcores

def parent(_):
    return os.getppid()

usual = multiprocessing.get_all_start_methods()[0]
for door in (allcores.Pool, allcores.Executor):
    with door(2) as made:
        plan = made._service.plan
        assert plan.start == {start!r}, plan
        assert "multiprocessing" in plan.start_reason
        assert (os.getpid() in list(made.map(parent, range(2)))) == ({start!r} == "fork")
    other = "forkserver" if {start!r} == "fork" else "fork"
    with door(2, start=other) as made:
        assert made._service.plan.start == other
plan = allcores.map(parent, range(2)).report.plan
assert plan.start == {start!r} or {start!r} == usual
assert ("multiprocessing" in plan.start_reason) == ({start!r} != usual)
assert allcores.plan().start == plan.start
"""


def test_the_start_method_that_was_set_is_the_default(start, run_python):
    run_python(SET.format(start=start))


INHERITED = """
import multiprocessing, threading
import allcores

lock = threading.Lock()

def work(x):
    with lock:
        return x

if multiprocessing.get_all_start_methods()[0] == "fork":
    multiprocessing.Lock()  # made by the program's usual context, which that settles
else:
    multiprocessing.set_start_method("fork")
for door in (allcores.Pool, allcores.Executor, allcores.Pool):
    with door(2) as made:
        assert list(made.map(work, range(20))) == list(range(20))
        assert made._service.plan.start == "fork"
"""


def test_functions_find_in_workers_what_processes_of_the_program_inherit(run_python):
    run_python(INHERITED)


UNTOLD = """
import sys
import allcores

with allcores.Pool(2) as pool:
    assert pool.map(abs, [1]) == [1]
    assert pool._service.plan.start == "forkserver"
import multiprocessing
assert multiprocessing.get_start_method(allow_none=True) is None, "a run settles nothing"
with allcores.Executor(2) as executor:
    assert executor._service.plan.start == "forkserver"
allcores.map(abs, [1, 2], progress=True)
assert multiprocessing.get_start_method(allow_none=True) is None, "nor does a bar"
multiprocessing.set_start_method("spawn")
"""


def test_where_it_was_told_nothing_it_stays_so(run_python):
    run_python(UNTOLD)
