"""No orphans and no strays: how the lives of processes hang together.

A worker must not outlive the process it works for, whatever ends that process; and Ctrl-C, which the terminal sends
to every process of the group, is the driver's to handle.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["die_with_parent", "die_with_peer", "has_news", "hold_interrupts"]

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
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
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


def has_news(descriptor: int) -> bool:
    """Whether something can be read from a descriptor now, its end included."""
    poll = select.poll()  # select.select knows only the first thousand descriptors
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while a process is being started.

    The parent must not be interrupted before it knows of its child. The child inherits the block, and lifts it when it
    has its own handler; a child that was interrupted before would print a traceback that explains nothing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
