"""The mark board: one tiny shared page per worker that says what the worker is in the middle of.

A worker writes the index of its item before it starts it; nothing is sent. When a worker dies, the driver reads what
stands there and blames exactly one item. A slot is one cache line, so that workers do not slow each other down.
"""

from __future__ import annotations

import mmap
import os
from typing import TypeAlias

from allcores._messages import Moment

__all__ = ["IDLE", "INDEX", "MOVING", "PREPARING", "SPAN", "STARTING", "Board", "Mark", "read_mark"]

SLOT_BYTES = 64  # a cache line
WORDS_PER_SLOT = SLOT_BYTES // 8

# A mark's words: an item's index, or one of the negative numbers below; and how many items from there on may be
# running, because marking each would cost more than they do. To make the span smaller, write the index first: a worker
# that dies between the two must not leave a mark that says too little.
INDEX, SPAN = 0, 1

STARTING, PREPARING, IDLE, MOVING = -1, -2, -3, -4
_MOMENTS = {STARTING: Moment.STARTING, PREPARING: Moment.PREPARING, IDLE: Moment.IDLE, MOVING: Moment.MOVING}

Mark: TypeAlias = "memoryview[int]"


class Board:
    """A shared page of marks.

    Args:
        slots: how many workers it serves.
        descriptor: a board that another process made; by default a new one, to be inherited by forked processes.
        shareable: whether a new board has a descriptor that can be handed to processes that do not inherit it.
    """

    def __init__(self, slots: int, *, descriptor: int | None = None, shareable: bool = False) -> None:
        size = slots * SLOT_BYTES
        if descriptor is None and shareable:
            descriptor = _anonymous_file(size)
        self.descriptor = descriptor
        self._free = list(range(slots))
        self._map = mmap.mmap(-1 if descriptor is None else descriptor, size)
        self._words = memoryview(self._map).cast("q")

    def take_slot(self) -> int:
        """Give a slot that nobody uses. Raises OSError when all are in use: there are too many workers."""
        if not self._free:
            raise OSError("too many workers: every slot of the mark board is in use")
        slot = self._free.pop()
        self.mark(slot)[INDEX] = STARTING
        return slot

    def free_slot(self, slot: int) -> None:
        """Take a slot back; its worker must have ended."""
        self._free.append(slot)

    def mark(self, slot: int) -> Mark:
        """Give the slot's mark; the worker writes it, the driver reads it."""
        return self._words[slot * WORDS_PER_SLOT : slot * WORDS_PER_SLOT + 2]

    def close(self) -> None:
        """Close the descriptor; the page itself goes with its last mark."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def read_mark(mark: Mark) -> tuple[Moment, int, int]:
    """Say what the worker was doing, and, if it was running items, which: ``[start, stop)``."""
    index, span = mark
    return (Moment.RUNNING, index, index + span) if index >= 0 else (_MOMENTS[index], 0, 0)


def _anonymous_file(size: int) -> int:
    """Open a file that no name leads to; it is gone with its last descriptor."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("allcores-marks")
    else:
        import tempfile

        descriptor, path = tempfile.mkstemp(prefix="allcores-marks-")
        os.unlink(path)
    os.ftruncate(descriptor, size)
    return descriptor
