"""Very short items are marked together and gathered by the chunk; what is told of each stays exact."""

from __future__ import annotations

import mmap
import os
import signal
from typing import Any

import pytest

import allcores
from allcores._codec.packing import CHUNK, Parcel
from allcores._core.messages import SendBatch
from allcores._transport.board import INDEX, SPAN, Board, Mark
from allcores._worker.job import Job, run_batch
from allcores._worker.strides import LONG_STRIDE

pytestmark = pytest.mark.once

START = 1000  # of the batch
COUNT = 3 * CHUNK


@pytest.fixture
def mark() -> Mark:
    board = Board(1)
    return board.mark(board.take_slot())


def parts_of(function: Any, mark: Mark | None, *, stops: bool = False, is_timed: bool = False) -> list[Any]:
    job = Job(function, is_star=False, stops_at_failure=stops, is_timed=is_timed)
    batch = SendBatch(0, 1, START, START + COUNT, may_give_back=False)
    return list(run_batch(job, range(START, START + COUNT), batch, mark, gather=Parcel))


def test_an_item_is_always_among_those_that_are_marked(mark):
    marked: list[tuple[int, int]] = []

    def look(x: int) -> int:
        first, span = mark.words[INDEX], mark.words[SPAN]
        marked.append((x - first, span))
        return x

    parts = parts_of(look, mark)
    assert [value for part in parts for value in part.values] == list(range(START, START + COUNT))
    assert all(0 <= ahead < span for ahead, span in marked)
    assert max(span for _, span in marked) <= LONG_STRIDE


def test_where_somebody_watches_the_time_each_item_is_marked(mark):
    def look(x: int) -> tuple[int, int]:
        return mark.words[INDEX], mark.words[SPAN]

    parts = parts_of(look, mark, is_timed=True)
    assert [value for part in parts for value in part.values] == [(x, 1) for x in range(START, START + COUNT)]


def test_parts_follow_each_other_without_a_gap(mark):
    def run(x: int) -> int:
        if x % 1000 == 0:
            raise ValueError(x)
        return -x

    parts = parts_of(run, mark)
    assert [part.start for part in parts] == [START, *[part.stop for part in parts[:-1]]]
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    values = [value for part in parts for value in part.values]
    assert values == [-x if x % 1000 else None for x in range(START, START + COUNT)]
    raised = {index: error.args for part in parts for index, error in part.raised.items()}
    assert raised == {x: (x,) for x in range(START, START + COUNT) if x % 1000 == 0}


def test_after_a_failure_nothing_runs_where_it_stops_the_run():
    ran = []

    def run(x: int) -> None:
        ran.append(x)
        if x == START + 2 * CHUNK + 77:
            raise ValueError

    (part,) = parts_of(run, None, stops=True)
    assert ran == list(range(START, START + 2 * CHUNK + 78))
    assert list(part.raised) == [part.stop - 1] == [START + 2 * CHUNK + 77]


def test_items_know_their_index_in_every_chunk(start):
    results = allcores.map(lambda _: allcores.current_item().index, [None] * COUNT, start=start, batch=COUNT)
    assert results == list(range(COUNT))


def test_what_lies_on_the_shelf_after_a_long_item_is_that_of_the_right_items(mark):
    """The values of a chunk that is over were not kept, so later ones must not pass for them."""
    long = START + 2 * CHUNK + 10
    kept: list[tuple[int, list[Any]]] = []

    def run(x: int) -> int:
        if x == long:
            sum(range(500_000))
        if long < x < long + 2 * LONG_STRIDE:
            _, start, _, values = mark.shelf.read(os.getpid())
            kept.append((start, values))
        return x

    parts = parts_of(run, mark)
    assert [value for part in parts for value in part.values] == list(range(START, START + COUNT))
    assert all(values == list(range(start, start + len(values))) for start, values in kept)
    assert any(long < part.stop <= long + LONG_STRIDE for part in parts)  # it was reported, as it could not be kept


def test_nothing_is_put_on_the_shelf_twice_nor_in_vain(mark, monkeypatch):
    kept: list[list[Any]] = []
    monkeypatch.setattr(mark.shelf, "keep", lambda values: kept.append(values) or True)
    job = Job(lambda x: sum(range(20_000)) and x, is_star=False, stops_at_failure=False)  # long enough to be alone
    batch = SendBatch(0, 1, 0, 10, may_give_back=False)
    (part,) = run_batch(job, range(10), batch, mark)
    assert part.values == list(range(10))
    assert kept == [[x] for x in range(10)]


def test_exactly_the_one_of_many_short_items_fails_that_ends_its_worker(start):
    culprit = 2 * CHUNK + 123

    def run(x: int) -> int:
        if x == culprit:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    results = allcores.map(run, range(COUNT), start=start, workers=2, batch=COUNT, errors="collect")
    assert [failure.index for failure in results.failures] == [culprit]
    assert all(results[x] == x for x in range(COUNT) if x != culprit)


def test_short_items_that_were_reported_do_not_run_again_after_a_death():
    counts = mmap.mmap(-1, 2 * COUNT)

    def run(x: int) -> None:
        counts[x] += 1
        if x == COUNT + CHUNK:
            os.kill(os.getpid(), signal.SIGKILL)

    allcores.map(run, range(2 * COUNT), start="fork", workers=1, batch=CHUNK, errors="collect")
    assert set(counts[: COUNT - CHUNK]) == {1}
    assert set(counts[COUNT + CHUNK + LONG_STRIDE :]) <= {1}
    counts.close()
