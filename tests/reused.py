"""Generators that yield the same object again, and functions that return it again: the zoo of `test_snapshots`."""

from __future__ import annotations

import array
import collections
import csv
import functools
import io
import itertools
import weakref
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

COUNT = 24  # items of each


@dataclass(eq=False)
class Row:
    """An instance that is changed."""

    number: int = 0
    more: list[int] = field(default_factory=lambda: [0])


class Slotted:
    """An instance without a dict that is changed."""

    __slots__ = ("number",)
    number: int


class Reader:
    """An iterator that gives its one row."""

    def __init__(self) -> None:
        self._row = [0]

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> list[int]:
        if self._row[0] == COUNT:
            raise StopIteration
        self._row[0] += 1
        return self._row


Pair = collections.namedtuple("Pair", "number part")  # noqa: PYI024 - what users have


def show(thing: Any) -> Any:  # noqa: PLR0911 - a line for each type
    """Put into plain objects what there is to see in a thing now."""
    if isinstance(thing, ET.Element):
        return thing.tag, dict(thing.attrib), [child.text for child in thing]
    if isinstance(thing, np.ndarray):
        return thing.dtype.str, thing.shape, thing.flags.writeable, repr(thing.ravel()[:3].tolist())
    if isinstance(thing, np.void):
        return thing.item()
    if isinstance(thing, tuple | list | collections.deque):
        return type(thing).__name__, [show(part) for part in thing]
    if isinstance(thing, dict):
        return [(key, show(part)) for key, part in thing.items()]
    if isinstance(thing, Slotted):
        return thing.number
    if callable(thing):
        return show(thing())
    return list(thing) if hasattr(thing, "__next__") else repr(thing)


# --------------------------------------------------------------------------------------------------------- generators


def dicts() -> Iterator[Any]:
    row: dict[str, int] = {}
    for number in range(COUNT):
        row["number"] = number
        yield row


def lists() -> Iterator[Any]:
    row = [0, 0]
    for row[0] in range(COUNT):
        yield row


def growing_sets() -> Iterator[Any]:
    seen: set[int] = set()
    for number in range(COUNT):
        seen.add(number)
        yield seen


def nested() -> Iterator[Any]:
    row = {"parts": [{"number": 0}]}
    for row["parts"][0]["number"] in range(COUNT):
        yield row


def arrays() -> Iterator[Any]:
    buffer = np.zeros(4)
    for number in range(COUNT):
        buffer[:] = number
        yield buffer


def large_arrays() -> Iterator[Any]:
    buffer = np.zeros(20_000)
    for number in range(COUNT):
        buffer[-1] = buffer[0] = number // 3
        yield buffer


def views() -> Iterator[Any]:
    buffer = np.zeros((4, 4), order="F")
    for number in range(COUNT):
        buffer[:] = number
        yield buffer[1:3, ::2]


def read_only_views() -> Iterator[Any]:
    buffer = np.zeros(4)
    for number in range(COUNT):
        buffer[:] = number
        view = buffer[1:]
        view.flags.writeable = False
        yield view


def records() -> Iterator[Any]:
    buffer = np.zeros(2, [("number", "i4"), ("half", "f8")])
    for number in range(COUNT):
        buffer["number"], buffer["half"] = number, number / 2
        yield buffer[1]


def arrays_of_objects() -> Iterator[Any]:
    row = [0]
    array_of_rows = np.empty(1, object)
    array_of_rows[0] = row
    for row[0] in range(COUNT):
        yield array_of_rows


def buffered_numbers() -> Iterator[Any]:
    numbers = np.arange(COUNT, dtype="i2")
    yield from np.nditer(numbers, ["buffered"], op_dtypes=["f8"], buffersize=4)


def bytearrays() -> Iterator[Any]:
    buffer = bytearray(2)
    for buffer[0] in range(COUNT):
        yield buffer


def arrays_of_python() -> Iterator[Any]:
    buffer = array.array("d", [0.0])
    for buffer[0] in range(COUNT):
        yield buffer


def instances() -> Iterator[Any]:
    row = Row()
    for row.number in range(COUNT):
        row.more[0] = -row.number
        yield row


def slotted() -> Iterator[Any]:
    row = Slotted()
    for row.number in range(COUNT):
        yield row


def tuples_with_a_row() -> Iterator[Any]:
    row: dict[str, int] = {}
    for number in range(COUNT):
        row["number"] = number
        yield number, row


def deep_tuples() -> Iterator[Any]:
    row = [0]
    for row[0] in range(COUNT):
        yield row[0], Pair(row[0], (row,))


def new_dicts_with_buffers() -> Iterator[Any]:
    buffer, row = np.zeros(2), [0]
    for number in range(COUNT):
        buffer[:] = row[0] = number
        yield {"number": number, "buffer": buffer, "row": row}


def windows() -> Iterator[Any]:
    window: collections.deque[int] = collections.deque(maxlen=3)
    for number in range(COUNT):
        window.append(number)
        yield window


def cleared() -> Iterator[Any]:
    for number in range(COUNT):
        row = [number, {number}]
        yield row
        row.clear()


def from_two_places() -> Iterator[Any]:
    row = {"number": 0}
    for number in range(COUNT // 2):
        row["number"] = number
        yield row
        row["number"] = -number
        yield row


def late_closures() -> Iterator[Any]:
    for number in range(COUNT):
        yield lambda: number  # noqa: B023 - of now


def closures_over_rows() -> Iterator[Any]:
    row = [0]
    for row[0] in range(COUNT):
        yield lambda more=row: (row, more)


def methods() -> Iterator[Any]:
    counter: collections.Counter[str] = collections.Counter()
    for counter["number"] in range(COUNT):
        yield functools.partial(counter.most_common, 1)


def from_a_weak_cache() -> Iterator[Any]:
    row = Row()
    cached = weakref.ref(row)
    for number in range(COUNT):
        again = cached()
        assert again is not None
        again.number = number
        yield again


def rows_of_csv() -> Iterator[Any]:
    yield from csv.DictReader(io.StringIO("\n".join(["number,letter", *(f"{number},x" for number in range(COUNT))])))


def elements() -> Iterator[Any]:
    text = "".join(f"<row number='{number}'><cell>{number}</cell></row>" for number in range(COUNT))
    for _, element in ET.iterparse(io.BytesIO(f"<rows>{text}</rows>".encode())):
        if element.tag == "row":
            yield element
            element.clear()


def groups() -> Iterator[Any]:
    return itertools.groupby(range(COUNT), lambda number: number // 5)


def groups_within() -> Iterator[Any]:
    for key, group in groups():
        yield {"key": key, "group": group}


def own_iterators() -> Iterator[Any]:
    row = [0, 0]
    for row[1] in range(COUNT):
        yield iter(row)


GENERATORS: tuple[Callable[[], Iterator[Any]], ...] = (
    *(dicts, lists, growing_sets, nested, arrays, large_arrays, views, read_only_views, records, arrays_of_objects),
    *(buffered_numbers, bytearrays, arrays_of_python, instances, slotted, tuples_with_a_row, deep_tuples),
    *(new_dicts_with_buffers, windows, cleared, from_two_places, late_closures, closures_over_rows, methods),
    *(from_a_weak_cache, rows_of_csv, elements, groups, groups_within, own_iterators, Reader),
)


def all_items() -> Iterator[Any]:
    """Give what one generator after another yields."""
    return itertools.chain.from_iterable(make() for make in GENERATORS)


# ---------------------------------------------------------------------------------------------------------- functions

last: list[Any] = [{}]
row: dict[str, Any] = {"parts": [Row()]}
instance = Row()
buffer, large, odd = np.zeros(6), np.zeros(20_000), np.zeros(2, [("number", "i4")])
masked = np.ma.masked_array([1.0, 2.0], [False, True])
data, window, grown = bytearray(2), collections.deque([0], maxlen=3), [0]
weak: weakref.WeakValueDictionary[str, Row] = weakref.WeakValueDictionary()


def fill(number: int) -> np.ndarray[Any, Any]:
    buffer[:] = number
    return buffer


def fill_large(number: int) -> np.ndarray[Any, Any]:
    large[-1] = number // 3
    return large


def change_row(number: int) -> Any:
    row["parts"][0].number = number
    return row


def change_instance(number: int) -> Any:
    instance.number = instance.more[0] = number
    return instance


def change_last(number: int) -> Any:
    """Let go of what was returned before, having changed it."""
    last[0]["later"] = number
    last[0] = {"number": number}
    return last[0]


def change_part_of_last(number: int) -> Any:
    last[0]["later"] = number
    last[0] = {"number": number}
    return {"part": last[0]}


def change_cached(number: int) -> Any:
    cached = weak.setdefault("row", Row())
    cached.number = number
    return cached


def change_masked(number: int) -> Any:
    masked[0] = number
    return masked


def change_record(number: int) -> Any:
    odd["number"] = number
    return odd[0]


def change_data(number: int) -> Any:
    data[0] = number
    return data


def grow(number: int) -> Any:
    if not number:
        grown.clear()
    grown.append(number)
    return grown


def slide(number: int) -> Any:
    if not number:
        window.clear()
    window.append(number)
    return window


def sometimes(number: int) -> Any:
    return [number, None, fill(number)][number % 3]


def make_closure(number: int) -> Any:
    grown[0] = number
    return lambda: grown[0]


FUNCTIONS: dict[str, Callable[[int], Any]] = {
    "array": fill,
    "view": lambda number: fill(number)[1:3],
    "out": lambda number: np.multiply(2, number, out=buffer[:1]),
    "tuple": lambda number: (number, fill(number)),
    "two in a list": lambda number: [fill(number), change_row(number)],
    "partial": lambda number: functools.partial(show, fill(number)),
    "named tuple": lambda number: Pair(number, change_row(number)),
    "group": lambda number: next(itertools.groupby([number, number])),
} | {
    function.__name__: function
    for function in (
        *(fill_large, change_row, change_instance, change_last, change_part_of_last, change_cached, change_masked),
        *(change_record, change_data, grow, slide, sometimes),
    )
}


def call(which: tuple[str, int]) -> Any:
    """Call the function of that name."""
    name, number = which
    return FUNCTIONS[name](number)


ALL_CALLS = [(name, number) for name in FUNCTIONS for number in range(COUNT)]
