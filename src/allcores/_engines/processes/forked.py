"""A worker process forked from the driver: born with the function and the dataset, alive for one run."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from allcores._codec.definitions.classes import register_local_classes
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known, find_lacking
from allcores._core.hints import TYPE_CHECKING, NoReturn
from allcores._core.plan import Plan
from allcores._engines.processes.process import Setup
from allcores._input.dataset import Columns, Dataset
from allcores._settings.snapshot import find_settings
from allcores._system.imports import await_imports
from allcores._system.lifeline import (
    End,
    descendants,
    die_with_parent,
    die_with_peer,
    end_all,
    followers,
    lead_group,
    peak_of,
)
from allcores._system.native_threads import look_before_fork
from allcores._system.tracking import SharedTracker
from allcores._transport.board import Board, Mark
from allcores._transport.channel import Channel, channel_pair
from allcores._worker.birth import enter_worker_process, serve_forked
from allcores._worker.exit import flush_output
from allcores._worker.job import Job
from allcores._worker.kinship import Kinship, become_forked_child, next_number
from allcores._worker.share import Share

if TYPE_CHECKING:
    from allcores._settings.adoption import Adoption

__all__ = ["ForkedProcess", "ForkedSource"]


class ForkedSource:
    """Forks the workers of one run.

    Args:
        plan: says how many there may be; whether forking is safe is for it to tell, and not for Python to warn of.
        job: inherited by the workers; nothing is pickled.
        dataset: inherited too, unless it is a stream.
    """

    inherits = True
    keeps_processes = False  # they have inherited what belongs to this run alone

    def __init__(self, plan: Plan, job: Job, dataset: Dataset) -> None:
        self._settings = job.settings
        self._adoption: Adoption | None = None  # what workers know of settings that they inherit
        self._modules = 0  # how many were loaded when that was made
        self.has_finalizer = job.finalizer is not None
        self._job = job if job.settings is None else job._replace(settings=job.settings.sealed)
        self._columns = dataset if isinstance(dataset, Columns) else None
        self._share = Share.of(plan)
        self._kinship = Kinship.here("fork", is_daemon=job.is_daemon)
        self._board = Board(2 * plan.workers)  # a killed worker holds its slot until it is seen to end

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Look at what workers shall know without looking."""
        if self._columns is None:  # items will travel, and with them classes that the worker shall know
            register_local_classes()
        look_before_fork()
        self._setup = self._find_setup()
        self._see_settings()
        try:
            with _no_fork_warnings():
                yield
        finally:
            del self._setup  # it holds all that ``__main__`` has now

    def set_up(self) -> Setup:
        """Say what a worker is born with: the whole of the caller's ``__main__``."""
        return self._setup

    def start(self, tracker: SharedTracker) -> ForkedProcess:
        """Fork a worker."""
        if self._job.log is not None:
            from allcores._worker.item_log import flush_native  # for those who ask for it

            flush_native()  # or, with each item's own output, the worker would bring out this process's
        child = partial(become_forked_child, self._kinship, next_number(), tracker.descriptor)
        job = self._job if self._adoption is None else self._job._replace(settings=None)
        serve = partial(serve_forked, job=job, dataset=self._columns, share=self._share, adoption=self._adoption)
        return ForkedProcess(self._board, child, serve)

    def forget(self, process: ForkedProcess) -> None:
        """It has nothing that another could have instead."""

    def keep(self, process: ForkedProcess) -> None:
        """Keep none."""

    def close(self) -> None:
        """Let go of the mark board."""
        self._board.close()

    def _find_setup(self) -> Setup:
        known = Known(vars(sys.modules["__main__"]))
        for function in filter(None, (self._job.initializer, self._job.state)):
            # What they may set stays, unless the caller's changes from now on.
            known.contents |= find_lacking(function, known, Inspection()).unsure
        return Setup([], b"", known, {}, [], None, self._settings)

    def _see_settings(self) -> None:
        """See whether workers inherit the settings that they shall have; to read them all is not for each to do."""
        if self._settings is None:
            return
        from allcores._settings.adoption import Adoption  # here, or each worker would have to

        if find_settings() is not self._settings:
            self._adoption = None
        elif self._adoption is None or len(sys.modules) != self._modules:
            self._adoption, self._modules = Adoption.inherited(self._settings.sealed), len(sys.modules)


class ForkedProcess:
    """The driver's handle of one forked worker.

    Args:
        board: inherited by the worker.
        become_child: is called in the worker, to make it a child of this process for multiprocessing.
        serve: is called there next, with its end of the channel and its mark.
    """

    def __init__(
        self, board: Board, become_child: Callable[[], None], serve: Callable[[socket.socket, Mark], None]
    ) -> None:
        self._board = board
        driver = os.getpid() if threading.current_thread() is threading.main_thread() else None  # asked before the fork
        flush_output()  # or the worker would print the driver's unwritten output again
        with ExitStack() as here, ExitStack() as if_it_fails:
            ours, theirs = channel_pair()
            here.callback(theirs.close)
            if_it_fails.callback(ours.close)
            self._lifeline, lifeline = channel_pair()
            here.callback(lifeline.close)
            if_it_fails.callback(self._lifeline.close)
            self._slot = board.take_slot()
            if_it_fails.callback(board.free_slot, self._slot)
            self.mark = board.mark(self._slot)
            await_imports()
            self._pid = os.fork()
            if self._pid == 0:
                _be_forked(driver, lifeline, become_child, partial(serve, theirs, self.mark))
            if_it_fails.pop_all()
        self.pid: int | None = self._pid
        self.known = Known()
        self.channel = Channel(ours)
        self.sentinel = _open_process(self._pid)

    def kill(self, *, with_descendants: bool = True) -> None:
        """End the process now, and what it has started."""
        family = descendants(self._pid) if with_descendants else []
        with suppress(ProcessLookupError):  # somebody else has waited for it
            if self.sentinel is not None:
                signal.pidfd_send_signal(self.sentinel, signal.SIGKILL)
            else:
                os.kill(self._pid, signal.SIGKILL)
        end_all(family)

    def wait_for_end(self) -> End:
        """Wait for the end of a process that has ended or will at once; nothing is known if somebody else has."""
        try:
            _, status, usage = os.wait4(self._pid, 0)
        except ChildProcessError:
            return End(None)
        if status != 0:  # it has not left, but died
            end_all(followers(self._pid))
        return End(status, peak_of(usage))

    def see_end(self) -> None:
        """Wait likewise; what the process has used, which takes a module of its own to tell, is not asked."""
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def close(self) -> None:
        """Close the driver's descriptors and free the slot of a process that has ended."""
        self.channel.close()
        self._lifeline.close()
        if self.sentinel is not None:
            os.close(self.sentinel)
            self.sentinel = None
        self._board.free_slot(self._slot)


def _open_process(pid: int) -> int | None:
    """Open a descriptor that becomes readable when the process ends; None where that is not possible."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # not on this system, or too many descriptors: the channel's end must do
        return None


def _be_forked(
    driver: int | None, lifeline: socket.socket, become_child: Callable[[], None], serve: Callable[[], None]
) -> NoReturn:
    """The whole life of a forked worker; whatever happens, it must not return into the caller's code."""
    try:
        lead_group()
        die_with_peer(lifeline)
        if driver is not None:  # surer, as no other process can stand in the way, but only where the thread stays
            die_with_parent(driver)
        enter_worker_process()
        become_child()
        serve()
    except BaseException:  # a bug of ours: show it before the driver reports a death
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


_filters_lock = threading.Lock()  # warnings are filtered for all threads alike
_quiet: tuple[int, warnings.catch_warnings[None]] | None = None  # which thread forks workers, and within what


def _be_forked_quietly() -> None:
    """Have this process, which has just been forked, filter warnings as the caller does."""
    global _filters_lock  # noqa: PLW0603 - whoever holds it is not in the forked process
    _filters_lock = threading.Lock()
    if _quiet is not None and _quiet[0] == threading.get_ident():
        _quiet[1].__exit__(None, None, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_be_forked_quietly)


@contextmanager
def _no_fork_warnings() -> Iterator[None]:
    """Keep Python from warning of a fork: if that is an error, it comes when the worker is there, and nobody's."""
    global _quiet  # noqa: PLW0603 - the forked process finds it there
    quiet = warnings.catch_warnings()
    with _filters_lock, quiet:
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        _quiet = threading.get_ident(), quiet
        try:
            yield
        finally:
            _quiet = None
