"""The driver's handles of the fork server, and of the clean workers that it starts."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import ExitStack, suppress

from allcores._codec.definitions.globals import Known
from allcores._core.hints import Literal
from allcores._system.descriptors import claim, disclaim
from allcores._system.lifeline import End, has_news
from allcores._transport.board import Board
from allcores._transport.channel import Channel, channel_pair
from allcores._worker.fork_server import END, REQUEST, Order, interpreter_command, interpreter_environment

__all__ = ["CleanProcess", "CleanStart", "ForkServerProcess"]

CleanStart = Literal["forkserver", "spawn"]

IDLE_SECONDS = 60.0  # a warm worker leaves after so long without a job
SLOTS = 4096  # clean workers alive at a time, at most; a page of the board is real only once it is used
SHUTDOWN_SECONDS = 2.0  # for the fork server to end at interpreter exit before it is killed
ORDERS = {"forkserver": Order.FORK, "spawn": Order.SPAWN}


class ForkServerProcess:
    """The driver's handle of the fork server.

    Attributes:
        board: the marks of its workers. Each fork server has its own, so that slots which nobody dares to use again are
            lost only until the next one is started.
    """

    def __init__(self) -> None:
        self._last_number = 0  # of a worker
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

    def start(self, start: CleanStart) -> CleanProcess:
        """Have it start a worker.

        Raises:
            OSError: there are too many descriptors, or too many workers.
        """
        assert self.board.descriptor is not None
        self._last_number += 1
        with ExitStack() as here, ExitStack() as if_it_fails:
            ours, theirs = channel_pair()
            here.callback(theirs.close)
            if_it_fails.callback(ours.close)
            sentinel, status = os.pipe()
            claim(sentinel)
            here.callback(os.close, status)
            if_it_fails.callback(_close, sentinel)
            slot = self.board.take_slot()
            if_it_fails.pop_all()
            descriptors = (theirs.fileno(), status, self.board.descriptor)
            self.request(ORDERS[start], self._last_number, slot, descriptors)
        return CleanProcess(self, self._last_number, slot=slot, channel=Channel(ours), sentinel=sentinel)

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


def _close(sentinel: int) -> None:
    disclaim(sentinel)
    os.close(sentinel)
