"""Clean workers: processes that inherit nothing. The fork server starts them, and they are kept warm between runs."""

from __future__ import annotations

import pickle
from contextlib import AbstractContextManager, nullcontext

from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known
from allcores._codec.handover import close_all, hand_over
from allcores._core.plan import Plan
from allcores._engines.job_pickle import encode_for_strangers
from allcores._engines.processes.device_groups import DeviceGroups
from allcores._engines.processes.fork_server import CleanProcess, CleanStart
from allcores._engines.processes.process import Setup
from allcores._engines.processes.warm_set import warm_set
from allcores._settings.snapshot import find_settings
from allcores._system.tracking import SharedTracker
from allcores._transport.channel import fill_segment
from allcores._worker.job import Job
from allcores._worker.kinship import Kinship
from allcores._worker.share import Share
from allcores._worker.surroundings import Surroundings

__all__ = ["CleanSource"]


class CleanSource:
    """Leases clean workers for one run.

    Args:
        plan: says how new ones start, and what share of the cores each has.
        job: sent to each.
        is_last: whether no more jobs will follow, which shall find in a worker's ``__main__`` what earlier ones left.

    Raises:
        UnpicklableError: the job cannot travel; no worker has been started.
    """

    inherits = False

    def __init__(self, plan: Plan, job: Job, *, is_last: bool = True) -> None:
        assert plan.start is not None and plan.start != "fork"  # noqa: PT018 - one fact
        self._start: CleanStart = plan.start
        self._devices = DeviceGroups(plan.devices) if plan.devices else None
        # Others are this run's own.
        self.keeps_processes = job.initializer is None and is_last and self._devices is None
        self.has_finalizer = job.finalizer is not None
        warm_set.wake()  # first: it takes about as long as what follows
        settings = find_settings() if job.settings is None else job.settings
        with hand_over() as descriptors:
            known, inspection = Known(), Inspection(is_only=is_last)
            frames, _, unsure = encode_for_strangers(job._replace(settings=settings.sealed), known, inspection)
            kinship = Kinship.here(plan.start, is_daemon=job.is_daemon)
            surroundings = pickle.dumps((kinship, Surroundings.here(Share.of(plan)), settings.sealed.early))
            segment = fill_segment(frames)
            self._setup = Setup(frames, surroundings, known, unsure, descriptors, segment, settings)

    def starting(self) -> AbstractContextManager[None]:
        """Do nothing for all: each is started by the fork server."""
        return nullcontext()

    def set_up(self) -> Setup:
        """Give what the next worker must be sent first."""
        return self._setup if self._devices is None else self._setup._replace(variables=self._devices.choose())

    def start(self, tracker: SharedTracker) -> CleanProcess:
        """Lease a worker; one that is given devices has loaded no library yet that may have taken hold of others."""
        if self._devices is None:
            return warm_set.lease(self._start)
        process = warm_set.lease(self._start, is_fresh=True)
        self._devices.give(process)
        return process

    def forget(self, process: CleanProcess) -> None:
        """Have another worker be given its devices."""
        if self._devices is not None:
            self._devices.take(process)

    def keep(self, process: CleanProcess) -> None:
        """Keep it warm."""
        warm_set.give_back(process, self._start)

    def close(self) -> None:
        """Let go of what workers were sent."""
        close_all(self._setup.descriptors)
        if self._setup.segment is not None:
            self._setup.segment.close()
