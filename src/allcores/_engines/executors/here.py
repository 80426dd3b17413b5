"""Batches in threads of this process that are an executor's: nothing travels, as with threads of one's own."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import closing
from contextvars import Context

from allcores._core.hints import Any
from allcores._core.messages import SendBatch
from allcores._core.plan import Plan
from allcores._core.records import Record
from allcores._settings.conditions import Conditions
from allcores._system.cores import cores_limited_here
from allcores._system.processor_time import ProcessorTime, ThreadMeter
from allcores._worker.job import Job, Part, run_batch

__all__ = ["Here", "PartsHere"]


class PartsHere(Record):
    """What came of a batch.

    Attributes:
        parts: of it.
        used: of the processor.
        error: what the initializer or the state's factory raised; then there are no parts.
    """

    parts: list[Part]
    used: ProcessorTime = ProcessorTime()
    error: BaseException | None = None


class _Place(Record):
    job: Job
    context: Context


class Here:
    """Runs batches of one run.

    Args:
        plan: says what share of the cores each thread has.
        job: what runs the items. The global generators are shared by all threads, so no item may seed them.
    """

    def __init__(self, plan: Plan, job: Job) -> None:
        self.is_closed = False
        self._cores = plan.cores
        self._job = job._replace(chance=job.chance._replace(is_seeded=False))
        self._conditions = Conditions.here()
        self._places = threading.local()

    def run(self, batch: SendBatch, items: Iterable[Any]) -> PartsHere:
        """Run a batch in this thread; that ends early, between two parts, once nobody wants it any more."""
        with cores_limited_here(self._cores):
            return self._conditions.run(self._run, batch, items)  # type: ignore[no-any-return]

    def _run(self, batch: SendBatch, items: Iterable[Any]) -> PartsHere:
        place: _Place | None = getattr(self._places, "place", None)
        if place is None:
            context = self._conditions.begin()
            try:
                state = context.run(self._job.prepare)
            except BaseException as error:  # the caller's initializer may raise anything
                return PartsHere([], error=error)
            place = self._places.place = _Place(state.bind(self._job), context)
        return place.context.run(self._run_parts, place.job, batch, items)

    def _run_parts(self, job: Job, batch: SendBatch, items: Iterable[Any]) -> PartsHere:
        parts = []
        with closing(ThreadMeter()) as meter:
            for part in meter.measured(run_batch(job, items, batch)):
                parts.append(part)
                if self.is_closed:
                    break
            return PartsHere(parts, meter.used)
