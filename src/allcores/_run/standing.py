"""How a run stands, for whoever watches it."""

from __future__ import annotations

from allcores._core.hints import Protocol
from allcores._core.records import Record

__all__ = ["Standing", "Watcher"]


class Standing(Record):
    """How a run stands.

    Attributes:
        seconds: since it began.
        settled: how many items have finished or failed.
        recalled: how many of them a journal had.
        failed: how many of them failed.
        workers: how many took part at the same time, at most.
    """

    seconds: float
    settled: int
    recalled: int
    failed: int
    workers: int


class Watcher(Protocol):
    """Hears how a run stands: whenever items have been settled, and whenever it wants to."""

    @property
    def due(self) -> float | None:
        """When it wants to hear even if nothing has happened, on the run's clock; None for never."""

    def hear(self, standing: Standing) -> None:
        """Hear how the run stands."""
