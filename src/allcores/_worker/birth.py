"""How a process becomes a worker, whoever started it: it cuts what it must not share, serves its channel, and ends."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from types import FrameType

from allcores._codec.definitions.classes import inherit
from allcores._codec.exceptions import leave_behind
from allcores._core.hints import TYPE_CHECKING
from allcores._input.dataset import Columns
from allcores._system.imports import forget_imports
from allcores._system.memory import offer_to_oom_killer
from allcores._system.terminal import leave_terminal
from allcores._transport.board import Board, Mark
from allcores._transport.channel import Channel
from allcores._worker.exit import exit_worker, flush_output
from allcores._worker.job import Job
from allcores._worker.loop import WorkerLoop
from allcores._worker.share import Share

if TYPE_CHECKING:
    from allcores._settings.adoption import Adoption

__all__ = ["enter_worker_process", "serve_clean", "serve_forked"]


def enter_worker_process() -> None:
    """Cut what a worker must not share with where it comes from: signals, the terminal, its thread, imports."""
    # A handler that does nothing, rather than ignoring: programs that the user's function starts must still be
    # interruptible, and only a handler is reset in them.
    signal.signal(signal.SIGINT, _leave_it_to_the_driver)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    offer_to_oom_killer()
    leave_terminal()
    _become_main_thread()
    forget_imports()


def _become_main_thread() -> None:
    """Have the thread that forked, which is the main one here, be like one, and start threads that are like its."""
    thread = threading.main_thread()
    thread.name = "MainThread"
    vars(thread)["_daemonic"] = False
    vars(threading.Thread).get("_set_native_id", id)(thread)


def _leave_it_to_the_driver(signum: int, frame: FrameType | None) -> None:
    """Do nothing: on Ctrl-C the driver decides."""


def serve_forked(
    connection: socket.socket,
    mark: Mark,
    *,
    job: Job,
    dataset: Columns | None,
    share: Share,
    adoption: Adoption | None,
) -> None:
    """Be a forked worker, which has become a child; returns when the process must end."""
    inherit()
    leave_behind(sys.exc_info()[1])
    share.adopt(is_just_forked=True)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()  # or all forked workers would draw the same numbers; `random` sees to that itself
    if "torch" in sys.modules:
        from allcores._worker.streams import part_torch  # for those who have it

        part_torch()
    connection.setblocking(True)
    with connection:
        loop = WorkerLoop(Channel(connection), mark, adoption)
        loop.serve(job, dataset)
        exit_worker(loop.finalize)
    flush_output()


def serve_clean(connection: int, board: int, slots: int, slot: int, idle_seconds: float) -> None:
    """Be a clean worker on inherited descriptors; returns when the process must end."""
    mark = Board(slots, descriptor=board).mark(slot)
    with socket.socket(fileno=connection) as channel:
        loop = WorkerLoop(Channel(channel), mark, idle_seconds=idle_seconds)
        loop.serve()
        exit_worker(loop.finalize)
    flush_output()
