"""Records: what they have of tuples, and what they don't."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from allcores._core.records import Record


class Place(Record):
    """Where something is."""

    row: int
    column: int = 0
    names: tuple[str, ...] = ()

    @property
    def is_first(self) -> bool:
        """Whether it is the first of all."""
        return self.row == self.column == 0


class Size(Record):
    """How large something is: the same fields, another meaning."""

    row: int
    column: int = 0
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("record", "values"),
    [
        (Place(1), (1, 0, ())),
        (Place(1, 2), (1, 2, ())),
        (Place(1, 2, ("a",)), (1, 2, ("a",))),
        (Place(1, names=("a",)), (1, 0, ("a",))),
        (Place(names=("a",), row=1), (1, 0, ("a",))),
        (Place(row=1), (1, 0, ())),
    ],
)
def test_values_are_given_by_position_by_name_or_by_default(record: Place, values: tuple[Any, ...]) -> None:
    assert (record.row, record.column, record.names) == values == tuple(record)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), {}),
        ((1, 2, (), 4), {}),
        ((1,), {"row": 1}),
        ((1, 2, ()), {"names": ()}),
        ((1,), {"colour": 3}),
        ((), {"column": 1}),
        ((1, 2, (), 4), {"names": ()}),
    ],
)
def test_each_field_is_given_once(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Place has the fields row, column, names, each to be given once"):
        Place(*values, **named)


def test_a_record_equals_those_of_its_own_kind_alone() -> None:
    assert Place(1, 2) == Place(1, 2)
    assert Place(1, 2) != Place(1, 3)
    assert hash(Place(1, 2)) == hash(Place(1, 2))
    others: list[Any] = [Size(1, 2), (1, 2, ())]
    for other in others:
        assert Place(1, 2) != other
        assert not Place(1, 2) == other  # noqa: SIM201 - the other operator


def test_a_record_is_frozen_and_has_no_room_for_more() -> None:
    place = Place(1)
    for name in ("row", "colour"):
        with pytest.raises(AttributeError):
            setattr(place, name, 3)


def test_one_like_it_but_for_some_fields() -> None:
    assert Place(1, 2, ("a",))._replace(column=5) == Place(1, 5, ("a",))
    with pytest.raises(TypeError, match="Place has no fields colour"):
        Place(1)._replace(colour=3)


def test_it_has_methods_and_patterns_and_says_what_it_is() -> None:
    assert Place(0).is_first
    match Place(1, 2):
        case Place(row, column):
            assert (row, column) == (1, 2)
        case _:
            pytest.fail("it does not match")
    assert repr(Place(1, names=("a",))) == "Place(row=1, column=0, names=('a',))"


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_it_travels(protocol: int) -> None:
    place = Place(1, 2, ("a",))
    assert pickle.loads(pickle.dumps(place, protocol)) == place == copy.deepcopy(place)
