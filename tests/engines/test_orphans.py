"""Whatever ends the driver, its workers and their fork server end with it, even in C code, and leave no file behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.once, pytest.mark.starts]

GONE_SECONDS = 2.0  # within which nothing of the driver's is left

Driver = subprocess.Popen[bytes]

PROGRAM = """
import os, re, signal, sys
import allcores

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the test itself may run where it is ignored
os.close(os.open(os.ttyname(0), os.O_RDWR))  # makes it this session's terminal

def work(item):
    if item is None:
        os.write(1, b"busy\\n")
        re.match("(a+)+$", "a" * 60 + "b")  # in C code that holds the interpreter's lock
    return bytearray(item)

def run(start, call):
    large = [bytes(8 << 20)] * 4  # so that large items and results are here and there and on their way
    options = {"workers": 2, "batch": 1, "start": start}
    if call == "map":
        allcores.map(work, large + [None] * 4, **options)
    else:
        results = allcores.imap(work, iter(large + [None] * 4), **options)
        kept = [next(results), next(results)]
        list(results)
"""
RUN = "run(*sys.argv[1:])"
EXIT_AT_SIGTERM = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))"
RUN_OFTEN = "print('running', flush=True)\nwhile True: allcores.map(bytearray, [1 << 20] * 50, start=sys.argv[1])"

ENDINGS: dict[str, tuple[str, Callable[[Driver, FileIO], None]]] = {
    "SIGTERM": ("map", lambda driver, terminal: driver.terminate()),
    "SIGKILL": ("imap", lambda driver, terminal: driver.kill()),
    "SIGHUP": ("imap", lambda driver, terminal: driver.send_signal(signal.SIGHUP)),
    "its terminal is closed": ("map", lambda driver, terminal: terminal.close()),
}


@pytest.fixture(autouse=True)
def leaves_no_file(tmp_path: Path) -> Iterator[None]:
    """Fail a test whose program leaves a file in its temporary folder or in shared memory."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    before = set(_shared_files())
    yield
    deadline = time.monotonic() + GONE_SECONDS
    while (left := {*_shared_files(), *temporary.iterdir()} - before) and time.monotonic() < deadline:
        time.sleep(0.005)  # others may use shared memory, too
    assert left == set()


def _shared_files() -> Iterator[Path]:
    """Give the files in shared memory that may be ours: others use it, too."""
    return Path("/dev/shm").glob("*allcores*")


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_outlives_the_driver(start, ending, tmp_path, outliving):
    call, end = ENDINGS[ending]
    with running(PROGRAM + RUN, tmp_path, start, call) as (driver, terminal):
        family = busy_family(driver)
        end(driver, terminal)
        assert ends_quietly(driver)
        assert outliving(family) == set()
    assert driver.returncode < 0


def test_nothing_outlives_a_driver_that_exits_at_sigterm(start, tmp_path, outliving):
    with running(PROGRAM + EXIT_AT_SIGTERM + "\n" + RUN, tmp_path, start, "map") as (driver, _):
        family = busy_family(driver)
        driver.terminate()
        assert ends_quietly(driver)
        assert outliving(family) == set()
    assert driver.returncode == 3


def test_nothing_outlives_a_driver_that_is_killed_at_any_moment(start, tmp_path):
    chance = random.Random(start)
    for _ in range(4):
        with running(PROGRAM + RUN_OFTEN, tmp_path, start) as (driver, _):
            assert driver.stdout is not None
            assert driver.stdout.readline() == b"running\n"
            time.sleep(chance.uniform(0, 0.1))  # that the moment is any is what this is about
            driver.kill()
            assert ends_quietly(driver)


@contextmanager
def running(source: str, folder: Path, *arguments: str) -> Iterator[tuple[Driver, FileIO]]:
    """Run a program in a session of its own, of which nothing is left at the end; give the program and its terminal."""
    script = folder / "program.py"
    script.write_text(source)
    ours, theirs = os.openpty()
    with (
        FileIO(ours) as terminal,
        subprocess.Popen(
            [sys.executable, "-W", "error", str(script), *arguments],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(folder / "temporary")},
            start_new_session=True,
        ) as driver,
    ):
        os.close(theirs)
        try:
            yield driver, terminal
        finally:
            with suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)


def busy_family(driver: Driver) -> set[int]:
    """Wait until both workers are busy; give the process ids of them, and of what else the driver has started."""
    assert driver.stdout is not None
    assert [driver.stdout.readline() for _ in range(2)] == [b"busy\n"] * 2
    return {process.pid for process in psutil.Process(driver.pid).children(recursive=True)}


def ends_quietly(driver: Driver) -> bool:
    """Whether all that have the program's pipes, known or not, end within the time, and say nothing."""
    return driver.communicate(timeout=GONE_SECONDS) == (b"", b"")
