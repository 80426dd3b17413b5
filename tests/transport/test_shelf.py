"""What a worker had finished and not yet reported is found after its death, and only that."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import allcores
from allcores._codec.codec import encode_outcomes
from allcores._codec.definitions.globals import Known
from allcores._core.errors import WorkerDied
from allcores._core.messages import BatchAdvanced, BatchFinished, Event, Moment, SendBatch, WorkerDown
from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._engines.engine import Arrival
from allcores._engines.processes.engine import ProcessEngine
from allcores._engines.processes.process import Setup
from allcores._input.dataset import Columns
from allcores._system.lifeline import End
from allcores._transport.board import (
    INDEX,
    KEPT_COUNT,
    KEPT_SINCE,
    OWNER,
    SHELF_BYTES,
    SINCE,
    SPAN,
    VALUE_BYTES,
    Board,
    Mark,
)
from allcores._transport.channel import Channel, channel_pair
from allcores._transport.wire import Kind, Message

pytestmark = pytest.mark.once

TOKEN, START = 7, 40  # of the batch on the shelf, and of its first item


class Unreadable:
    """Pickles, and raises when it is unpickled."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


class Unpicklable:
    """Raises what is more than an exception when it is pickled."""

    def __reduce__(self) -> Any:
        raise SystemExit


@pytest.fixture
def board() -> Board:
    return Board(2)


@pytest.fixture
def mark(board: Board) -> Mark:
    """The mark of a worker that has begun a batch."""
    mark = board.mark(board.take_slot())
    mark.shelf.clear(TOKEN, START, since=0)
    return mark


def kept(mark: Mark, pid: int | None = None) -> list[Any]:
    token, start, _, values = mark.shelf.read(pid or os.getpid())
    assert (token, start) == (TOKEN, START)
    return values


# ----------------------------------------------------------------------------------------------------------- the shelf


def test_an_empty_shelf_has_no_values(mark):
    assert kept(mark) == []


def test_values_are_read_in_the_order_in_which_they_were_kept(mark):
    assert mark.shelf.keep(["a"])
    assert mark.shelf.keep([None, {"b": 2}])
    assert mark.shelf.keep([])
    assert kept(mark) == ["a", None, {"b": 2}]
    assert kept(mark) == ["a", None, {"b": 2}]


def test_it_tells_how_long_the_items_took(mark):
    mark.words[KEPT_SINCE], mark.words[SINCE] = 3 * 10**9, 5 * 10**9
    assert mark.shelf.read(os.getpid())[2] == 2.0
    mark.words[SINCE] = 10**9  # of an item before, as the worker died before it wrote when the next one began
    assert mark.shelf.read(os.getpid())[2] == 0.0


def test_a_batch_begins_with_an_empty_shelf(mark):
    mark.shelf.keep(["old", "older"])
    mark.shelf.clear(TOKEN, START, since=0)
    assert kept(mark) == []
    mark.shelf.keep(["new"])
    assert kept(mark) == ["new"]


def test_a_value_that_is_too_large_is_not_kept(mark):
    assert mark.shelf.keep([1])
    assert not mark.shelf.keep([2, bytes(SHELF_BYTES)])
    assert kept(mark) == [1]


def test_a_value_that_would_travel_out_of_band_is_not_kept(mark):
    assert mark.shelf.keep([1])
    assert not mark.shelf.keep([np.zeros(VALUE_BYTES)])
    assert kept(mark) == [1]


def test_small_arrays_are_kept_whatever_their_order(mark):
    arrays = [np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3).T, np.arange(20.0)[::2]]
    assert mark.shelf.keep(arrays)
    assert all(np.array_equal(one, other) for one, other in zip(kept(mark), arrays, strict=True))


def test_where_large_values_are_expected_none_is_tried(mark):
    mark.shelf.expect(VALUE_BYTES + 1)
    assert not mark.shelf.keep([1])
    mark.shelf.expect(10)
    assert mark.shelf.keep([1])


def test_a_full_shelf_takes_no_more(mark):
    value = "x" * (VALUE_BYTES // 2)
    count = 0
    while mark.shelf.keep([value]):
        count += 1
    assert count == SHELF_BYTES // (VALUE_BYTES // 2) - 1  # each record has a few bytes more
    assert kept(mark) == [value] * count


def test_a_value_that_is_larger_than_it_looks_is_not_kept(mark):
    assert not mark.shelf.keep([[bytes(VALUE_BYTES // 2)] + [bytes([x]) * 1000 for x in range(40)]])
    assert kept(mark) == []


@pytest.mark.parametrize("value", [lambda: None, Unpicklable()])
def test_from_a_value_that_cannot_be_pickled_on_nothing_is_kept_until_the_next_batch(mark, value):
    """There must be no gap, or later values would be taken for those of earlier items."""
    assert mark.shelf.keep([1])
    assert mark.shelf.keep([value])
    assert mark.shelf.keep([3])
    assert kept(mark) == [1]
    mark.shelf.clear(TOKEN, START, since=0)
    assert mark.shelf.keep([4])
    assert kept(mark) == [4]


def test_from_a_value_that_cannot_be_unpickled_on_nothing_is_read(mark):
    for values in ([1], [Unreadable()], [3]):
        assert mark.shelf.keep(values)
    assert kept(mark) == [1]


def test_a_record_that_was_being_written_is_not_seen(mark):
    """Its worker died before it counted the value; whatever it had written of it, here all, does not matter."""
    mark.shelf.keep([1])
    counted = bytes(mark.words)
    mark.shelf.keep(["half written"])
    mark.words[:] = memoryview(counted).cast("q")
    assert kept(mark) == [1]


def test_each_worker_has_a_shelf_of_its_own(board, mark):
    other = board.mark(board.take_slot())
    other.shelf.clear(TOKEN, START, since=0)
    mark.shelf.keep(["mine"])
    other.shelf.keep(["x" * (VALUE_BYTES // 2)] * 7)
    assert kept(mark) == ["mine"]


def test_a_slot_that_is_taken_anew_has_an_empty_shelf(board):
    slot = board.take_slot()
    board.mark(slot).shelf.keep(["the last worker's"])
    board.free_slot(slot)
    assert board.take_slot() == slot
    assert board.mark(slot).shelf.read(os.getpid())[3] == []


def test_what_a_process_kept_is_found_after_its_death(board):
    slot = board.take_slot()
    pid = os.fork()
    if pid == 0:
        shelf = board.mark(slot).shelf
        shelf.clear(TOKEN, START, since=0)
        shelf.keep(["a", "b"])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert kept(board.mark(slot), pid) == ["a", "b"]


def test_what_another_process_kept_in_the_same_place_is_not_taken_for_its_own(board, mark):
    mark.shelf.keep(["a"])
    assert mark.shelf.read(os.getpid() + 1)[3] == []


def test_a_process_that_has_lost_its_place_keeps_nothing_any_more(mark):
    mark.words[OWNER] = os.getpid() + 1
    assert mark.shelf.keep(["a"])
    assert mark.words[KEPT_COUNT] == 0


def test_a_slot_is_free_once_however_often_it_is_given_back(board):
    slot = board.take_slot()
    for _ in range(2):
        board.free_slot(slot)
    assert board.take_slot() != board.take_slot()


def test_it_can_be_shared_with_a_process_that_does_not_inherit_it():
    board = Board(2, shareable=True)
    slot = board.take_slot()
    worker = Board(2, descriptor=board.descriptor).mark(slot)
    worker.shelf.clear(TOKEN, START, since=0)
    worker.shelf.keep(["a"])
    assert kept(board.mark(slot)) == ["a"]
    board.close()


# ---------------------------------------------------------------------------------------------------------- the engine


class EndedProcess:
    """A worker that has said and kept this and that before it ended.

    Args:
        mark: its own.
    """

    pid = os.getpid()

    def __init__(self, mark: Mark) -> None:
        ours, theirs = channel_pair()
        self.known = Known()
        self.mark = mark
        self.channel = Channel(ours)
        self.worker = Channel(theirs)
        self.sentinel, self._status = os.pipe()

    def report(self, token: int, start: int, values: list[Any], *, is_last: bool) -> None:
        frames = encode_outcomes(start, values, {})
        self.worker.send(Message(Kind.REPORT, token, start, start + len(values), 0.5, is_last, frames))

    def end(self) -> None:
        self.worker.close()
        os.close(self._status)

    def kill(self, *, with_descendants: bool = True) -> None:
        """It has ended."""

    def wait_for_end(self) -> End:
        return End(signal.SIGKILL)

    def see_end(self) -> None:
        """It has ended."""

    def close(self) -> None:
        self.channel.close()
        os.close(self.sentinel)


class OneProcess:
    """Starts one process."""

    inherits = True
    keeps_processes = False
    has_finalizer = False

    def __init__(self, process: EndedProcess) -> None:
        self.start = lambda _: process

    def starting(self) -> AbstractContextManager[None]:
        """Do nothing for others."""
        return nullcontext()

    def set_up(self) -> Setup:
        """It needs nothing."""
        return Setup([], b"", Known(), {}, [], None, None)

    def forget(self, process: Any) -> None:
        """It has nothing that another could have."""

    def keep(self, process: Any) -> None:
        """Keep none."""

    def close(self) -> None:
        """Nothing is held."""


PLAN = make_plan(
    Options(), Facts(cores=1, cores_bound="this test", can_fork=True, fork_hazard=None, can_start_clean=True)
)


@pytest.fixture
def after(mark: Mark) -> Iterator[Callable[..., list[Arrival]]]:
    """Tell what an engine has to say of a worker that lived so: ``after(live)``, where ``live(process)``."""
    process = EndedProcess(mark)
    engine = ProcessEngine(OneProcess(process), Columns((range(100),)), PLAN)

    def wait(live: Callable[[EndedProcess], None]) -> list[Arrival]:
        engine.start((3,))
        engine.send(SendBatch(3, TOKEN - 1, START + 50, START + 51, may_give_back=True))
        engine.send(SendBatch(3, TOKEN, START, START + 20, may_give_back=True))
        live(process)
        process.end()
        arrivals: list[Arrival] = []
        while not (arrivals and isinstance(arrivals[-1].event, WorkerDown)):
            arrivals += engine.wait(None)
        assert isinstance(arrivals[-1].cause, WorkerDied)
        return arrivals

    yield wait
    engine.close()


def told(arrivals: list[Arrival]) -> list[tuple[type[Event], int, list[Any]]]:
    """Give what was told before the worker's end."""
    return [(type(arrival.event), arrival.start, arrival.values) for arrival in arrivals[:-1]]


def test_values_that_were_not_reported_are_told_before_the_death(after):
    def live(process: EndedProcess) -> None:
        process.mark.shelf.clear(TOKEN, START, since=0)
        process.mark.shelf.keep(["a", "b"])
        words = process.mark.words
        words[INDEX], words[SPAN], words[SINCE] = START + 2, 1, 10**9

    salvaged, death = after(live)
    assert (salvaged.event, salvaged.start, salvaged.values) == (
        BatchAdvanced(3, TOKEN, START + 2, 1.0),
        START,
        ["a", "b"],
    )
    assert death.event == WorkerDown(3, Moment.RUNNING, START + 2, START + 3)


@pytest.mark.parametrize("is_last", [True, False])
def test_values_that_were_reported_are_not_told_again(after, is_last):
    def live(process: EndedProcess) -> None:
        process.mark.shelf.clear(TOKEN, START, since=0)
        process.mark.shelf.keep(["a", "b"])
        process.report(TOKEN, START, ["a", "b"], is_last=is_last)

    happened = BatchFinished if is_last else BatchAdvanced
    assert told(after(live)) == [(happened, START, ["a", "b"])]


def test_values_after_those_that_were_reported_are_told(after):
    def live(process: EndedProcess) -> None:
        process.report(TOKEN, START, ["a", "b"], is_last=False)
        process.mark.shelf.clear(TOKEN, START + 2, since=0)
        process.mark.shelf.keep(["c"])

    assert told(after(live)) == [(BatchAdvanced, START, ["a", "b"]), (BatchAdvanced, START + 2, ["c"])]


def test_values_of_the_next_batch_are_told(after):
    """Batches need not ascend: items that are returned are sent later."""

    def live(process: EndedProcess) -> None:
        process.report(TOKEN - 1, START + 50, ["z"], is_last=True)
        process.mark.shelf.clear(TOKEN, START, since=0)
        process.mark.shelf.keep(["a"])

    assert told(after(live)) == [(BatchFinished, START + 50, ["z"]), (BatchAdvanced, START, ["a"])]


def test_what_an_earlier_run_has_left_is_not_told(after, mark):
    mark.shelf.keep(["another run's"])
    assert told(after(lambda process: None)) == []


# ---------------------------------------------------------------------------------------------------------- whole runs


class Deadly:
    """Pickles, and kills the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


def test_a_warm_worker_that_dies_at_once_does_not_hand_in_what_it_did_for_an_earlier_run(clean_start):
    """The second run's first batch has the token and the first item that the earlier one had."""
    options: dict[str, Any] = {"start": clean_start, "workers": 1, "batch": 5}
    pids = set(allcores.map(lambda _: os.getpid(), range(5), **options))
    results = allcores.map(lambda x: x, iter([Deadly(), 1, 2, 3, 4]), errors="collect", **options)
    assert results[1:] == [1, 2, 3, 4]
    (failure,) = results.failures
    assert failure.index == 0
    assert failure.worker.pid not in pids  # which died first, when it was not yet clear of which item


def test_finished_values_of_any_size_outlive_their_worker(start, tmp_path: Path):
    """Those that do not fit on the shelf were reported at once."""
    ran = tmp_path / "ran"
    values = [b"small", bytes(5_000), [bytes(3_000)] * 3, bytes(50_000), 3.5, np.arange(4), *[bytes(6_000)] * 9]

    def run(x: int) -> Any:
        with ran.open("a") as file:
            file.write(f"{x}\n")
        return values[x] if x < len(values) else os._exit(1)

    count = len(values)
    results = allcores.map(run, range(count + 1), start=start, workers=1, batch=count + 1, errors="collect")
    assert all(np.array_equal(value, expected) for value, expected in zip(results, values, strict=False))
    assert [failure.index for failure in results.failures] == [count]
    assert list(map(int, ran.read_text().split())) == list(range(count + 1))
