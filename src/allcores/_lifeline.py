"""No orphans and no strays: how the lives of processes hang together.

A worker must not outlive the process it works for, whatever ends that process; and Ctrl-C, which the terminal sends
to every process of the group, is the driver's to handle.
"""

from __future__ import annotations

import _ctypes  # the part of ctypes that calls a function; the rest takes four times as long to import
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from allcores._greenlets import unpatched_select
from allcores._hints import TYPE_CHECKING
from allcores._records import Record

if TYPE_CHECKING:
    from resource import struct_rusage

__all__ = [
    "End",
    "descendants",
    "die_with_parent",
    "die_with_peer",
    "end_all",
    "has_news",
    "peak_of",
    "shield_children",
]

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent's thread that started it ends; Linux only.

    The kernel does it even while C code holds the interpreter's lock. Elsewhere, workers notice the end of their
    channel instead, as soon as they are between two items. Where that thread may end before its process does, see
    `die_with_peer`.

    Args:
        parent: the parent's process id, to notice a parent that died before this call.
    """
    if sys.platform != "linux":
        return
    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # None: the program itself
    _ctypes.call_function(prctl, (PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(1)


def die_with_peer(lifeline: socket.socket) -> None:
    """Have the kernel kill this process when the other end of a socket is closed; Linux only.

    It is closed when the process that holds it ends, whichever of its threads are still there. The kernel acts even
    while C code holds the interpreter's lock.

    Args:
        lifeline: a stream socket over which nothing is ever sent, and which no other process waits on like this.
    """
    if sys.platform != "linux":
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    if has_news(lifeline.fileno()):
        os._exit(1)


class End(Record):
    """How a process ended."""

    status: int | None  # as waitpid gives it; None: nobody knows
    peak: int | None = None  # the most memory it had in use, in bytes


def peak_of(usage: struct_rusage) -> int:
    """Give the most memory that an ended process had in use, in bytes."""
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024


def descendants(pid: int) -> list[int]:
    """Give the processes that a process has started, and those that they have, as far as the system tells."""
    found: list[int] = []
    with suppress(OSError, ValueError):  # it has just ended, or this system has no such files
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in map(int, _read(f"/proc/{pid}/task/{thread}/children").split()):
                found += [child, *descendants(child)]
    return found


def _read(path: str) -> bytes:
    """Read a small file without `open`, which is gone when the interpreter's end closes what was left open."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 1 << 16)
    finally:
        os.close(file)


def end_all(pids: list[int]) -> None:
    """Kill processes that are nobody's concern any more."""
    for pid in pids:
        with suppress(OSError):  # it has ended, or is not ours to kill
            os.kill(pid, signal.SIGKILL)


def has_news(descriptor: int, within: float = 0.0) -> bool:
    """Whether something can be read from a descriptor now, or within some seconds, its end included."""
    system = unpatched_select()
    poll = system.poll()  # select.select knows only the first thousand descriptors
    poll.register(descriptor, system.POLLIN)
    return bool(poll.poll(within * 1000))


@contextmanager
def shield_children() -> Iterator[None]:
    """Have processes that are started meanwhile begin with Ctrl-C blocked.

    They lift the block when they have their own handler; one that was interrupted before would print a traceback that
    explains nothing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # asked first: to block may itself raise, when it has blocked
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
