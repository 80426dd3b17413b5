"""multiprocessing's own locks, queues and values, which let themselves be pickled only for a process that is starting.

A worker is such a process as far as they are concerned: it can open a semaphore by its name, and fetch a descriptor
from multiprocessing's own server. That server hands each descriptor out once, so what was pickled serves one worker.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Handover", "hand_over", "reducers"]


class Handover:
    """Stands for the process that is starting; the methods are multiprocessing's."""

    def __init__(self) -> None:
        self.is_for_one = False  # whether what was pickled meanwhile serves one worker only

    def duplicate_for_child(self, descriptor: int) -> int:
        """Give a descriptor as the other process will know it: that is found out when it asks."""
        self.is_for_one = True
        return descriptor

    def DupFd(self, descriptor: int) -> Any:  # noqa: N802 - multiprocessing's name
        """Give what the other process unpickles to get the descriptor."""
        from multiprocessing import resource_sharer

        return resource_sharer.DupFd(descriptor)


def reducers() -> dict[type, Callable[[Any], Any]]:
    """Give how to pickle what only multiprocessing knows how to pickle; nothing outside of a block of `hand_over`."""
    context, reduction = (sys.modules.get(f"multiprocessing.{name}") for name in ("context", "reduction"))
    if context is None or reduction is None or context.get_spawning_popen() is None:
        return {}
    found: dict[type, Callable[[Any], Any]] = reduction.ForkingPickler._extra_reducers  # noqa: SLF001 - no other way
    return found


@contextmanager
def hand_over() -> Iterator[Handover]:
    """Have multiprocessing's things let themselves be pickled within the block."""
    handover = Handover()
    context = sys.modules.get("multiprocessing.context")
    if context is None:  # then there are none
        yield handover
        return
    before = context.get_spawning_popen()
    context.set_spawning_popen(handover)
    try:
        yield handover
    finally:
        context.set_spawning_popen(before)
