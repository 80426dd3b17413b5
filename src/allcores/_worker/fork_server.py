"""The fork server: a small process of one thread that starts clean workers, watches them, and ends with the driver.

It forks them from itself, which is clean because nothing of the user's is loaded in it, or starts fresh
interpreters. It is the workers' parent: it alone learns how they ended, and tells the driver over a pipe of each
worker's own. Its end is theirs.

Requests come over a socket, each with a fixed length; to start a worker, three descriptors come along: its end of the
channel, the pipe for its exit status, and the mark board.
"""

from __future__ import annotations

import functools
import os
import selectors
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from enum import IntEnum
from types import FrameType

import allcores._settings.adoption  # noqa: F401 - all that it forks make settings: none need import this for itself
from allcores._system.descriptors import claim
from allcores._system.lifeline import descendants, die_with_parent, end_all, followers, lead_group, peak_of
from allcores._system.program import python_command
from allcores._worker.birth import enter_worker_process, serve_clean
from allcores._worker.surroundings import absolute_path, present_folder

__all__ = ["END", "REQUEST", "Order", "interpreter_command", "interpreter_environment", "main"]

REQUEST = struct.Struct("=BxxxII")  # order, worker's number, board slot
HASH_SEED_VARIABLE = "PYTHONHASHSEED"
HASH_SEEDS = 1 << 32
IGNORING = {"-E": "", "-I": "-sP"}  # {option: what it means beside ignoring the environment}
DESCRIPTORS = 3  # that come with a request to start a worker: channel, pipe for the exit status, mark board
END = struct.Struct("=iq")  # a status as waitpid gives it, and the peak of memory in bytes


class Order(IntEnum):
    """What the driver asks for."""

    FORK = 1
    SPAWN = 2
    KILL = 3
    KILL_ALONE = 4  # without what it has started


def interpreter_command(code: str) -> list[str]:
    """Give the command line of a fresh interpreter that finds the same modules and runs `code`.

    It is to be run in an `interpreter_environment`, which must not be ignored: what shall be, is not in there.
    """
    from subprocess import _args_from_interpreter_flags  # type: ignore[attr-defined]  # as multiprocessing does

    path = absolute_path(present_folder())
    flags = [IGNORING.get(flag, flag) for flag in _args_from_interpreter_flags()]
    return python_command([flag for flag in flags if flag], f"import sys; sys.path[:] = {path!r}; {code}")


def interpreter_environment() -> dict[str, str]:
    """Give the environment of fresh interpreters; what the user's functions will find there is sent with each job."""
    is_ignored = sys.flags.ignore_environment
    kept = {name: value for name, value in os.environ.items() if not (is_ignored and name.startswith("PYTHON"))}
    return kept | {HASH_SEED_VARIABLE: find_hash_seed()}


@functools.cache
def find_hash_seed() -> str:
    """Give what the hashes of strings follow from in all interpreters that are started for this program.

    That is what this one was given; and if nothing was, something that follows from its own hashes, as no interpreter
    can be given those. So it is the same for whatever is forked from this one, and for whatever it ever starts.
    """
    given = "" if sys.flags.ignore_environment else os.environ.get(HASH_SEED_VARIABLE, "")
    return given if given.isdecimal() else str(hash(HASH_SEED_VARIABLE) % HASH_SEEDS)


class ForkServer:
    """The process's one object.

    Args:
        control: the fork server's end of the socket that requests come over.
        driver: the driver's process id, watched where the system can, because some other process may have inherited
            the driver's end of the socket.
        slots: how many marks the board has.
        idle_seconds: how long workers, and then the fork server, wait for work before they leave.
    """

    def __init__(self, control: socket.socket, driver: int, slots: int, idle_seconds: float) -> None:
        self._driver = [os.pidfd_open(driver)] if hasattr(os, "pidfd_open") else []
        self._pid = os.getpid()
        self._control = control
        self._slots = slots
        self._idle_seconds = idle_seconds
        self._pids: dict[int, int] = {}  # {worker's number: pid}
        self._statuses: dict[int, tuple[int, int]] = {}  # {pid: (worker's number, pipe)}
        self._wake, wake_up = os.pipe()
        claim(wake_up)  # workers inherit it
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_up, False)
        signal.signal(signal.SIGCHLD, _wake_up)
        signal.set_wakeup_fd(wake_up, warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until the driver is gone, or nobody has needed anything for long."""
        selector = selectors.DefaultSelector()
        if hasattr(selector, "fileno"):
            claim(selector)
        for descriptor in (self._control.fileno(), self._wake, *self._driver):
            selector.register(descriptor, selectors.EVENT_READ)
        idle_until = time.monotonic() + self._idle_seconds
        while True:
            patience = None if self._statuses else max(0.0, idle_until - time.monotonic())
            ready = {key.fd for key, _ in selector.select(patience)}
            if not ready or ready.intersection(self._driver):
                return
            if self._wake in ready:
                self._collect()
                idle_until = time.monotonic() + self._idle_seconds
            if self._control.fileno() in ready and not self._serve_request():
                return

    def kill_all(self) -> None:
        """End every worker, and see it end: not every system has somebody who would clear away what is left of it."""
        for pid in self._statuses:
            self._kill(pid)
        for pid in self._statuses:
            os.waitpid(pid, 0)

    def _kill(self, pid: int, *, with_descendants: bool = True) -> None:
        family = descendants(pid) if with_descendants else []
        os.kill(pid, signal.SIGKILL)
        end_all(family)

    def _serve_request(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, REQUEST.size, DESCRIPTORS)
        except OSError:
            return False
        if len(data) < REQUEST.size:
            return False
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        order, number, slot = REQUEST.unpack(data)
        if order in (Order.KILL, Order.KILL_ALONE):
            if number in self._pids:
                self._kill(self._pids[number], with_descendants=order == Order.KILL)
        elif len(descriptors) == DESCRIPTORS:
            self._start(Order(order), number, slot, descriptors)
        else:  # there is no room for more; the driver sees the pipe end without a status
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _start(self, order: Order, number: int, slot: int, descriptors: list[int]) -> None:
        channel, status, board = descriptors
        try:
            pid = os.fork()
        except OSError:  # the driver sees the pipe end without a status
            os.close(status)
        else:
            if pid == 0:
                os.close(status)
                self._become_worker(order, channel, board, slot)
            self._pids[number] = pid
            self._statuses[pid] = (number, status)
        os.close(channel)
        os.close(board)

    def _become_worker(self, order: Order, channel: int, board: int, slot: int) -> None:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            lead_group()
            die_with_parent(self._pid)
            arguments = (channel, board, self._slots, slot, self._idle_seconds)
            if order == Order.SPAWN:
                os.set_inheritable(channel, True)
                os.set_inheritable(board, True)
                code = f"from allcores._worker.fork_server import be_spawned; be_spawned{arguments}"
                command = interpreter_command(code)
                os.execv(command[0], command)
            self._forget()
            enter_worker_process()
            serve_clean(*arguments)
        except BaseException:  # whatever it was, this process must not go on as a second fork server
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)

    def _forget(self) -> None:
        self._control.close()
        os.close(self._wake)
        for _, status in self._statuses.values():
            os.close(status)

    def _collect(self) -> None:
        """Tell the driver of every worker that has ended."""
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)
        while self._statuses:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            if status != 0:  # it has not left, but died
                end_all(followers(pid))
            number, pipe = self._statuses.pop(pid)
            del self._pids[number]
            with suppress(OSError):  # the driver does not listen any more
                os.write(pipe, END.pack(status, peak_of(usage)))
            os.close(pipe)


def _wake_up(signum: int, frame: FrameType | None) -> None:
    """Do nothing: a signal with a handler is also written to the wake-up pipe."""


def be_spawned(channel: int, board: int, slots: int, slot: int, idle_seconds: float) -> None:
    """The whole life of a worker in a fresh interpreter."""
    find_hash_seed()  # now, as the environment will be the user's
    enter_worker_process()
    serve_clean(channel, board, slots, slot, idle_seconds)
    os._exit(0)


def _with_lowest_number(connection: int) -> socket.socket:
    """Give a socket the lowest free number, as the kernel closes what a killed process had open in that order.

    So the driver sees that the fork server is gone before it sees that a worker is, and asks another one for the next.
    """
    with socket.socket(fileno=connection) as inherited:
        return inherited.dup()


def main(control: int, driver: int, slots: int, idle_seconds: float) -> None:
    """The whole life of a fork server."""
    find_hash_seed()  # now, as the environment of those that are forked from here will be the user's
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        fork_server = ForkServer(_with_lowest_number(control), driver, slots, idle_seconds)
    except ProcessLookupError:  # the driver has ended already
        os._exit(0)
    fork_server.run()
    fork_server.kill_all()
    os._exit(0)
