"""What it costs to lose nothing: timeout= and resume= beside a run without, and how soon a death or Ctrl-C is told.

No peer has these; `python -m benchmarks.recovery`, from the project's folder.
"""

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
from typing import Any

import allcores
from benchmarks.cases.durations import use_core
from benchmarks.cases.small import square
from benchmarks.table import write_table

ROUNDS = 5


@contextmanager
def journals() -> Iterator[Callable[[], str]]:
    """Give paths of journals that do not exist yet."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = count()
        yield lambda: str(Path(folder, f"{next(numbers)}.journal"))


def compare_costs(function: Callable[[int], int], items: range) -> str:
    """Tabulate what each feature adds to a run over `items`."""
    with journals() as new_journal:
        finished = new_journal()
        allcores.map(function, items, resume=finished)
        ways: dict[str, Callable[[], dict[str, Any]]] = {
            "none of it": dict,
            "timeout=60": lambda: {"timeout": 60},
            "retries=2": lambda: {"retries": 2},
            "resume=, a new journal": lambda: {"resume": new_journal()},
            "resume=, all is recorded": lambda: {"resume": finished},
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, options in ways.items():
                begun = time.perf_counter()
                allcores.map(function, items, **options())
                seconds[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    plain = medians["none of it"]
    rows = [
        [name, f"{median:.3f} s", f"{median / plain:.3f}", f"{(median - plain) / len(items) * 1e6:+.2f} us"]
        for name, median in medians.items()
    ]
    return write_table(("with", "time", "x none of it", "more per item"), rows)


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
            return time.monotonic() - float(Path(path).read_text())
    raise AssertionError("it did not die")


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


MOMENTS = {
    "from a death to its report": seconds_from_death_to_report,
    "start, then from a time limit to its report": seconds_from_limit_to_report,
    "from Ctrl-C to the prompt": seconds_from_interrupt_to_prompt,
}


def compare_moments() -> str:
    """Tabulate how soon what happened is told."""
    rows = []
    for name, measure in MOMENTS.items():
        for start in ("fork", "forkserver", "spawn"):
            taken = [measure(start) for _ in range(ROUNDS)]
            rows.append([name, start, f"{statistics.median(taken) * 1e3:.1f} ms", f"{max(taken) * 1e3:.1f} ms"])
    return write_table(("how soon", "start", "median", "at most"), rows)


def main() -> None:
    print("2,000 items of 1 ms:", "", compare_costs(use_core, range(2_000)), sep="\n")
    print("100,000 trivial items:", "", compare_costs(square, range(100_000)), sep="\n")
    print(compare_moments())


if __name__ == "__main__":
    main()
