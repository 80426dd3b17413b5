"""Values arrive as what they were, whatever they are: as items, as captures and as results, one by one or packed."""

from __future__ import annotations

import itertools
import multiprocessing.connection  # noqa: F401 - it has reducers of its own, for what it hands over
from typing import Any

import numpy as np
import pytest
import zoo
from description import describe
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import allcores
from allcores._codec.codec import decode_outcomes, encode_items, encode_outcomes
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known
from allcores._codec.packing import CHUNK, Parcel
from allcores._codec.pickling import decode

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning"),
]

ANIMALS = zoo.everything()
NAMES = list(ANIMALS)
HELD = {name: thing for name, thing in ANIMALS.items() if name not in ("iterator", "enumerate", "zip")}
COUNTS = (1, 2, 63, 64, 65, 130)  # 64 are worth a look whether they can be packed


def as_items(things: list[Any]) -> Any:
    frames = encode_items(things, Known(), Inspection()).frames
    return decode([bytearray(frame) for frame in frames])


def as_results(things: list[Any]) -> Any:
    parcel = Parcel()
    for start in range(0, len(things), CHUNK):
        parcel += things[start : start + CHUNK]
    values, raised = decode_outcomes([bytearray(frame) for frame in encode_outcomes(0, parcel, {})])
    assert not raised
    return values


def assert_all_arrive(things: list[Any]) -> None:
    expected = [describe(thing) for thing in things]
    for travel in (as_items, as_results):
        assert [describe(thing) for thing in travel(things)] == expected


# --------------------------------------------------------------------------------------------------------- directly


@pytest.mark.parametrize("count", [1, 64])
def test_every_animal_arrives_as_it_was(count: int):
    for name, thing in ANIMALS.items():
        expected = [describe(thing)] * count
        for travel in (as_items, as_results):
            assert [describe(one) for one in travel([thing] * count)] == expected, name


animals = st.sampled_from(NAMES).map(lambda name: ANIMALS[name])
within = st.recursive(
    animals,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
        | st.builds(zoo.Point, st.floats(), inner)
        | st.builds(zoo.SlotsAndDict, inner)
        | st.builds(lambda one: [one, one], inner)
    ),
    max_leaves=4,
)
plain = st.one_of(
    *(st.integers(), st.floats(), st.complex_numbers(), st.booleans(), st.text(), st.binary(), st.none()),
    *(st.datetimes(), st.timedeltas(), st.decimals(), st.fractions(), st.uuids()),
    st.text(st.characters(codec=None)),
    st.builds(zoo.Point, st.floats(), st.text()),
)


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """An array of any type, anyhow in memory."""
    dtypes = st_numpy.scalar_dtypes() | st_numpy.array_dtypes() | st_numpy.timedelta64_dtypes()
    shapes = st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    made = draw(st_numpy.arrays(draw(dtypes), draw(shapes)))
    if made.ndim and draw(st.booleans()):
        made = made[..., :: draw(st.sampled_from([1, 2, -1]))]
    if draw(st.booleans()):
        made = made.T
    if draw(st.booleans()):
        made = made.copy(order=draw(st.sampled_from("CFAK")))
    made.flags.writeable = made.flags.writeable and draw(st.booleans())
    return draw(
        st.sampled_from([lambda: made, lambda: memoryview(made.copy() if made.dtype.kind in "iuf" else b"ab")])
    )()


@st.composite
def batches(draw: st.DrawFn) -> list[Any]:
    """Things of one kind, maybe with another in their midst, and as many as make a difference."""
    kind = draw(st.sampled_from([within, plain, arrays()]))
    few = draw(st.lists(kind, min_size=1, max_size=4))
    things = list(itertools.islice(itertools.cycle(few), draw(st.sampled_from(COUNTS))))
    if draw(st.booleans()):
        things.insert(draw(st.integers(0, len(things))), draw(st.one_of(within, plain, arrays())))
    return things


@given(batches())
@settings(deadline=None, max_examples=60)
def test_every_batch_arrives_as_it_was(things: list[Any]):
    assert_all_arrive(things)


# ----------------------------------------------------------------------------------------------------- through workers


def packable() -> list[Any]:
    """Batches of 130 things that are packed, or look as if they could be."""
    kinds: list[Any] = [
        *(zoo.Point, zoo.SlotsAndDict, zoo.AllSlots, zoo.MyInt, float, str, np.float32, np.float16, np.longlong),
        *(lambda x: np.timedelta64(x, "s"), lambda x: np.datetime64(x, "D"), lambda x: np.full(3, x), np.array),
        *(lambda x: np.broadcast_to(x, 3), lambda x: np.full(3, x, ">i2"), lambda x: memoryview(bytes([x]))),
        *(lambda x: zoo.Info([x], info=x), lambda x: zoo.Level.HIGH, lambda x: zoo.Code(x, "text")),
    ]
    return [kind(x) for kind in kinds for x in range(130)]


def test_values_are_those_of_the_loop(start: str):
    """As items of a stream, and as results; what one worker makes of an item is told by the next description."""
    things = [*HELD.values(), *packable()]  # iterators that others hold are refused
    expected = [describe(thing) for thing in things]
    results = allcores.map(lambda pair: (describe(pair[0]), pair[0]), ((thing,) for thing in things), start=start)
    for thing, wanted, (seen, result) in zip(things, expected, results, strict=True):
        assert seen == wanted
        assert describe(result) == wanted
        assert type(result) is type(thing)
        if isinstance(thing, type):
            assert result is thing
    assert [describe(one) for one in allcores.map(lambda x: x, iter(things), start=start, batch=65)] == expected


def test_captures_are_those_of_the_loop(start: str):
    animals = HELD
    told = allcores.map(lambda name: (describe(animals[name]), animals[name]), list(HELD), start=start, workers=2)
    for name, (seen, result) in zip(HELD, told, strict=True):
        assert seen == describe(result) == describe(animals[name]), name
        assert type(result) is type(animals[name])
