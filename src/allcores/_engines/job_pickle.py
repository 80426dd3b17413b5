"""A job, pickled for workers that have nothing of the caller's."""

from __future__ import annotations

from collections.abc import Iterator

from allcores._codec.captures import explain_unpicklable
from allcores._codec.codec import Encoded, encode_job
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known
from allcores._worker.job import Job

__all__ = ["encode_for_strangers"]


def encode_for_strangers(job: Job, known: Known, inspection: Inspection) -> Encoded:
    """Pickle a job; what is sent is noted down as `known`.

    Args:
        job: what travels.
        known: as for `encode_job`.
        inspection: as for `encode_job`.

    Raises:
        UnpicklableError: something of it cannot travel.
    """
    try:
        return encode_job(job, known, inspection, is_whole=True)
    except Exception as error:
        for role, thing in _parts_of(job):
            explained = explain_unpicklable(role, thing, error)
            if explained is not None:
                raise explained from None
        return encode_job(job, known, inspection)  # without what it does not lead to for sure


def _parts_of(job: Job) -> Iterator[tuple[str, object]]:
    """Give what of a job is the caller's, each with what it is to them."""
    from allcores._input.sharing.reach import FINALIZER, FUNCTION, INITIALIZER, STATE  # for who is about to be refused

    yield from zip(
        (FUNCTION, INITIALIZER, STATE, FINALIZER),
        (job.function, job.initializer, job.state, job.finalizer),
        strict=True,
    )
    yield from ((f"initargs[{position}]", argument) for position, argument in enumerate(job.initargs))
