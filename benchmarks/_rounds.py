"""Compare ways of doing the same, side by side: in turn, several rounds, medians, ratios."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

import allcores


def say_where() -> None:
    """Print what the figures hang on."""
    cores = allcores.plan()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {cores.workers} workers")


def compare(ways: dict[str, Callable[[], object]], *, rounds: int = 7) -> dict[str, float]:
    """Run each way once per round, in turn, and print its median and its ratio to the first.

    Args:
        ways: ``{name: function}``; what a function returns is compared with the first one's.
        rounds: how often, after one round that is not counted.

    Returns:
        ``{name: median seconds}``.

    Raises:
        AssertionError: two ways do not give the same.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        expected = None
        for name, way in ways.items():
            begun = time.perf_counter()
            result = way()
            took = time.perf_counter() - begun
            if expected is None:
                expected = result
            assert result == expected, f"{name} gives another result"
            if turn:
                seconds[name].append(took)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        spread = f"{min(seconds[name]):.3f} to {max(seconds[name]):.3f}"
        print(f"{name:34} {median:8.3f} s  ({spread})  {median / first:6.2f} x the first")
    return medians
