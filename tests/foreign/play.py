"""Play suites in programs of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

TESTS = Path(__file__).parent.parent


def is_installed(module: str) -> bool:
    """Whether this Python has a module of its own tests, for not every one has them."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def play(*runs: str, folder: Path, seconds: float, module: str = "foreign.run") -> str:
    """Play runs side by side, each given by the arguments of a module.

    Args:
        runs: the arguments, as in ``"pool --start fork"``.
        folder: where they run, as some leave files.
        seconds: for all of them; a run that takes longer is aborted, and tells where it was.
        module: is run.

    Returns:
        What those that did not pass have printed: nothing, if all is well.
    """
    with ThreadPoolExecutor(len(runs)) as threads:
        return "\n".join(filter(None, threads.map(partial(_play, module, folder=folder, seconds=seconds), runs)))


def _play(module: str, arguments: str, folder: Path, seconds: float) -> str:
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        start_new_session=True,
    ) as process:
        try:
            output = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            return f"=== {arguments}: it, or a process that it left, took longer than {seconds} s\n{_abort(process)}"
    return f"=== {arguments}\n{output}" if process.returncode else ""


def _abort(process: subprocess.Popen[str]) -> str:
    """End a program, which tells where it is, and all that it started; give what it printed."""
    process.send_signal(signal.SIGABRT)
    process.wait()
    with suppress(ProcessLookupError):  # nobody is left
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]
