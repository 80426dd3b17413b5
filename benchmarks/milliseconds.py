"""2,000 items of 1 ms: how busy the cores are kept, start of the workers included."""

import statistics
import time
from multiprocessing import Pool

from _rounds import compare, say_where

import allcores

ITEMS = range(2000)
ITEM_SECONDS = 0.001


def spin(x: int) -> int:
    """Keep a core busy for one millisecond."""
    end = time.perf_counter() + ITEM_SECONDS
    while time.perf_counter() < end:
        pass
    return x


def with_new_pool() -> list[int]:
    with Pool() as pool:
        return pool.map(spin, ITEMS)


say_where()
workers = allcores.plan().workers
ideal = len(ITEMS) * ITEM_SECONDS / workers
medians = compare({"allcores.map": lambda: allcores.map(spin, ITEMS), "multiprocessing.Pool().map": with_new_pool})
for name, median in medians.items():
    print(f"{name:34} keeps {workers} cores busy to {ideal / median:.1%}")
reports = [allcores.map(spin, ITEMS).report for _ in range(5)]
print(f"report.efficiency, median of 5: {statistics.median(report.efficiency for report in reports):.1%}")
