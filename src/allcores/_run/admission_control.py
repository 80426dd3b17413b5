"""Looks at what there is to share, now and then, and says how many workers may run items at once.

That is the memory that is left, and the cores, where other programs of the user's have their share of them.
"""

from __future__ import annotations

from math import inf

from allcores._core.admission import Admission
from allcores._core.hints import TYPE_CHECKING
from allcores._engines.engine import Engine
from allcores._system.memory import free_memory

if TYPE_CHECKING:
    from allcores._system.neighbours import Neighbours

__all__ = ["AdmissionControl"]

MEASURE_SECONDS = 0.1  # between two measurements, each of which costs about a tenth of a millisecond
WATCHFUL = 0.5  # share of the total: while more is free, nobody asks what each worker uses


class AdmissionControl:
    """Measures for one run.

    Args:
        workers: how many there may be.
        now: seconds on the run's clock.
        meeting_place: where runs meet that share the cores; None where this one does not.

    Attributes:
        limit: how many workers may run items at once; None for all.
        short_seconds: for how long it was memory that kept some from it.
    """

    def __init__(self, workers: int, now: float, meeting_place: str | None = None) -> None:
        self.limit: int | None = None
        self.short_seconds = 0.0
        self._measured_at = now
        self._workers = workers
        self._admission = Admission(workers=workers)
        self._meeting_place = meeting_place
        self._neighbours: Neighbours | None = None  # while any of the workers is busy
        self._share = workers
        self._measure_at = now + MEASURE_SECONDS
        self._knows_memory = True
        self._is_urgent = False  # whether the kernel has killed since the last measurement

    @property
    def due(self) -> float | None:
        """When to measure again even if nothing happens: while workers wait to be let in, or others for this run."""
        return None if self.limit is None and self._neighbours is None else self._measure_at

    def is_due(self, now: float) -> bool:
        """Whether the last measurement is old."""
        return now >= self._measure_at and (self._knows_memory or self._meeting_place is not None)

    def hear_of_kill(self) -> None:
        """Hear that the kernel has killed a worker for lack of memory: measure at once."""
        self._is_urgent = True
        self._measure_at = -inf

    def measure(self, engine: Engine, running: int, now: float) -> None:
        """Measure, and think `limit` over.

        Args:
            engine: tells what its workers use.
            running: how many of them are busy.
            now: seconds on the run's clock.
        """
        self._measure_at = now + MEASURE_SECONDS
        if self._admission.limit is not None:
            self.short_seconds += now - self._measured_at
        self._measured_at = now
        if self._meeting_place is not None:
            self._share = self._find_share(self._meeting_place, running)
        if self._knows_memory:
            self._measure_memory(engine, running)
        limit = self._admission.limit
        self.limit = limit if self._share == self._workers else min(self._share, limit or self._workers)

    def _find_share(self, meeting_place: str, running: int) -> int:
        """Say how many workers are this run's share; one that has nothing to do leaves them to others."""
        from allcores._system.neighbours import Neighbours  # for those who asked for it

        if not running:
            self.close()
            return self._workers
        if self._neighbours is None:
            self._neighbours = Neighbours(meeting_place)
        return max(1, self._workers // max(1, self._neighbours.count()))

    def _measure_memory(self, engine: Engine, running: int) -> None:
        room = free_memory()
        if room is None:
            self._knows_memory = False
        elif room.free < WATCHFUL * room.total or self._admission.limit is not None or self._is_urgent:
            self._is_urgent = False
            use = engine.memory()
            for peak in use.peaks:
                self._admission.observe_peak(peak)
            for peak in use.kills:
                self._admission.observe_kill(peak)
            self._admission.observe(free=room.free, total=room.total, used=use.now, running=running)

    def close(self) -> None:
        """Leave the cores to the others."""
        if self._neighbours is not None:
            self._neighbours.close()
            self._neighbours = None
