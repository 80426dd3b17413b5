"""A worker process forked from the driver: born with the function and the dataset, alive for one run."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from allcores._board import Board
from allcores._channel import Channel, channel_pair
from allcores._dataset import Columns
from allcores._job import Job
from allcores._lifeline import die_with_parent, hold_interrupts
from allcores._worker import enter_worker_process, flush_output, serve_forked

__all__ = ["ForkedProcess"]


class ForkedProcess:
    """The driver's handle of one forked worker.

    Args:
        board: inherited by the worker.
        job: inherited too; nothing is pickled.
        dataset: the columns, where the input has some; None for a stream.
        cores: how many cores the worker may use.
        is_safe: whether the plan found the fork safe; then Python's warning that it may not be is not for the user.
    """

    def __init__(self, board: Board, job: Job, dataset: Columns | None, cores: int, *, is_safe: bool) -> None:
        self._board = board
        self._slot = board.take_slot()
        self.mark = board.mark(self._slot)
        ours, theirs = channel_pair()
        driver = os.getpid()
        flush_output()  # or the worker would print the driver's unwritten output again
        with theirs, hold_interrupts(), _no_fork_warnings(is_safe=is_safe):
            self.pid = os.fork()
            if self.pid == 0:
                try:
                    if threading.current_thread() is threading.main_thread():
                        die_with_parent(driver)
                    enter_worker_process()
                    serve_forked(theirs, self.mark, job, dataset, cores)
                except BaseException:  # whatever it was, this process must not run the caller's code
                    sys.excepthook(*sys.exc_info())
                    os._exit(1)
                os._exit(0)
        self.channel = Channel(ours)
        self.sentinel: int | None = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None

    def kill(self) -> None:
        """End the process now."""
        os.kill(self.pid, signal.SIGKILL)  # never a stranger: the pid is ours until it is waited for

    def wait_status(self) -> int | None:
        """Wait for the end of a process that has ended or will at once; None if somebody else has waited for it."""
        try:
            return os.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            return None

    def close(self) -> None:
        """Close the driver's descriptors and free the slot of a process that has ended."""
        self.channel.close()
        if self.sentinel is not None:
            os.close(self.sentinel)
            self.sentinel = None
        self._board.free_slot(self._slot)


@contextmanager
def _no_fork_warnings(*, is_safe: bool) -> Iterator[None]:
    if not is_safe:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        yield
