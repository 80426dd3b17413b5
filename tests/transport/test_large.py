"""Large items, results and captures: they arrive whole, as ordinary objects, in one copy, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

import allcores
from allcores._core.messages import SendBatch
from allcores._engines.processes.engine import ProcessEngine

pytestmark = pytest.mark.once

MEGABYTE = 1 << 20


def make(x: int) -> np.ndarray:
    return np.full(MEGABYTE // 8, float(x))


def segments_of(pid: int) -> set[str]:
    """Find the segments that a process has open or mapped; each is named by its number in the kernel."""
    mapped = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    found = {fields[4] for fields in mapped if "allcores-segment" in fields[-2:][0] + fields[-1]}
    folder = Path(f"/proc/{pid}/fd")
    for name in os.listdir(folder):
        try:
            if "allcores-segment" in os.readlink(folder / name):
                found.add(str((folder / name).stat().st_ino))
        except FileNotFoundError:  # the descriptor with which the folder was read
            continue
    return found


def segments_of_all(pids: Iterable[int]) -> set[str]:
    return set().union(*map(segments_of, pids))


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what others are about to do; the test's own limit of time ends it."""
    while not is_so():
        time.sleep(0.001)


def test_large_results_are_ordinary_arrays(start):
    results = allcores.map(make, range(20), start=start)
    assert [result.tolist()[-1] for result in results] == list(range(20))
    for result in results:
        assert result.flags.writeable
        result[:] += 1
    assert [result[0] for result in results] == list(range(1, 21))


def test_large_items_arrive_whole_and_the_callers_stay_as_they_are(start):
    items = [make(x) for x in range(20)]

    def spoil(item: np.ndarray) -> float:
        item += 1
        return float(item.sum())

    expected = [float((item + 1).sum()) for item in items]
    assert allcores.map(spoil, iter(items), start=start) == expected
    assert [item[5] for item in items] == list(range(20))


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_large_bytes_stay_what_they_are(kind, start):
    items = [kind(bytes([x]) * MEGABYTE) for x in range(5)]
    results = allcores.map(lambda item: (item[:1], item), iter(items), start=start)
    assert [head for head, _ in results] == [item[:1] for item in items]
    plain = allcores.map(lambda item: item, iter(items), start=start)
    assert plain == items
    assert {type(item) for item in plain} == {kind}


def test_results_that_lie_in_shared_memory_belong_to_nobody_else(start):
    """What a forked worker does to its inherited items, or another run sends, is not seen in them."""
    results = allcores.map(make, range(6), start=start)

    def spoil(item: np.ndarray) -> np.ndarray:
        item[:] = -1
        return item

    again = allcores.map(spoil, results, start=start)
    assert [result[7] for result in results] == list(range(6))
    assert {float(item[7]) for item in again} == {-1.0}


def test_a_stream_of_large_results_goes_through_few_segments(start):
    """The number of a segment comes with what lies in it, so whoever holds a result can see where it is."""
    identities = set()
    for result in allcores.imap(make, range(200), start=start, workers=2, ahead=4):
        identities |= segments_of(os.getpid())
        assert result[0] == result[-1]
    assert 0 < len(identities) < 60


def test_memory_is_given_back_when_results_die(clean_start):
    with allcores.Pool(2, start=clean_start) as pool:
        pids = set(pool.map(lambda _: os.getpid(), range(50)))
        results = pool.map(make, range(20))
        kept = results[3]
        assert len(segments_of(os.getpid())) >= 20
        del results
        wait_until(lambda: len(segments_of(os.getpid())) == 1)  # without any call
        wait_until(lambda: not segments_of_all(pids))
        assert kept[0] == 3


def test_memory_of_large_items_is_given_back(clean_start):
    with allcores.Pool(2, start=clean_start) as pool:
        pids = set(pool.map(lambda _: os.getpid(), range(50)))
        assert pool.map(np.sum, [make(x) for x in range(20)]) == [x * MEGABYTE / 8 for x in range(20)]
        wait_until(lambda: not segments_of_all({*pids, os.getpid()}))


def test_a_capture_is_one_segment_for_all_workers(clean_start):
    array = make(5)

    def look(x: int) -> tuple[float, int, frozenset[str]]:
        array[0] += 1  # in a copy of one's own
        return float(array[x]), os.getpid(), frozenset(segments_of(os.getpid()))

    results = allcores.map(look, range(1, 200), start=clean_start, workers=2, batch=1)
    assert {value for value, _, _ in results} == {5.0}
    segments = set().union(*(found for _, _, found in results))
    assert len(segments) == 1
    assert array[0] == 5


def test_a_capture_of_what_a_pool_maps_is_one_segment_for_all_workers(clean_start):
    array = np.asfortranarray(make(5).reshape(512, -1))

    def look(x: int) -> tuple[float, frozenset[str]]:
        return float(array[x, 0]), frozenset(segments_of(os.getpid()))

    with allcores.Pool(2, start=clean_start) as pool:
        for _ in range(2):
            results = pool.map(look, range(300), chunksize=1)
            assert {value for value, _ in results} == {5.0}
            assert len(set().union(*(found for _, found in results))) == 1
        pids = set(pool.map(lambda _: os.getpid(), range(50)))
        wait_until(lambda: not segments_of_all({*pids, os.getpid()}))


def test_what_a_worker_had_sent_survives_its_death(start):
    def make_or_die(x: int) -> np.ndarray:
        if x == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return make(x)

    results = allcores.map(make_or_die, range(20), start=start, errors="collect")
    assert [failure.index for failure in results.failures] == [10]
    assert [result[1] for index, result in enumerate(results) if index != 10] == [x for x in range(20) if x != 10]


def test_hundreds_of_live_results_need_no_descriptors(start, run_python):
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import allcores, numpy
results = allcores.map(lambda x: numpy.full(1 << 17, x), range(500), start={start!r})
assert [result[0] for result in results] == list(range(500))
items = (numpy.full(1 << 17, x) for x in range(500))
assert allcores.map(lambda item: int(item[-1]), items, start={start!r}) == list(range(500))
print("all there")
"""
    assert run_python(code).stdout == "all there\n"


def test_data_frames_and_tuples_of_arrays_travel_too(start):
    def split(x: int) -> tuple[np.ndarray, dict[str, np.ndarray], bytes]:
        return make(x), {"half": make(x)[::2], "fortran": np.asfortranarray(make(x).reshape(64, -1))}, b"end"

    for x, (whole, parts, end) in enumerate(allcores.map(split, range(8), start=start)):
        assert (whole == x).all()
        assert (parts["half"] == x).all()
        assert parts["fortran"].flags.f_contiguous
        assert (parts["fortran"] == x).all()
        assert end == b"end"


def test_no_batch_is_a_lot_of_data(clean_start, monkeypatch):
    """Whatever the time that the items take: to send one batch would hold up the others."""
    sizes = []
    send = ProcessEngine.send

    def note_and_send(engine: ProcessEngine, batch: SendBatch) -> None:
        sizes.append(batch.stop - batch.start)
        send(engine, batch)

    monkeypatch.setattr(ProcessEngine, "send", note_and_send)
    items = [make(x) for x in range(8)] * 20
    assert len(allcores.map(len, items, start=clean_start)) == len(items)
    assert max(sizes) <= 8
