"""What is sliced, what is pulled, and that nothing is kept longer than needed."""

from __future__ import annotations

import gc
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count, pairwise
from typing import Any
from weakref import ref

import numpy as np
import pytest

from allcores._input.dataset import Columns, Dataset, Stream, make_dataset

pytestmark = pytest.mark.once


class Thing:
    """An item that can be watched."""


class OddList(list[int]):
    """A list whose items are not what its slices say."""

    def __iter__(self) -> Iterator[int]:
        return iter([1, 2])


class OldSequence:
    """Iterable by the old protocol alone."""

    def __getitem__(self, index: int) -> int:
        return [10, 20, 30][index]


def all_items(dataset: Dataset) -> list[Any]:
    """Read a dataset three items at a time, as a run would."""
    if isinstance(dataset, Columns):
        assert dataset.length is not None
        cuts = [*range(0, dataset.length, 3), dataset.length]
        return [item for start, stop in pairwise(cuts) for item in dataset.items(start, stop)]
    stop = 3
    while dataset.pull(stop) == stop:
        stop += 3
    return list(dataset.items(0, dataset.pulled)) if dataset.pulled else []


@pytest.mark.parametrize(
    "iterable",
    [[1, 2, 3, 4], (1, 2, 3, 4), range(10, 2, -2), "text", b"bytes", bytearray(b"bytes"), [], np.arange(7)],
    ids=lambda iterable: type(iterable).__name__,
)
def test_what_can_be_sliced_is_sliced(iterable: Any) -> None:
    dataset = make_dataset((iterable,))
    assert isinstance(dataset, Columns)
    assert dataset.length == len(iterable)
    assert all_items(dataset) == list(iterable)
    assert type(dataset.items(0, 2)) is type(iterable)


@pytest.mark.parametrize(
    "iterable",
    [
        {"a": 1, "b": 2},
        {"a": 1, "b": 2}.keys(),
        {"a": 1, "b": 2}.values(),
        {"a": 1, "b": 2}.items(),
        {3, 1, 2},
        frozenset("abc"),
        deque("abc"),
    ],
    ids=lambda iterable: type(iterable).__name__,
)
def test_what_may_change_meanwhile_is_listed_at_once(iterable: Any) -> None:
    dataset = make_dataset((iterable,))
    assert isinstance(dataset, Columns)
    assert all_items(dataset) == list(iterable)


@pytest.mark.parametrize(
    "make",
    [
        lambda: (index for index in range(7)),
        lambda: iter([1, 2, 3]),
        lambda: OddList([5, 6, 7]),
        OldSequence,
        lambda: OrderedDict(a=1),
    ],
    ids=["generator", "iterator", "subclass", "getitem", "mapping"],
)
def test_everything_else_is_iterated(make: Callable[[], Any]) -> None:
    dataset = make_dataset((make(),))
    assert isinstance(dataset, Stream)
    assert dataset.length is None
    assert all_items(dataset) == list(make())


def test_rows_of_an_array_are_items() -> None:
    table = np.arange(6).reshape(3, 2)
    dataset = make_dataset((table,))
    assert dataset.length == 3
    assert np.array_equal(dataset.items(1, 3), table[1:])
    assert np.shares_memory(np.asarray(dataset.items(1, 3)), table)


def test_several_columns_side_by_side_end_with_the_shortest() -> None:
    dataset = make_dataset(([1, 2, 3], "ab", range(5, 10)))
    assert dataset.length == 2
    assert all_items(dataset) == [(1, "a", 5), (2, "b", 6)]


def test_one_stream_among_several_makes_a_stream_of_them() -> None:
    dataset = make_dataset(([1, 2, 3], iter("ab")))
    assert isinstance(dataset, Stream)
    assert all_items(dataset) == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("thing", [5, None, object()])
def test_what_is_not_iterable_is_named(thing: Any) -> None:
    with pytest.raises(TypeError, match=f"the input is not iterable: .* is .*{type(thing).__name__}"):
        make_dataset((thing,))
    with pytest.raises(TypeError, match="input 2 is not iterable"):
        make_dataset(([1], thing))


def test_a_stream_is_pulled_no_further_than_asked() -> None:
    numbers = count()
    stream = Stream(numbers)
    assert stream.pull(3) == 3
    assert stream.pull(4) == 4
    assert next(numbers) == 4


def test_a_stream_that_ends_says_how_far_it_got() -> None:
    stream = Stream(iter("abc"))
    assert stream.pull(2) == 2
    assert stream.pull(10) == stream.pulled == 3
    assert stream.pull(20) == 3


class Kept(list[Thing]):
    """A list that gives itself as its iterator, and so is still there when that has ended."""

    def __iter__(self) -> Iterator[Thing]:
        return self

    def __next__(self) -> Thing:
        if not self:
            raise StopIteration
        return self.pop()


def test_a_stream_that_has_ended_holds_nothing_of_the_input() -> None:
    kept = Kept(Thing() for _ in range(3))
    gone = ref(kept)
    stream = Stream(iter(kept))
    del kept
    assert (stream.pull(2), gone() is None) == (2, False)
    assert (stream.pull(4), gone()) == (3, None)
    assert stream.pull(5) == 3


def test_a_stream_keeps_what_came_before_an_error() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise ConnectionError

    stream = Stream(broken())
    stream.pull(2)
    with pytest.raises(ConnectionError):
        stream.pull(10)
    assert stream.pulled == 5
    assert stream.items(0, 5) == [0, 1, 2, 3, 4]


def is_same(items: Sequence[Thing], watched: Sequence[ref[Thing]]) -> bool:
    return list(items) == [watch() for watch in watched]


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_gives_any_range_until_it_is_settled_and_then_lets_it_go(seed: int) -> None:
    dice = random.Random(seed)
    things = [Thing() for _ in range(60)]
    watched = [ref(thing) for thing in things]
    stream = Stream(iter([*things]))
    del things
    stops = [*sorted(dice.sample(range(1, 60), 6)), 60]
    assert [stream.pull(stop) for stop in stops] == stops
    assert stream.pull(61) == 60

    cuts = [0, *sorted(dice.sample(range(1, 60), 9)), 60]
    parts = list(pairwise(cuts))
    dice.shuffle(parts)
    while parts:
        assert all(is_same(stream.items(*part), watched[slice(*part)]) for part in parts)
        stream.settle(*parts.pop())
    assert [watch for watch in watched if watch() is not None] == []


def test_a_stream_that_is_settled_as_it_goes_holds_little() -> None:
    stream = Stream(Thing() for _ in range(10_000))
    for start in range(0, 10_000, 10):
        stream.pull(start + 10)
        stream.settle(start, start + 10)
    assert not any(type(thing) is Thing for thing in gc.get_objects())


def test_columns_belong_to_the_caller() -> None:
    column = [Thing()]
    dataset = make_dataset((column,))
    dataset.settle(0, 1)
    assert list(dataset.items(0, 1)) == column
