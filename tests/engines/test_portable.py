"""The portable path: what a system without Linux's own ways would take, forced on Linux."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import allcores
from allcores._system import cores, lifeline


@pytest.fixture(autouse=True)
def poor_system(monkeypatch):
    """No descriptors for processes, no memory descriptors, no signal at the parent's death."""
    for name in ("pidfd_open", "memfd_create", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(sys, "platform", "elsewhere")


def test_results_are_the_same(start):
    assert allcores.map(lambda x: x * x, range(1000), start=start) == [x * x for x in range(1000)]


def test_a_death_is_still_blamed_on_its_item(start):
    results = allcores.map(lambda x: x if x != 17 else os._exit(3), range(100), start=start, errors="collect")
    assert [failure.index for failure in results.failures] == [17]
    assert results.failures[0].exception.exit == "exit code 3"


def test_a_worker_whose_child_keeps_running_is_still_seen_to_die(start, tmp_path):
    """The child inherits the worker's end of the channel only if it is forked by hand."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def run(x: int) -> int:
        if x == 5:
            subprocess.Popen(["cat", str(fifo)], stdout=subprocess.DEVNULL, start_new_session=True)
            os._exit(1)
        return x

    results = allcores.map(run, range(10), start=start, errors="collect")
    assert [failure.index for failure in results.failures] == [5]
    fifo.write_bytes(b"")


def test_auto_does_not_fork_elsewhere():
    plan = allcores.plan()
    assert plan.start == "forkserver"
    assert "elsewhere" in plan.start_reason


def test_cores_are_the_machines():
    assert cores.usable_cores() <= (os.cpu_count() or 1)
    assert "the machine's cores" in [why for _, why in cores.bounds_of_cores()]


def test_no_lifeline_is_no_error():
    assert lifeline.die_with_parent(os.getppid()) is None
