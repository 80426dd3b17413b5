"""Imports that go on in other threads, while this process forks above all.

Python has a lock for each module that is being imported. A forked process inherits those locks, and not the threads
that hold them: it would wait for ever when it comes to such a module. So a fork waits until others have imported what
they are about to; and where that may not be waited for, the forked process has the modules as far as they have come.

A module's code may begin a run, too, and wait for it. Threads that work for that run must not wait for the module.
"""

from __future__ import annotations

import _frozen_importlib  # what importlib.util knows as importlib._bootstrap
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from allcores._core.hints import Any

__all__ = ["await_imports", "forget_imports", "look_at_modules", "offer_imports"]

PATIENCE_SECONDS = 10.0  # an import that takes longer may be waiting for what this process's workers do
LOOK_SECONDS = 0.001

# {name: a function that gives the lock}, private but the same in all Pythons that there are; empty as a rule.
_locks: dict[str, Callable[[], Any]] = getattr(_frozen_importlib, "_module_locks", {})


def look_at_modules() -> tuple[int, str]:
    """Give how many modules are loaded, and the last to come: something else whenever one has come."""
    while True:
        try:
            return len(sys.modules), next(reversed(sys.modules))
        except RuntimeError:  # one has come meanwhile
            pass


def await_imports() -> None:
    """Wait until no other thread imports, but those that wait for what we do: a module's code may call allcores.

    It polls, as the end of another thread's import gives no event.
    """
    if _locks:
        until = time.monotonic() + PATIENCE_SECONDS
        while _is_imported_elsewhere() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)


def offer_imports() -> None:
    """Have others take the modules that this thread imports as far as they have come: what is in there is handed in."""
    if _locks:
        for lock in _held():
            spec: Any = getattr(sys.modules.get(lock.name), "__spec__", None)
            if lock.owner == threading.get_ident() and getattr(spec, "_initializing", False):
                spec._initializing = False  # noqa: SLF001 - whether an import waits for the lock


def forget_imports() -> None:
    """In a process that was just forked: have nothing of locks that threads hold which are not here."""
    for name, find in list(_locks.items()):
        if getattr(find(), "owner", None) != threading.get_ident():
            del _locks[name]  # whoever needs one makes another


def _is_imported_elsewhere() -> bool:
    importing = {lock.owner for lock in _held()} - {None, threading.get_ident()}
    if not importing:
        return False
    frames = sys._current_frames()  # noqa: SLF001 - documented
    return any(_is_at_work(frames.get(thread)) for thread in importing)


def _held() -> list[Any]:
    """Give the locks of modules that are being imported, each with its name and the thread that holds it."""
    return [lock for find in list(_locks.values()) if (lock := find()) is not None]


def _is_at_work(frame: FrameType | None) -> bool:
    """Whether a thread that is here imports, rather than waits in a call of ours from the code of a module."""
    while frame is not None:
        if frame.f_globals is vars(_frozen_importlib):
            return True
        name = frame.f_globals.get("__name__", "")
        if frame.f_code.co_name != "<module>" and str(name).partition(".")[0] == "allcores":
            return False
        frame = frame.f_back
    return False
