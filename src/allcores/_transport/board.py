"""The mark board: shared pages where each worker says what it is in the middle of, and keeps what it has finished.

A worker writes the index of its item before it starts it; nothing is sent. When a worker dies, the driver reads what
stands there and blames exactly one item. It also finds there the values that were finished and not yet reported, so
that they need not be computed again. A mark is one cache line, so that workers do not slow each other down.
"""

from __future__ import annotations

import mmap
import os
import pickle
import struct
from collections.abc import Iterator

from allcores._core.hints import Any, TypeAlias
from allcores._core.messages import Moment
from allcores._objects.asking import ask
from allcores._transport.segment import anonymous_file

__all__ = [
    "HAS_CHILDREN",
    "IDLE",
    "INDEX",
    "MOVING",
    "NEEDS_EXIT",
    "PREPARING",
    "SINCE",
    "SPAN",
    "STARTING",
    "TELLS_TRACKER",
    "TIES",
    "WANTED",
    "WORDS",
    "Board",
    "Mark",
    "Shelf",
]

WORD_BYTES = 8
MARK_BYTES = 128  # two cache lines
SHELF_BYTES = 1 << 15  # per worker; real memory only once it is used
VALUE_BYTES = 1 << 13  # a larger value is better reported at once than copied twice

# A mark's words: an item's index, or one of the negative numbers below; how many items from there on may be running,
# because marking each would cost more than they do; since when, in nanoseconds of the monotonic clock; and what is on
# its shelf: of which token, the first item's index, how many items, since when, and by which process.
#
# The order of writing matters, as a worker may die, or be looked at, between any two. To make the span smaller, write
# the index first, or the mark would say too little. To go on to another item, write since when first, or that item
# would seem to run for longer than it does.
INDEX, SPAN, SINCE, KEPT_TOKEN, KEPT_START, KEPT_COUNT, KEPT_SINCE, OWNER = range(8)

# The driver's one word, in a cache line of its own: up to which token it wants back what the worker has not begun.
# The worker writes that it runs an item, and only then looks here before it runs it; the driver writes here, lets time
# pass until that is visible, and only then looks what runs. So nothing will be begun behind what it sees.
WANTED = 8
# And beside it one more of the worker's, that it writes before it reports, and hardly ever changes: what to know before
# ending it. It may have something to do first; it may have processes of its own; and it tells the resource tracker.
TIES = 9
NEEDS_EXIT, HAS_CHILDREN, TELLS_TRACKER = 1, 2, 4
WORDS = 16

STARTING, PREPARING, IDLE, MOVING = -1, -2, -3, -4
_MOMENTS = {STARTING: Moment.STARTING, PREPARING: Moment.PREPARING, IDLE: Moment.IDLE, MOVING: Moment.MOVING}

RECORD = struct.Struct("=II")  # how many values, how many bytes of pickle

Words: TypeAlias = "memoryview[int]"


class Mark:
    """One worker's place on the board.

    Args:
        words: the mark; the worker writes it, the driver reads it.
        shelf: the bytes for finished values; none for a worker that is a thread of the driver's process.
    """

    def __init__(self, words: Words, shelf: memoryview[int]) -> None:
        self.words = words
        self.shelf = Shelf(words, shelf)
        self.has_shelf = bool(shelf)

    @classmethod
    def of_thread(cls) -> Mark:
        """Make one that is on no board."""
        words = memoryview(bytearray(MARK_BYTES)).cast("q")
        words[INDEX], words[WANTED] = IDLE, -1
        return cls(words, memoryview(b""))

    def read(self) -> tuple[Moment, int, int]:
        """Say what the worker was doing, and, if it was running items, which: ``[start, stop)``."""
        index, span = self.words[INDEX], self.words[SPAN]
        return (Moment.RUNNING, index, index + span) if index >= 0 else (_MOMENTS[index], 0, 0)

    def want_back(self, token: int) -> None:
        """Ask the worker to begin none of what it was sent up to this token; -1: of nothing."""
        self.words[WANTED] = token

    def running_part(self) -> tuple[int, int, int] | None:
        """Give the token of the batch that runs, and which items may be running: ``[start, stop)``."""
        words = self.words
        token, index, span = words[KEPT_TOKEN], words[INDEX], words[SPAN]
        is_torn = token != words[KEPT_TOKEN] or index != words[INDEX]
        return None if index < 0 or is_torn else (token, index, index + span)

    @property
    def is_busy(self) -> bool:
        """Whether the worker is in the middle of a batch."""
        return self.words[INDEX] >= 0 or self.words[INDEX] == MOVING

    def is_tied(self, ties: int) -> bool:
        """Whether the worker has one of these ties."""
        return bool(self.words[TIES] & ties)

    def running_since(self) -> tuple[int, int] | None:
        """Give the index of the one item that runs, and since when, in nanoseconds; None if none does."""
        index, since = self.words[INDEX], self.words[SINCE]
        return (index, since) if index >= 0 and index == self.words[INDEX] else None


class Shelf:
    """Values that are finished and not yet reported, where the driver finds them if the worker dies.

    Each record is a pickle of consecutive items' values. The count in the mark is written after the record, so that
    one that was being written when the worker died is not seen.
    """

    def __init__(self, words: Words, space: memoryview[int]) -> None:
        self._words = words
        self._space = space
        self._owner = 0
        self._end = 0  # of the last record
        self._is_usable = True
        self._expects_large = False

    def clear(self, token: int, start: int, since: int) -> None:
        """Begin anew with the item `start` of the batch `token`, at the time `since`."""
        words = self._words
        words[KEPT_COUNT] = 0
        words[KEPT_TOKEN], words[KEPT_START], words[KEPT_SINCE] = token, start, since
        words[OWNER] = self._owner = os.getpid()
        self._end = 0
        self._is_usable = True

    def expect(self, size: float) -> None:
        """Hear how many bytes a value took of those that were reported last: the next ones will be alike."""
        self._expects_large = size > VALUE_BYTES

    def keep(self, values: list[Any]) -> bool:
        """Put the values of the next items there; False if they are too large and had better be reported at once."""
        if (
            not self._is_usable or self._words[OWNER] != self._owner
        ):  # the driver has given the place to another process
            return True
        if self._expects_large:
            return False
        large: list[pickle.PickleBuffer] = []

        def stays_in_band(buffer: pickle.PickleBuffer) -> bool:
            is_small = _is_small(buffer)
            if not is_small:
                large.append(buffer)
            return is_small

        try:
            data = pickle.dumps(values, 5, buffer_callback=stays_in_band)
        except BaseException:  # pickling may raise anything; that is looked into when the values are reported
            self._is_usable = False
            return True
        start = self._end + RECORD.size
        end = start + len(data)
        if large or end > len(self._space):
            return False
        self._space[start:end] = data
        RECORD.pack_into(self._space, self._end, len(values), len(data))
        self._end = end
        self._words[KEPT_COUNT] += len(values)
        return True

    def read(self, owner: int | None) -> tuple[int, int, float, list[Any]]:
        """Give what a process has put there: the token, the first item's index, the items' seconds, their values."""
        words = self._words
        values: list[Any] = []
        if words[OWNER] != owner:
            return -1, 0, 0.0, values
        try:
            for record in self._records(words[KEPT_COUNT]):
                values += ask(pickle.loads, record)
        except Exception:  # noqa: S110 - unpickling may raise anything; what is left will run again
            pass
        seconds = max(0.0, (words[SINCE] - words[KEPT_SINCE]) / 1e9)
        return words[KEPT_TOKEN], words[KEPT_START], seconds, values

    def _records(self, count: int) -> Iterator[memoryview[int]]:
        at = 0
        while count > 0:
            values, size = RECORD.unpack_from(self._space, at)
            at += RECORD.size
            yield self._space[at : at + size]
            at += size
            count -= values


def _is_small(buffer: pickle.PickleBuffer) -> bool:
    try:
        return buffer.raw().nbytes <= VALUE_BYTES
    except BufferError:  # not contiguous
        return True


class Board:
    """Shared pages for so many workers.

    Args:
        slots: how many workers it serves.
        descriptor: a board that another process made; by default a new one, to be inherited by forked processes.
        shareable: whether a new board has a descriptor that can be handed to processes that do not inherit it.
    """

    def __init__(self, slots: int, *, descriptor: int | None = None, shareable: bool = False) -> None:
        size = slots * (MARK_BYTES + SHELF_BYTES)
        if descriptor is None and shareable:
            descriptor = anonymous_file("allcores-marks", size)
        self.descriptor = descriptor
        self._free = list(range(slots))
        self._taken: set[int] = set()
        self._map = mmap.mmap(-1 if descriptor is None else descriptor, size)
        view = memoryview(self._map)
        self._words = view[: slots * MARK_BYTES].cast("q")
        self._shelves = view[slots * MARK_BYTES :]

    def take_slot(self) -> int:
        """Give a slot that nobody uses. Raises OSError when all are in use: there are too many workers."""
        if not self._free:
            raise OSError("too many workers: every slot of the mark board is in use")
        slot = self._free.pop()
        self._taken.add(slot)
        words = self.mark(slot).words
        words[INDEX], words[KEPT_COUNT], words[WANTED], words[TIES] = STARTING, 0, -1, 0
        return slot

    def free_slot(self, slot: int) -> None:
        """Take a slot back; its worker must have ended."""
        if slot in self._taken:
            self._taken.remove(slot)
            self._free.append(slot)

    def mark(self, slot: int) -> Mark:
        """Give the slot's mark; the worker writes it, the driver reads it."""
        word = slot * MARK_BYTES // WORD_BYTES
        words = self._words[word : word + MARK_BYTES // WORD_BYTES]
        return Mark(words, self._shelves[slot * SHELF_BYTES : (slot + 1) * SHELF_BYTES])

    def close(self) -> None:
        """Close the descriptor; the pages themselves go with the last mark."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
