"""Values go to their places whatever order they come in."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from allcores._run.sinks import ListSink, OrderedSink, Sink, UnorderedSink

LENGTH = 40


def shuffled_parts(seed: int) -> list[range]:
    """Cut the items into parts, in any order."""
    dice = random.Random(seed)
    cuts = [0, *sorted(dice.sample(range(1, LENGTH), 9)), LENGTH]
    parts = [range(start, stop) for start, stop in pairwise(cuts)]
    dice.shuffle(parts)
    return parts


def put(sink: Sink, items: range) -> None:
    sink.put(items.start, [f"value {index}" for index in items])


VALUES = [f"value {index}" for index in range(LENGTH)]


@pytest.mark.parametrize("seed", range(20))
def test_a_list_sink_puts_each_value_at_its_position(seed: int) -> None:
    sink = ListSink()
    here: set[int] = set()
    for part in shuffled_parts(seed):
        put(sink, part)
        here.update(part)
        assert sink.finished() == {index: VALUES[index] for index in sorted(here)}
    assert sink.values == VALUES


def test_a_list_sink_fills_the_list_that_it_was_given() -> None:
    values: list[str] = []
    sink = ListSink(values)
    put(sink, range(3))
    assert sink.values is values
    assert values == VALUES[:3]


@pytest.mark.parametrize("seed", range(20))
def test_an_ordered_sink_holds_back_what_is_not_next(seed: int) -> None:
    sink = OrderedSink()
    taken: list[str] = []
    here: set[int] = set()
    for part in shuffled_parts(seed):
        put(sink, part)
        here.update(part)
        assert list(sink.finished().items()) == [(i, VALUES[i]) for i in sorted(here) if i >= len(taken)]
        while sink.ready:
            assert len(taken) in here
            taken.append(sink.ready.popleft())
        assert len(taken) not in here, "a value is held back although all before it were taken"
    assert taken == VALUES


@pytest.mark.parametrize("seed", range(20))
def test_an_unordered_sink_hands_on_what_comes_with_its_index(seed: int) -> None:
    sink, parts = UnorderedSink(), shuffled_parts(seed)
    for part in parts:
        put(sink, part)
    assert list(sink.finished().items()) == list(enumerate(VALUES))
    assert list(sink.ready) == [(index, VALUES[index]) for part in parts for index in part]


@pytest.mark.parametrize("make_sink", [ListSink, OrderedSink, UnorderedSink])
def test_a_part_may_be_empty(make_sink: type[Sink]) -> None:
    sink = make_sink()
    sink.put(0, [])
    sink.put(0, ["a"])
    sink.put(1, [])
    sink.put(1, ["b"])
    assert sink.finished() == {0: "a", 1: "b"}


@pytest.mark.parametrize("make_sink", [ListSink, OrderedSink, UnorderedSink])
def test_values_that_are_false_or_do_not_compare_are_values(make_sink: type[Sink]) -> None:
    values = [None, 0, [], object(), {}]
    sink = make_sink()
    sink.put(2, values[2:])
    sink.put(0, values[:2])
    assert sink.finished() == dict(enumerate(values))


def test_an_ordered_sink_tells_no_more_of_what_was_taken() -> None:
    sink = OrderedSink()
    sink.put(0, ["a", "b"])
    sink.put(5, ["f"])
    sink.ready.popleft()
    assert sink.finished() == {1: "b", 5: "f"}


@pytest.mark.parametrize("make_sink", [ListSink, OrderedSink, UnorderedSink])
@pytest.mark.parametrize("seed", range(5))
def test_a_sink_has_what_was_put_and_nothing_else(make_sink: type[Sink], seed: int) -> None:
    sink = make_sink()
    here: set[int] = set()
    for part in shuffled_parts(seed):
        put(sink, part)
        here.update(part)
        assert {index for index in range(LENGTH + 1) if sink.has(index)} == here


def test_an_ordered_sink_still_has_what_was_taken() -> None:
    sink = OrderedSink()
    sink.put(0, ["a", "b"])
    sink.ready.popleft()
    assert sink.has(0)
    assert not sink.has(2)


@pytest.mark.parametrize("make_sink", [ListSink, OrderedSink, UnorderedSink])
def test_a_sink_has_values_that_are_false_or_do_not_compare(make_sink: type[Sink]) -> None:
    sink = make_sink()
    sink.put(1, [None, np.zeros(2)])
    assert [sink.has(index) for index in range(4)] == [False, True, True, False]
