"""Programs in which gevent or eventlet has put its own functions in the place of the system's.

A thread's greenlets then take turns whenever one of them waits, and so they do in the waits of a run. What must not be
left in the middle may not wait by such a function; and a forked process would have copies of all greenlets, which go on
there as soon as the function waits for anything.
"""

from __future__ import annotations

import select
import sys
import threading
from types import BuiltinFunctionType, ModuleType

from allcores._core.hints import Any

__all__ = ["GREEN", "ThreadLock", "patched_by", "refuse_copies", "unpatched_select"]

GREEN = ("gevent", "eventlet")  # may have greenlets without having patched anything

_pristine: list[ModuleType] = []  # one or none


def patched_by() -> str | None:
    """Name the library that has patched this program; None if it is as Python made it."""
    return None if type(select.select) is BuiltinFunctionType else select.select.__module__.partition(".")[0]


def refuse_copies() -> None:
    """Refuse to fork a program with greenlets.

    Raises:
        ValueError: it is one.
    """
    library = patched_by()
    if library is not None:
        raise ValueError(
            f"start='fork' makes no sense here: {library} has patched this program, and each worker would have copies "
            "of its greenlets, which would go on there; leave it out, or use start='forkserver'"
        )


def unpatched_select() -> Any:
    """Give the module `select` as Python made it: eventlet takes half of it away."""
    if type(select.select) is BuiltinFunctionType:
        return select
    if not _pristine:
        spec: Any = sys.modules["select"].__spec__
        module = spec.loader.create_module(spec)
        spec.loader.exec_module(module)
        _pristine.append(module)
    return _pristine[0]


class ThreadLock:
    """A lock that greenlets can wait for, too, should they come into the program after it was made.

    Who has it may take it again: a finalizer may want it amid anything, in the same thread, too.
    """

    def __init__(self) -> None:
        self._kind = threading.RLock
        self._lock = self._kind()

    def __enter__(self) -> None:
        if threading.RLock is not self._kind:  # nobody is in a block of it: whoever patches has only one thread yet
            self.__init__()  # type: ignore[misc]
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
