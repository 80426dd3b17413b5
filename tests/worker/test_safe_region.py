"""What is finished is told while a later item of its batch runs long, whoever takes it, and wherever items run."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores._codec.packing import CHUNK, Parcel
from allcores._core.messages import SendBatch
from allcores._transport.board import INDEX, SPAN, Board, Mark
from allcores._worker.job import Job, Part, run_batch
from allcores._worker.safe_region import Cuttable, SafeRegion

COUNT = 2 * CHUNK + 500

Work = Callable[[int], int]
Entry = Callable[..., None]  # calls with each result


# ------------------------------------------------------------------------------------------------------- one batch


@pytest.fixture
def mark() -> Mark:
    board = Board(1)
    return board.mark(board.take_slot())


def ignore(part: Part) -> None:
    """Nobody is told."""


def parts_of(
    run: Callable[[int], Any], region: SafeRegion, mark: Mark, gather: Callable[[], Any] = Parcel
) -> list[Part]:
    batch = SendBatch(0, 1, 0, COUNT, may_give_back=False)
    job = Job(run, is_star=False, stops_at_failure=False)
    return list(run_batch(job, range(COUNT), batch, mark, gather=gather, region=region))


@pytest.mark.once
@pytest.mark.parametrize("shares", [2, 50, 1000])
@pytest.mark.parametrize("is_on_board", [True, False])
def test_each_item_is_told_once_whenever_somebody_looks(shares: int, mark: Mark, *, is_on_board: bool) -> None:
    dice, region, told = random.Random(shares), SafeRegion(), []

    def tell(part: Part) -> None:
        told.append(part._replace(values=list(part.values)))

    def run(x: int) -> int:
        for _ in range(2 if dice.random() * shares < 1 else 0):
            region.look(tell)  # as somebody else would, while this item runs
        if x % 777 == 0:
            raise ValueError(x)
        return allcores.current_item().index

    rest = parts_of(run, region, mark if is_on_board else Mark.of_thread(), Parcel if is_on_board else list)
    assert told
    parts = sorted([*told, *rest], key=lambda part: (part.start, part.stop))
    assert [part.start for part in parts] == [0, *[part.stop for part in parts[:-1]]]
    values = [value for part in parts for value in part.values]
    assert values == [None if x % 777 == 0 else x for x in range(COUNT)]
    assert {index for part in parts for index in part.raised} == {x for x in range(COUNT) if x % 777 == 0}
    assert all(part.start <= index < part.stop for part in parts for index in part.raised)
    assert all(part.seconds >= 0 for part in parts)
    assert [part.is_last for part in rest] == [False] * (len(rest) - 1) + [True]
    assert not any(part.is_last for part in told)


@pytest.mark.once
def test_what_is_put_off_runs_in_its_turn_and_the_mark_tells_the_very_item(mark: Mark) -> None:
    dice, region, seen = random.Random(1), SafeRegion(), []

    def run(x: int) -> int:
        if dice.random() < 0.002:
            region.look(ignore)
            region.look(ignore)
            seen.append((x, mark.words[INDEX], mark.words[SPAN]))
        return x

    parts = parts_of(run, region, mark)
    ran = {value for part in parts for value in part.values}
    assert len(ran) == sum(len(list(part.values)) for part in parts)
    assert seen
    assert all((index, span) == (x, 1) for x, index, span in seen)


@pytest.mark.once
def test_cutting_while_items_are_given_loses_none() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        values: list[int] = []
        stride = Cuttable(list(range(30)), 0, values, is_marked_together=True)

        class Items(list[int]):
            """Has some more given amid a cut."""

            def __delitem__(self, place: Any) -> None:
                values.extend(islice(stride.iterator, given))  # noqa: B023 - at once
                super().__delitem__(place)

        stride._items = Items(range(30))
        stride.iterator = iter(stride._items)
        values.extend(islice(stride.iterator, dice.randrange(30)))
        given = dice.randrange(40)
        rest = stride.cut()
        assert [*values, *rest] == list(range(30))
        assert list(stride.iterator) == []


@pytest.mark.once
def test_what_has_come_since_the_last_look_is_not_told_yet(mark: Mark) -> None:
    region, told = SafeRegion(), []

    def run(x: int) -> int:
        region.look(told.append)
        return x

    parts = parts_of(run, region, mark)
    assert not told
    assert [value for part in parts for value in part.values] == list(range(COUNT))


@pytest.mark.once
def test_a_closed_region_shows_nothing(mark: Mark) -> None:
    region, told = SafeRegion(), []

    def run(x: int) -> int:
        if x == 5:
            with region.closed():
                for _ in range(3):
                    region.look(told.append)
        return x

    parts_of(run, region, mark)
    region.look(told.append)
    assert not told


# ---------------------------------------------------------------------------------------------------- whole runs


def take(results: Iterable[Any], see: Callable[[Any], None]) -> None:
    for result in results:
        see(result)


def aimap(work: Work, count: int, see: Callable[[Any], None], **place: Any) -> None:
    async def take_all(results: AsyncIterator[Any]) -> None:
        async for result in results:
            see(result)

    asyncio.run(take_all(allcores.aimap(work, range(count), workers=1, **place)))


def with_pool(method: str, **options: Any) -> Entry:
    def run(work: Work, count: int, see: Callable[[Any], None], **place: Any) -> None:
        with allcores.Pool(1, **place) as pool:
            take(getattr(pool, method)(work, list(range(count)), **options), see)

    return run


def with_executor(**options: Any) -> Entry:
    def run(work: Work, count: int, see: Callable[[Any], None], **place: Any) -> None:
        with allcores.Executor(1, **place) as executor:
            take(executor.map(work, range(count), **options), see)

    return run


ENTRIES: dict[str, Entry] = {
    "imap": lambda work, count, see, **place: take(allcores.imap(work, range(count), workers=1, **place), see),
    "imap, fixed": lambda work, count, see, **place: take(
        allcores.imap(work, range(count), workers=1, batch=count, **place), see
    ),
    "imap_unordered": lambda work, count, see, **place: take(
        allcores.imap_unordered(work, range(count), workers=1, **place), lambda pair: see(pair[1])
    ),
    "aimap": aimap,
    "Pool.imap": with_pool("imap"),
    "Pool.imap, chunks": with_pool("imap", chunksize=70),
    "Pool.imap_unordered": with_pool("imap_unordered"),
    "Executor.map": with_executor(),
    "Executor.map, chunks": with_executor(chunksize=70),
}


@pytest.fixture(params=("fork", "forkserver", "threads"))
def places(request: pytest.FixtureRequest) -> dict[str, str]:
    """Options for each place where results could lie."""
    return {"on": "threads"} if request.param == "threads" else {"start": request.param}


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that who opens it to read and who opens it to write wait for each other."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


HELD_UP = 3000  # an item; of so many that take less than a microsecond, hundreds are marked together


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_item_may_wait_for_whoever_takes_the_results_before_it(
    entry: str, places: dict[str, str], gate: Path
) -> None:
    """None of these items is put on a shelf."""

    def work(index: int) -> int:
        if index == HELD_UP:
            os.close(os.open(gate, os.O_RDONLY))
        return index

    seen = []

    def see(result: int) -> None:
        seen.append(result)
        if len(seen) == HELD_UP:
            os.close(os.open(gate, os.O_WRONLY))

    ENTRIES[entry](work, HELD_UP + 40, see, **places)
    assert sorted(seen) == list(range(HELD_UP + 40))


def with_pool_of_two(work: Work, count: int, **place: Any) -> list[int]:
    with allcores.Pool(2, **place) as pool:
        return list(pool.imap(work, list(range(count))))


def with_executor_of_two(work: Work, count: int, **place: Any) -> list[int]:
    with allcores.Executor(2, **place) as executor:
        return list(executor.map(work, range(count)))


MEETINGS: dict[str, Callable[..., list[int]]] = {
    "imap": lambda work, count, **place: list(allcores.imap(work, range(count), workers=2, **place)),
    "Pool.imap": with_pool_of_two,
    "Executor.map": with_executor_of_two,
}


@pytest.mark.parametrize("entry", MEETINGS)
def test_of_items_that_are_marked_together_two_may_wait_for_each_other(
    entry: str, places: dict[str, str], gate: Path
) -> None:
    """Where results are taken one by one, as the standard library's executor sends items one by one."""

    def work(index: int) -> int:
        if index in {HELD_UP, HELD_UP + 1}:
            os.close(os.open(gate, os.O_RDONLY if index == HELD_UP else os.O_WRONLY))
        return index

    assert MEETINGS[entry](work, HELD_UP + 100, **places) == list(range(HELD_UP + 100))


def test_what_is_told_early_is_what_would_be_told_later(start: str, gate: Path) -> None:
    """Classes of no module, functions, exceptions, and values that cannot be pickled: nothing takes another way."""

    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    def work(index: int) -> Any:
        if index == 20:
            os.close(os.open(gate, os.O_RDONLY))
        if index == 10:
            raise KeyError(index)
        return threading.Lock() if index == 11 else (Point(index), lambda: index)

    results = []
    for result in allcores.imap(work, range(22), workers=1, batch=22, errors="collect", start=start):
        results.append(result)
        if len(results) == 20:
            os.close(os.open(gate, os.O_WRONLY))
    assert isinstance(results[10].exception, KeyError)
    assert isinstance(results[11].exception, allcores.UnpicklableResult)
    good = [index for index in range(22) if index not in {10, 11}]
    assert [(results[index][0].x, results[index][1]()) for index in good] == [(index, index) for index in good]
    assert all(type(results[index][0]) is Point for index in good)


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_an_item_that_forks_is_alone_in_its_process_and_results_come_all_the_same(start: str, gate: Path) -> None:
    """Newer Pythons warn of a fork with a second thread in the process."""

    def work(index: int) -> Any:
        if index == 2000:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                if (child := os.fork()) == 0:
                    os._exit(0)
            os.waitpid(child, 0)
            os.close(os.open(gate, os.O_RDONLY))
        return threading.active_count() if index % 100 == 0 else 1

    results = allcores.imap(work, range(2010), workers=1, batch=2010, start=start)
    for taken, threads in enumerate(results, 1):
        assert threads == 1
        if taken == 2000:
            os.close(os.open(gate, os.O_WRONLY))


def test_runs_inside_of_such_items_fork_as_ever() -> None:
    starts = set(allcores.imap(lambda _: allcores.plan().start, range(50), workers=1, batch=50, start="fork"))
    assert starts == {allcores.plan().start}
