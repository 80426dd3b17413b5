"""How many cores this process may use: the least of all bounds, and which one that is.

Bounds are what the scheduler of the system lets this process use, or else what Python was told of that; what its
control groups grant it; what a batch system allotted; and what the user or an outer run of allcores said.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil

from allcores._core.hints import Self
from allcores._core.records import Record
from allcores._system.kernel import group_folders, read

__all__ = [
    "CORES_VARIABLE",
    "LOKY_VARIABLE",
    "SHARE_VARIABLE",
    "Topology",
    "UsableCores",
    "bounds_of_cores",
    "cores_limited_here",
    "find_topology",
    "limit_cores_here",
    "meeting_place",
    "usable_cores",
]

CORES_VARIABLE = "ALLCORES_WORKERS"
SHARE_VARIABLE = "ALLCORES_SHARE"  # that runs of this user's programs share the cores
LOKY_VARIABLE = "LOKY_MAX_CPU_COUNT"  # that joblib's own backend uses no more
PYTHON_VARIABLE = "PYTHON_CPU_COUNT"
# Of batch systems: a number of cores for this task, this node or the whole job, all of which bound what is used here.
ALLOTTED = (
    "SLURM_CPUS_PER_TASK",
    "SLURM_CPUS_ON_NODE",
    "PBS_NP",  # and Torque
    "NCPUS",  # PBS
    "NSLOTS",  # Grid Engine
    "LSB_DJOB_NUMPROC",  # LSF
)
SLURM_NODES = "SLURM_JOB_CPUS_PER_NODE"  # as in ``16(x2),8``
OAR_FILE = "OAR_NODEFILE"  # a line for each core of each node
NODE_CORES = r"(\d+)(?:\(x(\d+)\))?"
CPUS = "/sys/devices/system/cpu"

_here = threading.local()


class UsableCores(int):
    """A number of cores that can say why it is no greater.

    Attributes:
        bound: what bounds it.
    """

    bound: str

    def __new__(cls, number: int, bound: str) -> Self:
        """Make one."""
        cores = super().__new__(cls, number)
        cores.bound = bound
        return cores

    def __repr__(self) -> str:
        return f"<{int(self)} usable cores, bounded by {self.bound}>"

    __str__ = int.__repr__

    def __reduce__(self) -> tuple[type[UsableCores], tuple[int, str]]:
        return UsableCores, (int(self), self.bound)


def usable_cores() -> UsableCores:
    """Give the number of cores that this process may use: as many workers do a run's items by default.

    Returns:
        An ``int`` that explains itself: `bound` says which of these is the least: the process's CPU affinity, the quota
        of its control groups (versions 1 and 2, nested ones, too), the allocation of a batch system (Slurm, PBS, Grid
        Engine, LSF, OAR), ``ALLCORES_WORKERS``, ``PYTHON_CPU_COUNT`` and ``-X cpu_count``, or the share of an outer run
        of allcores, of which this process is a worker.

    Example:
        >>> import allcores
        >>> allcores.usable_cores() >= 1
        True
        >>> allcores.usable_cores()  # doctest: +SKIP
        <2 usable cores, bounded by this process's CPU affinity>
    """
    return UsableCores(*min(bounds_of_cores(), key=lambda bound: bound[0]))


def meeting_place() -> str | None:
    """Give the folder where runs of this user meet that share the cores; None where those of this process do not.

    Raises:
        OSError: it cannot be made, or is somebody else's.
    """
    if os.environ.get(SHARE_VARIABLE, "") in {"", "0"}:
        return None
    from tempfile import gettempdir  # for those who asked for it

    user = os.getuid()
    folder = os.path.join(os.environ.get("XDG_RUNTIME_DIR") or gettempdir(), f"allcores-{user}")
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user:
        raise PermissionError(f"{folder}, where runs that share the cores meet, is not a folder of yours")
    return folder


def limit_cores_here(cores: int) -> None:
    """Bound the cores of runs that this thread starts from now on: its share of an outer run's."""
    _here.cores = cores


@contextmanager
def cores_limited_here(cores: int) -> Iterator[None]:
    """Bound them likewise within the block alone, in a thread that is somebody else's."""
    before = getattr(_here, "cores", None)
    _here.cores = cores
    try:
        yield
    finally:
        _here.cores = before


def bounds_of_cores() -> Iterator[tuple[int, str]]:
    """Give each bound, as a number of cores and where it comes from."""
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
    yield from _allotted()
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


def _allotted() -> Iterator[tuple[int, str]]:
    """Give what batch systems and the user say in the environment; what makes no sense there says nothing."""
    environment = os.environ
    for variable in (CORES_VARIABLE, *ALLOTTED):
        text = environment.get(variable, "")
        if text.isdecimal() and int(text) > 0:
            yield int(text), f"{variable}={text}"
    nodes = environment.get(SLURM_NODES)
    if nodes is not None and (cores := _cores_of_node(nodes, environment.get("SLURM_NODEID", ""))):
        yield cores, f"{SLURM_NODES}={nodes}"
    file = environment.get(OAR_FILE)
    if file is not None and (cores := _lines_of_node(file)):
        yield cores, f"the cores in {OAR_FILE}"


def _cores_of_node(nodes: str, number: str) -> int | None:
    """Read ``16(x2),8`` for one node; where nobody says which one this is, the least holds."""
    parts = [re.fullmatch(NODE_CORES, part) for part in nodes.split(",")]
    counts = [int(part[1]) for part in parts if part is not None for _ in range(int(part[2] or 1))]
    if number.isdecimal() and int(number) < len(counts):
        return counts[int(number)]
    return min(counts, default=None)


def _lines_of_node(file: str) -> int | None:
    with suppress(OSError, UnicodeDecodeError), open(file, encoding="utf-8") as lines:
        names = lines.read().split()
        return names.count(os.uname().nodename) or len(names)
    return None


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


# ------------------------------------------------------------------------------------------ what kind of cores


class Topology(Record):
    """What the kernel tells of the cores that this process may run on.

    Attributes:
        threads: how many hardware threads, which is what is usually called a core.
        physical: how many physical cores these are on: fewer with simultaneous multithreading (SMT).
        efficient: how many of the hardware threads are on cores made to save power rather than time.
    """

    threads: int
    physical: int
    efficient: int

    def __str__(self) -> str:
        words = [f"{self.threads} hardware threads on {self.physical} physical cores"]
        if self.efficient:
            words.append(f"{self.efficient} of them on efficiency cores")
        return ", ".join(words)


def find_topology(folder: str = CPUS) -> Topology | None:
    """Ask the kernel what kind of cores there are; None where it does not tell.

    Args:
        folder: where Linux describes processors.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    try:
        cores = {read(f"{folder}/cpu{cpu}/topology/thread_siblings_list") for cpu in allowed}
    except OSError:
        return None
    return Topology(len(allowed), len(cores), _count_efficient(folder, allowed))


def _count_efficient(folder: str, allowed: list[int]) -> int:
    """Count those of less than the greatest capacity, as ARM's kernels say it, or that Intel's call atoms."""
    with suppress(OSError, ValueError):
        capacities = [int(read(f"{folder}/cpu{cpu}/cpu_capacity")) for cpu in allowed]
        return sum(capacity < max(capacities) for capacity in capacities)
    with suppress(OSError, ValueError):
        return len(_parse_cpus(read(f"{folder}/../../cpu_atom/cpus").decode()) & set(allowed))
    return 0


def _parse_cpus(text: str) -> set[int]:
    """Read a list of processors as the kernel writes it: ``0-3,8``."""
    ranges = (part.partition("-") for part in text.strip().split(",") if part)
    return {cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)}
