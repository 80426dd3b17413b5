"""Small objects of many kinds, 100,000 of each, as items and as results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from benchmarks.case import MapCase, Target, summarise


@dataclass(frozen=True)
class Reading:
    """A dataclass as people write them."""

    station: str
    at: int
    value: float


def make_string(x: int) -> str:
    return f"measurement {x} of the series"


def make_dict(x: int) -> dict[str, Any]:
    return {"station": f"s{x % 97}", "at": x, "value": x / 7}


def make_reading(x: int) -> Reading:
    return Reading(f"s{x % 97}", x, x / 7)


def make_tuple(x: int) -> tuple[int, float, str]:
    return (x, x / 7, f"s{x % 97}")


def make_small_array(x: int) -> Any:
    import numpy as np

    return np.full(16, x, dtype=float)


def change_string(text: str) -> str:
    return text.upper()


def change_dict(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "value": row["value"] * 2}


def change_reading(reading: Reading) -> Reading:
    return Reading(reading.station, reading.at, reading.value * 2)


def change_tuple(row: tuple[int, float, str]) -> tuple[int, float, str]:
    return (row[0], row[1] * 2, row[2])


def change_array(array: Any) -> Any:
    return array * 2


def many(make: Callable[[int], Any]) -> Callable[[int], list[Any]]:
    return lambda count: [make(x) for x in range(count)]


def array_digest(arrays: Sequence[Any]) -> object:
    return [len(arrays), str(arrays[0].dtype), crc32(b"".join(array.tobytes() for array in arrays))]


CASES = tuple(
    MapCase(
        name=name,
        title=f"100,000 {title}, as items and results",
        count=100_000,
        function=change,
        make_items=many(make),
        digest=digest,
        targets=tuple(Target(who=who, versus="Pool-tuned", most=1.0) for who in ("allcores", "allcores-clean")),
        extras=("allcores-clean", "Pool-tuned", "dask.bag"),
    )
    for name, title, make, change, digest in (
        ("strings", "strings", make_string, change_string, summarise),
        ("dicts", "dicts", make_dict, change_dict, summarise),
        ("dataclasses", "dataclasses", make_reading, change_reading, summarise),
        ("tuples", "tuples", make_tuple, change_tuple, summarise),
        ("arrays", "NumPy arrays of 16 numbers", make_small_array, change_array, array_digest),
    )
)
