"""What it costs to lose nothing: timeout= and resume= beside a run without, and how soon a death or Ctrl-C is told."""

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from _rounds import compare, say_where

import allcores

WORK_NS = 1_000_000
ROUNDS = 9


def work(x: int) -> int:
    """Use a core for a millisecond of its own time, so that nothing which takes the core away is hidden."""
    end = time.process_time_ns() + WORK_NS
    while time.process_time_ns() < end:
        pass
    return x


def square(x: int) -> int:
    return x * x


@contextmanager
def journals() -> Iterator[Callable[[], str]]:
    """Give paths of journals that do not exist yet."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = count()
        yield lambda: str(Path(folder, f"{next(numbers)}.journal"))


def compare_costs(function: Callable[[int], int], items: range) -> None:
    """Print what each feature adds to a run over `items`."""
    with journals() as new_journal:
        finished = new_journal()
        allcores.map(function, items, resume=finished)
        ways = {
            "neither": lambda: allcores.map(function, items),
            "timeout=60": lambda: allcores.map(function, items, timeout=60),
            "retries=2": lambda: allcores.map(function, items, retries=2),
            "resume=, a new journal": lambda: allcores.map(function, items, resume=new_journal()),
            "resume=, all is recorded": lambda: allcores.map(function, items, resume=finished),
        }
        medians = compare(ways, rounds=ROUNDS)
    for name, median in medians.items():
        extra = (median - medians["neither"]) / len(items)
        print(f"{name:34} {extra * 1e6:+8.2f} us per item, {median / medians['neither'] - 1:+7.1%}")


def die(path: str) -> None:
    """Write down when, and die."""
    Path(path).write_text(repr(time.monotonic()))
    os.kill(os.getpid(), signal.SIGKILL)


def seconds_from_death_to_report(start: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "moment"))
        try:
            allcores.map(die, [path], start=start, workers=1)
        except allcores.WorkerDied:
            told = time.monotonic()
        return told - float(Path(path).read_text())


INTERRUPTED = """
import re, sys, allcores
def busy(x):
    print("busy", flush=True)
    re.match("(a+)+$", "a" * 60 + "b")  # C code that holds the interpreter's lock for ever
allcores.map(busy, range(10), start=sys.argv[1])
"""


def seconds_from_interrupt_to_prompt(start: str) -> float:
    command = [sys.executable, "-c", INTERRUPTED, start]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, process_group=0) as driver:
        assert driver.stdout is not None
        driver.stdout.readline()
        begun = time.monotonic()
        os.killpg(driver.pid, signal.SIGINT)
        driver.wait()
        return time.monotonic() - begun


def seconds_from_limit_to_report(start: str) -> float:
    limit = 0.1
    begun = time.monotonic()
    try:
        allcores.map(lambda _: re.match("(a+)+$", "a" * 60 + "b"), [0], timeout=limit, start=start, workers=1)
    except TimeoutError:
        return time.monotonic() - begun - limit
    raise AssertionError("it ended by itself")


say_where()
print(f"--- 2,000 items of 1 ms, {ROUNDS} rounds")
compare_costs(work, range(2_000))
print(f"--- 100,000 trivial items, {ROUNDS} rounds")
compare_costs(square, range(100_000))
print(f"--- how soon, medians of {ROUNDS}")
for start in ("fork", "forkserver", "spawn"):
    moments = {
        "death to report": seconds_from_death_to_report,
        "start, then time limit to report": seconds_from_limit_to_report,
        "Ctrl-C to the prompt": seconds_from_interrupt_to_prompt,
    }
    for name, measure in moments.items():
        taken = [measure(start) for _ in range(ROUNDS)]
        print(f"{start:11} {name:34} {statistics.median(taken) * 1e3:7.1f} ms  (at most {max(taken) * 1e3:.1f})")
