"""Doors beside those that they replace, all warm: single calls one after another, and a million trivial items."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor

from _rounds import compare, say_where

import allcores

CALLS = range(1_000)
ITEMS = range(1_000_000)


def square(x: int) -> int:
    return x * x


def compare_pools(workers: int) -> None:
    with multiprocessing.Pool(workers) as original, allcores.Pool(workers) as pool:
        compare(
            {
                "multiprocessing.Pool.apply": lambda: [original.apply(square, (x,)) for x in CALLS],
                "allcores.Pool.apply": lambda: [pool.apply(square, (x,)) for x in CALLS],
            }
        )
        compare(
            {
                "multiprocessing.Pool.map": lambda: original.map(square, ITEMS),
                "allcores.Pool.map": lambda: pool.map(square, ITEMS),
                "allcores.map, clean and warm": lambda: allcores.map(square, ITEMS, start="forkserver"),
            }
        )


def call_all_at_once(executor: Executor) -> list[int]:
    return [future.result() for future in [executor.submit(square, x) for x in CALLS]]


def compare_executors(workers: int) -> None:
    with ProcessPoolExecutor(workers) as original, allcores.Executor(workers) as executor:
        compare(
            {
                "ProcessPoolExecutor.submit, result": lambda: [original.submit(square, x).result() for x in CALLS],
                "allcores.Executor.submit, result": lambda: [executor.submit(square, x).result() for x in CALLS],
            }
        )
        compare(
            {
                "ProcessPoolExecutor, at once": lambda: call_all_at_once(original),
                "allcores.Executor, at once": lambda: call_all_at_once(executor),
            }
        )
        compare(
            {
                "ProcessPoolExecutor.map, by 1,000": lambda: list(original.map(square, ITEMS, chunksize=1_000)),
                "allcores.Executor.map": lambda: list(executor.map(square, ITEMS)),
            }
        )


def main() -> None:
    say_where()
    print(f"{len(CALLS):,} calls, {len(ITEMS):,} items")
    workers = allcores.plan().workers
    compare_pools(workers)
    compare_executors(workers)


if __name__ == "__main__":
    main()
