"""Rounds: all peers do a case in turn, cold and then warm, several times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from benchmarks.case import Case, Temperature
from benchmarks.memory import MemorySampler
from benchmarks.peers import make_peer
from benchmarks.player import Player, Reason, TooSlow

__all__ = ["Figures", "Pace", "Performance", "Players"]

SHRINKING = 100  # how many times fewer items one does that is too slow


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How much is measured.

    Attributes:
        cold: how many cold rounds each peer has, each in a new process.
        warm: how many warm rounds.
        budget: seconds for one peer's rounds of one temperature, past which it has no further one.
        patience: seconds for one round, past which a peer is given up.
    """

    cold: int = 3
    warm: int = 5
    budget: float = 3.0
    patience: float = 20.0


@dataclass
class Figures:
    """What a peer came to in a case.

    Attributes:
        count: how many items it did.
        full: how many there are.
        seconds: of each round, by temperature.
        root: peak memory of its main process, in bytes.
        tree: peak memory of all its processes together, in bytes.
        reason: why there is nothing, or not more.
    """

    count: int
    full: int
    seconds: dict[Temperature, list[float]] = field(default_factory=lambda: {"cold": [], "warm": []})
    root: int = 0
    tree: int = 0
    reason: str = ""

    def median(self, temperature: Temperature) -> float | None:
        """Give the middle of the rounds' seconds, as for the full number of items; None if there was no round."""
        taken = self.seconds[temperature]
        return statistics.median(taken) * self.full / self.count if taken else None


Play = Callable[[str, Figures], float | None]  # one round of a peer; None if its time does not count


class Players:
    """The stages that stand at the moment, one per peer.

    Args:
        workers: how many workers each peer may have.
        pace: how much is measured.
    """

    def __init__(self, workers: int, pace: Pace) -> None:
        self._workers = workers
        self._pace = pace
        self._standing: dict[str, Player] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._standing):
            self.end(name)

    def start(self, name: str) -> Player:
        """Start a stage afresh."""
        self.end(name)
        self._standing[name] = Player(name, self._workers, self._pace.patience)
        return self._standing[name]

    def of(self, name: str) -> Player:
        """Give the stage that stands, or start one."""
        return self._standing[name] if name in self._standing else self.start(name)

    def end(self, name: str) -> None:
        """End a peer's stage, if it stands."""
        if name in self._standing:
            self._standing.pop(name).close()


class Performance:
    """All peers at one case.

    Args:
        case: the case.
        names: the peers.
        players: their stages.
        pace: how much is measured.
    """

    def __init__(self, case: Case, names: Sequence[str], players: Players, pace: Pace) -> None:
        self._case = case
        self._players = players
        self._pace = pace
        self._summaries: dict[int, object] = {}  # {count: the loop's}
        self._ready: set[str] = set()  # peers that need not start again
        most = {name: make_peer(name).most_items or case.count for name in names}
        self.figures = {name: Figures(min(case.count, most[name]), case.count) for name in names}

    def measure(self) -> dict[str, Figures]:
        """Have all of them play, in turn."""
        if self._case.is_whole_process:
            self._take_turns("cold", self._pace.cold + self._pace.warm, self._play_cold)
        else:
            self._take_turns("cold", self._pace.cold, self._play_cold)
            self._take_turns("warm", self._pace.warm, self._play_warm)
        self._take_turns("warm", 1, self._play_watched)
        for name in self.figures:
            if not make_peer(name).is_kept:
                self._players.end(name)
        return self.figures

    def _take_turns(self, temperature: Temperature, rounds: int, play: Play) -> None:
        budgets = dict.fromkeys(self.figures, self._pace.budget)
        for _ in range(rounds):
            for name, figures in self.figures.items():
                if figures.reason or budgets[name] <= 0:
                    continue
                begun = time.perf_counter()
                try:
                    seconds = self._play_or_shrink(play, name, figures)
                except Reason as reason:
                    figures.reason = str(reason)
                    self._players.end(name)
                else:
                    if seconds is not None:
                        figures.seconds[temperature].append(seconds)
                budgets[name] -= time.perf_counter() - begun

    def _play_or_shrink(self, play: Play, name: str, figures: Figures) -> float | None:
        """Play; one that is too slow at its first round plays another with fewer items, if there are so many."""
        try:
            return play(name, figures)
        except TooSlow:
            if figures.count < SHRINKING or any(figures.seconds.values()):
                raise
            self._players.end(name)
            self._ready.discard(name)
            figures.count //= SHRINKING
            return play(name, figures)

    def _play_cold(self, name: str, figures: Figures) -> float | None:
        """Play in a new process; one that is kept only gets ready, once."""
        if self._case.is_whole_process or not make_peer(name).is_kept:
            player = self._players.start(name)
        elif name in self._ready:
            return None
        else:
            player = self._players.of(name)
            self._ready.add(name)
        player.prepare(self._case.name, figures.count)
        seconds = self._play(name, player, figures)
        return None if name in self._ready else seconds

    def _play_warm(self, name: str, figures: Figures) -> float:
        return self._play(name, self._players.of(name), figures)

    def _play_watched(self, name: str, figures: Figures) -> None:
        """Play once more, and look at the memory instead of the clock."""
        player = self._players.of(name)
        with MemorySampler(player.pid, counts_root=not self._case.is_whole_process) as sampler:
            self._play(name, player, figures)
        figures.root, figures.tree = sampler.root, sampler.tree

    def _play(self, name: str, player: Player, figures: Figures) -> float:
        seconds, summary = player.round()
        if name == "loop":
            self._summaries.setdefault(figures.count, summary)
        if summary != self._expected(figures.count):
            raise Reason("gives another result than the loop")
        return seconds

    def _expected(self, count: int) -> object:
        """Give the loop's summary for so many items."""
        if count not in self._summaries:
            player = Player("loop", workers=1, patience=self._pace.patience)
            try:
                player.prepare(self._case.name, count)
                _, self._summaries[count] = player.round()
            finally:
                player.close()
        return self._summaries[count]
