"""What a report tells of worker processes: the memory that each has had, and what has moved."""

from __future__ import annotations

import os
import signal

import pytest

import allcores

LARGE = 100_000_000


def fill(size: int) -> int:
    return len(bytearray(b"x") * size)


def fill_and_die(size: int) -> None:
    fill(size)
    os.kill(os.getpid(), signal.SIGKILL)


def give(size: int) -> bytes:
    return bytes(size)


def test_the_peak_of_each_workers_memory_is_told(start):
    report = allcores.map(fill, [LARGE, 1], workers=1, start=start).report
    (stint,) = report.stints
    assert stint.peak_memory == report.peak_memory
    assert LARGE < report.peak_memory < 5 * LARGE
    assert "memory" in str(report)


def test_what_an_earlier_run_has_needed_in_the_same_process_does_not_count(clean_start):
    assert allcores.map(fill, [LARGE], workers=1, start=clean_start).report.peak_memory > LARGE
    assert allcores.map(fill, [1], workers=1, start=clean_start).report.peak_memory < LARGE


def test_of_a_worker_that_has_died_too(start):
    results = allcores.map(fill_and_die, [LARGE], workers=1, start=start, errors="collect")
    assert results.report.peak_memory > LARGE


def test_bytes_are_those_that_were_sent_and_received(start):
    report = allcores.map(give, [1_000_000] * 4, workers=1, start=start).report
    assert 4_000_000 < report.received_bytes < 4_100_000
    assert report.sent_bytes < 10_000
    report = allcores.map(len, [bytes(1_000_000)] * 4, workers=1, batch=1, start=start).report
    assert report.received_bytes < 10_000
    if start == "fork":
        assert report.sent_bytes == 0
    else:
        assert 4_000_000 < report.sent_bytes < 4_100_000
    assert report.moving_seconds > 0
    assert report.own_moving_seconds > 0


@pytest.mark.parametrize("on", ["threads", "serial"])
def test_between_threads_nothing_moves(on):
    report = allcores.map(give, [1_000_000] * 4, on=on).report
    assert (report.moving_seconds, report.sent_bytes, report.received_bytes) == (None, 0, 0)
    assert "moving data" not in str(report)
    assert report.peak_memory is None


@pytest.mark.parametrize("on", ["processes", "threads"])
def test_a_pool_and_an_executor_report_what_all_calls_have_cost(on):
    with allcores.Pool(2, on=on) as pool:
        assert pool.report.items == 0
        assert pool.map(abs, [-1, 2, -3]) == [1, 2, 3]
        with pytest.raises(ValueError, match="invalid literal"):
            pool.apply(int, ("x",))
        report = pool.report
    assert (report.items, report.failed, report.failures) == (4, 1, (("ValueError", 1),))
    assert report.plan.on == on
    with allcores.Executor(2, on=on) as executor:
        assert list(executor.map(abs, [-1, 2, -3])) == [1, 2, 3]
        assert isinstance(executor.submit(int, "x").exception(), ValueError)
        report = executor.report
    assert (report.items, report.failed, report.failures) == (4, 1, (("ValueError", 1),))
    assert (executor.report.items, executor.report.verdict) == (4, "")  # after its end, too


def test_a_report_can_be_asked_for_in_a_callback():
    reports = []
    with allcores.Pool(1) as pool:
        pool.apply_async(abs, (-1,), callback=lambda _: reports.append(pool.report)).get()
        pool.close()
        pool.join()
    assert [report.items for report in reports] == [1]
