"""Workers start as the program means processes to start, and never by running the program again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from allcores._system import program

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
        assert "multiprocessing" in plan.start_reason or {start!r} == usual == "forkserver", plan
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
with allcores.Pool(2) as one, allcores.Executor(2) as other:  # the thread of the one is no reason for the other
    assert one.map(work, range(20)) == list(other.map(work, range(20))) == list(range(20))
    assert other._service.plan.start == "fork"
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


# ------------------------------------------------------------------------------------------------ which Python there is

# Who runs it leaves a trace, as a program that is started again would.
OTHER = """#!/bin/sh
echo started >> "$0.trace"
"""


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Make a program that is no Python."""
    path = tmp_path / "program"
    path.write_text(OTHER)
    path.chmod(0o755)
    return path


# First lines of programs: what an embedding program, or a frozen one, sets. `REAL` is a Python all the same.
FROZEN = """
import sys
REAL = sys.executable
sys.frozen, sys.executable = True, {other!r}
"""
EMBEDDED = """
import sys
REAL = sys.executable
sys.executable = sys._base_executable = {other!r}
"""
ALONE = """
import sys
REAL = sys.executable
sys.executable = sys._base_executable = {other!r}
sys.exec_prefix = sys.base_exec_prefix = "/nowhere"
"""

NO_PYTHON = """
import os, threading
import allcores

def refused(begin, *arguments, **options):
    try:
        begin(*arguments, **options)
    except RuntimeError as error:
        return str(error)
    raise AssertionError("it was not refused")

assert allcores.map(abs, [-1, 2]).report.plan.start == "fork"
assert list(allcores.imap(abs, [-1, 2])) == [1, 2]
for door in (allcores.Pool, allcores.Executor):
    with door(2) as made:
        assert list(made.map(lambda x: os.getppid(), range(2))) == [os.getpid()] * 2
    for start in ("forkserver", "spawn"):
        assert "use start='fork', or on='threads'" in refused(door, 2, start=start)
        assert "use start='fork', or on='threads'" in refused(allcores.map, abs, [1], start=start)
end = threading.Event()
thread = threading.Thread(target=end.wait)
thread.start()
try:
    assert "use on='threads', or start='fork'" in refused(allcores.map, abs, [1])
    assert "use on='threads', or start='fork'" in refused(allcores.Pool, 2)
    assert allcores.map(abs, [-1], on="threads") == [1]
finally:
    end.set()
    thread.join()
"""


@pytest.mark.parametrize("head", [FROZEN, ALONE], ids=["frozen", "embedded"])
def test_without_a_python_workers_are_forked_or_refused(head, other, run_python):
    run_python(head.format(other=str(other)) + NO_PYTHON)
    assert not Path(f"{other}.trace").exists()


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *((name, True) for name in ("python", "python3.11", "python3.13t", ".python-wrapped", "Python", "pypy3")),
        *((name, False) for name in ("uwsgi_python3", "blender", "soffice.bin", "program", "")),
    ],
)
def test_a_python_is_known_by_its_name(name, is_one, tmp_path):
    assert program._is_python(str(tmp_path / name)) == is_one
    if name:
        (tmp_path / "link").symlink_to(tmp_path / name)
        assert program._is_python(str(tmp_path / "link")) == is_one


FOUND = """
import os
import allcores

def tell(_):
    import sys
    return sys.executable

{more}
for start in ("forkserver", "spawn"):
    assert sys.executable not in allcores.map(tell, range(2), start=start)
"""


@pytest.mark.parametrize("known", ["other", "", None])
def test_a_python_is_found_beside_the_program_that_has_it_built_in(known, other, run_python):
    run_python(EMBEDDED.format(other=str(other) if known else known) + FOUND.format(more=""))
    assert not Path(f"{other}.trace").exists()


def test_a_python_that_multiprocessing_was_told_will_do(other, run_python):
    told = "import multiprocessing; multiprocessing.set_executable(REAL)"
    run_python(ALONE.format(other=str(other)) + FOUND.format(more=told))
    assert not Path(f"{other}.trace").exists()


ASKING = """
import sys, threading
import allcores

sys.frozen, sys.executable = True, {launcher!r}
allcores.freeze_support()
print("begun")

def tell(x):
    import os
    return x, os.getppid()

if __name__ == "__main__":
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        for start in ("auto", "forkserver", "spawn"):
            results = allcores.map(tell, range(3), start=start)
            assert [x for x, _ in results] == [0, 1, 2]
            assert results.report.plan.start != "fork"
            with allcores.Pool(2, start=start) as pool:
                assert pool.map(lambda x: tell(x)[0], range(3)) == [0, 1, 2]
    finally:
        end.set()
"""


def test_a_frozen_program_that_asks_whether_it_is_a_worker_can_be_started_as_one(run_python, tmp_path):
    launcher = tmp_path / "frozen"
    launcher.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "program.py"} "$@"\n')
    launcher.chmod(0o755)
    assert run_python(ASKING.format(launcher=str(launcher))).stdout == "begun\n"
