"""Computing, standing in the queue and waiting are told apart."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import closing

import pytest

import allcores
from allcores._system.processor_time import ProcessorTime, ThreadMeter, of_process

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not tell"),
]

COMPUTED = 0.05


def compute(seconds: float = COMPUTED) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def wait(seconds: float = COMPUTED) -> None:
    """Wait for an event that does not come."""
    reader, writer = os.pipe()
    select.select([reader], [], [], seconds)
    os.close(reader)
    os.close(writer)


def test_times_are_added_and_taken_apart() -> None:
    first, second = ProcessorTime(1.0, 0.5), ProcessorTime(3.0, 2.5)
    assert second.since(first) == ProcessorTime(2.0, 2.0)
    assert first.and_also(second) == ProcessorTime(4.0, 3.0)


def test_a_thread_meters_what_it_computes_in_blocks() -> None:
    with closing(ThreadMeter()) as meter:
        compute()
        with meter:
            wait()
        assert meter.used.computing < COMPUTED
        with meter:
            compute()
        assert COMPUTED <= meter.used.computing < 3 * COMPUTED
        assert list(meter.measured(iter([1, 2]))) == [1, 2]


def test_a_process_is_asked_from_outside() -> None:
    program = "import sys; sum(range(10**6)); print(1, flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"1\n"
    used = of_process(child.pid)
    child.communicate()
    assert used is not None
    assert used.computing > 0.001
    assert used.queued >= 0
    assert of_process(child.pid) is None


@pytest.mark.parametrize("function", [compute, wait])
def test_a_report_tells_computing_from_waiting(place, function):
    report = allcores.map(lambda _: function(), range(6), workers=2, batch=1, **place).report
    assert report.computing_seconds is not None
    if function is compute:
        assert report.computing_seconds >= 6 * COMPUTED
    else:
        assert report.computing_seconds < 6 * COMPUTED
        assert report.waiting_seconds > COMPUTED  # on a busy machine some of it is taken for standing in the queue


def test_what_a_run_before_has_used_does_not_count(clean_start):
    allcores.map(lambda _: compute(), range(4), workers=1, start=clean_start)
    assert (
        allcores.map(lambda _: wait(), range(4), workers=1, start=clean_start).report.computing_seconds < 2 * COMPUTED
    )


def test_replaced_workers_and_those_that_were_killed_count():
    report = allcores.map(lambda _: compute(), range(4), workers=1, recycle=1).report
    assert report.computing_seconds >= 4 * COMPUTED


def test_a_lazy_run_and_a_pool_tell_while_they_go_on():
    results = allcores.imap(lambda _: compute(), range(4), workers=1, batch=1)
    next(results)
    assert results.report.computing_seconds >= COMPUTED
    results.close()
