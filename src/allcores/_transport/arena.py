"""What large frames travel in: the sender's segments, which are filled again once the receiver lets go of them.

Memory that is new to a process costs more than the copy into it, so segments go around: each message tells which ones
its sender has let go of. What has been received is watched by weak references whose callback is a method of a deque:
it runs in any thread, amid anything, and no Ctrl-C can strike in the middle of it.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections import deque
from collections.abc import Sequence
from itertools import count
from weakref import ref

from allcores._core.hints import Any
from allcores._transport.segment import Segment, borrow, places
from allcores._transport.wire import EXCLUSIVE, Loan

__all__ = ["LOST", "Arena", "Lodger", "refuse"]

KEPT = 32  # segments, lent or not: more in flight are left to their receivers
SPARE = 2  # how many times as large as needed a segment may be that is filled again
FREED_AT_ONCE = 1000  # numbers that one message carries


# Stands for the frames of a message whose segment could not be received; it raises when it is unpickled.
LOST = b"callcores._transport.arena\nrefuse\n(tR."


def refuse() -> None:
    """Raise, in place of what could not be received."""
    raise OSError(errno.EMFILE, "it was lost: no descriptor or no memory was free to receive it with")


class Arena:
    """The segments that one end of a channel sends in."""

    def __init__(self) -> None:
        self._lent: dict[int, Segment] = {}  # {number: segment}, oldest first
        self._free: list[Segment] = []
        self._numbers = count(EXCLUSIVE + 1)

    @property
    def has_segments(self) -> bool:
        """Whether any are kept."""
        return bool(self._free or self._lent)

    def lend(self, frames: Sequence[memoryview]) -> tuple[Loan, int] | None:
        """Put frames into a segment; give the loan and a descriptor of the receiver's. None: the system forbids it."""
        _, size = places([frame.nbytes for frame in frames])
        segment = self._take(size)
        if segment is None:
            return None
        number = next(self._numbers)
        self._lent[number] = segment
        try:
            segment.fill(frames)
        except OSError:
            return None
        return segment.lend(number)

    def hear_of_freed(self, numbers: Sequence[int]) -> None:
        """Have these segments filled again; those that were left to their receiver are not ours any more."""
        for number in numbers:
            segment = self._lent.pop(number, None)
            if segment is not None:
                self._free.append(segment)

    def close(self) -> None:
        """Let go of all segments; those that are lent belong to their receivers alone."""
        while self._lent:
            self._lent.popitem()[1].close()
        while self._free:
            self._free.pop().close()

    def _take(self, size: int) -> Segment | None:
        fitting = [segment for segment in self._free if size <= segment.size <= SPARE * size + mmap.PAGESIZE]
        if fitting:
            segment = min(fitting, key=lambda segment: segment.size)
            self._free.remove(segment)
            return segment
        if len(self._free) + len(self._lent) >= KEPT:
            self._leave_one()
        try:
            return Segment(size)
        except OSError:
            return None

    def _leave_one(self) -> None:
        """Let go of a segment that does not fit, or else of the one that was lent first."""
        segment = self._free.pop(0) if self._free else self._lent.pop(next(iter(self._lent)))
        segment.close()


class Lodger:
    """The loans that one end of a channel has received, and watches until they are let go of.

    Attributes:
        has_lodged: whether there was one, since somebody has last said that there was none.
    """

    def __init__(self) -> None:
        self.has_lodged = False
        self._watches: dict[int, _Watch] = {}  # without which nothing would be watched
        self._let_go: deque[_Watch] = deque()

    def receive(self, loan: Loan, descriptors: deque[int]) -> memoryview | None:
        """Give what was lent; None if it was lost, as this process can hold no more descriptors or memory.

        Args:
            loan: what a message tells of it.
            descriptors: those that have come; the segment's is the first one, and is taken off.
        """
        if not descriptors or os.fstat(descriptors[0]).st_ino != loan.identity:
            return None
        self.has_lodged = True
        memory = borrow(descriptors.popleft(), loan.size)
        if isinstance(memory, mmap.mmap) and loan.number != EXCLUSIVE:
            watch = self._watches[loan.number] = _Watch(memory, self._let_go.append)
            watch.number, watch.forks = loan.number, _forks
        return None if memory is None else memoryview(memory)

    @property
    def has_let_go(self) -> bool:
        """Whether there are some of which nobody has been told."""
        return bool(self._let_go)

    def freed(self) -> tuple[int, ...]:
        """Give the numbers of some loans that have been let go of, each once."""
        watches = [self._let_go.popleft() for _ in range(min(len(self._let_go), FREED_AT_ONCE))]
        for watch in watches:
            del self._watches[watch.number]
        return tuple(watch.number for watch in watches if watch.forks == _forks)


class _Watch(ref[Any]):
    __slots__ = ("forks", "number")
    number: int
    forks: int  # how many processes had been forked from this one


_forks = 0


def _count_fork() -> None:
    """What was lent before is not told to be free any more: the forked process may go on reading it, unseen."""
    global _forks  # noqa: PLW0603 - it is the process that is forked
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_count_fork)
