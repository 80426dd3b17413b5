"""Each item is as it was when it was yielded, and each result as it was when its item ended, as in a plain loop."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import reused
from odd_objects import BadReduce
from reused import COUNT, Row, Slotted, show

import allcores
from allcores._core.messages import SendBatch
from allcores._input.snapshots import LARGE, Snapshots
from allcores._worker.job import Job, run_batch

# ------------------------------------------------------------------------------------------------------- by themselves


def gathered(things: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    Snapshots(shares_files=True).gather(things, found)
    return found


def returned(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Give what a worker would send, having run the items in one batch."""
    items = list(items)
    batch = SendBatch(0, 1, 0, len(items), may_give_back=False)
    job = Job(function, is_star=False, stops_at_failure=False)
    snapshots = Snapshots(shares_files=False)
    return [value for part in run_batch(job, items, batch, snapshots=snapshots) for value in part.values]


NEW: dict[str, Callable[[int], Any]] = {
    "int": lambda number: number,
    "text": str,
    "tuple": lambda number: (number, "a", (1.5, None)),
    "list": lambda number: [number],
    "dict": lambda number: {"number": number, "more": [number]},
    "set": lambda number: {number},
    "instance": Row,
    "array": lambda number: np.full(3, number),
    "view of a new array": lambda number: np.full(4, number).reshape(2, 2),
    "tuple with a new array": lambda number: (number, np.full(3, number)),
    "bytearray": bytearray,
    "function": lambda _: show,
}


@pytest.mark.parametrize("make", NEW.values(), ids=NEW)
def test_new_things_are_left_as_they_are(make):
    made: list[int] = []

    def keep(number: int) -> Any:
        thing = make(number)
        made.append(id(thing))
        return thing

    for take in (lambda: gathered(map(keep, range(9))), lambda: returned(keep, range(200))):
        made.clear()
        assert list(map(id, take())) == made


def test_what_a_generator_makes_as_it_yields_it_is_left_as_it_is(monkeypatch):
    monkeypatch.delattr(Snapshots, "copy")
    assert gathered([number] for number in range(9)) == [[number] for number in range(9)]
    assert gathered({"a": np.zeros(number)} for number in range(3))[2]["a"].shape == (2,)


@pytest.mark.parametrize("make", reused.GENERATORS)
def test_each_item_is_as_it_was_when_it_was_yielded(make):
    assert [show(item) for item in gathered(make())] == [show(item) for item in make()]


@pytest.mark.parametrize("name", reused.FUNCTIONS)
def test_each_result_is_as_it_was_when_its_item_ended(name):
    calls = [(name, number) for number in range(200)]
    expected = [show(reused.call(one)) for one in calls]
    assert [show(value) for value in returned(reused.call, calls)] == expected


def test_a_result_that_is_its_own_item_is_as_it_was():
    rows = [Row()] * 200

    def count(row: Row) -> Row:
        row.number += 1
        return row

    assert [row.number for row in returned(count, rows)] == list(range(1, 201))


def test_what_is_one_object_within_an_item_stays_one():
    row: list[Any] = [0]
    row_of_rows = [row]

    def make() -> Iterator[Any]:
        for row[0] in range(3):
            yield row, {"row": row}, row_of_rows

    for first, second, third in gathered(make()):
        assert first is second["row"] is third[0] is not row


def test_what_leads_to_itself_still_does():
    row: dict[str, Any] = {}
    row["row"] = row
    (copied,) = gathered(row for _ in range(1))
    assert copied is not row
    assert copied["row"] is copied


def test_copies_are_of_the_same_types_in_the_same_order():
    buffer = np.zeros((3, 4), ">f4", order="F")
    rows = Counter(b=1, a=2), buffer, np.ma.masked_array([1.0, 2.0], [True, False]), Slotted
    copied = gathered(row for row in rows for _ in "1")
    assert [type(one) for one in copied] == [type(row) for row in rows]
    assert list(copied[0]) == ["b", "a"]
    assert (copied[1].dtype, copied[1].flags.f_contiguous) == (buffer.dtype, True)
    assert not any(np.shares_memory(copied[at], rows[at]) for at in (1, 2))


@pytest.mark.parametrize("constant", [np.zeros(LARGE), {"model": list(range(LARGE))}], ids=["array", "dict"])
def test_something_large_that_does_not_change_is_copied_once(constant):
    items = gathered((number, constant) for number in range(5))
    assert len({id(copied) for _, copied in items}) == 1
    assert items[0][1] is not constant


def test_a_large_thing_that_changes_is_copied_each_time():
    buffer = np.zeros(LARGE)
    large = {"a": list(range(LARGE))}

    def make() -> Iterator[Any]:
        for number in range(6):
            buffer[-1] = large["a"][-1] = number // 2
            yield buffer, large

    assert [(row[-1], rows["a"][-1]) for row, rows in gathered(make())] == [(n // 2, n // 2) for n in range(6)]


def test_an_iterator_that_comes_again_is_refused():
    def chunks() -> Iterator[Any]:
        source = iter(range(20))
        for _ in range(3):
            yield zip(range(5), source, strict=False)

    with pytest.raises(allcores.UnpicklableItem, match="the same range_iterator came with an earlier one"):
        allcores.map(list, chunks(), workers=1)
    with pytest.raises(allcores.UnpicklableItem, match="came with an earlier one"):
        allcores.map(next, (one for one in [iter([1, 2])] * 2), workers=1)


def test_what_listing_a_group_raises_is_the_inputs_error():
    def broken() -> Iterator[int]:
        yield from (1, 1, 2)
        raise ConnectionError

    def total(group: Any) -> int:
        return sum(group[1])

    with pytest.raises(ConnectionError) as raised:
        allcores.map(total, itertools.groupby(broken()), workers=1)
    assert allcores.finished(raised.value) == {0: 2}


def test_what_cannot_be_copied_fails_alone_and_says_why():
    bad, lock = BadReduce(kind=KeyboardInterrupt), threading.Lock()

    def make() -> Iterator[Any]:
        yield from (1, bad, lock, [lock], 2)

    results = allcores.map(lambda thing: thing, make(), workers=1, errors="collect")
    assert [failure.index for failure in results.failures] == [1, 2, 3]
    assert all(type(failure.exception) is allcores.UnpicklableItem for failure in results.failures)
    assert (results[0], results[4]) == (1, 2)


# -------------------------------------------------------------------------------------------------------- in all doors


def numbers_of(items: Iterable[dict[str, int]]) -> list[int]:
    return [item["number"] for item in items]


def number_of(row: dict[str, int], *_: object) -> int:
    return row["number"]


def fill_row(number: int) -> dict[str, int]:
    row = vars(fill_row).setdefault("row", {})
    row["number"] = number
    return row


def slowly(row: dict[str, int], **_: object) -> int:
    time.sleep(0.002)
    return row["number"]


def closures() -> Iterator[Callable[[], int]]:
    for row in reused.dicts():
        yield lambda: slowly(row)  # noqa: B023 - of now


async def rows_in_time() -> AsyncIterator[dict[str, int]]:
    for row in reused.dicts():
        yield row
        await asyncio.sleep(0)


NUMBERS = list(range(COUNT))


def test_all_generators_give_what_they_give_in_a_loop(start):
    expected = [show(item) for item in reused.all_items()]
    options: dict[str, Any] = {"start": start, "workers": 2}
    assert list(allcores.imap(show, reused.all_items(), **options)) == expected
    assert allcores.map(show, reused.all_items(), batch=16, **options) == expected
    with allcores.Pool(2, start=start) as pool:
        assert pool.map(show, reused.all_items()) == expected
        assert list(pool.imap(show, reused.all_items(), chunksize=7)) == expected
    with allcores.Executor(2, start=start) as executor:
        assert list(executor.map(show, reused.all_items())) == expected


def test_all_functions_give_what_they_give_in_a_loop(start):
    expected = [show(reused.call(one)) for one in reused.ALL_CALLS]
    options: dict[str, Any] = {"start": start, "workers": 1, "batch": 100}
    assert [show(value) for value in allcores.imap(reused.call, iter(reused.ALL_CALLS), **options)] == expected
    with allcores.Pool(1, start=start) as pool:
        assert [show(value) for value in pool.map(reused.call, reused.ALL_CALLS, chunksize=100)] == expected
    with allcores.Executor(1, start=start) as executor:
        assert [show(value) for value in executor.map(reused.call, reused.ALL_CALLS, chunksize=100)] == expected


def test_every_way_of_handing_in_gives_what_a_loop_does(start):
    options: dict[str, Any] = {"start": start, "workers": 2}

    def pairs() -> Iterator[tuple[Any, int]]:
        return zip(reused.dicts(), itertools.count(), strict=False)

    assert allcores.starmap(number_of, pairs(), **options) == NUMBERS
    assert allcores.map(number_of, reused.dicts(), range(COUNT), **options) == NUMBERS
    assert sorted(allcores.imap_unordered(number_of, reused.dicts(), **options)) == [*enumerate(NUMBERS)]
    assert asyncio.run(allcores.amap(number_of, rows_in_time(), **options)) == NUMBERS
    with allcores.Pool(2, start=start) as pool:
        assert pool.starmap(number_of, pairs()) == NUMBERS
        assert sorted(pool.imap_unordered(number_of, reused.dicts())) == NUMBERS
        assert pool.map_async(number_of, reused.dicts()).get(30) == NUMBERS
        assert [one.get(30) for one in [pool.apply_async(slowly, (row,)) for row in reused.dicts()]] == NUMBERS
        assert numbers_of([pool.apply(fill_row, (number,)) for number in NUMBERS]) == NUMBERS
    with allcores.Executor(2, start=start) as executor:
        assert list(executor.map(number_of, reused.dicts(), NUMBERS, buffersize=5)) == NUMBERS
        futures = [executor.submit(slowly, row) for row in reused.dicts()]
        futures += [executor.submit(slowly, row=row, more=row) for row in reused.dicts()]
        futures += [executor.submit(closure) for closure in closures()]
        assert [future.result(30) for future in futures] == 3 * NUMBERS
        futures = [executor.submit(show, array) for array in reused.large_arrays()]
        assert [future.result(30) for future in futures] == [show(array) for array in reused.large_arrays()]


@pytest.mark.once
def test_a_journal_has_the_items_as_they_were(tmp_path: Path):
    path = tmp_path / "run.journal"
    assert allcores.map(number_of, reused.dicts(), resume=path, workers=1) == NUMBERS
    again = allcores.map(number_of, reused.dicts(), resume=path, workers=1)
    assert (again, again.report.recalled) == (NUMBERS, COUNT)


@pytest.mark.once
class TellsWhereItIsMade:
    """Whose unpickling runs code of the user's, which may do anything, such as bringing down the process."""

    MADE_BY: ClassVar[list[int]] = []

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _make_and_tell, (self.number,)


def _make_and_tell(number: int) -> TellsWhereItIsMade:
    TellsWhereItIsMade.MADE_BY.append(os.getpid())
    return TellsWhereItIsMade(number)


def number_and_maker(thing: TellsWhereItIsMade) -> tuple[int, bool]:
    return thing.number, os.getpid() in TellsWhereItIsMade.MADE_BY


def test_what_waits_for_a_worker_is_made_again_by_the_worker_only(start):
    thing = TellsWhereItIsMade(0)
    futures = []
    with allcores.Executor(1, start=start) as executor:
        for thing.number in range(5):
            futures.append(executor.submit(number_and_maker, thing))
        assert [future.result(60) for future in futures] == [(number, True) for number in range(5)]
    assert not TellsWhereItIsMade.MADE_BY


def test_a_failure_has_the_item_as_it_was():
    results = allcores.map(lambda row: 1 // (row["number"] % 2), reused.dicts(), workers=1, errors="collect")
    assert numbers_of(failure.item for failure in results.failures) == NUMBERS[::2]


@pytest.mark.parametrize("on", ["threads", "serial"])
def test_within_the_process_things_are_shared_as_in_a_loop(on):
    row: dict[str, int] = {}
    items = list(allcores.imap(lambda row: row, iter([row, row]), on=on))
    assert items[0] is items[1] is row
