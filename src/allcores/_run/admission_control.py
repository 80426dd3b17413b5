"""Looks at the memory that is left, now and then, and says how many workers may run items at once."""

from __future__ import annotations

from math import inf

from allcores._core.admission import Admission
from allcores._engines.engine import Engine
from allcores._system.memory import free_memory

__all__ = ["AdmissionControl"]

MEASURE_SECONDS = 0.1  # between two measurements, each of which costs about a tenth of a millisecond
WATCHFUL = 0.5  # share of the total: while more is free, nobody asks what each worker uses


class AdmissionControl:
    """Measures for one run.

    Args:
        workers: how many there may be.
        now: seconds on the run's clock.
    """

    def __init__(self, workers: int, now: float) -> None:
        self._admission = Admission(workers=workers)
        self._measure_at = now + MEASURE_SECONDS
        self._knows_memory = True
        self._is_urgent = False  # whether the kernel has killed since the last measurement

    @property
    def limit(self) -> int | None:
        """How many workers may run items at once; None for all."""
        return self._admission.limit

    @property
    def due(self) -> float | None:
        """When to measure again even if nothing happens: while workers wait to be let in."""
        return None if self._admission.limit is None else self._measure_at

    def is_due(self, now: float) -> bool:
        """Whether the last measurement is old."""
        return self._knows_memory and now >= self._measure_at

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
