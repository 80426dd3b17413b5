"""A worker that nobody kills brings to an end what it has begun, and what it has started ends with it."""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import allcores
from allcores._engines.processes import endings
from allcores._worker import exit as worker_exit

pytestmark = pytest.mark.once


def in_map(function: Callable[[], int], start: str) -> int:
    return allcores.map(lambda _: function(), [None], start=start)[0]


def in_replaced_worker(function: Callable[[], int], start: str) -> int:
    (pid,) = allcores.imap(lambda _: function(), iter([None]), start=start, recycle=1)
    return pid


def in_pool(function: Callable[[], int], start: str) -> int:
    with allcores.Pool(1, start=start) as pool:
        pid = pool.apply(function)
        pool.close()
        pool.join()
        return pid


def in_executor(function: Callable[[], int], start: str) -> int:
    with allcores.Executor(1, start=start) as executor:
        return executor.submit(function).result()


WAYS = [in_map, in_replaced_worker, in_pool, in_executor]


# ------------------------------------------------------------------------------------------------ what it has begun


def touch_later(path: Path) -> int:
    threading.Timer(0.1, path.touch).start()
    return os.getpid()


def touch_at_exit(path: Path) -> int:
    atexit.register(path.touch)
    return os.getpid()


def touch_finally(path: Path) -> int:
    multiprocessing.util.Finalize(None, path.touch, exitpriority=5)
    return os.getpid()


@pytest.mark.parametrize(
    ("begin", "way"),
    [
        (touch_later, in_replaced_worker),
        (touch_later, in_executor),
        (touch_at_exit, in_pool),
        (touch_finally, in_executor),
    ],
)
def test_what_was_left_for_the_end_is_done(start, way, begin, tmp_path, outliving):
    pid = way(partial(begin, tmp_path / "touched"), start)
    assert outliving([pid]) == set()
    assert (tmp_path / "touched").exists()


def touch_in_process(path: Path) -> int:
    multiprocessing.get_context("fork").Process(target=touch_late, args=(path,)).start()
    return os.getpid()


def touch_late(path: Path) -> None:
    threading.Event().wait(0.1)
    path.touch()


@pytest.mark.parametrize("way", [in_map, in_executor])  # in a pool, none can be started
def test_processes_that_are_no_daemons_are_waited_for(start, way, tmp_path):
    way(partial(touch_in_process, tmp_path / "touched"), start)
    assert (tmp_path / "touched").exists()


def wait_for_ever() -> int:
    threading.Thread(target=threading.Event().wait).start()
    return os.getpid()


def test_what_never_ends_is_not_waited_for(monkeypatch, outliving):
    monkeypatch.setattr(worker_exit, "SHUTDOWN_SECONDS", 0.1)
    pid = in_pool(wait_for_ever, "fork")
    assert outliving([pid]) == set()


def test_nor_what_does_not_hear(monkeypatch, outliving):
    """What hinders even the worker's own alarm is ended by the driver."""
    monkeypatch.setattr(worker_exit, "SHUTDOWN_SECONDS", 1000)
    monkeypatch.setattr(endings, "PROMPT_SECONDS", 0.1)
    pid = in_pool(wait_for_ever, "fork")
    assert outliving([pid]) == set()


# ---------------------------------------------------------------------------------------------- what it has started


def start_program() -> int:
    return subprocess.Popen(["sleep", "1000"]).pid


def start_program_of_a_program() -> int:
    shell = subprocess.Popen(["sh", "-c", "sleep 1000 & echo $!; wait"], stdout=subprocess.PIPE)
    return int(shell.stdout.readline())


def start_daemon() -> int:
    daemon = multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True)
    daemon.start()
    return daemon.pid


def start_pool_of_another() -> int:
    global kept  # noqa: PLW0603 - as libraries keep theirs
    kept = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    return kept.submit(os.getpid).result()


@pytest.mark.parametrize(
    ("begin", "way"), [(start_program_of_a_program, in_map), *((start_program, way) for way in WAYS)]
)
def test_programs_end_with_the_worker(start, way, begin, outliving):
    assert outliving([way(begin, start)]) == set()


@pytest.mark.parametrize(
    ("begin", "way"), [(start_daemon, in_map), (start_pool_of_another, in_map), (start_pool_of_another, in_executor)]
)
def test_processes_of_others_end_with_the_worker(start, way, begin, outliving):
    assert outliving([way(begin, start)]) == set()


def test_a_program_in_a_session_of_its_own_does_not(start):
    def run() -> int:
        return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid

    pid = in_map(run, start)
    process = os.pidfd_open(pid)  # before the number could be another's
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)  # raises if it has ended
    finally:
        os.close(process)


def test_a_worker_without_processes_stays_warm(clean_start):
    """Though it has run some, and a tracker still runs."""

    def run() -> int:
        subprocess.run([sys.executable, "-c", ""], check=True)
        multiprocessing.get_context("fork").Lock()
        return os.getpid()

    assert in_map(run, clean_start) == in_map(run, clean_start)


def test_a_fork_server_inside_ends_with_the_worker(start, outliving):
    def nest() -> int:
        return allcores.map(lambda _: os.getpid(), [None], start="forkserver")[0]

    with allcores.Pool(1, start=start) as pool:
        pid = pool.apply(nest)
        pool.close()
        pool.join()
    assert outliving([pid]) == set()


# ------------------------------------------------------------------------------------------------- when one is killed

BUSY = """
import multiprocessing, os, signal, subprocess
import allcores

def work(_):
    program = subprocess.Popen(["sleep", "1000"])
    daemon = multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True)
    daemon.start()
    print(program.pid, daemon.pid, flush=True)
    {then}

try:
    allcores.map(work, [None], start="{start}")
except allcores.WorkerDied:
    signal.pause()
"""


@pytest.mark.parametrize("killed", ["the caller", "the worker"])
def test_programs_and_processes_end_with_whoever_is_killed(start, killed, tmp_path, outliving):
    then = {"the caller": "signal.pause()", "the worker": "os.kill(os.getpid(), signal.SIGKILL)"}[killed]
    script = tmp_path / "program.py"
    script.write_text(BUSY.format(start=start, then=then))
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as caller:
        try:
            pids = {int(pid) for pid in caller.stdout.readline().split()}
            assert len(pids) == 2
            if killed == "the caller":
                caller.kill()
            assert outliving(pids) == set()
        finally:
            caller.kill()
