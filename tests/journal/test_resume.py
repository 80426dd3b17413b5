"""Runs that are cut short and go on where they were."""

from __future__ import annotations

import errno
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import allcores

pytestmark = pytest.mark.once


@dataclass(frozen=True)
class Sample:
    name: str
    values: tuple[int, ...]


@pytest.fixture
def journal(tmp_path: Path) -> str:
    return str(tmp_path / "run.journal")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where `logged` writes down what ran."""
    return tmp_path / "ran"


@pytest.fixture
def logged(log: Path) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        with log.open("a") as file:
            file.write(f"{x}\n")
        return x * 10

    return run


def ran(log: Path) -> Counter[str]:
    """Give how often each item ran, and forget it."""
    text = log.read_text() if log.exists() else ""
    log.unlink(missing_ok=True)
    return Counter(text.split())


# ------------------------------------------------------------------------------------------- what a rerun runs


def test_a_rerun_gives_the_same_and_runs_nothing(place, journal, log, logged):
    first = allcores.map(logged, range(100), resume=journal, **place)
    assert ran(log).total() == 100
    again = allcores.map(logged, range(100), resume=journal, **place)
    assert first == again == [x * 10 for x in range(100)]
    assert not ran(log)
    assert (first.report.recalled, again.report.recalled, again.report.tries) == (0, 100, 0)


@pytest.mark.parametrize("call", [allcores.imap, allcores.imap_unordered])
def test_lazy_runs_resume_too(start, call, journal, log, logged):
    with call(logged, range(30), resume=journal, start=start) as results:
        some = [next(results) for _ in range(10)]
    ran(log)
    rest = list(call(logged, range(30), resume=journal, start=start))
    as_pairs = [(x, x * 10) for x in range(30)]
    assert sorted(rest) == (as_pairs if call is allcores.imap_unordered else [x * 10 for x in range(30)])
    assert set(some) <= set(rest)
    again = ran(log)
    taken = {str(index) for index, _ in some} if call is allcores.imap_unordered else {str(x) for x in range(10)}
    assert not taken & set(again), "what was taken had been recorded"
    assert set(again.values()) <= {1}


def test_only_what_failed_runs_again(start, journal, log, logged, tmp_path):
    mended = tmp_path / "mended"

    def brittle(x: int) -> int:
        if x % 10 == 3 and not mended.exists():
            raise ValueError(x)
        return int(logged(x))

    results = allcores.map(brittle, range(50), resume=journal, errors="collect", start=start)
    assert [failure.index for failure in results.failures] == [3, 13, 23, 33, 43]
    ran(log)
    mended.touch()
    results = allcores.map(brittle, range(50), resume=journal, errors="collect", start=start)
    assert results == [x * 10 for x in range(50)]
    assert set(ran(log)) == {"3", "13", "23", "33", "43"}
    with allcores.Journal(journal) as seen:
        assert (seen.finished, seen.failed) == (50, 0)


def test_what_finished_before_a_failure_that_was_raised_is_recorded(start, journal, log, logged):

    def brittle(x: int) -> int:
        if x == 40 and not os.path.exists(f"{journal}.mended"):
            raise ValueError(x)
        return int(logged(x))

    with pytest.raises(ValueError, match="40"):
        allcores.map(brittle, range(60), resume=journal, start=start, batch=5, workers=2)
    first = ran(log)
    Path(f"{journal}.mended").touch()
    assert allcores.map(brittle, range(60), resume=journal, start=start, batch=5) == [x * 10 for x in range(60)]
    second = ran(log)
    assert len(set(first) & set(second)) <= 15, "two workers have two batches each, and one of these failed at once"
    assert set(first) | set(second) == {str(x) for x in range(60)}


def test_a_dataset_that_has_grown_and_changed_its_order_still_profits(start, journal, log, logged):
    items = list(range(60))
    allcores.map(logged, items, resume=journal, start=start)
    ran(log)
    random.Random(5).shuffle(items)
    items[20:20] = [100, 101, 102]
    assert allcores.map(logged, items, resume=journal, start=start) == [x * 10 for x in items]
    assert set(ran(log)) == {"100", "101", "102"}


def test_equal_items_are_told_apart_by_their_order(start, journal, log, logged):
    allcores.map(logged, ["a", "b", "a"], resume=journal, start=start)
    ran(log)
    assert allcores.map(logged, iter(["a", "a", "b", "a"]), resume=journal, start=start) == ["a" * 10] * 2 + [
        "b" * 10,
        "a" * 10,
    ]
    assert ran(log) == {"a": 1}


def test_arrays_and_dataclasses_are_recognised(start, journal):
    arrays = [np.arange(5) * x for x in range(10)]
    allcores.map(np.sum, arrays, resume=journal, start=start)
    assert allcores.map(np.sum, [array.copy() for array in arrays], resume=journal, start=start).report.recalled == 10
    samples = [Sample(str(x), (x, x + 1)) for x in range(10)]
    other = f"{journal}.2"
    allcores.map(lambda sample: sum(sample.values), samples, resume=other, start=start)
    again = [Sample(str(x), (x, x + 1)) for x in range(11)]
    results = allcores.map(lambda sample: sum(sample.values), again, resume=other, start=start)
    assert (results.report.recalled, results[10]) == (10, 21)


def test_large_results_and_several_iterables(start, journal):
    def large(x: int, size: int) -> np.ndarray[Any, Any]:
        return np.full(size, x, dtype=np.uint8)

    sizes = [0, 1, 100_000, 30_000_000]
    for recalled in (0, 4):
        results = allcores.map(large, range(4), sizes, resume=journal, start=start)
        assert [(len(result), set(result[:3])) for result in results] == [
            (size, {x} if size else set()) for x, size in enumerate(sizes)
        ]
        assert results.report.recalled == recalled


def test_random_numbers_go_on_as_if_nothing_had_happened(start, journal):
    def draw(_: int) -> float:
        return float(allcores.rng().random())

    with allcores.imap(draw, range(40), resume=journal, start=start, batch=1) as results:
        first = [next(results) for _ in range(10)]
    whole = allcores.map(draw, range(40), resume=journal, start=start)
    assert list(whole[:10]) == first
    assert len(set(whole)) == 40
    assert allcores.map(draw, range(40), resume=journal, start=start) == whole


# ------------------------------------------------------------------------------------------------ who is refused


def test_another_function_is_refused_before_anything_runs(place, journal, log, logged):
    allcores.map(logged, range(5), resume=journal, **place)
    ran(log)
    factor = 3
    with pytest.raises(allcores.JournalMismatch, match="give resume= another path"):
        allcores.map(lambda x: logged(x) * factor, range(5), resume=journal, **place)
    assert not ran(log)


def test_a_changed_capture_is_another_function(journal):
    def scaled(factor: int) -> Callable[[int], int]:
        return lambda x: x * factor

    allcores.map(scaled(2), range(5), resume=journal)
    assert allcores.map(scaled(2), range(5), resume=journal).report.recalled == 5
    with pytest.raises(allcores.JournalMismatch):
        allcores.map(scaled(3), range(5), resume=journal)


def test_another_seed_is_refused(journal):
    allcores.map(str, range(5), resume=journal, seed=1)
    with pytest.raises(allcores.JournalMismatch, match="seed"):
        allcores.map(str, range(5), resume=journal, seed=2)


def test_a_second_run_on_one_journal_is_refused(start, journal):
    with allcores.imap(str, range(100), resume=journal, start=start) as results:
        next(results)
        with pytest.raises(allcores.JournalInUse, match="this very process records into it"):
            allcores.map(str, range(100), resume=journal, start=start)
    assert len(allcores.map(str, range(100), resume=journal, start=start)) == 100


def test_a_lazy_run_that_never_began_holds_nothing(journal):
    results = allcores.imap(str, range(5), resume=journal)
    assert not os.path.exists(journal)
    assert list(allcores.map(str, range(5), resume=journal)) == list("01234")
    results.close()


def test_what_is_no_journal_is_refused_and_left_alone(journal):
    Path(journal).write_text("my notes\n" * 1000)
    with pytest.raises(allcores.JournalDamaged, match="another path"):
        allcores.map(str, range(5), resume=journal)
    assert Path(journal).read_text() == "my notes\n" * 1000


# ------------------------------------------------------------------------------------------- what cuts runs short

KILLED = """
import os, signal, sys
import allcores

def work(x):
    with open({log!r}, "a") as log:
        log.write(f"{{x}}\\n")
    return x * x, allcores.rng().integers(10**9)

results = allcores.imap_unordered(work, range(2000), resume={journal!r}, start={start!r}, batch={batch})
for count, _ in enumerate(results):
    if count == {count}:
        os.kill(os.getpid(), signal.{signal})
"""


def test_a_run_whose_driver_is_killed_goes_on(start, journal, log, run_python):
    recorded: set[str] = set()
    for name, count in (("SIGKILL", 300), ("SIGTERM", 900), ("SIGKILL", 1900)):
        source = KILLED.format(log=str(log), journal=journal, start=start, batch=None, count=count, signal=name)
        run_python(source, code=-getattr(signal, name))
        assert not recorded & set(ran(log)), "what was recorded does not run again"
        with allcores.Journal(journal) as seen:
            recorded = {str(index) for index, _ in seen.results()}
    assert recorded
    rest = source.replace(f"if count == {count}", "if False") + f"\nprint(allcores.Journal({journal!r}))"
    done = run_python(rest)
    assert done.stdout == f"<Journal {journal}: 2000 finished, 0 failed, of work>\n"
    assert set(ran(log)) == {str(x) for x in range(2000)} - recorded


FULL = """
import resource
import allcores

def work(x):
    return bytes(50_000)

def run(length):
    return allcores.map(work, range(length), resume={journal!r}, start={start!r})

run(10)
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, unlimited[1]))
try:
    run(100)
except allcores.JournalFull as error:
    print(len(allcores.finished(error)) >= 10, allcores.Journal({journal!r}).finished >= 10)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
print(len(run(100)))
"""


def test_a_full_disk_stops_the_run_and_loses_nothing_that_was_recorded(start, journal, run_python):
    done = run_python(FULL.format(journal=journal, start=start))
    assert (done.stdout, done.stderr) == ("True True\n100\n", "")


def test_a_missing_folder_is_named(journal):
    with pytest.raises(allcores.JournalError, match="nowhere") as caught:
        allcores.map(str, range(5), resume="nowhere/run.journal")
    assert os.strerror(errno.ENOENT) in str(caught.value) or "folder" in str(caught.value)


def test_a_failure_can_be_replayed_in_a_later_session(start, journal, run_python):
    source = f"""
        import allcores
        def work(x, offset=5):
            return 10 / (x - offset)
        try:
            allcores.map(work, range(10), resume={journal!r}, start={start!r}, errors="collect")
        finally:
            pass
    """
    run_python("\n".join(line[8:] for line in source.splitlines()))
    (failure,) = allcores.Journal(journal).failures
    assert (failure.index, failure.item, failure.tries) == (5, 5, 1)
    with pytest.raises(ZeroDivisionError) as caught:
        allcores.replay(failure)
    assert caught.traceback[-1].name == "work"
