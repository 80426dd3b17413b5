"""What a person, or who reads a bug report, wants to know of the machine, this Python and how a run would be done."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

from allcores._core.bytes import format_bytes
from allcores._objects.asking import describe
from allcores._run.map import plan
from allcores._system.accelerators import find_devices
from allcores._system.cores import bounds_of_cores, find_topology, usable_cores
from allcores._system.memory import free_memory
from allcores._system.native_threads import loaded_pools, set_by_user

__all__ = ["doctor"]

OWN = ("allcores", "cloudpickle", "threadpoolctl", "tqdm")
COMPANIONS = ("numpy", "scipy", "pandas", "scikit-learn", "numba", "torch", "joblib", "dask", "distributed", "ray")
LIMITS = {"RLIMIT_NOFILE": "open files", "RLIMIT_NPROC": "processes", "RLIMIT_AS": "address space"}
WIDTH = 16  # characters of a heading


def doctor(file: TextIO | None = None) -> None:
    """Print what there is to know of this machine and this Python, for yourself or for a bug report.

    That is: versions; usable cores with every bound, and of what kind they are; free memory; how processes start, and
    why; native libraries that are loaded, with their threads; accelerators; limits of the system; and which engines
    and companions are installed. Nothing is started, changed or sent, and nothing of your data is told.

    Args:
        file: where to; by default standard output.

    Example:
        >>> import allcores, io
        >>> told = io.StringIO()
        >>> allcores.doctor(told)
        >>> told.getvalue().startswith("allcores")
        True
    """
    for heading, lines in _findings():
        for at, line in enumerate(lines):
            print(f"{'' if at else heading:{WIDTH}} {line}", file=file)


def _findings() -> Iterator[tuple[str, list[str]]]:
    yield "allcores", [", ".join(_versions(OWN)).removeprefix("allcores ")]
    yield "Python", [f"{platform.python_implementation()} {sys.version}".replace("\n", " "), sys.executable]
    yield "system", [f"{platform.platform()}, {' '.join(platform.libc_ver())}".strip(", ")]
    yield "cores", list(_cores())
    yield "memory", [_memory()]
    yield "start", _start()
    yield "native threads", list(_native_threads()) or ["no library with native threads is loaded"]
    yield "devices", [f"CUDA: {', '.join(find_devices()) or 'none'}"]
    yield "limits", list(_limits())
    yield "engines", ["processes, threads, serial"]
    yield "installed", [", ".join(_versions(COMPANIONS)) or "none of the libraries that allcores works with"]


def _versions(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):
            yield f"{name} {importlib.metadata.version(name)}"


def _cores() -> Iterator[str]:
    cores = usable_cores()
    yield f"{cores} usable, bounded by {cores.bound}"
    yield from (f"{number}: {why}" for number, why in bounds_of_cores())
    topology = find_topology()
    if topology is not None:
        yield str(topology)


def _memory() -> str:
    room = free_memory()
    if room is None:
        return "nobody knows"
    return f"{format_bytes(room.free)} free of {format_bytes(room.total)}, bounded by {room.bound}"


def _start() -> list[str]:
    try:
        made = plan()
    except (RuntimeError, ValueError) as error:  # it is what the report is for
        return [describe(error)]
    lines = [f"{made.start}: {made.start_reason}"]
    if made.fork_hazard is not None:
        lines.append(f"a fork would not be safe: {made.fork_hazard}")
    return lines


def _native_threads() -> Iterator[str]:
    for pool in loaded_pools():
        version, path = getattr(pool, "version", None), getattr(pool, "filepath", "")
        words = [pool.internal_api, version or "", os.path.basename(path)]
        yield f"{' '.join(filter(None, words))}: {pool.num_threads} threads"
    for name, value in set_by_user().items():
        yield f"{name}={value} in the environment"


def _limits() -> Iterator[str]:
    with suppress(ImportError):
        import resource

        for name, what in LIMITS.items():
            soft, hard = resource.getrlimit(getattr(resource, name))
            yield f"{what}: {_amount(soft)} (at most {_amount(hard)})"
    with suppress(OSError):
        shared = os.statvfs("/dev/shm")  # noqa: S108 - it is looked at, not written to
        yield f"shared memory: {format_bytes(shared.f_bavail * shared.f_frsize)} free in /dev/shm"


def _amount(limit: int) -> str:
    import resource

    return "no limit" if limit == resource.RLIM_INFINITY else str(limit)
