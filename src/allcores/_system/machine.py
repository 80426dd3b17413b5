"""What this machine and this process allow: cores, and whether a fork is safe.

Cores are the least of what the scheduler lets this process use, or else what Python was told of that, what its control
groups grant it, what a batch system allotted, and what the user or an outer run of allcores said.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Iterator
from math import ceil

from allcores._core.plan import Facts
from allcores._system.descriptors import Descriptors
from allcores._system.greenlets import GREEN, patched_by
from allcores._system.kernel import group_folders, read
from allcores._system.program import clean_hazard, start_set

__all__ = ["CORES_VARIABLE", "find_facts", "limit_cores_here", "usable_cores"]

CORES_VARIABLE = "ALLCORES_WORKERS"
PYTHON_VARIABLE = "PYTHON_CPU_COUNT"
SLURM_VARIABLES = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")

# Modules whose threads or locks do not survive a fork, by their own documentation; importing them is enough.
FORK_BREAKERS = ("polars", "jax", "jaxlib", "tensorflow", "grpc", "ray", "cupy", "pycuda", "pyopencl", *GREEN)

ENDING_MILLISECONDS = 5  # for which the system may go on to show a thread that was joined
_lasting_threads: set[int] = set()  # native ones that were still there after that

GPUS = ("/dev/nvidia", "/dev/kfd", "/dev/dri/render")

_here = threading.local()


def find_facts(here: Descriptors | None = None, *, own_threads: int = 0) -> Facts:
    """Gather what a plan needs to know.

    Args:
        here: what this process has open; by default that is found out.
        own_threads: how many threads are allcores' own, which a forked process does not miss.
    """
    cores, bound = usable_cores()
    is_posix = hasattr(os, "fork")
    return Facts(
        cores=cores,
        cores_bound=bound,
        can_fork=is_posix,
        fork_hazard=fork_hazard(here, own_threads) if is_posix else "there is no fork here",
        can_start_clean=is_posix,
        clean_hazard=clean_hazard(),
        start_set=start_set(),
    )


# ----------------------------------------------------------------------------------------------------------- cores


def usable_cores() -> tuple[int, str]:
    """Give the number of cores this process may use, and what bounds it."""
    return min(_bounds(), key=lambda bound: bound[0])


def limit_cores_here(cores: int) -> None:
    """Bound the cores of runs that this thread starts from now on: its share of an outer run's."""
    _here.cores = cores


def _bounds() -> Iterator[tuple[int, str]]:
    told = _told_to_python()
    if told is not None:
        yield told
    elif hasattr(os, "sched_getaffinity"):
        yield len(os.sched_getaffinity(0)), "this process's CPU affinity"
    else:
        yield os.cpu_count() or 1, "the machine's cores"
    quota = _quota()
    if quota is not None:
        yield max(1, ceil(quota)), f"a control group's quota of {quota:g} cores"
    for variable in (CORES_VARIABLE, *SLURM_VARIABLES):
        text = os.environ.get(variable, "")
        if text.isdecimal() and int(text) > 0:
            yield int(text), f"{variable}={text}"
    cores = getattr(_here, "cores", None)
    if cores is not None:
        yield cores, "the share of an outer run"


def _told_to_python() -> tuple[int, str] | None:
    """Give what Python 3.13's `os.process_cpu_count` says instead of the affinity; None where it was told nothing."""
    options = sys._xoptions  # noqa: SLF001 - no other way
    if "cpu_count" in options:
        switch, text = "-X cpu_count", options["cpu_count"]
    else:
        switch, text = PYTHON_VARIABLE, None if sys.flags.ignore_environment else os.environ.get(PYTHON_VARIABLE)
    return (int(text), f"{switch}={text}") if isinstance(text, str) and text.isdecimal() and int(text) > 0 else None


@functools.cache
def _quota() -> float | None:
    return cgroup_quota("/")


def cgroup_quota(root: str | os.PathLike[str]) -> float | None:
    """Give the cores that this process's control groups grant, the least of all levels; None for no limit.

    Reads version 2 (``cpu.max``) and version 1 (``cpu.cfs_quota_us``).

    Args:
        root: the folder that stands for ``/``.
    """
    quotas = (_read_quota(folder) for folder in group_folders(root, "cpu"))
    return min((quota for quota in quotas if quota is not None), default=None)


def _read_quota(folder: str) -> float | None:
    for read_version in (_read_quota_v2, _read_quota_v1):
        try:
            return read_version(folder)
        except (OSError, ValueError):
            continue
    return None


def _read_quota_v2(folder: str) -> float | None:
    quota, period = read(f"{folder}/cpu.max").split()
    return None if quota == b"max" else int(quota) / int(period)


def _read_quota_v1(folder: str) -> float | None:
    quota = int(read(f"{folder}/cpu.cfs_quota_us"))
    period = int(read(f"{folder}/cpu.cfs_period_us"))
    return None if quota < 0 else quota / period


# ----------------------------------------------------------------------------------------------------- fork safety


def fork_hazard(here: Descriptors | None = None, own_threads: int = 0) -> str | None:
    """Say why forking this process now is not provably safe; None where it is. The arguments are `find_facts`'s."""
    if sys.platform != "linux":
        return f"system libraries of {sys.platform} break in forked processes"
    if threading.active_count() - own_threads > 1:
        return f"{threading.active_count()} Python threads are running"
    if (hazard := _hazard_of_program()) is not None:
        return hazard
    loaded = [name for name in FORK_BREAKERS if name in sys.modules]
    if loaded:
        return f"{loaded[0]} is imported, which does not survive a fork"
    if any(target.startswith(GPUS) for target in (here or Descriptors()).targets.values()):
        return "a GPU runtime is initialised"
    return _native_thread_hazard()


def _hazard_of_program() -> str | None:
    library = patched_by()
    if library is not None:
        return f"{library} has patched this program, and its greenlets would go on in every worker"
    if sys.version_info[:2] == (3, 12) and vars(threading)["_SHUTTING_DOWN"]:
        return "Python 3.12 forks nothing at the interpreter's end"
    interpreters = _count_interpreters()
    if interpreters > 1:
        return f"{interpreters} interpreters are open in this process, which a forked one hangs or crashes with"
    return None


def _count_interpreters() -> int:
    """Count those that Python's own module for them knows, which it has had under two names."""
    module = sys.modules.get("_interpreters") or sys.modules.get("_xxsubinterpreters")
    return 1 if module is None else len(module.list_all())


def _native_thread_hazard() -> str | None:
    global _lasting_threads  # noqa: PLW0603 - a fact about the process
    native = _find_native_threads()
    leaving = _threads_that_leave()
    if len(native) <= leaving:
        return None
    survivors = leaving + _threads_that_survive()
    for _ in range(ENDING_MILLISECONDS):
        if len(native) <= survivors or native <= _lasting_threads:
            break
        time.sleep(0.001)
        native = _find_native_threads()
    _lasting_threads = native
    if len(native) <= survivors:
        return None
    return f"{len(native) - survivors} native threads are running of which nobody knows whether they survive a fork"


def _find_native_threads() -> set[int]:
    """Give the ids of threads that Python knows nothing of, or nothing any more: they may be about to end."""
    known = {thread.native_id for thread in threading.enumerate()}
    return {int(name) for name in os.listdir("/proc/self/task")} - known


def _threads_that_leave() -> int:
    """Count our own threads that end before a fork."""
    reporter = sys.modules.get("allcores._worker.reporter")
    return 0 if reporter is None else int(reporter.count_reporters())


def _threads_that_survive() -> int:
    """Count the threads of OpenBLAS, which ends its pool before a fork and starts it again when needed."""
    from threadpoolctl import threadpool_info  # only where there are native threads at all

    return sum(
        library["num_threads"] - 1
        for library in threadpool_info()
        if library["internal_api"] == "openblas" and library.get("threading_layer") == "pthreads"
    )
