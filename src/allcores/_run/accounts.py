"""Accounts: what a run has cost, gathered from all that know a part of it."""

from __future__ import annotations

from allcores._core.hints import TYPE_CHECKING
from allcores._core.plan import Plan
from allcores._core.report import Report
from allcores._core.scheduler.scheduler import Scheduler
from allcores._core.timeline import Timeline
from allcores._engines.engine import Usage
from allcores._run.admission_control import AdmissionControl
from allcores._run.delivery import Delivery
from allcores._run.excuses import Excuses
from allcores._run.failures import Failures
from allcores._run.intake import Intake

if TYPE_CHECKING:
    from allcores._journal.recorder import Recorder

__all__ = ["Accounts"]


class Accounts:
    """Of one run.

    Args:
        plan: how it is done.
        scheduler: knows how many items are settled.
        delivery: knows how long they ran.
        failures: knows which have failed.
        excuses: knows which were tried again.
        intake: knows how long the input took.
        timeline: knows who has run what.
        recorder: of the run's journal; None if it has none.
        admission: knows for how long memory was short; None where nobody looks.
        is_served: whether others hand items in by and by.
    """

    def __init__(
        self,
        plan: Plan,
        scheduler: Scheduler,
        delivery: Delivery,
        failures: Failures,
        excuses: Excuses,
        *,
        intake: Intake,
        timeline: Timeline,
        recorder: Recorder | None,
        admission: AdmissionControl | None,
        is_served: bool,
    ) -> None:
        self._plan = plan
        self._scheduler = scheduler
        self._delivery = delivery
        self._failures = failures
        self._excuses = excuses
        self._intake = intake
        self._timeline = timeline
        self._recorder = recorder
        self._admission = admission
        self._is_served = is_served

    def report(self, usage: Usage, wall_seconds: float) -> Report:
        """Draw up what the run has cost so far, or altogether.

        Args:
            usage: of the workers.
            wall_seconds: since it began.
        """
        scheduler, delivery, recorder, time = self._scheduler, self._delivery, self._recorder, usage.time
        kinds = dict(self._failures.kinds)
        workers = scheduler.peak_workers
        return Report(
            wall_seconds=wall_seconds,
            workers=workers,
            items=scheduler.settled,
            failed=sum(kinds.values()),
            tries=scheduler.settled - delivery.recalled + self._excuses.repeated,
            deaths=scheduler.deaths,
            recalled=delivery.recalled,
            unrecorded=0 if recorder is None else recorder.unrecognised + recorder.unrecorded,
            item_seconds=delivery.item_seconds,
            computing_seconds=None if time is None else time.computing,
            queued_seconds=None if time is None else time.queued,
            input_seconds=self._intake.seconds,
            failures=tuple(sorted(kinds.items(), key=lambda kind: -kind[1])),
            slowest=tuple(delivery.slowest),
            plan=self._plan,
            moving_seconds=usage.moving_seconds,
            own_moving_seconds=usage.own_moving_seconds,
            sent_bytes=usage.sent,
            received_bytes=usage.received,
            starting_seconds=self._timeline.first_ready,
            tail_seconds=0.0 if self._is_served else self._timeline.tail_seconds(workers),
            short_seconds=0.0 if self._admission is None else self._admission.short_seconds,
            stints=self._timeline.stints(usage.peaks),
            spans=self._timeline.spans(),
            is_served=self._is_served,
        )
