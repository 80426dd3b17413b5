"""One process at a time holds a lock; whatever ends it, the lock is free again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from allcores._system.lockfile import LockFile

pytestmark = pytest.mark.once

HOLD = """
import os, sys
from allcores._system.lockfile import LockFile

lock = LockFile(sys.argv[1])
if "fork" not in sys.argv or os.fork() == 0:
    print(os.getpid(), flush=True)
sys.stdin.read()  # until the test lets it go
os._exit(0)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


def hold_elsewhere(path: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, path, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_lock_is_held_until_it_is_released_and_leaves_no_file(path: str):
    lock = LockFile(path)
    assert lock.is_held
    lock.release()
    assert not lock.is_held
    assert not os.path.exists(path)
    lock.release()  # a second time is nothing


def test_a_process_cannot_take_the_same_lock_twice(path: str):
    lock = LockFile(path)
    with pytest.raises(BlockingIOError, match="this very process"):
        LockFile(path)
    assert lock.is_held
    lock.release()
    LockFile(path).release()


def test_who_comes_second_hears_who_holds_it_until_that_one_is_killed(path: str):
    with hold_elsewhere(path) as holder:
        holder.stdout.readline()
        with pytest.raises(BlockingIOError, match=f"process {holder.pid} on "):
            LockFile(path)
        holder.kill()
        holder.wait()
        LockFile(path).release()


def test_a_forked_child_does_not_keep_the_lock_of_a_parent_that_was_killed(path: str, outliving):
    with hold_elsewhere(path, "fork") as holder:
        child = int(holder.stdout.readline())
        holder.kill()
        holder.wait()
        LockFile(path).release()
        assert psutil.pid_exists(child)
        holder.stdin.close()
        assert outliving([child]) == set()


def test_a_forked_child_that_releases_takes_nothing_from_its_parent(path: str):
    lock = LockFile(path)
    child = os.fork()
    if child == 0:
        lock.release()
        os._exit(3 if lock.is_held else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.path.exists(path)
    with pytest.raises(BlockingIOError):
        LockFile(path)
    lock.release()


def test_a_program_that_is_started_meanwhile_does_not_inherit_the_lock(path: str):
    lock = LockFile(path)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE):
        lock.release()
        LockFile(path).release()


@pytest.mark.parametrize("left", ["", "process 1 on elsewhere, and more", "\udcff"], ids=["empty", "signed", "garbage"])
def test_a_file_that_nobody_holds_is_taken_whatever_is_in_it(path: str, left: str):
    Path(path).write_bytes(os.fsencode(left))
    lock = LockFile(path)
    assert Path(path).read_text() == f"process {os.getpid()} on {os.uname().nodename}"
    lock.release()


def test_the_file_is_private(path: str):
    before = os.umask(0)
    try:
        lock = LockFile(path)
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o777 == 0o600
    lock.release()


def test_a_lock_whose_file_somebody_removed_is_released_all_the_same(path: str):
    lock = LockFile(path)
    os.unlink(path)
    lock.release()
    assert not lock.is_held


def test_many_take_turns_and_no_two_hold_it_at_once(path: str, tmp_path: Path):
    """Each removes the file while others are about to lock it."""
    program = """
import os, sys
from allcores._system.lockfile import LockFile

taken = 0
while taken < 200:
    try:
        lock = LockFile(sys.argv[1])
    except BlockingIOError:
        continue
    os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))  # fails if anybody else is in here
    os.unlink(sys.argv[2])
    lock.release()
    taken += 1
"""
    command = [sys.executable, "-c", program, path, str(tmp_path / "inside")]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert os.listdir(tmp_path) == []
