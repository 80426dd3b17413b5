"""An item that runs longer than it may fails alone, whatever it is doing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import allcores

pytestmark = pytest.mark.once

ENDLESS = 1000.0  # seconds


class Ran(NamedTuple):
    """Which items were run: each notes itself."""

    note: Callable[[int], None]
    noted: Callable[[], list[int]]  # ascending, as often as they were run


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    file = tmp_path / "ran"

    def note(x: int) -> None:
        with file.open("a") as lines:
            lines.write(f"{x}\n")

    return Ran(note, lambda: sorted(map(int, file.read_text().split())))


def endless_to_pickle() -> Any:
    class Endless:
        def __reduce__(self) -> Any:
            time.sleep(ENDLESS)

    return Endless


HANGS = {
    4: lambda: re.match("(a+)+$", "a" * 60 + "b"),  # in C code that holds the interpreter's lock
    7: lambda: time.sleep(ENDLESS),
    8: lambda: os.kill(os.getpid(), signal.SIGSTOP),
    11: endless_to_pickle(),
}


def test_every_item_that_hangs_fails_alone_and_the_others_run_once(start, ran):
    """Items of its batch that had finished are not run again; those that had not begun run elsewhere."""
    note = ran.note

    def run(x: int) -> Any:
        note(x)
        return HANGS[x]() if x in HANGS else x * x

    results = allcores.map(run, range(15), start=start, workers=3, batch=5, timeout=0.3, errors="collect")
    assert [failure.index for failure in results.failures] == list(HANGS)
    assert [value for x, value in enumerate(results) if x not in HANGS] == [x * x for x in range(15) if x not in HANGS]
    assert ran.noted() == list(range(15))
    assert results.report.deaths == len(HANGS)
    for failure in results.failures:
        error = failure.exception
        assert isinstance(error, allcores.ItemTimeout)
        assert isinstance(error, TimeoutError)
        assert error.seconds == 0.3
        assert f"pid {failure.worker.pid}" in str(error)
        assert f"timeout=0.3 s allows, while it ran item {failure.index} ({failure.index})" in str(error)


@pytest.mark.parametrize("call", [allcores.imap, allcores.imap_unordered])
def test_items_of_a_stream_that_hang_fail_alone(start, call, ran):
    note = ran.note

    def run(x: int) -> int:
        note(x)
        if x in (2, 11):
            time.sleep(ENDLESS)
        return x

    found = list(call(run, iter(range(20)), start=start, workers=2, batch=4, timeout=0.2, errors="collect"))
    results = dict(enumerate(found) if call is allcores.imap else found)
    assert {x: value.item for x, value in results.items() if isinstance(value, allcores.Failure)} == {2: 2, 11: 11}
    assert all(results[x] == x for x in range(20) if x not in (2, 11))
    assert ran.noted() == list(range(20))


def test_one_of_very_many_tiny_items_that_hangs_fails_alone(start):
    def run(x: int) -> int:
        if x == 70_000:
            time.sleep(ENDLESS)
        return x

    results = allcores.map(run, range(100_000), start=start, workers=2, timeout=0.3, errors="collect")
    assert [failure.index for failure in results.failures] == [70_000]
    assert isinstance(results[70_000].exception, allcores.ItemTimeout)
    assert all(value == x for x, value in enumerate(results) if x != 70_000)


def test_items_that_stay_just_below_do_not_fail_however_long_their_batch_takes(start):
    def run(x: int) -> int:
        time.sleep(0.1)
        return x

    results = allcores.map(run, range(5), start=start, workers=1, batch=5, timeout=0.4)
    assert results == list(range(5))
    assert results.report.item_seconds > 0.4
    assert results.report.deaths == 0


def test_an_item_that_hangs_is_raised_at_once_with_what_was_finished(start, ran):
    note = ran.note

    def run(x: int) -> int:
        note(x)
        if x == 3:
            time.sleep(ENDLESS)
        return x * x

    with pytest.raises(TimeoutError, match="while it ran item 3") as caught:
        allcores.map(run, range(1000), start=start, workers=1, batch=5, timeout=0.2)
    assert allcores.finished(caught.value) == {0: 0, 1: 1, 2: 4}
    assert ran.noted() == [0, 1, 2, 3]


def test_a_lazy_run_yields_what_came_before_an_item_that_hangs(start):
    def run(x: int) -> int:
        if x == 3:
            time.sleep(ENDLESS)
        return x

    results = allcores.imap(run, range(10), start=start, workers=1, batch=5, timeout=0.2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(allcores.ItemTimeout):
        next(results)
    assert list(results) == []


def test_what_an_item_has_started_ends_with_it(start, tmp_path, outliving):
    def run(x: int) -> None:
        shell = ["sh", "-c", 'sleep 1000 & echo $! > "$0"; wait', str(tmp_path / f"grandchild of {x}")]
        with subprocess.Popen(shell) as child:
            (tmp_path / f"child of {x}").write_text(str(child.pid))

    results = allcores.map(run, range(2), start=start, workers=2, timeout=0.3, errors="collect")
    assert [type(failure.exception) for failure in results.failures] == [allcores.ItemTimeout] * 2
    pids = [int(file.read_text()) for file in tmp_path.iterdir()]
    assert len(pids) == 4
    assert outliving(pids) == set()


def test_each_try_has_the_time_of_its_own(start):
    def run(x: int) -> tuple[int, int]:
        tries = allcores.current_item().tries
        if x == 0 and tries == 1:
            time.sleep(ENDLESS)
        if x == 1:
            time.sleep(0.15)
            if tries < 3:
                raise OSError
        return x, tries

    results = allcores.map(run, range(3), start=start, workers=2, batch=1, timeout=0.4, retries=2)
    assert results == [(0, 2), (1, 3), (2, 1)]
    assert results.report.deaths == 1


def test_threads_cannot_keep_a_timeout_and_say_so_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match=r"timeout=0\.2 needs workers that can be killed"):
        allcores.map(lambda x: (tmp_path / str(x)).touch(), range(3), on="threads", timeout=0.2)
    assert list(tmp_path.iterdir()) == []


def test_serial_ignores_a_timeout():
    def run(x: int) -> int:
        time.sleep(0.02)
        return x

    assert allcores.map(run, range(2), on="serial", timeout=0.001) == [0, 1]
