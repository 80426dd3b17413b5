"""No orphans and no strays: how the lives of processes hang together.

A worker must not outlive the process it works for, whatever ends that process, and what its items have started must not
outlive the worker. Ctrl-C, which the terminal sends to every process of the group, is the driver's to handle.
"""

from __future__ import annotations

import _ctypes  # the part of ctypes that calls a function; the rest takes four times as long to import
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from allcores._core.hints import TYPE_CHECKING
from allcores._core.records import Record
from allcores._system.greenlets import unpatched_select

if TYPE_CHECKING:
    from resource import struct_rusage

__all__ = [
    "End",
    "descendants",
    "die_with_parent",
    "die_with_peer",
    "end_all",
    "followers",
    "has_news",
    "lead_group",
    "peak_of",
    "shield_children",
]

PR_SET_PDEATHSIG = 1  # linux/prctl.h
TERMINAL = "/dev/tty"  # of the session, whatever the standard streams are
# In the command lines of processes that end when those have that they serve, and then clear away what these have left:
# resource trackers, of multiprocessing's and joblib's kind; and our own fork server, which workers are forked from, so
# that they have its command line, with the process id that is not their parent's.
TRACKER, FORK_SERVER = b"resource_tracker import main", b"allcores._worker.fork_server import main"
MOST_CHILDREN = 4096  # that are looked for on macOS


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
    """Have the kernel kill this process, or the group that it leads, when a socket's other end is closed; Linux only.

    It is closed when the process that holds it ends, whichever of its threads are still there. The kernel acts even
    while C code holds the interpreter's lock.

    Args:
        lifeline: a stream socket over which nothing is ever sent, and which no other process waits on like this.
    """
    if sys.platform != "linux":
        return
    is_leader = os.getpgrp() == os.getpid()
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid() if is_leader else os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    if has_news(lifeline.fileno()):
        os._exit(1)


def lead_group() -> None:
    """Have this process, and what it will start, be a group of processes, which can be ended though its leader has.

    Where there is a terminal, its keys stop, continue and interrupt the group that the caller is in. So must they what
    works for the caller: all stay in that one then.
    """
    try:
        os.close(os.open(TERMINAL, os.O_RDONLY))
    except OSError:
        os.setpgid(0, 0)


def followers(leader: int) -> list[int]:
    """Give what is left of the group that an ended process has led; as `descendants`, without helpers.

    For a moment its number is no other's: numbers are given in turn.
    """
    if sys.platform != "linux":
        return [-leader]  # means all of them
    return [
        pid
        for pid in map(int, filter(str.isdecimal, os.listdir("/proc")))
        if _ask(os.getpgid, pid) == leader and TRACKER not in _command_of(pid)
    ]


class End(Record):
    """How a process ended."""

    status: int | None  # as waitpid gives it; None: nobody knows
    peak: int | None = None  # the most memory it had in use, in bytes


def peak_of(usage: struct_rusage) -> int:
    """Give the most memory that an ended process had in use, in bytes."""
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024


def descendants(pid: int) -> list[int]:
    """Give the processes that a process has started, and those that they have, as far as the system tells.

    A process in a session of its own was to be on its own, with all that it starts. Helpers end by themselves, after
    what they help.
    """
    found: list[int] = []
    with suppress(OSError):  # it has just ended
        session = os.getsid(pid)
        for child, command in _children(pid):
            if _ask(os.getsid, child) == session and not _is_helper(command, pid):
                found += [child, *descendants(child)]
    return found


def _is_helper(command: bytes, parent: int) -> bool:
    return TRACKER in command or (FORK_SERVER in command and b", %d, " % parent in command)


def _ask(question: Callable[[int], int], pid: int) -> int | None:
    try:
        return question(pid)
    except OSError:  # it has ended
        return None


def _command_of(pid: int) -> bytes:
    try:
        return _read(f"/proc/{pid}/cmdline")
    except OSError:  # it has ended
        return b""


def _children(pid: int) -> Iterator[tuple[int, bytes]]:
    """Give the process ids, and the command lines where the system tells."""
    if sys.platform == "linux":
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in map(int, _read(f"/proc/{pid}/task/{thread}/children").split()):
                yield child, _command_of(child)
    elif sys.platform == "darwin":
        from ctypes import CDLL, c_int, sizeof

        children = (c_int * MOST_CHILDREN)()
        CDLL(None).proc_listchildpids(pid, children, sizeof(children))
        yield from ((child, b"") for child in children if child)


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
