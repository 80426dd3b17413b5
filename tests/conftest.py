"""Fixtures: the start methods, and the check that a test leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

START_METHODS = ("fork", "forkserver", "spawn")
GONE_SECONDS = 5.0  # for the system to show that a process or a thread has ended

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=START_METHODS)
def start(request: pytest.FixtureRequest) -> str:
    """Each way of starting processes."""
    return str(request.param)


@pytest.fixture(params=("fork", "forkserver", "spawn", "threads", "serial"))
def place(request: pytest.FixtureRequest) -> dict[str, str]:
    """Options for each place that items can run in."""
    if request.param in START_METHODS:
        return {"start": request.param}
    return {"on": request.param}


@pytest.fixture
def run_python(tmp_path: Path) -> Shell:
    """Run a program in a Python of its own: ``run_python(source, how="script" | "-c" | "stdin" | "repl")``.

    The program fails the test if it exits with another code than `code`, or takes longer than `timeout` seconds.
    """

    def run(
        source: str, *, how: str = "script", code: int = 0, timeout: float = 40
    ) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "program.py"
        script.write_text(source)
        arguments = {"script": [str(script)], "-c": ["-c", source], "stdin": ["-"], "repl": ["-i", "-q"]}[how]
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            input=source if how in ("stdin", "repl") else "",
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(autouse=True)
def leaves_nothing() -> Iterator[None]:
    """Fail a test that leaves a process, a thread, a descriptor, shared memory or a temporary file."""
    descriptors, threads, files = _descriptors(), set(threading.enumerate()), _shared_files()
    yield
    clean = sys.modules.get("allcores._engines.clean")
    if clean is not None:
        clean.warm_set.close()
    _wait_until(lambda: not psutil.Process().children(recursive=True))
    _wait_until(lambda: set(threading.enumerate()) <= threads)
    assert psutil.Process().children(recursive=True) == []
    assert set(threading.enumerate()) <= threads
    assert _descriptors() <= descriptors
    assert _shared_files() <= files


def _descriptors() -> set[tuple[int, str]]:
    """The descriptors that are open, less the mark board, which this process keeps."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the listing's own
            continue
        if "allcores-marks" not in target:
            found.add((int(name), target))
    return found


def _shared_files() -> set[str]:
    places = ("/dev/shm", tempfile.gettempdir())
    return {name for place in places if os.path.isdir(place) for name in os.listdir(place) if "allcores" in name}


def _wait_until(is_so: Callable[[], bool]) -> None:
    """Poll, since the end of a process that is not our child gives no event."""
    deadline = time.monotonic() + GONE_SECONDS
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.005)
