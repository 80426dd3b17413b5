"""Shared memory of multiprocessing's that was made in workers outlives these, as it outlives its own children."""

from __future__ import annotations

import os

import pytest

from allcores._system.tracking import SharedTracker

pytestmark = pytest.mark.once

MADE_BY_WORKERS = """
import sys, allcores
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

def make(number):
    block = SharedMemory(create=True, size=16)
    block.buf[0] = number
    block.close()
    return block.name

if {is_running}:
    resource_tracker.ensure_running()
if "{call}" == "map":
    names = allcores.map(make, range(4), workers=2, start="{start}", recycle=1)
else:
    with allcores.Pool(2, start="{start}") as pool:
        names = pool.map(make, range(4))
        pool.close()
        pool.join()
blocks = [SharedMemory(name) for name in names]
assert [block.buf[0] for block in blocks] == [0, 1, 2, 3]
for block in blocks:
    block.close()
    block.unlink()
"""


@pytest.mark.parametrize("is_running", [False, True], ids=["first use", "in use"])
@pytest.mark.parametrize("call", ["map", "Pool"])
def test_what_a_worker_makes_is_there_when_it_has_ended(start, call, is_running, run_python):
    """And nobody says at the end that something was left behind."""
    finished = run_python(MADE_BY_WORKERS.format(start=start, call=call, is_running=is_running))
    assert finished.stderr == ""


OPENED_BY_WORKERS = """
import allcores
from multiprocessing.shared_memory import SharedMemory

block = SharedMemory(create=True, size=16)
name = block.name

def look(number):
    opened = SharedMemory(name)
    opened.close()
    return number

assert allcores.map(look, range(4), workers=2, start="{start}", recycle=1) == [0, 1, 2, 3]
again = SharedMemory(name)
for each in (again, block):
    each.close()
block.unlink()
"""


def test_what_a_worker_opens_is_there_when_it_has_ended(start, run_python):
    assert run_python(OPENED_BY_WORKERS.format(start=start)).stderr == ""


LEFT = """
import allcores
from multiprocessing.shared_memory import SharedMemory

def make(_):
    block = SharedMemory(create=True, size=16)
    block.close()
    return block.name

print(*allcores.map(make, range(2), workers=2, start="{start}"))
"""


def test_what_nobody_removes_is_removed_at_the_end_of_the_program(start, run_python):
    finished = run_python(LEFT.format(start=start), warnings="default")
    assert "2 leaked shared_memory objects" in finished.stderr  # the tracker's last words
    assert not {name for name in finished.stdout.split() if os.path.exists(f"/dev/shm/{name}")}


def test_nothing_runs_for_who_only_asks():
    tracker = SharedTracker()
    os.write(tracker.descriptor, b"PROBE:0:noop\n" * 3)
    tracker.forward()
    tracker.close()
