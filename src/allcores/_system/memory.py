"""Memory: how much there still is, how much a process has, and whom the kernel takes when there is none.

Everything here is cheap enough to be asked many times a second, and nothing here fails: where the system does not
tell, the answer is that nobody knows.
"""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from mmap import PAGESIZE

from allcores._core.bytes import format_bytes
from allcores._core.records import Record
from allcores._system.kernel import group_folders, read, write

__all__ = ["Room", "free_memory", "offer_to_oom_killer", "oom_kills", "peak_memory", "reset_peak", "resident_memory"]

OOM_SCORE = 500  # of 1000: as if the process had half of the machine's memory more than it has


class Room(Record):
    """How much memory can still be used, in bytes.

    Args:
        free: until the kernel steps in.
        total: of which it is a part.
        bound: what bounds it, in words.
    """

    free: int
    total: int
    bound: str


class _Version(Record):
    """The files in which a control group tells about its memory, and what they call things.

    Args:
        limits: whichever is least bounds it.
        usage: what its processes and the groups in it use, cached files included.
        reclaimable: the parts of that which the kernel takes back rather than end a process.
    """

    limits: tuple[str, ...]
    usage: str
    reclaimable: tuple[bytes, ...]


# Cached files count as free, on whichever list they are, as in the kernel's own MemAvailable: what was read twice is on
# the active list, and a job that reads its dataset again fills its group with that.
VERSIONS = (
    _Version(
        ("memory.max", "memory.high"), "memory.current", (b"inactive_file ", b"active_file ", b"slab_reclaimable ")
    ),
    _Version(("memory.limit_in_bytes",), "memory.usage_in_bytes", (b"total_inactive_file ", b"total_active_file ")),
)

# The kernel counts a kill in the group that the process was in, whichever limit or lack was the reason.
KILL_COUNTERS = ("memory.events.local", "memory.events", "memory.oom_control")


# ------------------------------------------------------------------------------------------------------ what there is


def free_memory(root: str | os.PathLike[str] = "/") -> Room | None:
    """Give the memory that this process and its workers can still use; None where nobody knows.

    It is the least of what the machine has and of what each of this process's control groups leaves, of version 2 and
    of version 1. Swap does not count. Which groups those are is found out once.

    Args:
        root: the folder that stands for ``/``.
    """
    machine = _machine_room(root)
    if machine is None:
        return None
    rooms = (_group_room(folder, version, machine.total) for folder, version in _groups(os.fspath(root)))
    return min([machine, *filter(None, rooms)], key=lambda room: room.free)


def oom_kills(root: str | os.PathLike[str] = "/") -> int:
    """Give how many processes of this one's control group the kernel has ended for lack of memory so far.

    Of the whole machine where groups do not count; 0 where nobody does. Where to look is found out once.

    Args:
        root: the folder that stands for ``/``.
    """
    with suppress(OSError):
        return _field(read(_kill_counter(os.fspath(root))), b"oom_kill ") or 0
    return 0


def _machine_room(root: str | os.PathLike[str]) -> Room | None:
    try:
        text = read(os.path.join(root, "proc/meminfo"))
    except OSError:
        return None
    free, total = _field(text, b"MemAvailable:"), _field(text, b"MemTotal:")
    if free is None or total is None:
        return None
    return Room(free * 1024, total * 1024, "the machine's memory")


@functools.cache
def _kill_counter(root: str) -> str:
    files = (f"{folder}/{name}" for folder in group_folders(root, "memory") for name in KILL_COUNTERS)
    return next(filter(_counts_kills, files), os.path.join(root, "proc/vmstat"))


def _counts_kills(file: str) -> bool:
    try:
        return _field(read(file), b"oom_kill ") is not None
    except OSError:
        return False


@functools.cache
def _groups(root: str) -> tuple[tuple[str, _Version], ...]:
    folders = list(group_folders(root, "memory"))
    return tuple((at, version) for at in folders for version in VERSIONS if os.path.exists(f"{at}/{version.limits[0]}"))


def _group_room(folder: str, version: _Version, machine: int) -> Room | None:
    try:
        limit = min(_limit(f"{folder}/{name}", machine) for name in version.limits)
        if limit >= machine:
            return None
        used, stat = int(read(f"{folder}/{version.usage}")), read(f"{folder}/memory.stat")
    except (OSError, ValueError):
        return None
    used -= sum(_field(stat, name) or 0 for name in version.reclaimable)
    return Room(max(limit - max(used, 0), 0), limit, f"a control group's limit of {format_bytes(limit)}")


def _limit(path: str, machine: int) -> int:
    text = read(path).strip()
    return machine if text == b"max" else int(text)


def _field(text: bytes, name: bytes) -> int | None:
    _, found, rest = (b"\n" + text).partition(b"\n" + name)
    return int(rest.split(None, 1)[0]) if found else None


# ------------------------------------------------------------------------------------------------- what processes have


def resident_memory(pid: int) -> int | None:
    """Give the memory that a process has for itself, in bytes; None if it is gone, or nobody knows.

    Files and shared memory that it has mapped do not count; what a forked one still shares with its parent does.
    """
    try:
        _, resident, shared = read(f"/proc/{pid}/statm").split()[:3]
    except (OSError, ValueError):
        return None
    return (int(resident) - int(shared)) * PAGESIZE


def peak_memory(pid: int) -> int | None:
    """Give the most memory that a process has had in use since `reset_peak`, mapped files included, in bytes."""
    try:
        peak = _field(read(f"/proc/{pid}/status"), b"VmHWM:")
    except OSError:
        return None
    return None if peak is None else peak * 1024


def reset_peak(pid: int) -> None:
    """Have `peak_memory` start anew, where the system can do that."""
    with suppress(OSError):
        write(f"/proc/{pid}/clear_refs", b"5")


def offer_to_oom_killer() -> None:
    """Have the kernel end this process before those that it was started by, should memory run out."""
    with suppress(OSError, ValueError):
        if int(read("/proc/self/oom_score_adj")) < OOM_SCORE:
            write("/proc/self/oom_score_adj", str(OOM_SCORE).encode())
