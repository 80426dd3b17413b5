"""Clean workers: processes that inherit nothing, kept warm between runs.

They are started by the fork server, a process of its own. The set of warm workers is the one thing in allcores that
outlives a run and that several threads share, so it has a lock.
"""

from __future__ import annotations

import atexit
import os
import pickle
import socket
import subprocess
import time
from contextlib import ExitStack, suppress

from allcores._codec.captures import explain_unpicklable
from allcores._codec.codec import Encoded, encode_job
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known
from allcores._codec.handover import close_all, hand_over
from allcores._core.hints import Literal
from allcores._engines.processes import Setup
from allcores._settings.snapshot import find_settings
from allcores._system.descriptors import claim, disclaim
from allcores._system.greenlets import ThreadLock
from allcores._system.interrupts import hold_interrupts
from allcores._system.leaving import begin_to_leave
from allcores._system.lifeline import End, has_news, shield_children
from allcores._system.tracking import SharedTracker
from allcores._transport.board import Board
from allcores._transport.channel import Channel, channel_pair, fill_segment
from allcores._transport.wire import Kind, Message
from allcores._worker.fork_server import END, REQUEST, Order, interpreter_command, interpreter_environment
from allcores._worker.job import Job
from allcores._worker.kinship import Kinship
from allcores._worker.loop import Surroundings

__all__ = ["CleanProcess", "CleanSource", "warm_set"]

CleanStart = Literal["forkserver", "spawn"]

IDLE_SECONDS = 60.0  # a warm worker leaves after so long without a job
SLOTS = 4096  # clean workers alive at a time, at most; a page of the board is real only once it is used
SHUTDOWN_SECONDS = 2.0  # for the fork server to end at interpreter exit before it is killed

_ORDERS = {"forkserver": Order.FORK, "spawn": Order.SPAWN}


class CleanProcess:
    """The driver's handle of one clean worker."""

    def __init__(
        self, fork_server: ForkServerProcess, number: int, *, slot: int, channel: Channel, sentinel: int
    ) -> None:
        self.pid: int | None = None  # told by its hello
        self.known = Known()
        self.mark = fork_server.board.mark(slot)
        self.channel = channel
        self.sentinel: int | None = sentinel
        self._slot = slot
        self.idle_since = 0.0
        self._fork_server = fork_server
        self._number = number
        self._has_ended = False  # for certain

    @property
    def is_leaving(self) -> bool:
        """Whether it has ended, or may be about to: it has been idle for nearly as long as it waits."""
        if time.monotonic() - self.idle_since > 0.9 * IDLE_SECONDS:
            return True
        return self.sentinel is None or has_news(self.sentinel)

    def kill(self, *, with_descendants: bool = True) -> None:
        """End the process now, and what it has started."""
        self._fork_server.request(Order.KILL if with_descendants else Order.KILL_ALONE, self._number)

    def wait_for_end(self) -> End:
        """Wait for the end of a process that has ended or will at once.

        Of one that goes with the fork server, nothing is known: it may live on for a moment.
        """
        assert self.sentinel is not None
        data = os.read(self.sentinel, END.size)
        self._has_ended = bool(data)
        return End(*END.unpack(data)) if data else End(None)

    def see_end(self) -> None:
        """Wait likewise, to learn that it has ended."""
        self.wait_for_end()

    def close(self) -> None:
        """Close the driver's descriptors, and free the slot if the process can write nothing there any more."""
        self.channel.close()
        if self.sentinel is not None:
            _close(self.sentinel)
            self.sentinel = None
            if self._has_ended:
                self._fork_server.board.free_slot(self._slot)


class ForkServerProcess:
    """The driver's handle of the fork server.

    Attributes:
        board: the marks of its workers. Each fork server has its own, so that slots which nobody dares to use again are
            lost only until the next one is started.
    """

    def __init__(self) -> None:
        self._control, theirs = channel_pair()
        self._control.setblocking(True)
        arguments = theirs.fileno(), os.getpid(), SLOTS, IDLE_SECONDS
        code = f"from allcores._worker.fork_server import main; main{arguments}"
        with theirs, ExitStack() as if_it_fails:
            if_it_fails.callback(self._control.close)
            self.board = Board(SLOTS, shareable=True)
            if_it_fails.callback(self.board.close)
            self._process = subprocess.Popen(
                interpreter_command(code),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=interpreter_environment(),
            )
            if_it_fails.pop_all()

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked: one that is about to end has closed its socket before all else."""
        return not has_news(self._control.fileno()) and self._process.poll() is None

    def request(self, order: Order, number: int, slot: int = 0, descriptors: tuple[int, ...] = ()) -> None:
        """Ask for something; a fork server that is gone does not hear it."""
        with suppress(OSError):
            socket.send_fds(self._control, [REQUEST.pack(order, number, slot)], descriptors)

    def close(self) -> None:
        """End it, and with it every worker."""
        self._control.close()
        self.board.close()
        try:
            self._process.wait(SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def disown(self) -> None:
        """Forget it without a word: it belongs to the process that this one was forked from."""
        self._process.returncode = 0


class WarmSet:
    """The clean workers of this process: leased by runs, kept warm in between."""

    def __init__(self) -> None:
        self._lock = ThreadLock()
        self._fork_server: ForkServerProcess | None = None
        self._warm: dict[CleanStart, list[CleanProcess]] = {"forkserver": [], "spawn": []}
        self._next_number = 0

    def __repr__(self) -> str:
        warm = ", ".join(f"{len(processes)} by {start}" for start, processes in self._warm.items())
        return f"<WarmSet: {warm}>"

    def lease(self, start: CleanStart) -> CleanProcess:
        """Give a worker of one's own: a warm one if there is, or one that is only being started.

        Raises:
            OSError: the system does not allow another process, or another descriptor.
        """
        with self._lock:
            warm = self._warm[start]
            while warm:
                process = warm.pop()
                if not process.is_leaving:
                    return process
                self._end(process)
            return self._start(start)

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
            if self._fork_server is not None:
                self._fork_server.close()
                self._fork_server = None

    def wake(self) -> None:
        """Have the fork server come up, if there is none, while the caller does something else."""
        with self._lock, suppress(OSError), shield_children():  # who leases a worker will hear why it cannot be
            self._find_fork_server()

    def _find_fork_server(self) -> ForkServerProcess:
        if self._fork_server is not None and not self._fork_server.is_alive:
            self._fork_server.close()
            self._fork_server = None
        if self._fork_server is None:
            self._fork_server = ForkServerProcess()
        return self._fork_server

    def _start(self, start: CleanStart) -> CleanProcess:
        fork_server = self._find_fork_server()
        board = fork_server.board
        assert board.descriptor is not None
        self._next_number += 1
        with ExitStack() as here, ExitStack() as if_it_fails:
            ours, theirs = channel_pair()
            here.callback(theirs.close)
            if_it_fails.callback(ours.close)
            sentinel, status = os.pipe()
            claim(sentinel)
            here.callback(os.close, status)
            if_it_fails.callback(_close, sentinel)
            slot = board.take_slot()
            if_it_fails.pop_all()
            descriptors = (theirs.fileno(), status, board.descriptor)
            fork_server.request(_ORDERS[start], self._next_number, slot, descriptors)
        return CleanProcess(fork_server, self._next_number, slot=slot, channel=Channel(ours), sentinel=sentinel)

    def _end(self, process: CleanProcess) -> None:
        process.kill(with_descendants=False)
        process.wait_for_end()
        process.close()

    def forget_after_fork(self) -> None:
        """Start from nothing in a forked process: what there was belongs to its parent."""
        if self._fork_server is not None:
            self._fork_server.disown()
        self.__init__()  # type: ignore[misc]  # the lock may be held by a thread that is not here


class CleanSource:
    """Leases clean workers for one run.

    Args:
        start: how new ones start.
        job: sent to each.
        cores: how many cores each worker may use itself.
        is_last: whether no more jobs will follow, which shall find in a worker's ``__main__`` what earlier ones left.

    Raises:
        UnpicklableError: the job cannot travel; no worker has been started.
    """

    inherits = False

    def __init__(self, start: CleanStart, job: Job, cores: int, *, is_last: bool = True) -> None:
        self._start: CleanStart = start
        self.keeps_processes = job.initializer is None and is_last  # else they are this run's own
        warm_set.wake()  # first: it takes about as long as what follows
        settings = find_settings() if job.settings is None else job.settings
        with hand_over() as descriptors:
            known, inspection = Known(), Inspection(is_only=is_last)
            frames, _, unsure = _encode(job._replace(settings=settings.sealed), known, inspection)
            kinship = Kinship.here(start, is_daemon=job.is_daemon)
            surroundings = pickle.dumps((kinship, Surroundings.here(cores), settings.sealed.early))
            segment = fill_segment(frames)
            self._setup = Setup(frames, surroundings, known, unsure, descriptors, segment, settings)

    def set_up(self) -> Setup:
        """Give what a worker must be sent first."""
        return self._setup

    def start(self, tracker: SharedTracker) -> CleanProcess:
        """Lease a worker."""
        return warm_set.lease(self._start)

    def keep(self, process: CleanProcess) -> None:
        """Keep it warm."""
        warm_set.give_back(process, self._start)

    def close(self) -> None:
        """Let go of what workers were sent."""
        close_all(self._setup.descriptors)
        if self._setup.segment is not None:
            self._setup.segment.close()


def _close(sentinel: int) -> None:
    disclaim(sentinel)
    os.close(sentinel)


def _encode(job: Job, known: Known, inspection: Inspection) -> Encoded:
    try:
        return encode_job(job, known, inspection, is_whole=True)
    except Exception as error:
        arguments = ((f"initargs[{position}]", argument) for position, argument in enumerate(job.initargs))
        for role, thing in (("the function", job.function), ("the initializer", job.initializer), *arguments):
            explained = explain_unpicklable(role, thing, error)
            if explained is not None:
                raise explained from None
        return encode_job(job, known, inspection)  # without what it does not lead to for sure


def _leave() -> None:
    begin_to_leave()
    with suppress(KeyboardInterrupt):  # the interpreter is ending already
        warm_set.close()


warm_set = WarmSet()
atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=warm_set.forget_after_fork)
