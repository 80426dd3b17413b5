"""An item that fails is tried again, alone, as often as the caller allows; the others run once."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import allcores

pytestmark = pytest.mark.once

TRIES = {3: 2, 4: 3, 17: 3}  # {item: the try that yields a value}


class Ran(NamedTuple):
    """Which items were run: each notes itself."""

    note: Callable[[int], None]
    counts: Callable[[], Counter[int]]


@pytest.fixture
def ran(tmp_path: Path) -> Ran:
    file = tmp_path / "ran"

    def note(x: int) -> None:
        with file.open("a") as lines:
            lines.write(f"{x}\n")

    return Ran(note, lambda: Counter(map(int, file.read_text().split())))


@pytest.fixture
def flaky(ran: Ran) -> Callable[[int], tuple[int, int]]:
    """Give a function that fails for the items in `TRIES` until the try that yields a value: the item and its try."""
    note, enough = ran.note, TRIES

    def run(x: int) -> tuple[int, int]:
        note(x)
        tries = allcores.current_item().tries
        if tries < enough.get(x, 1):
            raise OSError(f"try {tries}")
        return x, tries

    return run


EXPECTED = [(x, TRIES.get(x, 1)) for x in range(20)]
RUNS = Counter(dict(EXPECTED))

# ---------------------------------------------------------------------------------------------------------- exceptions


@pytest.mark.parametrize("errors", ["raise", "collect"])
def test_items_that_raise_are_tried_again_and_the_others_run_once(place, errors, flaky, ran):
    results = allcores.map(flaky, range(20), workers=2, batch=5, retries=2, errors=errors, **place)
    assert results == EXPECTED
    assert ran.counts() == RUNS
    assert (results.report.tries, results.report.items, results.report.failed) == (25, 20, 0)
    assert results.failures == []


def test_a_lazy_run_keeps_the_order(start, flaky, ran):
    results = allcores.imap(flaky, iter(range(20)), start=start, workers=2, batch=5, retries=2)
    assert list(results) == EXPECTED
    assert ran.counts() == RUNS
    assert results.report.tries == 25


def test_an_unordered_run_yields_each_item_once(start, flaky, ran):
    found = list(allcores.imap_unordered(flaky, range(20), start=start, workers=2, batch=5, retries=2))
    assert sorted(found) == list(enumerate(EXPECTED))
    assert ran.counts() == RUNS


def test_an_item_that_fails_at_every_try_fails_as_the_last_one(place):
    def run(x: int) -> int:
        if x == 2:
            raise OSError(f"failed at try {allcores.current_item().tries}")
        return x

    results = allcores.map(run, range(5), workers=2, retries=2, errors="collect", **place)
    (failure,) = results.failures
    assert (failure.index, failure.tries, str(failure.exception)) == (2, 3, "failed at try 3")
    assert failure.exception.__notes__[-1].endswith(", try 3 of 3")
    assert [results[0], results[1], *results[3:]] == [0, 1, 3, 4]
    assert (results.report.tries, results.report.failed) == (7, 1)
    assert "1 failed, 2 tried again" in str(results.report)
    with pytest.raises(OSError, match="failed at try 3") as caught:
        allcores.map(run, range(5), workers=1, retries=2, **place)
    assert {0: 0, 1: 1}.items() <= allcores.finished(caught.value).items()


# ------------------------------------------------------------------------------------------------------------ retry_on


def test_only_exceptions_of_these_types_are_worth_another_try(place):
    class Busy(OSError):
        pass

    kinds = [Busy, OSError, KeyError]

    def run(x: int) -> None:
        raise kinds[x]

    expected = {OSError: [2, 2, 1], Busy: [2, 1, 1], (Busy, KeyError): [2, 1, 2], Exception: [2, 2, 2]}
    for retry_on, tries in expected.items():
        results = allcores.map(run, range(3), workers=2, retries=1, retry_on=retry_on, errors="collect", **place)
        assert [failure.tries for failure in results.failures] == tries


def test_deaths_and_timeouts_are_exceptions_like_others(start, ran):
    note = ran.note

    def run(x: int) -> None:
        note(x)
        if x == 0:
            os._exit(1)
        if x == 1:
            time.sleep(1000)
        raise OSError

    options: dict[str, Any] = {"start": start, "workers": 3, "timeout": 0.25, "retries": 1, "errors": "collect"}
    results = allcores.map(run, range(3), retry_on=allcores.WorkerDied, **options)
    assert [failure.tries for failure in results.failures] == [2, 1, 1]
    results = allcores.map(run, range(3), retry_on=(OSError,), **options)  # which a TimeoutError is
    assert [failure.tries for failure in results.failures] == [1, 2, 2]
    assert ran.counts() == {0: 3, 1: 3, 2: 3}


# -------------------------------------------------------------------------------------------------------------- deaths


def fatal_to_pickle() -> Any:
    class Fatal:
        def __reduce__(self) -> Any:
            os._exit(4)

    return Fatal


ENDINGS: dict[int, Callable[[], object]] = {
    3: lambda: os._exit(3),
    8: lambda: os.kill(os.getpid(), signal.SIGKILL),
    9: lambda: (faulthandler.disable(), ctypes.string_at(0)),  # the test runner's would print every stack
    13: fatal_to_pickle(),
    16: lambda: time.sleep(1000),
}


def test_items_that_end_their_worker_are_tried_again_alone_and_the_others_run_once(start, ran):
    """They are batches of their own: in a batch that runs again every item would tell of a second try."""
    note = ran.note

    def run(x: int) -> Any:
        note(x)
        tries = allcores.current_item().tries
        return ENDINGS[x]() if x in ENDINGS and tries == 1 else (x, tries)

    results = allcores.map(run, range(20), start=start, workers=2, batch=5, timeout=0.4, retries=1)
    assert results == [(x, 1 + (x in ENDINGS)) for x in range(20)]
    assert ran.counts() == {x: 1 + (x in ENDINGS) for x in range(20)}
    assert (results.report.deaths, results.report.tries) == (5, 25)


def test_an_item_that_ends_its_worker_at_every_try_fails_alone(start, ran):
    note = ran.note

    def run(x: int) -> int:
        note(x)
        if x == 2:
            os._exit(x)
        return x

    results = allcores.imap(run, iter(range(6)), start=start, workers=2, batch=3, retries=2, errors="collect")
    assert [x for x in results if not isinstance(x, allcores.Failure)] == [0, 1, 3, 4, 5]
    (failure,) = results.failures
    assert (failure.index, failure.tries, failure.exception.exit) == (2, 3, "exit code 2")
    assert str(failure.exception).endswith("while it ran item 2 (2), try 3 of 3")
    assert ran.counts() == {x: 3 if x == 2 else 1 for x in range(6)}
    assert (results.report.deaths, results.report.tries) == (3, 8)


def test_a_culprit_among_tiny_items_is_found_and_tried_again(start):
    """Tiny items are not marked one by one, so that others run again with it; nobody is blamed but the culprit."""

    def run(x: int) -> int:
        if x == 7_000 and allcores.current_item().tries < 3:
            os._exit(1)
        return x

    results = allcores.map(run, range(10_000), start=start, workers=2, retries=2)
    assert results == list(range(10_000))
    assert results.report.tries == 10_002
