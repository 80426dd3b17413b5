"""From a plan to the engine that it asks for."""

from __future__ import annotations

from allcores._core.hints import TYPE_CHECKING
from allcores._core.options import Place
from allcores._core.plan import Plan
from allcores._engines.chance import say_what_is_copied
from allcores._engines.engine import Engine
from allcores._input.dataset import Dataset
from allcores._system.greenlets import refuse_copies
from allcores._worker.job import Job

if TYPE_CHECKING:
    from allcores._engines.clusters.cluster import Cluster
    from allcores._worker.line import Lines

__all__ = ["make_engine"]


def make_engine(
    plan: Plan, job: Job, dataset: Dataset, lines: Lines | None = None, *, place: Place = "processes"
) -> Engine:
    """Make the engine for a run; no worker is started.

    Args:
        plan: which one.
        job: what every worker has from the beginning.
        dataset: where items come from.
        lines: what runs each item, where items of different jobs are handed in; None where all are of `job`.
        place: where the caller asked for items to run; of use where that is an executor.

    Raises:
        UnpicklableError: the job cannot travel.
        ValueError: a fork was asked for, and would go wrong.
        UserWarning: workers have copies of generators, and warnings are errors.
    """
    if plan.on == "serial":
        from allcores._engines.serial import SerialEngine

        return SerialEngine(plan, job, dataset, lines)
    if plan.on == "threads":
        from allcores._engines.threads import ThreadEngine

        return ThreadEngine(plan, job, dataset, lines)
    if plan.on == "executor":
        from allcores._engines.executors.engine import ExecutorEngine

        return ExecutorEngine(plan, job, dataset, place)
    if not job.chance.is_seeded:
        say_what_is_copied(job.function, job.initializer)
    if plan.on in {"dask", "ray"}:
        from allcores._engines.clusters.engine import ClusterEngine

        return ClusterEngine(plan, job, dataset, lambda: _connect(plan, place))
    from allcores._engines.processes.echo import find_echo
    from allcores._engines.processes.engine import ProcessEngine

    job = job._replace(echo=find_echo())
    if plan.start == "fork":
        refuse_copies()
        from allcores._engines.processes.forked import ForkedSource

        return ProcessEngine(ForkedSource(plan, job, dataset), dataset, plan, lines)
    from allcores._engines.processes.clean import CleanSource

    return ProcessEngine(CleanSource(plan, job, is_last=lines is None), dataset, plan, lines)


def _connect(plan: Plan, place: Place) -> Cluster:
    if plan.on == "ray":
        from allcores._engines.clusters.ray import RayCluster

        return RayCluster(place, plan.workers)
    from allcores._engines.clusters.dask import DaskCluster

    return DaskCluster(place, plan.workers)
