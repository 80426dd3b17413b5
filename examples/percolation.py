"""At which share of open sites does water run through a square lattice? Many random lattices, each from a seed."""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import allcores

THRESHOLD = 0.592746  # of the infinite lattice


def runs_through(size: int, share: float) -> bool:
    """Say whether open sites connect the top of a random lattice with its bottom."""
    is_open = allcores.rng().random((size, size)) < share
    is_wet = np.zeros_like(is_open)
    is_wet[0] = is_open[0]
    wet = 0
    while wet < (wet := int(is_wet.sum())):
        around = is_wet.copy()  # and the neighbours of what is wet
        around[1:] |= is_wet[:-1]
        around[:-1] |= is_wet[1:]
        around[:, 1:] |= is_wet[:, :-1]
        around[:, :-1] |= is_wet[:, 1:]
        is_wet = around & is_open
    return bool(is_wet[-1].any())


def main(folder: str = ".", sizes: tuple[int, ...] = (16, 32, 64), trials: int = 100, shares: int = 19) -> None:
    """Draw how likely it is, for several sizes: the curves cross at the threshold."""
    grid = np.linspace(0.5, 0.68, shares)
    items = [(size, share) for size in sizes for share in grid for _ in range(trials)]
    results = allcores.starmap(runs_through, items, seed=1)
    likely = np.reshape(results, (len(sizes), shares, trials)).mean(axis=2)

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for size, curve in zip(sizes, likely, strict=True):
        axes.plot(grid, curve, "o-", markersize=3, label=f"{size} x {size}")
    axes.axvline(THRESHOLD, color="grey", linestyle=":")
    axes.set(xlabel="share of open sites", ylabel="water runs through")
    axes.legend()
    figure.savefig(Path(folder) / "percolation.png", dpi=80)
    print(results.report)


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else ".")
