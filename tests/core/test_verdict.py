"""The verdict names what took the time, from figures and from runs that are made so, and what to try."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

import allcores
from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._core.report import Report, Slow
from allcores._core.timeline import Stint

FACTS = Facts(cores=4, cores_bound="this test", can_fork=True, fork_hazard=None, can_start_clean=True)
PLAN = make_plan(Options(), FACTS)

WELL_USED: dict[str, Any] = {
    "wall_seconds": 2.0, "workers": 4, "items": 10, "failed": 0, "item_seconds": 7.0, "tries": 10,
}  # fmt: skip
BADLY_USED = {**WELL_USED, "item_seconds": 2.0}
COMPUTING = {"computing_seconds": 6.8, "queued_seconds": 0.1}
WAITING = {"computing_seconds": 0.2, "queued_seconds": 0.1}
RETURNING = {"moving_seconds": 4.0, "own_moving_seconds": 0.2, "received_bytes": 2_000_000_000}
SENDING = {"moving_seconds": 1.0, "own_moving_seconds": 0.9, "sent_bytes": 2_000_000_000}
LARGE = (Stint(0, 0.1, 2.0, 3.0, 5, 3_000_000_000), Stint(1, 0.1, 2.0, 3.0, 5, 1_000_000_000))
LONG = (Slow(1.5, 3, 4), Slow(0.1, 0, 1))


@pytest.mark.parametrize(
    ("figures", "on", "verdict"),
    [
        (WELL_USED, "processes", ""),
        ({**WELL_USED, **COMPUTING}, "processes", ""),
        ({**WELL_USED, **WAITING}, "processes", "items mostly waited"),
        ({**WELL_USED, **WAITING}, "threads", "try more workers"),
        ({**WELL_USED, "computing_seconds": 1.9, "queued_seconds": 0.1}, "threads", "try on='processes'"),
        ({**WELL_USED, "computing_seconds": 3.0, "queued_seconds": 2.9}, "processes", "queue for a core"),
        ({**BADLY_USED, **WAITING, "item_seconds": 0.01}, "processes", ""),
        ({**BADLY_USED, "consumer_seconds": 1.5}, "processes", "who takes the results"),
        ({**BADLY_USED, "consumer_seconds": 0.5}, "processes", ""),
        ({**WELL_USED, "consumer_seconds": 1.5}, "processes", ""),  # the workers had enough to do
        ({**BADLY_USED, "input_seconds": 1.5}, "processes", "the input took 1.5 s"),
        ({**BADLY_USED, "input_seconds": 0.5}, "processes", ""),
        ({**WELL_USED, "input_seconds": 1.5}, "processes", ""),
        ({**BADLY_USED, "slowest": LONG}, "processes", "item 3 alone took 1.5 s"),
        ({**BADLY_USED, "slowest": (Slow(1.5, 3, 4, "item 3 ('c')"),)}, "processes", "item 3 ('c') alone took 1.5 s"),
        ({**BADLY_USED, "slowest": (Slow(0.9, 3, 4),), "tail_seconds": 3.0}, "processes", "item 3: 0.9 s: try to have"),
        ({**BADLY_USED, "slowest": (Slow(1.5, 3, 9),), "tail_seconds": 3.0}, "processes", "batch=1, or to split"),
        ({**BADLY_USED, "slowest": (Slow(0.9, 3, 4),), "tail_seconds": 1.0}, "processes", ""),
        ({**WELL_USED, "slowest": LONG}, "processes", ""),
        ({**BADLY_USED, "slowest": (Slow(1.5, 3, 9),)}, "processes", ""),
        ({**BADLY_USED, "tries": 400_000}, "processes", "items take 5 us each"),
        ({**BADLY_USED, "tries": 20_000}, "processes", ""),
        ({**BADLY_USED, "wall_seconds": 0.05, "tries": 400_000}, "processes", ""),
        ({**BADLY_USED, "tries": 400_000}, "serial", ""),
        (
            {**BADLY_USED, **RETURNING},
            "processes",
            "moving 2 GB between processes took much of",
        ),
        ({**BADLY_USED, **SENDING}, "processes", "items that say where the data are"),
        ({**BADLY_USED, **RETURNING, "moving_seconds": 1.0, "own_moving_seconds": 0.1}, "processes", ""),
        ({**BADLY_USED, **RETURNING, "received_bytes": 1000}, "processes", ""),  # it is not that they are large
        ({**WELL_USED, **RETURNING}, "processes", ""),  # it went on beside the items
        ({**BADLY_USED, "starting_seconds": 1.2}, "processes", "it took 1.2 s until the first worker was ready"),
        ({**BADLY_USED, "starting_seconds": 0.5}, "processes", ""),
        ({**BADLY_USED, "short_seconds": 1.0}, "processes", "memory was short for 1 s, so that fewer items ran"),
        ({**WELL_USED, "short_seconds": 1.0, "stints": LARGE}, "processes", "of which a worker needed up to 3 GB"),
        ({**WELL_USED, "short_seconds": 0.1}, "processes", ""),
        ({**WELL_USED, "failures": (("MemoryLimitExceeded", 2),)}, "processes", "2 items failed for lack of memory"),
        ({**WELL_USED, "failures": (("MemoryError", 1),)}, "processes", "an item failed for lack of memory"),
        ({**WELL_USED, "failures": (("ValueError", 1),)}, "processes", ""),
        ({**BADLY_USED, "slowest": LONG, "is_served": True}, "processes", ""),  # nobody had handed in more
        ({**BADLY_USED, **WAITING, "item_seconds": 4.0, "is_served": True}, "processes", "items mostly waited"),
    ],
)
def test_the_verdict_says_what_took_the_time_and_what_to_try(figures: dict[str, Any], on: Any, verdict: str) -> None:
    told = Report(**figures, plan=PLAN._replace(on=on))
    assert verdict in told.verdict
    assert bool(verdict) == bool(told.verdict)
    assert ("try" in told.verdict) == bool(verdict)


@pytest.mark.parametrize("plan", [{"native_set": (("OMP_NUM_THREADS", "8"),)}, {"threads": 4, "threads_asked": True}])
def test_a_queue_for_cores_beside_native_threads_is_blamed_on_these(plan: dict[str, Any]) -> None:
    queueing = {**WELL_USED, "computing_seconds": 3.0, "queued_seconds": 2.9}
    assert Report(**queueing, plan=PLAN._replace(**plan)).verdict.endswith("try threads=1")
    assert Report(**queueing, plan=PLAN._replace(threads=1)).verdict.endswith("try fewer workers")
    assert Report(**queueing, plan=PLAN._replace(threads=None)).verdict.endswith("try fewer workers")


def slow_numbers() -> Iterator[int]:
    for number in range(4):
        time.sleep(0.1)
        yield number


def test_an_input_that_is_slow() -> None:
    results = allcores.map(abs, slow_numbers(), on="threads", workers=2)
    assert results.report.input_seconds >= 0.4
    assert results.report.verdict.startswith("the input took ")


def test_a_consumer_that_is_slow() -> None:
    results = allcores.imap(abs, range(6), on="threads", workers=2, ahead=1)
    for _ in results:
        time.sleep(0.1)
    assert results.report is not None
    assert results.report.consumer_seconds is not None
    assert 0.4 <= results.report.consumer_seconds <= results.report.wall_seconds
    assert results.report.verdict.startswith("who takes the results")


def test_what_a_consumer_does_when_all_is_done_holds_up_nobody() -> None:
    results = allcores.imap(abs, [1, 2], on="serial", batch=2)
    for _ in results:
        time.sleep(0.1)
    assert results.report is not None
    assert results.report.consumer_seconds == 0.0


def test_one_item_that_is_long() -> None:
    seconds = [0.01] * 5 + [0.5]
    report = allcores.map(time.sleep, seconds, on="threads", workers=2).report
    assert (report.slowest[0].start, report.slowest[0].stop) == (5, 6)
    assert report.slowest[0].name == "item 5 (0.5)"
    assert report.verdict.startswith("item 5 (0.5) alone took ")
