"""How well more cores are used: `python -m benchmarks.scaling`, from the project's folder.

Each worker has the same number of items, however many workers there are. Efficiency is the time of one worker's items
in the plain loop over that of all items on all workers: 100 % if no worker ever waits and no core is slowed by the
others. Bare forks show what the machine itself has left of that: cores share memory and caches.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks.cases.durations import use_core
from benchmarks.machine import machine_facts, versions, workers_here
from benchmarks.peers import make_peer
from benchmarks.plot import plot_scaling
from benchmarks.table import write_table

PEERS = ("allcores", "Pool", "bare-forks")
ROUNDS = 5


@cache
def big_array() -> Any:
    import numpy as np

    return np.ones(8_000_000)


def read_memory(index: int) -> float:
    """Read 64 MB, which no cache holds."""
    return float(big_array().max()) + index


# {kind: (function, items of each worker)}
KINDS: dict[str, tuple[Callable[[int], Any], int]] = {
    "items of 1 ms": (use_core, 500),
    "items of 10 ms": (partial(use_core, seconds=0.010), 50),
    "memory-bound items": (read_memory, 50),
}


def worker_counts(cores: int) -> Iterator[int]:
    """Give 1, 2, 4, ... and all cores."""
    count = 1
    while count < cores:
        yield count
        count *= 2
    yield cores


def seconds_of(name: str, workers: int, function: Callable[[int], Any], items: range) -> float:
    """Time one map, its workers' start included."""
    peer = make_peer(name)
    begun = time.perf_counter()
    peer.open(workers)
    try:
        peer.map(function, items)
        return time.perf_counter() - begun
    finally:
        peer.close()


def measure(kind: str, workers: int, rounds: int) -> dict[str, list[float]]:
    """Give the efficiencies of all peers, round by round."""
    function, share = KINDS[kind]
    function(0)  # whatever it needs is there when workers are forked
    efficiencies: dict[str, list[float]] = {name: [] for name in PEERS}
    for _ in range(rounds):
        alone = seconds_of("loop", 1, function, range(share))
        for name, taken in efficiencies.items():
            taken.append(alone / seconds_of(name, workers, function, range(share * workers)))
    return efficiencies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the table, the numbers and the plot")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    counts = list(worker_counts(workers_here()))
    facts = {**machine_facts(), **versions(PEERS)}
    raw = {kind: {count: measure(kind, count, arguments.rounds) for count in counts} for kind in KINDS}
    medians = {
        kind: {name: {count: statistics.median(raw[kind][count][name]) for count in counts} for name in PEERS}
        for kind in KINDS
    }
    rows = [
        [kind, name, *(f"{medians[kind][name][count]:.1%}" for count in counts)] for kind in KINDS for name in PEERS
    ]
    table = write_table(("", "", *(f"{count} worker" + "s" * (count > 1) for count in counts)), rows)
    print(table)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        told = ", ".join(f"{name} {value}" for name, value in facts.items())
        text = f"# Efficiency on several cores\n\n{__doc__}\n{told}\n\n{table}\n![efficiency](scaling.svg)\n"
        (arguments.out / "scaling.md").write_text(text)
        (arguments.out / "scaling.json").write_text(json.dumps({"facts": facts, "efficiencies": raw}, indent=1))
        plot_scaling(arguments.out / "scaling.svg", medians)


if __name__ == "__main__":
    main()
