"""What this machine and this process allow: the facts that a plan is made from, and whether a fork is safe."""

from __future__ import annotations

import os
import sys
import threading
import time

from allcores._core.options import Options
from allcores._core.plan import Facts
from allcores._system.accelerators import find_devices
from allcores._system.cores import find_topology, meeting_place, usable_cores
from allcores._system.descriptors import Descriptors
from allcores._system.greenlets import GREEN, patched_by
from allcores._system.native_threads import loaded_pools, most_threads, set_by_user
from allcores._system.program import clean_hazard, start_set

__all__ = ["find_facts", "fork_hazard", "slots_of"]

# Modules whose threads or locks do not survive a fork, by their own documentation; importing them is enough.
FORK_BREAKERS = ("polars", "jax", "jaxlib", "tensorflow", "grpc", "ray", "cupy", "pycuda", "pyopencl", *GREEN)

ENDING_MILLISECONDS = 5  # for which the system may go on to show a thread that was joined
_lasting_threads: set[int] = set()  # native ones that were still there after that

GPUS = ("/dev/nvidia", "/dev/kfd", "/dev/dri/render")


def find_facts(
    options: Options, here: Descriptors | None = None, *, own_threads: int = 0, is_detailed: bool = False
) -> Facts:
    """Gather what a plan needs to know.

    Args:
        options: which it will be a plan for.
        here: what this process has open; by default that is found out.
        own_threads: how many threads are allcores' own, which a forked process does not miss.
        is_detailed: whether to ask of what kind the cores are, though the plan does not hang on it.
    """
    cores = usable_cores()
    topology = find_topology() if is_detailed or options.workers == "physical" else None
    is_posix = hasattr(os, "fork")
    return Facts(
        cores=int(cores),
        cores_bound=cores.bound,
        can_fork=is_posix,
        fork_hazard=fork_hazard(here, own_threads) if is_posix else "there is no fork here",
        can_start_clean=is_posix,
        clean_hazard=clean_hazard(),
        start_set=start_set(),
        meeting_place=meeting_place(),
        native_set=tuple(set_by_user().items()),
        physical=None if topology is None else topology.physical,
        topology=None if topology is None else str(topology),
        devices=None if options.devices is None else find_devices(),
        slots=_find_slots(options),
    )


def _find_slots(options: Options) -> int | None:
    """Give how many calls run at once there; whoever says how many workers there shall be need not know."""
    if options.is_mpi:
        from allcores._system.mpi import count_ranks  # heavy: for who is in an MPI job

        return count_ranks()
    if options.engine == "executor":
        return slots_of(options.on)
    if options.engine == "dask" and options.workers is None:
        from allcores._system.dask_cluster import count_threads  # likewise

        return count_threads(options.on)
    if options.engine == "ray":
        from allcores._system.ray_cluster import count_cpus  # likewise

        return count_cpus()
    return None


def slots_of(executor: object) -> int | None:
    """Give how many calls an executor runs at once, if it tells as the standard library's and most others do."""
    slots = getattr(executor, "_max_workers", None)
    return slots if type(slots) is int and slots > 0 else None


# ----------------------------------------------------------------------------------------------------- fork safety


def fork_hazard(here: Descriptors | None = None, own_threads: int = 0) -> str | None:
    """Say why forking this process now is not provably safe; None where it is. The arguments are as in `find_facts`."""
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
    return sum(
        most_threads(pool) - 1
        for pool in loaded_pools()
        if pool.internal_api == "openblas" and getattr(pool, "threading_layer", None) == "pthreads"
    )
