"""What is measured: one thing to do, the same for all peers, and what allcores is meant to reach at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from zlib import crc32

from benchmarks.peers import Peer

__all__ = ["LOWER_BOUND", "Case", "MapCase", "Target", "Temperature", "summarise"]

LOWER_BOUND = "lower bound"  # takes a peer's place in a target

Temperature = Literal["cold", "warm"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """That `who` takes at most `most` times as long as `versus`."""

    who: str = "allcores"
    versus: str
    most: float
    temperature: Temperature = "warm"


class Case(Protocol):
    """One thing to do.

    Attributes:
        name: on the command line.
        title: in the table.
        count: how many items in full.
        targets: what allcores is meant to reach.
        extras: peers that take part in this case beside the usual ones.
        is_whole_process: whether each round is a process of its own, so that there is nothing to keep warm.
    """

    name: str
    title: str
    count: int
    targets: tuple[Target, ...]
    extras: tuple[str, ...]
    is_whole_process: bool

    def prepare(self, count: int) -> None:
        """Make the first `count` items."""

    def run(self, peer: Peer) -> Any:
        """Do it; this is what is timed."""

    def summary(self, result: Any) -> object:
        """Give what must be the same for all peers; JSON can tell it."""

    def lower_bound(self, workers: int) -> float | None:
        """Give the seconds that nobody can beat, where that is known."""


def summarise(results: Sequence[Any]) -> object:
    """Tell lists of things with a telling `repr` apart."""
    return [len(results), crc32(repr(list(results)).encode())]


@dataclass(kw_only=True)
class MapCase:
    """A function over items that are all there.

    Args:
        function: what to call.
        make_items: makes so many items.
        make_big: makes what the function takes as its first argument, if it closes over something large.
        bound: gives the lower bound for these items and so many workers.
        digest: the case's `summary`.
    """

    name: str
    title: str
    count: int
    function: Callable[..., Any]
    make_items: Callable[[int], Sequence[Any]] = range
    make_big: Callable[[], Any] | None = None
    bound: Callable[[Sequence[Any], int], float] | None = None
    digest: Callable[[Sequence[Any]], object] = summarise
    targets: tuple[Target, ...] = ()
    extras: tuple[str, ...] = ()
    is_whole_process: bool = False

    def prepare(self, count: int) -> None:
        self._items = self.make_items(count)
        self._big = None if self.make_big is None else self.make_big()

    def run(self, peer: Peer) -> Sequence[Any]:
        function = self.function if self._big is None else peer.bind(self.function, self._big)
        return peer.map(function, self._items)

    def summary(self, result: Sequence[Any]) -> object:
        return self.digest(result)

    def lower_bound(self, workers: int) -> float | None:
        return None if self.bound is None else self.bound(self.make_items(self.count), workers)
