"""Ctrl-C: one KeyboardInterrupt, one traceback, no process left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

PROMPT_SECONDS = 2.0  # within which the prompt is back

PROGRAM = """
import signal
import allcores

signal.signal(signal.SIGINT, signal.default_int_handler)  # the test itself may run where Ctrl-C is ignored

def work(x):
    if x == 20:
        print("busy", flush=True)
    if x >= 20:
        {busy}
    return x

results = None
try:
    {call}
except KeyboardInterrupt as error:
    finished = allcores.finished(error)
    print(len(finished) > 10, set(finished) <= set(range(20)), finished == {{x: x for x in finished}}, flush=True)
    raise
"""

CALLS = {
    "map": "allcores.map(work, range(1000), start={start!r}, batch=1)",
    "map of a stream": "allcores.map(work, iter(range(1000)), start={start!r}, batch=1)",
    "imap": "results = allcores.imap(work, range(1000), start={start!r}, batch=1)\n    next(results), list(results)",
}
BUSY = {
    "sleeping": "__import__('time').sleep(1000)",
    "in C code that holds the lock": "__import__('re').match('(a+)+$', 'a' * 60 + 'b')",
}


@pytest.mark.parametrize("busy", BUSY)
@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_raises_once_and_leaves_no_process(start, call, busy, tmp_path):
    source = PROGRAM.format(call=CALLS[call].format(start=start), busy=BUSY[busy])
    driver, out, err, left = _interrupt(source, tmp_path)
    assert left == []
    assert driver == -signal.SIGINT
    if call != "imap":
        assert out == "True True True\n"
    assert err.count("Traceback (most recent call last)") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")


def _interrupt(source: str, folder: Path) -> tuple[int, str, str, list[psutil.Process]]:
    """Run the program as a terminal would, in a process group of its own, and interrupt the group when it is busy.

    Returns:
        The exit code, what it printed, and which of its processes are left.
    """
    script = folder / "program.py"
    script.write_text(source)
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "busy\n"
        family = psutil.Process(driver.pid).children(recursive=True)
        os.killpg(driver.pid, signal.SIGINT)
        out, err = driver.communicate(timeout=PROMPT_SECONDS)
        _, left = psutil.wait_procs(family, timeout=PROMPT_SECONDS)
    return driver.returncode, out, err, left
