"""What a worker is to multiprocessing: a child of the caller's process, with a name, a number and a parent.

Programs ask `multiprocessing.current_process` who they are, to seed by its number, to choose a device, to log its name;
joblib asks whether it may start processes there; and what multiprocessing shares between processes asks each new one to
begin anew. multiprocessing tells its own children all that. Workers are told as much, but not before multiprocessing is
loaded: where nobody has use for it, it takes longer to load than a short run.
"""

from __future__ import annotations

import atexit
import os
import select
import sys
from collections.abc import Collection
from itertools import count

from allcores._core.hints import Any
from allcores._core.records import Record
from allcores._system.descriptors import claim, disclaim

__all__ = ["Kinship", "become_child", "become_forked_child", "next_number"]

AWAITED = PACKAGE, TRACKER = "multiprocessing", "multiprocessing.resource_tracker"
STARTS = {"fork": "Fork", "forkserver": "ForkServer", "spawn": "Spawn"}


class Kinship(Record):
    """What all workers of a run are to the caller's process.

    Attributes:
        start: how they start.
        is_daemon: whether they may start no processes of multiprocessing's, as a pool's must not.
        parent: the caller's process id.
        parent_name: the caller's name.
        lineage: the caller's own number, after its parent's and so on; empty for a program's first process.
    """

    start: str
    is_daemon: bool
    parent: int
    parent_name: str
    lineage: tuple[int, ...]

    @classmethod
    def here(cls, start: str, *, is_daemon: bool) -> Kinship:
        """Describe workers of this process."""
        process = _inside("multiprocessing.process")
        if process is not None:
            me = vars(process["_current_process"])
            return cls(start, is_daemon, os.getpid(), me["_name"], me["_identity"])
        if _here is None:
            return cls(start, is_daemon, os.getpid(), "MainProcess", ())
        return cls(start, is_daemon, os.getpid(), _here.name, _here.identity)


def _inside(module: str) -> dict[str, Any] | None:
    """Give the names of a module if it is loaded: multiprocessing has no other way in for who is not started by it."""
    return vars(sys.modules[module]) if module in sys.modules else None


class _Child:
    """Who this process is.

    Args:
        kinship: to its caller.
        number: among the caller's children.
        tracker: a descriptor to which the resource tracker is told; None where the system had no room for one.
    """

    def __init__(self, kinship: Kinship, number: int, tracker: int | None) -> None:
        self.kinship = kinship
        self.identity = (*kinship.lineage, number)
        kind = "PoolWorker" if kinship.is_daemon else "Process"
        self.name = f"{STARTS[kinship.start]}{kind}-{':'.join(map(str, self.identity))}"
        self.tracker = tracker

    def introduce(self, loaded: Collection[str]) -> None:
        """Tell multiprocessing, or those parts of it that have just been loaded."""
        if PACKAGE in loaded:
            self._introduce_process()
        if TRACKER in loaded:
            tracker = vars(sys.modules[TRACKER])["_resource_tracker"]
            given = None if _here is None else _here.tracker
            if vars(tracker)["_fd"] in {None, given}:  # else it was inherited, or is this process's own
                vars(tracker)["_fd"] = self.tracker

    def _introduce_process(self) -> None:
        import multiprocessing
        import multiprocessing.process

        start, is_daemon, pid, name, _ = self.kinship
        context: Any = multiprocessing.get_context(start)
        me = context.Process(name=self.name, daemon=is_daemon)
        vars(me).update(_identity=self.identity, _parent_pid=pid, _parent_name=name)
        process = vars(multiprocessing.process)
        process["_current_process"] = me
        parent = process["_parent_process"]
        if parent is None or parent.pid != pid:  # a worker that is used again has the same one
            process["_parent_process"] = process["_ParentProcess"](name, pid, _watch(pid))
        process["_process_counter"] = count(1)


_here: _Child | None = None
_numbers = count(1)


def next_number() -> int:
    """Give the next child's number: among multiprocessing's own where it is loaded, as no two may be the same."""
    number = next(_numbers)
    process = _inside("multiprocessing.process")
    if process is not None:
        before, number = number, 0
        while number < before:  # numbers that were given before multiprocessing was loaded
            number = next(process["_process_counter"])
    return number


def become_child(kinship: Kinship, number: int, tracker: int | None) -> None:
    """Be a child of the caller's process from now on: in a worker that begins a run.

    Args:
        kinship: to the caller.
        number: among the caller's children.
        tracker: a descriptor to which the resource tracker is told, for this process to keep.
    """
    global _here  # noqa: PLW0603 - a fact about this process
    child, before = _Child(kinship, number, tracker), _here
    child.introduce([name for name in AWAITED if name in sys.modules])
    if before is not None and before.tracker is not None:
        disclaim(before.tracker)
        os.close(before.tracker)
    if tracker is not None:
        claim(tracker)
    if not _Awaiting.is_there:
        _Awaiting.is_there = True
        sys.meta_path.insert(0, _Awaiting())
    _here = child


def become_forked_child(kinship: Kinship, number: int, tracker: int) -> None:
    """Be a child likewise in a worker that was forked, and begin anew with what must not be the caller's as well."""
    global _here, _numbers
    _here, _numbers = None, count(1)
    vars(atexit)["_clear"]()
    process, util = _inside("multiprocessing.process"), _inside("multiprocessing.util")
    before = process and process["_current_process"]  # lives until what hangs on it has begun anew
    become_child(kinship, number, tracker)
    if process is not None:
        process["_children"] = set()
    if util is not None:
        util["_finalizer_registry"].clear()
        atexit.register(util["_exit_function"])
        util["_run_after_forkers"]()
    del before


class _Awaiting:
    """A finder on ``sys.meta_path`` that lets others find, and costs nothing before multiprocessing is imported."""

    is_there = False  # or was, in this process or those that it was forked from

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Give way to what hears of modules."""
        if name not in AWAITED:
            return None
        from allcores._settings.arrivals import Arrivals

        arrivals = Arrivals(_introduce)
        sys.meta_path.remove(self)
        arrivals.expect(AWAITED, ())
        return arrivals.find_spec(name, path, target)


def _introduce(loaded: Collection[str]) -> None:
    if _here is not None:
        _here.introduce(loaded)


def _watch(pid: int) -> int | None:
    """Open a descriptor that becomes readable when a process ends; None where it has, or the system has none."""
    try:
        if hasattr(os, "pidfd_open"):
            return os.pidfd_open(pid)
        queue = select.kqueue()  # type: ignore[attr-defined]  # on macOS and its kin
        queue.control([select.kevent(pid, select.KQ_FILTER_PROC, fflags=select.KQ_NOTE_EXIT)], 0)  # type: ignore[attr-defined]
        descriptor = os.dup(queue.fileno())
    except (AttributeError, OSError):
        return None
    claim(descriptor)
    return descriptor
