"""What an entry point does before anything runs: check what the caller wrote, decide, and put the run together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial

from allcores._codec.codec import encode_job
from allcores._core.functions import refuse_deferring
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.kinds import runs_in_threads
from allcores._core.options import OTHERS, Options
from allcores._core.plan import Plan, make_plan
from allcores._engines.chance import draw_chance
from allcores._engines.launch import make_engine
from allcores._input.dataset import Dataset, make_dataset
from allcores._input.sharing.sharing import Belongings
from allcores._objects.outcomes import Chance, Origin, Results
from allcores._objects.short_repr import short_repr
from allcores._run.driver import Run
from allcores._run.progress import Progress, make_progress, may_show
from allcores._run.sinks import Sink
from allcores._run.standing import Watcher
from allcores._system.descriptors import Descriptors
from allcores._system.imports import offer_imports
from allcores._system.leaving import stop_if_left
from allcores._system.machine import find_facts
from allcores._worker.job import Job
from allcores._worker.reading import refuse_while_reading

if TYPE_CHECKING:
    from allcores._journal.recorder import Recorder
    from allcores._run.standstill import Standstill

__all__ = ["Start", "conclude", "prepare"]


class Start:
    """Everything a run needs, checked while the caller is still there to hear of it.

    Args:
        plan: how it is done.
        options: as the caller asked for it.
        job: what runs the items.
        dataset: the items.
    """

    def __init__(self, plan: Plan, options: Options, job: Job, dataset: Dataset) -> None:
        self._plan = plan
        self._options = options
        self._job = job
        self._dataset = dataset

    def progress(self, *, is_lazy: bool) -> Progress | None:
        """Make what tells the caller how the run stands; None if nobody is to be told."""
        return make_progress(self._options.progress, self._dataset.length, is_lazy=is_lazy)

    def run(self, sink: Sink, *, is_lazy: bool, watcher: Watcher | None, hears_others: bool = False) -> Run:
        """Put the run together, and open its journal; see `Run`."""
        recorder = self._open_journal()
        chance = self._job.chance if recorder is None else Chance(recorder.entropy, recorder.is_seeded)
        job = self._job._replace(chance=chance, is_awaited=is_lazy)
        if is_lazy and self._plan.on not in {"threads", "serial"}:  # its consumer may set what later workers begin with
            from allcores._settings.snapshot import find_settings

            job = job._replace(settings=find_settings())
        return Run(
            self._plan,
            self._dataset,
            partial(make_engine, self._plan, job, self._dataset, place=self._options.on),
            sink,
            origin=Origin(lambda: job, chance),
            retry_on=self._options.retry_on_types,
            recorder=recorder,
            is_lazy=is_lazy,
            hears_others=hears_others,
            watcher=watcher,
            standstill=self._standstill(),
        )

    def _standstill(self) -> Standstill | None:
        if self._plan.on not in OTHERS:
            return None
        from allcores._run.standstill import Standstill  # a small script does without

        return Standstill(self._plan.timeout_start, is_told=self._options.progress is not False and may_show())

    def _open_journal(self) -> Recorder | None:
        if self._plan.resume is None:
            return None
        from allcores._journal.digest.digest import digest_function
        from allcores._journal.recorder import Recorder

        job = self._job
        try:
            frames = encode_job(job).frames
        except Exception:  # it may run all the same, where workers are forked; only `replay` will miss it
            frames = []
        state_digest = b"" if job.state is None else digest_function(job.state)
        return Recorder(
            self._plan.resume,
            function_digest=digest_function(job.function) + bytes([job.is_star]) + state_digest,
            function_name=getattr(job.function, "__qualname__", type(job.function).__qualname__),
            job=frames,
            entropy=job.chance.entropy,
            is_seeded=job.chance.is_seeded,
        )


def prepare(
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    keywords: dict[str, Any],
    *,
    is_star: bool,
    has_own_thread: bool = False,
) -> Start:
    """Check what the caller wrote, and decide how the run will be done.

    Args:
        fn: what runs the items.
        iterables: the dataset.
        keywords: the options.
        is_star: whether an item is a tuple of arguments.
        has_own_thread: whether the run's loop will run in another thread than the caller's.

    Raises:
        TypeError, ValueError: something makes no sense.
        UnpicklableError: something would be shared by the workers that must not be.
    """
    stop_if_left()
    offer_imports()
    options = Options.from_keywords(keywords)
    if not callable(fn):
        raise TypeError(_explain_uncallable(fn, iterables))
    if not iterables:
        raise TypeError("the dataset is missing: give at least one iterable after the function")
    dataset = make_dataset(iterables, is_sent=_are_sent(options))
    belongings = Belongings.of(options, fn, dataset, is_star=is_star)
    plan = _decide(options, belongings, has_own_thread=has_own_thread)
    if plan.log is not None:
        plan = plan._replace(log=_make_folder(plan.log))
    refuse_deferring(fn, plan.on)
    job = Job(
        fn,
        is_star,
        options.errors == "raise" and not options.retries,
        options.initializer,
        options.initargs,
        is_timed=plan.timeout is not None,
        chance=draw_chance(options.seed),
        state=options.state,
        finalizer=options.finalizer,
        log=plan.log,
    )
    return Start(plan, options, job, dataset)


def _make_folder(path: str) -> str:
    """Make a folder, unless it is there; give its path for processes that may be elsewhere."""
    os.makedirs(path, exist_ok=True)
    return os.path.abspath(path)


def _explain_uncallable(fn: object, iterables: tuple[object, ...]) -> str:
    if iterables and callable(iterables[0]):
        hint = "the function comes before the dataset"
    else:
        hint = "give the function itself, fn and not fn(x), and then the dataset"
    return f"{short_repr(fn)} is not callable; {hint}"


def _are_sent(options: Options) -> bool:
    """Say whether items may go to other processes."""
    return options.engine not in {"threads", "serial"} and not runs_in_threads(options.on)


def _decide(options: Options, belongings: Belongings, *, has_own_thread: bool) -> Plan:
    """Make the plan, in view of what workers must not share."""
    here = Descriptors()
    facts = find_facts(options, here)._replace(has_own_thread=has_own_thread)
    if options.engine == "processes" and options.start == "auto":
        facts = belongings.weigh(facts, here)
    plan = make_plan(options, facts)
    if plan.on not in {"threads", "serial"}:
        refuse_while_reading()
    was_weighed = options.start == "auto" and plan.fork_hazard is None and not has_own_thread
    if plan.start is not None and not (plan.start == "fork" and was_weighed):
        belongings.require_unshared(plan.start, here)
    return plan


def conclude(results: Results[Any], run: Run) -> None:
    """Have the results of a run that is over tell the rest of it."""
    results.failures = sorted(run.failures, key=lambda failure: failure.index)
    results.report = run.report
