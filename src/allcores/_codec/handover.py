"""multiprocessing's own locks, queues and values, which let themselves be pickled only for a process that is starting.

A worker is such a process as far as they are concerned: it can open a semaphore by its name, and descriptors reach it
over its channel, with the message that needs them.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from socket import socket

from allcores._core.hints import Any

__all__ = [
    "advise_on_means",
    "close_all",
    "hand_over",
    "is_means",
    "may_need_fork",
    "needs_fork",
    "received",
    "reducers",
]

MEANS = {"multiprocessing.queues", "multiprocessing.sharedctypes", "multiprocessing.synchronize"}

_received: Sequence[int] = ()  # in a worker, while it unpickles


def may_need_fork() -> bool:
    """Whether there may be anything here that `needs_fork`."""
    return "multiprocessing.synchronize" in sys.modules


def is_means(thing: Any) -> bool:
    """Whether it is one of multiprocessing's locks, queues, events or values."""
    return type(thing).__module__ in MEANS


def needs_fork(thing: Any) -> bool:
    """Whether only forked processes can have this lock, queue, event or value: its semaphores have no names.

    Those of multiprocessing's contexts have one, by which another process opens them, but for the context of fork.
    """
    semaphore = vars(thing).get("_semlock")
    if semaphore is not None:
        return semaphore.name is None
    return any(needs_fork(part) for part in vars(thing).values() if is_means(part))


def advise_on_means(thing: Any) -> str | None:
    """Say how a worker can have what of multiprocessing's does not let itself be pickled; None of anything else."""
    if not is_means(thing):
        return None
    if _is_handing_over() and needs_fork(thing):
        return "make it with multiprocessing.get_context('forkserver'), or use start='fork'"
    return "give it to the initializer, as one of its initargs"


class _Descriptor:
    """Stands in a pickle for a descriptor that travels beside it; the method is multiprocessing's."""

    def __init__(self, number: int) -> None:
        self.number = number  # among those that travel

    def detach(self) -> int:
        """Give a descriptor of one's own."""
        return os.dup(_received[self.number])


class _Handover:
    """Stands for the process that is starting; the methods are multiprocessing's.

    Args:
        descriptors: takes copies of all that go along.
    """

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors = descriptors

    def duplicate_for_child(self, descriptor: Any) -> int:
        """Copy a descriptor, as its owner may close it before it travels; give the number of the copy."""
        self._descriptors.append(os.dup(descriptor if isinstance(descriptor, int) else descriptor.fileno()))
        return len(self._descriptors) - 1

    def DupFd(self, number: int) -> _Descriptor:  # noqa: N802 - multiprocessing's name
        """Give what the other process unpickles to get the descriptor."""
        return _Descriptor(number)


def reducers() -> dict[type, Callable[[Any], Any]]:
    """Give how to pickle what only multiprocessing knows how to pickle.

    Outside of a block of `hand_over` these are its connections, and sockets: the other process will ask a server here
    for their descriptors, which multiprocessing runs in a thread.
    """
    if "multiprocessing.connection" not in sys.modules:
        return {}
    return _find_reducers() if _is_handing_over() else _reducers_of_connections()


def _is_handing_over() -> bool:
    return sys.modules["multiprocessing.context"].get_spawning_popen() is not None


def _find_reducers() -> dict[type, Callable[[Any], Any]]:
    from multiprocessing.reduction import ForkingPickler

    found: dict[type, Callable[[Any], Any]] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]  # noqa: SLF001
    return found


@functools.cache
def _reducers_of_connections() -> dict[type, Callable[[Any], Any]]:
    from multiprocessing.connection import Connection

    return {kind: _find_reducers()[kind] for kind in (Connection, socket)}


@contextmanager
def hand_over() -> Iterator[list[int]]:
    """Have multiprocessing's things let themselves be pickled within the block.

    Gives a list, which fills with the descriptors that must travel beside what is pickled; whoever gets it must close
    them, unless the block raises.
    """
    descriptors: list[int] = []
    context = sys.modules.get("multiprocessing.context")
    if context is None:  # then there are none
        yield descriptors
        return
    before = context.get_spawning_popen()
    context.set_spawning_popen(_Handover(descriptors))
    try:
        yield descriptors
    except BaseException:
        close_all(descriptors)
        raise
    finally:
        context.set_spawning_popen(before)


@contextmanager
def received(descriptors: list[int]) -> Iterator[None]:
    """Unpickle within the block what these descriptors came with; they are closed after it."""
    global _received  # noqa: PLW0603 - who unpickles cannot be told
    _received = descriptors
    try:
        yield
    finally:
        _received = ()
        close_all(descriptors)


def close_all(descriptors: list[int]) -> None:
    """Close descriptors, and take each off the list before: who is interrupted may call this again."""
    while descriptors:
        os.close(descriptors.pop())
