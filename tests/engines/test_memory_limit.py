"""Items that memory does not suffice for: side by side, alone, or by the caller's own limit."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import allcores

pytestmark = pytest.mark.once

MB = 10**6
GROUP = 300 << 20  # bytes, of which the program and its workers have up to a quarter before their first item

Group = Callable[[str], list[str]]


@pytest.fixture
def run_in_group(memory_group, tmp_path: Path, start: str) -> Group:
    """Run a program in a group of `GROUP` bytes, with the start method as its argument; give the lines it prints."""

    def run(source: str) -> list[str]:
        script = tmp_path / "program.py"
        script.write_text(source)
        done = memory_group(GROUP).run([sys.executable, "-W", "error", str(script), start])
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


# ------------------------------------------------------------------------------------------------------- out of memory

SIDE_BY_SIDE = """
import os, sys, time
import allcores

os.chdir(os.path.dirname(__file__))
for name in ("0", "1"):
    os.mkfifo(name)

def run(x):
    tries = allcores.current_item().tries
    is_first = x < 2 and tries == 1
    if is_first:  # it waits until the other has begun, too
        ends = {name: os.open(name, os.O_WRONLY if name == str(x) else os.O_RDONLY) for name in ("0", "1")}
    data = bytearray(b"x") * (160 << 20)
    if is_first:  # and keeps what it has until the other has ended
        os.read(ends[str(1 - x)], 1)
    else:
        time.sleep(0.02)
    return len(data), tries

results = allcores.map(run, range(10), start=sys.argv[1], workers=2, batch=1)
report = results.report
print({size >> 20 for size, _ in results}, sum(tries for _, tries in results) == report.tries)
print(report.tries - report.deaths, report.deaths, repr(report))
"""


def test_items_that_do_not_fit_side_by_side_all_yield_their_results(run_in_group):
    """The kernel ends one of the first two, which is tried again alone; from then on no more run at once than fit."""
    results, report = run_in_group(SIDE_BY_SIDE)
    assert results == "{160} True"
    succeeded, deaths, report = report.split(" ", 2)
    assert succeeded == "10"
    assert int(deaths) == 1  # without a limit, the kernel ends about every other item
    assert report.startswith(f"<Report: 10 items, {deaths} tried again, {deaths} worker")


TOO_LARGE = """
import sys
import allcores

def run(x):
    data = bytearray(b"x") * ((400 if x == 3 else 10) << 20)
    return len(data) >> 20

results = allcores.map(run, range(12), start=sys.argv[1], workers=2, batch=4, errors="collect")
(failure,) = results.failures
error = failure.exception
print([x for x, size in enumerate(results) if size == 10], failure.index, failure.tries)
print(type(error).__name__, error.exit, error.is_out_of_memory, error.memory > 200 << 20, results.report.deaths)
print(error)
"""


def test_an_item_that_does_not_even_fit_alone_fails_alone(run_in_group):
    others, error, text = run_in_group(TOO_LARGE)
    assert others == "[0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11] 3 2"
    assert error == "WorkerDied SIGKILL True True 2"
    assert "was killed by SIGKILL (by the kernel's out-of-memory killer; fewer workers=" in text
    assert text.endswith("while it ran item 3 (3), try 2 of 2")


TWO_AT_ONCE = """
import os, select, sys
from contextlib import suppress
from pathlib import Path
import allcores

os.chdir(os.path.dirname(__file__))
for name in ("1", "2", "go 1", "go 2"):
    os.mkfifo(name)

def run(x):
    if x == 0:
        return [int(Path(name).read_text()) for name in ("1", "2")]
    if allcores.current_item().tries == 1:
        Path(str(x)).write_text(str(os.getpid()))
        Path(f"go {x}").read_text()
        bytearray(b"x") * (400 << 20)
    return allcores.current_item().tries

results = allcores.imap(run, range(3), start=sys.argv[1], workers=3, batch=1)
pids = next(results)
for name in ("go 1", "go 2"):
    Path(name).write_text("!")
for pid in pids:  # the run waits for its consumer until both are killed
    with suppress(ProcessLookupError):  # and somebody has waited for it
        select.select([os.pidfd_open(pid)], [], [])
print(list(results), results.report.deaths)
"""


def test_workers_that_the_kernel_ends_before_the_first_is_looked_into_are_all_out_of_memory(run_in_group):
    assert run_in_group(TWO_AT_ONCE) == ["[2, 2] 2"]


def test_a_sigkill_of_unknown_origin_has_a_likely_cause_and_the_peak_of_memory(start):
    def run(_: None) -> None:
        size = len(bytearray(b"x") * (100 * MB))
        os.kill(os.getpid(), signal.SIGKILL if size else 0)

    (failure,) = allcores.map(run, [None], start=start, errors="collect").failures
    error = failure.exception
    assert isinstance(error, allcores.WorkerDied)
    assert not error.is_out_of_memory
    assert error.memory > 100 * MB
    assert "the usual cause is lack of memory, though the kernel's own out-of-memory killer did not send" in str(error)
    assert f"it had used up to {allcores._core.bytes.format_bytes(error.memory)}" in str(error)


# --------------------------------------------------------------------------------------------------------- MemoryError


def test_an_item_that_raises_a_memory_error_is_tried_again_with_no_other_beside_it(place, tmp_path):
    def run(x: int) -> tuple[int, list[str]]:
        tries = allcores.current_item().tries
        mine = tmp_path / f"{x} at try {tries}"
        mine.touch()
        time.sleep(0.005)  # so that items meet which run side by side
        others = [file.name for file in tmp_path.iterdir() if file != mine]
        mine.unlink()
        if x in (3, 5) and tries == 1:
            raise MemoryError
        return tries, others

    results = allcores.map(run, range(20), workers=3, batch=2, **place)
    assert [tries for tries, _ in results] == [1 + (x in (3, 5)) for x in range(20)]
    assert [results[x][1] for x in (3, 5)] == [[], []]
    assert not any(name.endswith("at try 2") for _, others in results for name in others)
    assert (results.report.tries, results.report.deaths) == (22, 0)


ADDRESS_SPACE = """
import resource
import allcores

def run(x):
    return len(bytearray((3 << 30) if x in sizes[allcores.current_item().tries] else 1 << 20)) >> 20

sizes = {1: (2, 7, 11), 2: (7,)}
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
results = allcores.map(run, range(12), start="fork", workers=2, batch=4, errors="collect")
print([(failure.index, failure.tries, type(failure.exception).__name__) for failure in results.failures])
print([x for x, size in enumerate(results) if size == 1])
print(results.report.tries, results.report.deaths)
"""


def test_an_item_too_large_for_the_address_space_is_tried_again_once(run_python):
    assert run_python(ADDRESS_SPACE).stdout.splitlines() == [
        "[(7, 2, 'MemoryError')]",
        "[0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]",
        "15 0",
    ]


# -------------------------------------------------------------------------------------------------------------- memory=


def test_an_item_that_uses_more_than_it_may_fails_alone_and_its_worker_is_replaced(start):
    def run(x: int) -> int:
        data = bytearray(b"x") * ((200 if x in (2, 7) else 20) * MB)
        if x in (2, 7):
            signal.pause()
        return os.getpid() if data else 0

    results = allcores.map(run, range(9), start=start, workers=1, batch=3, memory="150MB", errors="collect")
    assert [(failure.index, failure.tries) for failure in results.failures] == [(2, 1), (7, 1)]
    pids = [failure.worker.pid if isinstance(failure, allcores.Failure) else failure for failure in results]
    first, second, third = dict.fromkeys(pids)
    assert pids == [first] * 3 + [second] * 5 + [third]
    for failure in results.failures:
        error = failure.exception
        assert isinstance(error, allcores.MemoryLimitExceeded)
        assert isinstance(error, MemoryError)
        assert (error.limit, error.used > error.limit) == (150 * MB, True)
        assert f"where memory=150 MB is allowed, while it ran item {failure.index} " in str(error)


def test_with_retries_it_is_tried_again(start):
    def run(x: int) -> int:
        tries = allcores.current_item().tries
        data = bytearray(b"x") * ((200 if x == 1 and tries == 1 else 1) * MB)
        if len(data) > 150 * MB:
            signal.pause()
        return tries

    assert allcores.map(run, range(4), start=start, workers=1, memory=150 * MB, retries=1) == [1, 2, 1, 1]


def test_what_a_forked_worker_has_inherited_does_not_count():
    inherited = bytearray(b"x") * (300 * MB)

    def run(x: int) -> int:
        data = bytearray(b"x") * (30 * MB)
        time.sleep(0.12)  # until somebody has looked
        return inherited[x] + data[x]

    results = allcores.map(run, range(4), start="fork", workers=2, memory="150MB")
    assert results == [2 * ord("x")] * 4
    assert results.report.deaths == 0
