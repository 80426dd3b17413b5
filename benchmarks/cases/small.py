"""Items of well under a microsecond: what handing over costs, for a list and for a stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmarks.case import MapCase, Target
from benchmarks.peers import Peer


def square(x: int) -> int:
    return x * x


@dataclass(kw_only=True)
class Stream:
    """A generator, whose results are consumed one after another and forgotten."""

    name: str
    title: str
    count: int
    targets: tuple[Target, ...]
    extras: tuple[str, ...] = ()
    is_whole_process: bool = False

    def prepare(self, count: int) -> None:
        self._count = count

    def run(self, peer: Peer) -> list[int]:
        return consume(peer.stream(square, (x for x in range(self._count))))

    def summary(self, result: list[int]) -> object:
        return result

    def lower_bound(self, workers: int) -> Any:
        return None


def consume(results: Iterable[int]) -> list[int]:
    """Give what only the right results in the right order come to."""
    count, folded = 0, 0
    for result in results:
        count += 1
        folded = (folded * 3 + result) & 0xFFFFFFFF
    return [count, folded]


CASES = (
    MapCase(
        name="million",
        title="1,000,000 items of x * x",
        count=1_000_000,
        function=square,
        targets=(Target(versus="loop", most=1.0), Target(versus="Pool", most=0.4)),
        extras=("allcores-clean", "allcores.Pool", "Pool-tuned", "dask.bag"),
    ),
    Stream(
        name="stream",
        title="generator of 2,000,000 items of x * x, consumed lazily",
        count=2_000_000,
        targets=(Target(versus="Pool", most=1 / 1.5),),
        extras=("allcores-clean", "allcores.Pool"),
    ),
)
