"""What this process has open, and which of it is foreign: neither a standard stream, nor allcores' own, nor inert.

An open file is more than the objects that hold it: a position, a stream. Processes that inherit a descriptor share
those, so that what one of them reads, the others miss. Where nothing foreign is open, nothing can be shared, and no
object needs to be looked at.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property
from weakref import ref

from allcores._core.hints import Protocol

__all__ = ["Descriptors", "claim", "disclaim"]

OURS = "allcores-"  # in the names of anonymous files
INERT = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "anon_inode:[pidfd]"}
TERMINALS = ("/dev/tty", "/dev/pts/")
LIBFFI = "/libffi.so"  # keeps itself open, to map its code again; `ctypes` loads it
GONE = " (deleted)"

Target = str  # as Linux's /proc tells what a descriptor leads to: a path, "socket:[4711]", "pipe:[42]"


class HasDescriptor(Protocol):
    """What can be waited for."""

    def fileno(self) -> int:
        """Give the descriptor."""


_claimed: set[int] = set()
_owners: dict[int, ref[HasDescriptor]] = {}  # {descriptor: the object, if it is still there}; see `_channel`


def claim(thing: int | HasDescriptor) -> None:
    """Hear of a descriptor that is allcores' own: an object's for as long as it has it, a number until `disclaim`."""
    if isinstance(thing, int):
        _claimed.add(thing)
    else:
        _owners[thing.fileno()] = ref(thing)


def disclaim(descriptor: int) -> None:
    """Hear that a descriptor is about to be closed."""
    _claimed.discard(descriptor)


class Descriptors:
    """The descriptors of this process, as they are when they are first asked for."""

    @cached_property
    def targets(self) -> dict[int, Target]:
        """All of them, and what each leads to."""
        try:
            return _read_links("/proc/self/fd")
        except OSError:  # not Linux, or nobody may look there
            return _ask_each("/dev/fd")

    @cached_property
    def foreign(self) -> dict[int, Target]:
        """Those through which processes could disturb each other."""
        targets = self.targets
        standard = {targets.get(number) for number in (1, 2)}
        return {
            number: target
            for number, target in targets.items()
            if number > 2  # noqa: PLR2004 - standard streams
            and not (_is_inert(target) or _is_ours(number, target))
            and not (target in standard and (not target.startswith("/") or target.endswith(GONE)))  # pytest's copies
        }


def _read_links(folder: str) -> dict[int, Target]:
    found = {}
    for name in os.listdir(folder):
        try:
            found[int(name)] = os.readlink(f"{folder}/{name}")
        except OSError:  # closed in the meantime: the listing's own descriptor, for one
            continue
    return found


def _ask_each(folder: str) -> dict[int, Target]:
    """Find out likewise where the system has no links, with inodes instead of paths."""
    found = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        try:
            found[int(name)] = _target_of(int(name))
        except OSError:
            continue
    return found


def _target_of(descriptor: int) -> Target:
    status = os.fstat(descriptor)
    if os.isatty(descriptor):
        return TERMINALS[0]
    if stat.S_ISCHR(status.st_mode):
        devices = {os.stat(path).st_rdev: path for path in INERT if os.path.exists(path)}
        return devices.get(status.st_rdev, f"/dev/{status.st_rdev}")
    kind = "socket:" if stat.S_ISSOCK(status.st_mode) else "pipe:" if stat.S_ISFIFO(status.st_mode) else "/"
    return f"{kind}[{status.st_dev}:{status.st_ino}]"


def _is_inert(target: Target) -> bool:
    return target in INERT or target.startswith(TERMINALS) or LIBFFI in target


def _is_ours(descriptor: int, target: Target) -> bool:
    return descriptor in _claimed or OURS in target or _has_owner(descriptor)


def _has_owner(descriptor: int) -> bool:
    owner = _owners[descriptor]() if descriptor in _owners else None
    try:
        is_so = owner is not None and owner.fileno() == descriptor
    except (OSError, ValueError):  # it was closed
        is_so = False
    if not is_so:
        _owners.pop(descriptor, None)
    return is_so
