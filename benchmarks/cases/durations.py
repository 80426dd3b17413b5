"""Items that last: how busy the cores are kept.

Equal items use a core, by their thread's own clock: whatever takes the core away, the library's own work above all,
makes the item last longer and is seen. What others on the machine take is seen, too; so the yardstick beside the lower
bound is bare forks, which suffer the same.

Items of uneven length sleep. What is measured there is who waits for whom at the end, and sleepers keep their appointed
length however busy the machine is, so that the lower bound is exact.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from benchmarks.case import LOWER_BOUND, MapCase, Target

ITEM_SECONDS = 0.001
FULL = 400  # uneven items
TOTAL_SECONDS = 4.0  # of all of them
SEED = 9


def use_core(index: int, seconds: float = ITEM_SECONDS) -> int:
    """Keep a core busy until this thread has had it for so long."""
    end = time.thread_time_ns() + round(seconds * 1e9)
    while time.thread_time_ns() < end:
        pass
    return index


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def heavy_tailed(count: int) -> list[float]:
    """Draw lengths of which a few make up much of the total: Pareto's distribution, always the same draw."""
    dice = random.Random(SEED)
    lengths = [dice.paretovariate(1.5) for _ in range(count)]
    return [length * TOTAL_SECONDS * count / FULL / sum(lengths) for length in lengths]


def ascending(count: int) -> list[float]:
    """The same, shortest first: when the longest begin, there is little left to do beside them."""
    return sorted(heavy_tailed(count))


def equal_bound(items: Sequence[int], workers: int) -> float:
    return len(items) * ITEM_SECONDS / workers


def uneven_bound(items: Sequence[float], workers: int) -> float:
    return max(sum(items) / workers, *items)


CASES = (
    MapCase(
        name="milliseconds",
        title="2,000 items of 1 ms",
        count=2_000,
        function=use_core,
        bound=equal_bound,
        targets=(Target(versus="bare-forks", most=1 / 0.97, temperature="cold"),),
        extras=("bare-forks",),
    ),
    *(
        MapCase(
            name=name,
            title=title,
            count=FULL,
            function=sleep,
            make_items=make_items,
            bound=uneven_bound,
            targets=(Target(versus=LOWER_BOUND, most=most),),
        )
        for name, title, make_items, most in (
            ("heavy-tailed", "400 items of heavy-tailed lengths", heavy_tailed, 1.05),
            ("longest-last", "... shortest first, so that the longest is last", ascending, 1.12),
        )
    ),
)
