"""The end of a worker that nobody kills.

multiprocessing's own children wait for their threads then, bring out what was put into queues, end their daemonic
processes, wait for others, and do what else was left for the end. So do workers, but within bounded time: a queue whose
reader has gone never gets empty. Whatever a worker has started ends with it at the latest.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from allcores._core.hints import Any
from allcores._system.lifeline import descendants, end_all
from allcores._transport.board import HAS_CHILDREN, NEEDS_EXIT, TELLS_TRACKER

__all__ = ["SHUTDOWN_SECONDS", "exit_worker", "find_ties", "finish_queues", "flush", "flush_output"]

SHUTDOWN_SECONDS = 5.0  # for all that is left to do
STARTING_SECONDS = 0.000_1  # no process is started in less


def find_ties(before: int, seconds: float) -> int:
    """Say what others must know who would end this process, for its mark; asked before each report, so it is short.

    Args:
        before: what was said last.
        seconds: how long the user's code has run since then.
    """
    ties = before & HAS_CHILDREN
    # The short way to `threading.active_count`; a thread that begins may be in both.
    threads = len(threading._active) + len(threading._limbo)  # type: ignore[attr-defined]  # noqa: SLF001
    if threads > 1 or atexit._ncallbacks():  # noqa: SLF001
        ties |= NEEDS_EXIT
    modules = sys.modules
    if seconds > STARTING_SECONDS and ("_posixsubprocess" in modules or _has_forked):
        ties &= ~HAS_CHILDREN
        if _has_children() and descendants(os.getpid()):
            ties |= HAS_CHILDREN
    if ties & HAS_CHILDREN:
        ties |= NEEDS_EXIT
    if "multiprocessing.resource_tracker" in modules:
        ties |= TELLS_TRACKER
    return ties


def exit_worker(finalize: Callable[[], None]) -> None:
    """Do what is to be done before this process ends, and see that nothing that it started stays.

    Args:
        finalize: called first, while there is all that the user's code may need.
    """
    signal.signal(signal.SIGALRM, _leave_the_rest)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, SHUTDOWN_SECONDS)
    finalize()
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing's children do
    atexit._run_exitfuncs()  # noqa: SLF001 - likewise
    end_all(descendants(os.getpid()))


def _leave_the_rest(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as handlers are called
    end_all(descendants(os.getpid()))
    os._exit(1)


def flush_output() -> None:
    """Bring out what was printed: the process ends without the interpreter's own clean-up."""
    for stream in (sys.stdout, sys.stderr):
        flush(stream)


def flush(stream: Any) -> None:
    """Bring out what was written to a stream, as far as that can be."""
    try:
        stream.flush()
    except (AttributeError, OSError, ValueError):  # none, closed, or its reader is gone
        return


def finish_queues() -> None:
    """Bring out what was put into multiprocessing's queues, which nothing can be put into any more."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._run_finalizers()  # noqa: SLF001 - no other way


def _has_children() -> bool:
    """Whether there are processes that this one has started, and not waited for; True where the system tells not."""
    if not hasattr(os, "waitid"):  # macOS, before Python 3.13
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


_has_forked = False


def _note_fork() -> None:
    global _has_forked  # noqa: PLW0603 - a fact about this process
    _has_forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_note_fork)
