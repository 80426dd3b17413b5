"""What allcores is meant to reach, beside what it has reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.case import LOWER_BOUND, Case, Target, Temperature
from benchmarks.rounds import Figures

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True)
class Verdict:
    """A target, and what was measured; None if that lacks a peer."""

    target: Target
    measured: float | None

    @property
    def word(self) -> str:
        """Whether it is met."""
        if self.measured is None:
            return "not measured"
        return "met" if self.measured <= self.target.most else "**missed**"

    @property
    def ratio(self) -> str:
        """What was measured."""
        return "" if self.measured is None else f"{self.measured:.3g}"


def judge(case: Case, figures: Mapping[str, Figures], workers: int) -> list[Verdict]:
    """Compare a case's targets with its figures."""

    def seconds(name: str, temperature: Temperature) -> float | None:
        if name == LOWER_BOUND:
            return case.lower_bound(workers)
        return figures[name].median(temperature) if name in figures else None

    def measured(target: Target) -> float | None:
        ours, theirs = seconds(target.who, target.temperature), seconds(target.versus, target.temperature)
        return None if ours is None or theirs is None else ours / theirs

    return [Verdict(target, measured(target)) for target in case.targets]
