"""The clean workers that are kept warm between runs.

Their set is the one thing in allcores that outlives a run and that several threads share, so it has a lock.
"""

from __future__ import annotations

import atexit
import os
import time
from contextlib import suppress

from allcores._engines.processes.fork_server import CleanProcess, CleanStart, ForkServerProcess
from allcores._system.greenlets import ThreadLock
from allcores._system.interrupts import hold_interrupts
from allcores._system.leaving import begin_to_leave
from allcores._system.lifeline import shield_children
from allcores._transport.wire import Kind, Message

__all__ = ["WarmSet", "warm_set"]


class WarmSet:
    """The clean workers of this process: leased by runs, kept warm in between.

    A run that is forgotten gives its workers back in the midst of whatever its thread is doing, be it this.
    """

    def __init__(self) -> None:
        self._lock = ThreadLock()
        self._fork_server: ForkServerProcess | None = None
        self._warm: dict[CleanStart, list[CleanProcess]] = {"forkserver": [], "spawn": []}

    def __repr__(self) -> str:
        warm = ", ".join(f"{len(processes)} by {start}" for start, processes in self._warm.items())
        return f"<WarmSet: {warm}>"

    def lease(self, start: CleanStart, *, is_fresh: bool = False) -> CleanProcess:
        """Give a worker of one's own: a warm one if there is, or one that is only being started.

        Args:
            start: how those start that are.
            is_fresh: whether it may have run nothing before.

        Raises:
            OSError: the system does not allow another process, or another descriptor.
        """
        with self._lock:
            warm = self._warm[start]
            while warm and not is_fresh:
                process = warm.pop()
                if not process.is_leaving:
                    return process
                self._end(process)
            return self._find_fork_server().start(start)

    def give_back(self, process: CleanProcess, start: CleanStart) -> None:
        """Take an idle worker back and keep it warm."""
        process.channel.send(Message(Kind.FORGET))
        process.known.forget_main()
        process.channel.rest()
        process.idle_since = time.monotonic()
        with self._lock:
            if process.channel.has_unsent:
                self._end(process)
            else:
                self._warm[start].append(process)

    def close(self) -> None:
        """End every warm worker and the fork server; a later `lease` begins anew."""
        with hold_interrupts(), self._lock:
            for warm in self._warm.values():
                while warm:
                    warm.pop().close()
            self._let_fork_server_go()

    def wake(self) -> None:
        """Have the fork server come up, if there is none, while the caller does something else."""
        with self._lock, suppress(OSError), shield_children():  # who leases a worker will hear why it cannot be
            self._find_fork_server()

    def _find_fork_server(self) -> ForkServerProcess:
        fork_server = self._fork_server
        if fork_server is not None and fork_server.is_alive:
            return fork_server
        self._let_fork_server_go()
        started = ForkServerProcess()
        if self._fork_server is None:
            self._fork_server = started
        else:  # a finalizer has run something meanwhile
            started.close()
        return self._fork_server

    def _let_fork_server_go(self) -> None:
        fork_server, self._fork_server = self._fork_server, None
        if fork_server is not None:
            fork_server.close()

    def _end(self, process: CleanProcess) -> None:
        process.kill(with_descendants=False)
        process.wait_for_end()
        process.close()

    def forget_after_fork(self) -> None:
        """Start from nothing in a forked process: what there was belongs to its parent."""
        if self._fork_server is not None:
            self._fork_server.disown()
        self.__init__()  # type: ignore[misc]  # the lock may be held by a thread that is not here


def _leave() -> None:
    begin_to_leave()
    with suppress(KeyboardInterrupt):  # the interpreter is ending already
        warm_set.close()


warm_set = WarmSet()
atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=warm_set.forget_after_fork)
