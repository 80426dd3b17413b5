"""What cannot change, and what nobody else has, is told from what somebody may still change; in doubt it is shared."""

from __future__ import annotations

import array
import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import itertools
import operator
import pathlib
import re
import sys
import uuid
import weakref
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from odd_objects import BadClass
from reused import Row, Slotted

from allcores._input.ownership import has_all_to_itself, is_constant, is_iterator


class Colour(enum.Enum):
    """Its members are the same for everybody."""

    RED = 1


class Pair(NamedTuple):
    """A tuple with names."""

    first: Any
    second: Any


class Derived(dict[str, Any]):
    """A dict with attributes."""


class Number(int):
    """An int that can bear attributes."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """Frozen, but what it has may change."""

    part: Any


def make_closure(number: int) -> Callable[[], int]:
    return lambda: number


def decorate(function: Callable[[], int]) -> Callable[[], int]:
    @functools.wraps(function)
    def call() -> int:
        return function()

    return call


@decorate
def decorated() -> int:
    """A function of this module's that has variables of another's."""
    return 1


NOW = dt.datetime.now(dt.UTC)
CONSTANTS: tuple[Any, ...] = (
    *(1, 1.5, 2j, True, "text", b"bytes", None, ..., range(3), int, Colour, Colour.RED, len, str.upper, sys),
    *((), (1, "a", (2.5, None)), frozenset({1, (2,)}), np.float64(1), np.str_("a"), np.datetime64("2020-01-01")),
    *(np.dtype("f8"), decimal.Decimal(1), fractions.Fraction(1, 3), NOW, NOW.date(), dt.timedelta(1), uuid.UUID(int=1)),
    *(pathlib.Path("a"), pathlib.PurePath("a"), re.compile("a"), operator.add, functools.wraps, decorated),
    lambda x=1: x,
)
CHANGEABLE: tuple[Any, ...] = (
    *([], {}, set(), bytearray(), (1, []), (1, ({},)), Row(), Slotted(), Number(1), Pair(1, []), iter(()), [].append),
    *(np.zeros(1), np.zeros(1, [("a", "i4")])[0], lambda x=[]: x, make_closure(1)),
)


@pytest.mark.parametrize("thing", CONSTANTS, ids=repr)
def test_what_never_changes(thing):
    assert is_constant(thing)
    assert is_constant((thing, [], 1)[:1])


@pytest.mark.parametrize("thing", CHANGEABLE, ids=repr)
def test_what_may_change(thing):
    assert not is_constant(thing)
    assert not is_constant((1, thing))


MAKERS: dict[str, Callable[[Any], Any]] = {
    "list": lambda part: [1, part],
    "tuple": lambda part: (1, part),
    "dict": lambda part: {"a": 1, "b": part},
    "key": lambda part: {(1, part): 1},
    "set": lambda part: {1, part},
    "deque": lambda part: collections.deque([1, part]),
    "ordered": lambda part: collections.OrderedDict(a=part),
    "default": lambda part: collections.defaultdict(list, a=part),
    "instance": lambda part: Row(1, part),
    "slots": Frozen,
    "named tuple": lambda part: Pair(1, part),
    "derived": lambda part: Derived(a=part),
    "namespace": lambda part: SimpleNamespace(a=part),
    "partial": lambda part: functools.partial(print, part),
    "method": lambda part: Row(1, part).__repr__,
    "nested": lambda part: {"a": [(1, Row(1, [part]))]},
    "iterator": lambda part: iter([1, part]),
    "islice": lambda part: itertools.islice([1, part], 1),
}
PARTS: dict[str, Callable[[], Any]] = {
    "constant": lambda: 1,
    "instance": Row,
    "slots": Slotted,
    "frozen": lambda: Frozen(Slotted()),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("make_part", PARTS.values(), ids=PARTS)
def test_a_new_thing_with_new_parts_has_all_to_itself(make, make_part):
    is_own = has_all_to_itself(make(make_part()))  # not in the line below, where pytest holds what is on the way
    assert is_own


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("make_part", [*PARTS.values()][1:], ids=[*PARTS][1:])
def test_a_thing_does_not_if_somebody_else_has_a_part(make, make_part):
    part = make_part()
    assert not has_all_to_itself(make(part))


ARRAYS: dict[str, Callable[[], Any]] = {
    "array": lambda: np.zeros(3),
    "transposed": lambda: np.arange(6).reshape(2, 3).T,
    "slice": lambda: np.zeros(3)[1:],
    "times": lambda: np.zeros(2, "m8[s]"),
    "bytearray": lambda: bytearray(3),
    "of Python": lambda: array.array("d", [1]),
}


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_a_new_array_has_its_memory_to_itself(make):
    held = make()
    found = [has_all_to_itself(make()), has_all_to_itself([make()]), has_all_to_itself([held])]
    assert found == [True, True, False]


def test_an_array_does_not_if_somebody_else_has_its_memory():
    buffer = np.zeros(4)
    objects = np.empty(1, object)
    assert not has_all_to_itself(buffer[:2])
    assert not has_all_to_itself(np.frombuffer(bytearray(8)))
    assert not has_all_to_itself(objects)
    assert not has_all_to_itself(np.ma.masked_array([1.0]))


def test_what_a_weak_reference_leads_to_is_shared():
    held: list[Any] = []
    for thing in (Row(), np.zeros(3), Derived()):
        held.append(weakref.ref(thing))
        assert not has_all_to_itself(thing)


def test_what_may_keep_more_than_it_shows_is_shared():
    for thing in (re.match("a", "a"), io.BytesIO(), zlib.compressobj()):
        assert not has_all_to_itself(thing)


def test_a_thing_that_leads_to_itself_is_shared():
    row = Row()
    row.more = [row]  # type: ignore[list-item]
    assert not has_all_to_itself(row)


def test_a_thing_that_is_too_deep_is_shared():
    thing: list[Any] = []
    for _ in range(1000):
        thing = [thing]
    assert not has_all_to_itself(thing)


def test_iterators_are_known_by_their_type():
    def generator() -> Iterator[int]:
        yield 1

    assert all(map(is_iterator, (iter([]), iter({}), generator(), itertools.count(), map(abs, []), zip())))
    assert not any(map(is_iterator, ([], {}, "text", 1, Row(), BadClass)))
