"""One million trivial items: what handing over costs, beside the plain loop and multiprocessing.Pool."""

from multiprocessing import Pool

from _rounds import compare, say_where

import allcores

ITEMS = range(1_000_000)


def square(x: int) -> int:
    return x * x


def with_new_pool() -> list[int]:
    with Pool() as pool:
        return pool.map(square, ITEMS)


say_where()
allcores.map(square, ITEMS, start="forkserver")  # warm, as after any earlier call
medians = compare(
    {
        "plain loop": lambda: [square(x) for x in ITEMS],
        "allcores.map, forked": lambda: allcores.map(square, ITEMS),
        "allcores.map, clean and warm": lambda: allcores.map(square, ITEMS, start="forkserver"),
        "multiprocessing.Pool().map": with_new_pool,
    }
)
ratio = medians["allcores.map, forked"] / medians["multiprocessing.Pool().map"]
print(f"forked, this is {ratio:.2f} x the time of multiprocessing.Pool().map")
