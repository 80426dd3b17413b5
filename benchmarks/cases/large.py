"""Large objects: arrays of 8 MB as results and as items, and a function that knows 256 MB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.case import MapCase, Target

LENGTH = 1_000_000  # numbers of 8 bytes in an array
BIG_LENGTH = 32 * 1024 * 1024

CLEAN = ("allcores-clean", "Pool-clean")


def compute(x: int) -> Any:
    """Pass over arrays a few times, as most code does; merely to fill one would measure how fast there is memory."""
    import numpy as np

    return np.sqrt(np.arange(LENGTH) + x)


def make_arrays(count: int) -> list[Any]:
    return [compute(x) for x in range(count)]


def add_up(array: Any) -> float:
    return float(array.sum())


def make_big() -> Any:
    import numpy as np

    return np.arange(BIG_LENGTH, dtype=float)


def look_up(big: Any, index: int) -> float:
    """Touch a page here and there."""
    return float(big[index :: len(big) // 256].sum())


def array_digest(arrays: Sequence[Any]) -> object:
    # Numbers, and no sum of them: where an array begins in memory decides in which order they would be added.
    return [[str(array.dtype), len(array), float(array[-1]), *array[::4_999].tolist()] for array in arrays]


CASES = (
    MapCase(
        name="large-results",
        title="60 results of 8 MB",
        count=60,
        function=compute,
        digest=array_digest,
        targets=(
            Target(versus="Pool", most=1 / 8),
            Target(versus="joblib", most=1 / 3),
            Target(versus="loop", most=1.3),
        ),
        extras=("allcores-clean",),
    ),
    MapCase(
        name="large-items",
        title="60 items of 8 MB in a list",
        count=60,
        function=add_up,
        make_items=make_arrays,
        targets=(
            Target(versus="Pool", most=1 / 50),
            Target(who="allcores-clean", versus="Pool-clean", most=1 / 5),
            Target(who="allcores-clean", versus="joblib", most=1 / 2),
        ),
        extras=CLEAN,
    ),
    MapCase(
        name="closure",
        title="400 items, function that knows 256 MB",
        count=400,
        function=look_up,
        make_big=make_big,
        targets=(
            Target(versus="Pool", most=1 / 50),
            Target(who="allcores-clean", versus="Pool-clean", most=1 / 6),
        ),
        extras=CLEAN,
    ),
)
