"""In a program that gevent or eventlet has patched, results are right, and a fork is refused."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

pytestmark = pytest.mark.once

# What eventlet leaves of the system's ways to wait.
FAKE = """
import select, selectors
def patch():
    system_select = select.select
    def green_select(*arguments):
        return system_select(*arguments)
    green_select.__module__ = "greenery.select"
    select.select = green_select
    del select.poll, select.epoll
    selectors.DefaultSelector = selectors.SelectSelector
def side_by_side(call):
    return [call() for _ in range(3)]
"""
GEVENT = """
from gevent import monkey, spawn
def patch():
    monkey.patch_all()
def side_by_side(call):
    return [greenlet.get() for greenlet in [spawn(call) for _ in range(3)]]
"""
EVENTLET = """
import eventlet
def patch():
    eventlet.monkey_patch()
def side_by_side(call):
    return [greenlet.wait() for greenlet in [eventlet.spawn(call) for _ in range(3)]]
"""
LIBRARIES = {"greenery": FAKE, "gevent": GEVENT, "eventlet": EVENTLET}

PROGRAM = """
import os
import allcores
from allcores import Executor, Pool
{late}
caller = os.getpid()

def work(x):
    return x * x, os.getpid() != caller

expected = [(x * x, True) for x in range(100)]

assert allcores.plan().start == "forkserver"
assert "{library} has patched this program" in allcores.plan().start_reason
assert side_by_side(lambda: allcores.map(work, range(100), workers=2)) == [expected] * 3
assert list(allcores.imap(work, iter(range(100)), workers=2)) == expected
with Pool(2) as pool:
    assert pool.map(work, range(100)) == expected
    assert list(pool.imap(work, iter(range(100)))) == expected
    assert pool.apply(work, (3,)) == (9, True)
with Executor(2) as executor:
    assert list(executor.map(work, range(100))) == expected
    futures = [executor.submit(work, x) for x in range(10)]
    assert side_by_side(lambda: [future.result() for future in futures]) == [expected[:10]] * 3
try:
    allcores.map(work, range(3), start="fork")
except ValueError as error:
    assert "{library} has patched this program" in str(error)
else:
    raise SystemExit("it has forked")
print("done")
"""


@pytest.mark.parametrize("when", ["before allcores is imported", "after it has run something"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_patched_program(library: str, when: str, run_python: Any):
    if library != "greenery" and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    is_late = when.startswith("after")
    late = "allcores.map(abs, [1, 2], start='forkserver')\npatch()" if is_late else ""
    program = LIBRARIES[library] + ("" if is_late else "patch()\n") + PROGRAM
    done = run_python(
        program.format(late=late, library=library),
        warnings="ignore" if library == "eventlet" else "error",  # it warns of itself
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
