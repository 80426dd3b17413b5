"""The frozen answer to "how will this run be done", and why."""

from __future__ import annotations

from collections.abc import Iterator

from allcores._core.bytes import format_bytes, parse_bytes
from allcores._core.devices import choose_devices, hand_out
from allcores._core.hints import Literal, TypeAlias
from allcores._core.options import OTHERS, Engine, Errors, Options
from allcores._core.records import Record

__all__ = ["OWN_THREAD", "ConcreteStart", "Facts", "Plan", "make_plan"]

ConcreteStart: TypeAlias = Literal["fork", "forkserver", "spawn"]

MORE_THREADS, MOST_THREADS = 4, 32  # than cores, and in all: as concurrent.futures has it

RANK_DIES = "the death of one ends the job, and resume= goes on"
OWN_THREAD = "a thread of its own starts the workers"


class Facts(Record):
    """What a plan must know of the machine and of this process.

    Attributes:
        cores: how many cores this process may use.
        cores_bound: what bounds that number.
        can_fork: whether the platform can start a process by fork at all.
        fork_hazard: why forking this process now is not provably safe; None where it is.
        can_start_clean: whether the platform can start clean workers.
        clean_hazard: why this program can start none; None where it can.
        has_own_thread: whether a thread of its own starts the workers, beside which the caller's goes on.
        fork_need: what the function or the initializer needs, and only forked workers can have; None if nothing.
        start_set: how the program has told multiprocessing to start processes, where that is not the usual way.
        start_used: the usual way, if multiprocessing has gone it here, or was told to: the two look the same. Told for
            who stands in for the standard library.
        settings: what clean workers would be given of this process's settings, in words; for a plan to be read.
        left: what they would lack, likewise.
        native_set: what the user has set in the environment of native threads, as ``(name, value)``.
        physical: how many physical cores this process may run on; None where nobody has asked, or knows.
        topology: of what kind the cores are, in words; likewise.
        devices: which accelerators this process may use; None where nobody has asked, or nothing says so.
        meeting_place: the folder where runs meet that share the cores; None where this process's do not.
        slots: how many calls run at once where the caller has said; None where nobody tells.
    """

    cores: int
    cores_bound: str
    can_fork: bool
    fork_hazard: str | None
    can_start_clean: bool
    clean_hazard: str | None = None
    has_own_thread: bool = False
    fork_need: str | None = None
    start_set: ConcreteStart | None = None
    start_used: ConcreteStart | None = None
    settings: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    native_set: tuple[tuple[str, str], ...] = ()
    physical: int | None = None
    topology: str | None = None
    devices: tuple[str, ...] | None = None
    meeting_place: str | None = None
    slots: int | None = None


class Plan(Record):
    """How a run will be done.

    Attributes:
        on: the engine.
        workers: how many workers at most; a run starts no more than it has batches for.
        workers_reason: where that number comes from.
        start: how processes start; None for engines that start none.
        start_reason: why that way.
        fork_hazard: why a fork is not provably safe here; None where it is.
        batch: items per batch, or None where it is measured and adapted.
        ahead: how far a lazy run reads ahead, in items, or None for a few batches per worker.
        errors: what a failure does.
        timeout: how many seconds an item may run, or None.
        timeout_start: how many seconds to wait where nobody is there to run items, or None for ever.
        retries: how many further tries an item has.
        memory: how many bytes a worker may use, or None.
        recycle_items: after how many items a worker is replaced, or None.
        recycle_bytes: after growing by how many bytes, or None.
        resume: the path of the journal, or None.
        log: the folder for what items print, each in a file of its own, or None.
        cores: how many cores each worker may use itself, or share among what it starts.
        threads: how many threads native libraries may use in each worker; None: they are left alone.
        threads_reason: why so many.
        threads_asked: whether the caller asked for that number, which then goes before all that libraries were told.
        native_set: what the environment says instead for some libraries, as ``(name, value)``.
        devices: which accelerators each worker has, the first one's first; empty where none are handed out.
        topology: of what kind the cores are, in words; None where the kernel does not tell. `allcores.plan` alone asks.
        meeting_place: where it meets other programs' runs, with which it shares the cores; None where it does not.
        carried: settings that clean workers are given, in words. `allcores.plan` alone gathers them.
        not_carried: what they lack of this process, in words, as far as can be known; likewise.
        grows: whether workers that come while the run goes on are used, however many.
    """

    on: Engine
    workers: int
    workers_reason: str
    start: ConcreteStart | None
    start_reason: str
    fork_hazard: str | None
    batch: int | None
    ahead: int | None
    errors: Errors
    timeout: float | None = None
    timeout_start: float | None = None
    retries: int = 0
    memory: int | None = None
    recycle_items: int | None = None
    recycle_bytes: int | None = None
    resume: str | None = None
    log: str | None = None
    cores: int = 1
    threads: int | None = None
    threads_reason: str = ""
    threads_asked: bool = False
    native_set: tuple[tuple[str, str], ...] = ()
    devices: tuple[tuple[str, ...], ...] = ()
    topology: str | None = None
    meeting_place: str | None = None
    carried: tuple[str, ...] = ()
    not_carried: tuple[str, ...] = ()
    grows: bool = False

    def __repr__(self) -> str:
        start = f", start {self.start}" if self.start is not None else ""
        limits = "".join(f", {limit}" for limit in self._limits())
        return f"<Plan: {self.workers} on {self.on}{start}, batch {self.batch or 'adaptive'}{limits}>"

    def __str__(self) -> str:
        return "\n".join(f"{heading}: {text}" if text else heading for heading, text in self._rows())

    def _repr_html_(self) -> str:
        from allcores._core.rows import as_html  # for notebooks

        return as_html(self._rows())

    def _rows(self) -> Iterator[tuple[str, str]]:
        yield f"{self.workers} on {self.on}", self.workers_reason
        if self.topology is not None:
            yield "cores", self.topology
        if self.start is not None:
            yield f"start {self.start}", self.start_reason
        if self.carried:
            yield "carried", ", ".join(self.carried)
        if self.not_carried:
            yield "not carried", ", ".join(self.not_carried)
        if self.meeting_place is not None:
            yield f"cores shared with other programs that meet in {self.meeting_place}", ""
        yield f"native threads {self.threads or 'left alone'}", self.threads_reason
        if self.devices:
            yield "devices, for each worker", "; ".join(", ".join(group) for group in self.devices)
        yield f"batch {self.batch or 'adaptive'}, ahead {self.ahead or 'a few batches per worker'}", ""
        for limit in self._limits():
            yield limit, ""

    def _limits(self) -> Iterator[str]:
        if self.timeout is not None:
            yield f"timeout {self.timeout:g} s per item"
        if self.timeout_start is not None:
            yield f"timeout_start {self.timeout_start:g} s for workers to be there"
        if self.retries:
            yield f"retries {self.retries} per item"
        if self.memory is not None:
            yield f"memory {format_bytes(self.memory)} per worker"
        if self.recycle_items is not None:
            yield f"recycle each worker after {self.recycle_items} items"
        if self.recycle_bytes is not None:
            yield f"recycle each worker that has grown by {format_bytes(self.recycle_bytes)}"
        if self.resume is not None:
            yield f"resume from {self.resume}"
        if self.log is not None:
            yield f"what items print goes to {self.log}"


def make_plan(options: Options, facts: Facts) -> Plan:
    """Decide how a run will be done.

    Args:
        options: what the caller asked for.
        facts: what the machine and this process allow.

    Raises:
        ValueError: the options ask for what this platform lacks, or for what the engine cannot do.
        RuntimeError: this program can start no worker so.
    """
    _require_workers_that_can_be_killed(options)
    _require_output_of_its_own(options)
    if options.engine in OTHERS:
        _require_what_others_can(options)
    else:
        _require_no_wait_for_others(options)
    keeps_limits = options.engine == "processes"
    devices = choose_devices(options, facts.devices)
    workers, workers_reason = _decide_workers(options, facts, len(devices))
    start, start_reason = _decide_start(options, facts) if options.engine == "processes" else (None, "")
    is_clean = start is not None and start != "fork"
    cores = max(1, facts.cores // workers)
    threads, threads_reason = _decide_threads(options, facts, cores)
    return Plan(
        on=options.engine,
        workers=workers,
        workers_reason=workers_reason,
        start=start,
        start_reason=start_reason,
        fork_hazard=facts.fork_hazard,
        batch=options.batch,
        ahead=options.ahead,
        errors=options.errors,
        timeout=options.timeout if keeps_limits else None,
        timeout_start=options.timeout_start if options.engine in OTHERS else None,
        retries=options.retries,
        memory=parse_bytes(options.memory) if keeps_limits and options.memory is not None else None,
        recycle_items=options.recycle if keeps_limits and isinstance(options.recycle, int) else None,
        recycle_bytes=parse_bytes(options.recycle) if keeps_limits and isinstance(options.recycle, str) else None,
        resume=None if options.resume is None else str(options.resume),
        log=options.log if keeps_limits else None,  # type: ignore[arg-type]  # it was made one
        cores=cores,
        threads=threads,
        threads_reason=threads_reason,
        threads_asked=options.threads != "auto",
        topology=facts.topology,
        meeting_place=facts.meeting_place if options.engine == "processes" else None,
        native_set=facts.native_set if options.threads == "auto" else (),
        devices=hand_out(devices, workers),
        carried=facts.settings if is_clean else (),
        not_carried=facts.left if is_clean else (),
        grows=options.engine == "dask" and options.workers is None,
    )


def _require_workers_that_can_be_killed(options: Options) -> None:
    """Refuse limits that a thread would not keep; `on="serial"`, which is for debugging, ignores them."""
    for name in ("timeout", "memory", "recycle"):
        value = getattr(options, name)
        if (options.engine == "threads" or options.engine in OTHERS) and value is not None:
            whose = OTHERS.get(options.engine, "threads")
            raise ValueError(
                f"{name}={value!r} needs workers that can be killed, and {whose} cannot; use on='processes'"
            )


def _require_no_wait_for_others(options: Options) -> None:
    """Refuse to wait for workers that are started here at once; `on="serial"` has none to wait for."""
    if options.timeout_start is not None and options.engine != "serial":
        raise ValueError(
            f"timeout_start={options.timeout_start!r} is for workers that others start, as an executor's or a "
            f"cluster's; on={options.engine!r} starts its own at once: leave it out"
        )


def _require_output_of_its_own(options: Options) -> None:
    """Refuse files for what items print, where they print to what they share; ``on="serial"`` prints as ever."""
    if options.log is None or options.engine in {"processes", "serial"}:
        return
    why = f"{OTHERS[options.engine]} are not ours" if options.engine in OTHERS else "threads share one"
    raise ValueError(f"log={options.log!r} needs workers with an output of their own, and {why}; use on='processes'")


def _require_what_others_can(options: Options) -> None:
    """Refuse what workers that belong to somebody else cannot be asked for."""
    whose = OTHERS[options.engine]
    if options.finalizer is not None:
        raise ValueError(
            f"finalizer={options.finalizer!r} needs workers whose end can be told, and {whose} cannot; "
            "use on='processes', or have the function close what it opens"
        )
    if options.start != "auto":
        raise ValueError(f"start={options.start!r} is not for {whose} workers, which are started there; leave it out")
    if options.threads not in {"auto", None}:
        raise ValueError(
            f"threads={options.threads!r}: {whose} workers have the native threads that they were started with; "
            "set them there, or in the initializer"
        )


def _decide_workers(options: Options, facts: Facts, devices: int) -> tuple[int, str]:
    bound = f"usable cores, bounded by {facts.cores_bound}"
    number = options.workers
    if options.engine == "serial":
        return 1, "serial runs in the caller's own thread"
    if number is None:
        return _usual_workers(options, facts, bound) if not devices else (devices, "one for each device")
    if number == "physical":
        return _physical_workers(facts, bound)
    if isinstance(number, float):
        return max(1, int(facts.cores * number)), f"workers={number} of {facts.cores} {bound}"
    if number < 0:
        return max(1, facts.cores + 1 + number), f"workers={number}, counted from {facts.cores} {bound}"
    return number, f"workers={number} was asked for"


def _usual_workers(options: Options, facts: Facts, bound: str) -> tuple[int, str]:
    if options.is_mpi:
        return facts.slots or 1, f"ranks of the MPI job but the first; {RANK_DIES}"
    if options.engine == "dask" and facts.slots is not None:
        return facts.slots, "as many as the cluster has, and more as they come"
    if facts.slots is not None:
        return facts.slots, f"as many as the {'executor' if options.engine == 'executor' else 'cluster'} has"
    if options.engine in OTHERS:
        return facts.cores, f"{bound}, as nobody tells yet how many there are: workers= says so"
    if options.engine != "threads":
        return facts.cores, bound
    few_more = min(MOST_THREADS, facts.cores + MORE_THREADS)
    return few_more, f"threads mostly wait, so a few more than {facts.cores} {bound}"


def _physical_workers(facts: Facts, bound: str) -> tuple[int, str]:
    if facts.physical is None:
        return facts.cores, f"{bound}, as nobody knows which of them are physical"
    return min(facts.cores, facts.physical), f"physical cores, of {facts.cores} {bound}"


def _decide_threads(options: Options, facts: Facts, cores: int) -> tuple[int | None, str]:
    if options.threads is None:
        return None, "threads=None was asked for"
    if options.threads != "auto":
        return options.threads, f"threads={options.threads} was asked for"
    if options.engine == "serial":
        return None, "serial runs in the caller's own thread"
    if options.engine in OTHERS:
        return None, f"{OTHERS[options.engine]} workers have what they were started with"
    theirs = ", ".join(f"{name}={value}" for name, value in facts.native_set)
    but = f", but {theirs}, as the environment says" if theirs else ""
    return cores, f"each worker's share of {facts.cores} usable cores{but}"


def _decide_start(options: Options, facts: Facts) -> tuple[ConcreteStart, str]:
    if options.start == "fork":
        if not facts.can_fork:
            raise ValueError("start='fork' is not possible on this platform; allowed: 'auto', 'forkserver', 'spawn'")
        return "fork", "asked for" + _although(facts)
    if not facts.can_start_clean:
        raise ValueError("on='processes' does not run on this platform yet; allowed: on='threads', on='serial'")
    if facts.clean_hazard is not None:
        return _choose_fork(options, facts, facts.clean_hazard)
    if options.start != "auto":
        return options.start, "asked for"
    if options.devices is not None:
        return "forkserver", "each worker is to have its devices before it imports anything"
    return _choose_start(facts)


def _choose_fork(options: Options, facts: Facts, clean_hazard: str) -> tuple[ConcreteStart, str]:
    """Choose where workers cannot start clean; that a thread of its own forks is then no reason not to."""
    if options.devices is not None:
        raise RuntimeError(f"devices={options.devices!r} is not possible: {clean_hazard}; leave it out")
    if options.start != "auto":
        raise RuntimeError(
            f"start={options.start!r} is not possible: {clean_hazard}; use start='fork', or on='threads'"
        )
    is_wanted = facts.fork_need is not None or facts.start_set == "fork"
    if not facts.can_fork or (facts.fork_hazard is not None and not is_wanted):
        raise RuntimeError(
            f"no worker can be started: a fork would not be safe, as {facts.fork_hazard}, and {clean_hazard}; "
            "use on='threads', or start='fork' if you know that it will do"
        )
    return "fork", f"{clean_hazard}{_although(facts)}"


def _choose_start(facts: Facts) -> tuple[ConcreteStart, str]:
    """Choose for who has not: as the program has for multiprocessing, or else by what is safe."""
    if facts.start_set is not None:
        return facts.start_set, f"multiprocessing was told to start processes so{_although(facts, facts.start_set)}"
    if facts.can_fork and facts.fork_need is not None:
        return "fork", f"{facts.fork_need} can be had by forked workers alone{_although(facts)}"
    if facts.can_fork and facts.fork_hazard is None:
        if not facts.has_own_thread:
            return "fork", "safe here, and workers inherit the function and the dataset"
        if facts.start_used == "fork":
            return "fork", "multiprocessing starts processes so in this program"
    return "forkserver", f"a fork would not be safe: {facts.fork_hazard or OWN_THREAD}"


def _although(facts: Facts, start: ConcreteStart = "fork") -> str:
    return f", although {facts.fork_hazard}" if start == "fork" and facts.fork_hazard else ""
