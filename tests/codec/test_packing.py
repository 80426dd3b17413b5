"""What is packed arrives as what it was, of exactly the type that it had, and takes little room."""

from __future__ import annotations

import copyreg
import enum
import math
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import allcores
from allcores._codec.codec import decode_outcomes, encode_items, encode_outcomes
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known
from allcores._codec.packing import CHUNK, FEW, Parcel
from allcores._codec.pickling import decode
from allcores._transport.wire import Buffer

pytestmark = pytest.mark.once

MANY = 2 * FEW


class Level(enum.IntEnum):
    """An int that is more."""

    LOW = 1


class Count(int):
    """An int of a class of its own."""


class Name(str):
    """A string of a class of its own."""

    __slots__ = ()


class Real(float):
    """A float of a class of its own."""


class EqualToAll(type):
    """A class that says of itself that it equals every other."""

    def __eq__(cls, other: object) -> bool:
        return True

    __hash__ = type.__hash__


class Impostor(metaclass=EqualToAll):
    """Looks like a number to whoever asks only nicely."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    __hash__ = None  # type: ignore[assignment]


class Rude(type):
    """A class that cannot be compared."""

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError

    __hash__ = type.__hash__


class Rudely(metaclass=Rude):
    """An instance of it."""


def sent(frames: list[Buffer]) -> list[Buffer]:
    return [bytearray(frame) for frame in frames]


def as_items(things: list[Any]) -> Any:
    frames = encode_items(things, Known(), Inspection()).frames
    return decode(sent(frames))


def as_values(things: list[Any]) -> Any:
    parcel = Parcel()
    for start in range(0, len(things), CHUNK):
        parcel += things[start : start + CHUNK]
    values, raised = decode_outcomes(sent(encode_outcomes(7, parcel, {})))
    assert not raised
    return values


def size(things: list[Any]) -> int:
    frames = encode_items(things, Known(), Inspection()).frames
    return sum(memoryview(frame).nbytes for frame in frames)


def exactly(thing: Any) -> Any:
    """Give what differs where things differ in any way, NaN and the zero's sign included."""
    if type(thing) in (list, tuple):
        return type(thing), [exactly(part) for part in thing]
    if isinstance(thing, np.ndarray):
        return type(thing), thing.dtype, thing.shape, thing.strides, thing.tobytes()
    if isinstance(thing, np.generic):
        return type(thing), thing.tobytes()
    if isinstance(thing, float):
        return type(thing), struct.pack("d", thing)
    if isinstance(thing, complex):
        return type(thing), struct.pack("2d", thing.real, thing.imag)
    return type(thing), thing


SCALARS = (
    st.integers(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 300),
    st.floats(),
    st.complex_numbers(),
    st.booleans(),
    st.text(),
    st.text(st.characters(codec=None, categories=("Cs", "L"))),
    st.binary(),
    st.none(),
    st.builds(Count, st.integers()),
    st.builds(Name, st.text()),
    st.builds(Real, st.floats()),
    st.just(Level.LOW),
    st.builds(np.float64, st.floats()),
    st.builds(np.float32, st.floats(width=32)),
    st.builds(np.int64, st.integers(-(2**63), 2**63 - 1)),
    st.builds(np.uint8, st.integers(0, 255)),
    st.builds(np.bool_, st.booleans()),
    st.builds(np.complex64, st.complex_numbers(width=64)),
    st.tuples(st.integers(), st.text()),
)


@st.composite
def batches(draw: st.DrawFn) -> list[Any]:
    """Many values, most of one kind, and maybe some others at the end, or one in their midst."""
    kinds = st.sampled_from(SCALARS)
    few = draw(st.lists(draw(kinds), min_size=1, max_size=5))
    things = few * (draw(st.integers(0, MANY)) // len(few) + 1)
    things += draw(st.lists(draw(kinds), max_size=2)) * draw(st.integers(0, MANY))
    if draw(st.booleans()):
        things.insert(draw(st.integers(0, len(things))), draw(draw(kinds)))
    return things


@given(batches())
def test_every_list_arrives_as_it_was(things):
    assert exactly(as_items(things)) == exactly(things)
    assert exactly(as_values(things)) == exactly(things)


@pytest.mark.parametrize("count", [FEW - 1, FEW, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + FEW - 1])
def test_lists_of_any_length_arrive_whole(count):
    for things in (list(range(count)), [float(x) for x in range(count)], [str(x) for x in range(count)]):
        assert as_items(things) == as_values(things) == things


def test_chunks_of_different_kinds_stay_in_order():
    objects = [(x,) for x in range(CHUNK)]
    things = [*range(CHUNK), *objects, *objects, *map(str, range(CHUNK)), *objects, 2**70, *range(CHUNK)]
    assert exactly(as_items(things)) == exactly(as_values(things)) == exactly(things)


@pytest.mark.parametrize(
    ("thing", "most"),
    [(2**62, 9), (math.pi, 9), (True, 2), (None, 2), (np.float64(math.pi), 9), (np.int32(7), 5), (np.arange(6), 50)],
)
def test_packed_things_take_little_room(thing, most):
    """So that this file tests what it says."""
    things = [thing.copy() if isinstance(thing, np.ndarray) else thing for _ in range(CHUNK)]
    assert size(things) < most * CHUNK


@pytest.mark.parametrize("kind", [Impostor, Rudely])
def test_classes_that_say_odd_things_of_themselves_are_left_to_pickle(kind):
    for things in ([kind() for _ in range(MANY)], [*range(MANY), kind()], [kind(), *range(MANY)]):
        for arrived in (as_items(things), as_values(things)):
            assert list(map(id, map(type, arrived))) == list(map(id, map(type, things)))


# ---------------------------------------------------------------------------------------------------------- instances


@dataclass
class Row:
    """Has scalars alone."""

    number: int
    real: float
    text: str | None


@dataclass(frozen=True)
class Frozen:
    """Cannot be changed, not even by whoever makes it again."""

    number: int


@dataclass(slots=True)
class Slotted:
    """Keeps its attributes elsewhere."""

    number: int


class Stateful(Row):
    """Says itself what is to be kept of it."""

    def __getstate__(self) -> Any:
        return {**vars(self), "text": "kept"}


class Reduced(Row):
    """Is made anew."""

    def __reduce__(self) -> Any:
        return Reduced, (self.number, 0.5, "reduced")


class Restored(Row):
    """Says itself how it becomes what it was."""

    def __setstate__(self, state: Any) -> None:
        vars(self).update(state, text="restored")


class Listed(list[int]):
    """Is more than its attributes."""

    def __init__(self, number: int) -> None:
        super().__init__([number])
        self.number = number


class Unruly(Row):
    """Lets nobody set an attribute from outside."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "text" and value == "never":
            raise AttributeError
        super().__setattr__(name, value)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: Row(x, x / 2, str(x)),
        lambda x: Row(x, x / 2, str(x) if x % 3 else None),
        lambda x: Row(2**70 * x, float(x), ""),
        Frozen,
        Slotted,
        Listed,
        lambda x: Unruly(x, 0.5, "text"),
        lambda x: Row(x, [x], "a list"),  # type: ignore[arg-type]
        lambda x: Row(x, Level.LOW, Name("a name")),
        lambda x: Exception(x),  # noqa: PLW0108
    ],
)
def test_instances_arrive_as_they_were(make):
    things = [make(x) for x in range(MANY)]
    for arrived in (as_items(things), as_values(things)):
        assert list(map(type, arrived)) == list(map(type, things))
        assert list(map(repr, arrived)) == list(map(repr, things))
        if type(things[0]) not in (Slotted, Exception):
            assert [exactly(list(vars(x).items())) for x in arrived] == [exactly(list(vars(x).items())) for x in things]


@pytest.mark.parametrize(("kind", "text"), [(Stateful, "kept"), (Reduced, "reduced"), (Restored, "restored")])
def test_classes_that_say_how_they_travel_are_asked(kind, text):
    things = [kind(x, 0.5, "as it was") for x in range(MANY)]
    assert [thing.text for thing in as_values(things)] == [text] * MANY


def test_how_a_class_travels_may_be_registered(monkeypatch):
    monkeypatch.setitem(copyreg.dispatch_table, Row, lambda row: (Row, (row.number, 0.0, "registered")))
    assert [row.text for row in as_values([Row(x, 0.5, "as it was") for x in range(MANY)])] == ["registered"] * MANY


def test_instances_with_other_attributes_than_the_first_keep_them():
    rows = [Row(x, 0.5, "text") for x in range(MANY)]
    rows[7].more = 1  # type: ignore[attr-defined]
    del rows[8].text
    assert [vars(row) for row in as_values(rows)] == [vars(row) for row in rows]


def test_instances_that_lead_to_themselves_still_do():
    rows = [Row(x, 0.5, "text") for x in range(MANY)]
    for row in rows:
        row.text = row  # type: ignore[assignment]
    assert all(row.text is row for row in as_values(rows))


def test_instances_of_plain_attributes_take_little_room():
    assert size([Row(x, x / 2, "") for x in range(CHUNK)]) < 24 * CHUNK


# ------------------------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize(
    "arrays",
    [
        [np.full(3, x) for x in range(MANY)],
        [np.full((2, 3), x, np.float32) for x in range(MANY)],
        [np.full(2, x) for x in range(MANY)] + [np.full(3, 0)],
        [np.full(2, x) for x in range(MANY)] + [np.full(2, 0.5)],
        [np.full((2, 3), x, order="F") for x in range(MANY)],
        [np.array(x) for x in range(MANY)],
        [np.array([], int) for x in range(MANY)],
        [np.array([x, None]) for x in range(MANY)],
        [np.array([str(x)]) for x in range(MANY)],
        [np.array([x], "datetime64[s]") for x in range(MANY)],
        [np.array([x], ">i4") for x in range(MANY)],
        [np.array([(x, 0.5)], [("a", int), ("b", float)]) for x in range(MANY)],
        list(np.arange(3 * MANY).reshape(-1, 3)),
        [np.full((4, 4), x).T[::2] for x in range(MANY)],
    ],
    ids=lambda arrays: f"{arrays[0].dtype.str}{list(arrays[0].shape)}",
)
def test_arrays_arrive_as_they_were(arrays):
    for arrived in (as_items(arrays), as_values(arrays)):
        assert [(a.dtype, a.shape) for a in arrived] == [(a.dtype, a.shape) for a in arrays]
        assert all(np.array_equal(one, other) for one, other in zip(arrived, arrays, strict=True))


def test_the_order_of_axes_in_memory_is_kept():
    for array in as_values([np.full((2, 3), x, order="F") for x in range(MANY)]):
        assert array.flags.f_contiguous


def test_each_array_has_memory_of_its_own_that_can_be_written_to():
    arrays = as_values([np.full(3, x) for x in range(MANY)])
    for array in arrays:
        array[:] += 1
    assert [array.tolist() for array in arrays] == [[x + 1] * 3 for x in range(MANY)]
    assert all(array.base is None for array in arrays)


def test_small_arrays_of_a_file_still_travel_by_its_name(tmp_path: Path):
    mapped = np.memmap(tmp_path / "file", np.int64, "w+", shape=(MANY, 4))
    frames = encode_items([np.asarray(row) for row in mapped], Known(), Inspection()).frames
    assert b"_map_again" in bytes(frames[0])


# ------------------------------------------------------------------------------------------------------- whole runs


@pytest.mark.parametrize("give", [int, float, str, bool, np.float64, Count, lambda x: x % 3 or None, lambda x: (x,)])
def test_results_are_those_of_the_comprehension(start, give):
    things = list(range(3 * CHUNK))
    assert exactly(list(allcores.map(give, things, start=start, workers=2))) == exactly([give(x) for x in things])


def test_instances_travel_both_ways(start):
    rows = [Row(x, x / 2, str(x)) for x in range(2 * CHUNK)]
    results = allcores.map(lambda row: Row(row.number, row.real, row.text + "!"), rows, start=start, workers=2)
    assert results == [Row(x, x / 2, f"{x}!") for x in range(2 * CHUNK)]


def test_one_that_cannot_be_pickled_hurts_only_itself(start):
    def run(x: int) -> Any:
        return (lambda: x) if x == CHUNK + 100 else threading.Lock() if x == 2 * CHUNK + 5 else x

    results = allcores.map(run, range(3 * CHUNK), start=start, workers=2, batch=3 * CHUNK, errors="collect")
    assert [failure.index for failure in results.failures] == [2 * CHUNK + 5]
    assert results[CHUNK + 100]() == CHUNK + 100
    del results[2 * CHUNK + 5], results[CHUNK + 100]
    assert results == [x for x in range(3 * CHUNK) if x not in (CHUNK + 100, 2 * CHUNK + 5)]
