"""A worker that has run its share of items, or has grown too large, is replaced while the others go on."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

import allcores

pytestmark = pytest.mark.once

MB = 10**6


@pytest.mark.parametrize("batch", [None, 5])
def test_no_worker_runs_more_than_its_share(start, batch, capfd):
    results = allcores.map(lambda x: (x, os.getpid()), range(14), start=start, workers=2, batch=batch, recycle=3)
    assert [x for x, _ in results] == list(range(14))
    assert max(Counter(pid for _, pid in results).values()) <= 3
    assert (results.report.deaths, results.report.tries) == (0, 14)
    assert capfd.readouterr() == ("", "")


def test_no_worker_of_a_lazy_run_runs_more_than_its_share(start):
    results = allcores.imap(lambda x: (x, os.getpid()), iter(range(14)), start=start, workers=2, recycle=4)
    found = list(results)
    assert [x for x, _ in found] == list(range(14))
    assert max(Counter(pid for _, pid in found).values()) <= 4


def test_each_item_may_have_a_worker_of_its_own_and_each_worker_its_initializer(start, tmp_path):
    def prepare(folder: Path) -> None:
        (folder / str(os.getpid())).touch(exist_ok=False)

    found = allcores.imap_unordered(
        lambda _: os.getpid(), range(6), start=start, workers=2, recycle=1, initializer=prepare, initargs=(tmp_path,)
    )
    pids = {str(pid) for _, pid in found}
    assert len(pids) == 6
    assert pids <= set(os.listdir(tmp_path))


def test_items_that_fail_and_those_that_are_tried_again_count(start, tmp_path):
    ran = tmp_path / "ran"

    def run(x: int) -> int:
        with ran.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if x == 2 or (x % 3 == 0 and allcores.current_item().tries == 1):
            raise OSError
        return x

    results = allcores.map(run, range(8), start=start, workers=2, recycle=2, retries=1, errors="collect")
    assert [failure.index for failure in results.failures] == [2]
    assert results.report.tries == 12
    assert Counter(ran.read_text().split()).total() == 12
    assert max(Counter(ran.read_text().split()).values()) == 2


def test_the_others_go_on_while_workers_are_replaced(start, tmp_path):
    """The first item waits for the last, before which the other worker has been replaced several times."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def run(x: int) -> int:
        if x == 0:
            fifo.read_bytes()
        if x == 9:
            fifo.write_bytes(b"go on")
        return os.getpid()

    pids = allcores.map(run, range(10), start=start, workers=2, batch=1, recycle=2)
    assert len(set(pids)) >= 5
    assert max(Counter(pids).values()) <= 2


def test_a_worker_that_grows_is_replaced(start):
    """It may have a batch or two more until this is seen, and a forked one may give back what it was born with."""
    kept = []  # each worker has its own

    def run(x: int) -> int:
        kept.append(bytearray(b"x") * (20 * MB))
        return os.getpid()

    pids = allcores.map(run, range(9), start=start, workers=1, batch=1, recycle="50MB")
    runs = Counter(pids)
    assert len(runs) > 1
    assert start == "fork" or max(runs.values()) <= 5
    assert min(count for pid, count in runs.items() if pid != pids[-1]) >= 3
    assert pids.report.deaths == 0


def test_a_worker_that_only_uses_memory_for_a_while_is_kept(start):
    def run(x: int) -> int:
        return os.getpid() if bytearray(b"x") * (80 * MB) else 0

    assert len(set(allcores.map(run, range(6), start=start, workers=1, batch=1, recycle="50MB"))) == 1
