"""Many workers, many descriptors, too few descriptors."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
from collections.abc import Iterator

import pytest

import allcores

pytestmark = [pytest.mark.once, pytest.mark.starts]

MANY = 1100  # more than select() can watch


@pytest.fixture
def restored_limit() -> Iterator[tuple[int, int]]:
    """The limit of open descriptors, put back afterwards."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_many_workers(start, tmp_path):
    """No item ends before all have begun, each on a worker of its own."""
    arrived, go, count = tmp_path / "arrived", tmp_path / "go", 40
    os.mkfifo(arrived)
    os.mkfifo(go)

    def meet(x: int) -> int:
        with arrived.open("wb", 0) as told:
            told.write(b"x")
            with go.open("rb", 0) as heard:
                return len(heard.read(1))

    gate = f"exec 3<>{go}; head -c {count} <{arrived} >/dev/null; head -c {count} /dev/zero >&3; read end"
    with subprocess.Popen(["sh", "-c", gate], stdin=subprocess.PIPE) as keeper:
        try:
            assert allcores.map(meet, range(count), workers=count, batch=1, start=start) == [1] * count
        finally:
            keeper.kill()  # or a failure would wait for whom nobody meets


def test_a_process_with_many_open_files(start, restored_limit):
    soft, hard = restored_limit
    if hard != resource.RLIM_INFINITY and hard < 2 * MANY:
        pytest.skip(f"this machine allows only {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(MANY)]
    try:
        for _ in range(2):  # the second time with warm workers
            assert allcores.map(abs, range(100), start=start) == list(range(100))
    finally:
        for file in files:
            os.close(file)


def leave_descriptors(count: int) -> None:
    """Lower the limit until only so many more descriptors can be opened."""
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    limit = next(limit for limit in itertools.count() if len(set(range(limit)) - used) == count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def test_too_few_descriptors_for_all_workers_do_with_fewer(start, restored_limit):
    allcores.map(abs, range(10), start=start, workers=1)
    leave_descriptors(20)
    results = allcores.map(abs, range(1000), workers=50, batch=1, start=start)
    assert results == list(range(1000))
    assert results.report.workers < 50


def test_no_descriptor_left_is_said(start, restored_limit):
    allcores.map(abs, range(10), start="fork", workers=1)
    leave_descriptors(2)
    with pytest.raises((allcores.WorkersUnavailable, OSError), match="Too many open files"):
        allcores.map(abs, range(10), start=start)
