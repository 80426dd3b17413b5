"""The entry points as a whole: what a run reports, how it batches, how it waits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

import allcores
from allcores._core.messages import SendBatch
from allcores._core.scheduler.credit import Credit
from allcores._engines.processes.engine import ProcessEngine


def busy(seconds: float) -> float:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return seconds


@pytest.fixture
def sent(monkeypatch) -> list[SendBatch]:
    """The batches that are sent to processes, as if messages took no time: on a busy machine batches bridge it."""
    monkeypatch.setattr(Credit, "observe", lambda self, waited, round_trip: None)
    batches: list[SendBatch] = []
    send = ProcessEngine.send
    monkeypatch.setattr(ProcessEngine, "send", lambda self, batch: (batches.append(batch), send(self, batch)))
    return batches


def test_the_report_adds_up(place):
    results = allcores.map(busy, [0.002] * 20, workers=2, **place)
    report = results.report
    assert (report.items, report.failed) == (20, 0)
    assert 1 <= report.workers <= 2
    assert sum(results) <= report.item_seconds <= report.workers * report.wall_seconds
    assert report.efficiency == pytest.approx(report.item_seconds / (report.workers * report.wall_seconds))
    assert report.plan.on == allcores.Options(**place).engine
    assert report.plan.start == place.get("start")
    assert sum(span.items for span in report.spans) == sum(stint.items for stint in report.stints) == 20
    assert sum(span.seconds for span in report.spans) == pytest.approx(report.item_seconds)
    assert all(0 <= span.began <= span.ended <= report.wall_seconds for span in report.spans)
    assert "item 7 (0.002)" not in str(report)  # which took no time worth telling


def test_a_run_starts_no_more_workers_than_it_has_items(start):
    assert allcores.map(abs, [-1], workers=8, start=start).report.workers == 1
    assert allcores.map(abs, iter([-1]), workers=8, start=start).report.workers == 1


def test_fixed_batches_have_their_size(sent, start):
    assert allcores.map(abs, range(100), batch=7, workers=2, start=start) == list(range(100))
    sizes = {(batch.start, batch.stop) for batch in sent}  # one may be taken back, and sent again
    assert sizes == {(at, min(at + 7, 100)) for at in range(0, 100, 7)}


def test_adaptive_batches_begin_with_one_item_grow_and_shrink_toward_the_end(sent):
    assert allcores.map(abs, range(200_000), workers=2) == list(range(200_000))
    sizes = [batch.stop - batch.start for batch in sent]
    assert sizes[0] == 1
    assert max(sizes) > 1000
    assert max(sizes[-3:]) < max(sizes)
    assert len(sent) < 2000


def test_long_items_go_one_by_one(sent):
    allcores.map(busy, [0.02] * 10, workers=2)
    assert [batch.stop - batch.start for batch in sent] == [1] * 10


def test_a_batch_that_runs_long_against_expectation_is_given_back(sent):
    """Items become a thousand times longer: whoever has a large batch of them does not keep it to himself."""
    quick, slow = [0.000_02] * 2000, [0.03] * 12
    results = allcores.map(busy, quick + slow, workers=2)
    assert results == quick + slow
    assert sum(batch.stop - batch.start for batch in sent) > len(results)  # some were sent twice
    assert sent[-1].stop - sent[-1].start == 1


def test_the_loop_waits_for_events_and_does_not_poll(start, monkeypatch):
    waits: list[float | None] = []
    wait = ProcessEngine.wait
    monkeypatch.setattr(ProcessEngine, "wait", lambda self, timeout: (waits.append(timeout), wait(self, timeout))[1])
    assert allcores.map(busy, [0.3], workers=1, start=start) == [0.3]
    assert len(waits) < 10
    assert waits[-1] is None


def test_items_are_pulled_in_the_callers_thread_and_process():
    def whereabouts() -> Iterator[int]:
        for _ in range(5):
            yield os.getpid()

    assert allcores.map(lambda pid: pid, whereabouts()) == [os.getpid()] * 5


def test_the_plan_says_why():
    assert allcores.plan(workers=3).workers_reason == "workers=3 was asked for"
    assert "usable cores" in allcores.plan().workers_reason
    assert allcores.plan(start="spawn").start_reason == "asked for"
    assert allcores.plan(on="threads").start is None
