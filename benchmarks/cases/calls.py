"""Single calls: how long a result is under way, and how long many are that are handed in at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.case import Target, summarise
from benchmarks.cases.small import square
from benchmarks.peers import Peer


@dataclass(kw_only=True)
class Calls:
    """Each call is made when the one before has given its result."""

    name: str
    title: str
    count: int
    targets: tuple[Target, ...]
    extras: tuple[str, ...]
    is_whole_process: bool = False

    def prepare(self, count: int) -> None:
        self._count = count

    def run(self, peer: Peer) -> list[int]:
        return [peer.call(square, x) for x in range(self._count)]

    def summary(self, result: list[int]) -> object:
        return summarise(result)

    def lower_bound(self, workers: int) -> Any:
        return None


@dataclass(kw_only=True)
class CallsAtOnce(Calls):
    """All calls are made before the first result is asked for."""

    def run(self, peer: Peer) -> list[int]:
        waits = [peer.hand_in(square, x) for x in range(self._count)]
        return [wait() for wait in waits]


CASES = (
    Calls(
        name="calls",
        title="1,000 single calls, one after another",
        count=1_000,
        targets=(
            Target(versus="ProcessPoolExecutor", most=1 / 3),
            Target(who="allcores.Pool", versus="Pool", most=1 / 3),
        ),
        extras=("allcores.Pool", "loky"),
    ),
    CallsAtOnce(
        name="calls-at-once",
        title="1,000 single calls, handed in at once",
        count=1_000,
        targets=(
            Target(versus="ProcessPoolExecutor", most=0.7),
            Target(who="allcores.Pool", versus="Pool", most=1),
        ),
        extras=("allcores.Pool", "loky"),
    ),
)
