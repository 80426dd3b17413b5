"""The input of a run: columns that any worker can slice, or a stream that only the driver can pull.

Only types whose slices mean the same as iterating over them are sliced; everything else is iterated, exactly once
and in the caller's thread, as the plain loop would.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from gc import get_referents
from itertools import combinations, combinations_with_replacement, count, islice, permutations, product, repeat

from allcores._core.hints import Any, Protocol
from allcores._input.snapshots import Snapshots

__all__ = ["Columns", "Dataset", "Stream", "at_hand", "is_still", "listed", "make_dataset"]

SLICEABLE = (list, tuple, range, str, bytes, bytearray)
# Sized, cheap to list, and in danger of changing while a stream over it is pulled.
LISTABLE: tuple[type, ...] = (dict, set, frozenset, deque, type({}.keys()), type({}.values()), type({}.items()))
# Iterators over things at hand, and those that take from others and hand on what they get.
AT_HAND: tuple[Any, ...] = ((), [], "", "\u0100", b"", bytearray(), range(0), range(1 << 100), set(), deque(), {})
BACKWARDS: tuple[Any, ...] = ([], deque(), {}, {}.values(), {}.items())
STILL: tuple[type, ...] = (
    *(type(iter(things)) for things in (*AT_HAND, {}.values(), {}.items())),
    *map(type, map(reversed, BACKWARDS)),
    *(combinations, combinations_with_replacement, count, permutations, product, repeat),
)
HANDING_ON = (enumerate, zip, islice)


class Dataset(Protocol):
    """Where the items of a run come from.

    Attributes:
        length: how many there are; None while nobody knows.
    """

    length: int | None

    @property
    def pulled(self) -> int:
        """How many items are at hand."""

    def pull(self, stop: int) -> int:
        """See that the items before `stop` are at hand; give how many there are, fewer than `stop` at the end."""

    def items(self, start: int, stop: int) -> Sequence[Any]:
        """Give items ``[start, stop)``, which are at hand and must not all have been settled."""

    def settle(self, start: int, stop: int) -> None:
        """Hear that nobody will ask for these items again."""


class Columns:
    """Items at hand: one sequence, or several side by side, as many items as the shortest has.

    Args:
        columns: the sequences; with several, an item is a tuple with one element of each.

    Attributes:
        columns: the same.
    """

    def __init__(self, columns: tuple[Sequence[Any], ...]) -> None:
        self.columns = columns
        self.length: int | None = min(map(len, columns))
        self.pulled = self.length  # all items are at hand

    def pull(self, stop: int) -> int:
        """Give how many items before `stop` there are."""
        return min(stop, self.pulled)

    def items(self, start: int, stop: int) -> Sequence[Any]:
        """Give items ``[start, stop)``; a slice keeps its type, so that a range or an array travels as one."""
        slices = [column[start:stop] for column in self.columns]
        return slices[0] if len(slices) == 1 else list(zip(*slices, strict=True))

    def settle(self, start: int, stop: int) -> None:
        """Hear that these items are not needed any more; columns belong to the caller, so nothing is let go."""


class Stream:
    """Items that come one after another from an iterator, held until they are settled.

    Args:
        iterator: pulled by the driver alone.

    Attributes:
        is_trickle: whether it is a `Trickle`, of which items come by and by.
    """

    is_trickle = False
    _snapshots: Snapshots | None = None

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.length: int | None = None
        self.iterator = iterator
        self._pulled = 0
        self._starts: list[int] = []  # of the chunks below, ascending
        self._chunks: dict[int, list[Any]] = {}  # {start: items}
        self._unsettled: dict[int, int] = {}  # {start: count}

    def keep_as_yielded(self) -> None:
        """Have each item stay as it is when it comes, whatever becomes of it where it comes from."""
        self._snapshots = Snapshots(shares_files=True)

    def pull(self, stop: int) -> int:
        """Pull until the items before `stop` are at hand; give how many there are, fewer than `stop` at the end."""
        chunk: list[Any] = []
        coming = islice(self.iterator, stop - self._pulled)
        try:
            if self._snapshots is None:
                chunk.extend(coming)
            else:
                self._snapshots.gather(coming, chunk)
        finally:  # what came before an error of the iterator counts
            if chunk:
                self._starts.append(self._pulled)
                self._chunks[self._pulled] = chunk
                self._unsettled[self._pulled] = len(chunk)
                self._pulled += len(chunk)
        if self._pulled < stop:  # at its end an iterator may still have what it was made of
            self.iterator = iter(())
        return self._pulled

    @property
    def pulled(self) -> int:
        """How many items were pulled."""
        return self._pulled

    def items(self, start: int, stop: int) -> Sequence[Any]:
        """Give items ``[start, stop)``, which must not all have been settled."""
        parts = [self._chunks[at][max(start - at, 0) : stop - at] for at in self._overlapping(start, stop)]
        return parts[0] if len(parts) == 1 else [item for part in parts for item in part]

    def settle(self, start: int, stop: int) -> None:
        """Let go of items that nobody will ask for again."""
        for at in self._overlapping(start, stop):
            size = len(self._chunks[at])
            self._unsettled[at] -= min(stop, at + size) - max(start, at)
            if not self._unsettled[at]:
                del self._chunks[at], self._unsettled[at]
                self._starts.remove(at)

    def _overlapping(self, start: int, stop: int) -> list[int]:
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, stop - 1)
        return self._starts[max(first, 0) : last]


def make_dataset(iterables: tuple[Any, ...], *, is_sent: bool = False) -> Columns | Stream:
    """Decide how the input will be read.

    Args:
        iterables: one or more; with several, an item is a tuple with one element of each, and the shortest ends.
        is_sent: whether items go to other processes, and so must be what they were when they came.

    Raises:
        TypeError: one of them is not iterable.
    """
    if isinstance(iterables[0], Stream):
        if is_sent:
            iterables[0].keep_as_yielded()
        return iterables[0]
    for position, iterable in enumerate(iterables, 1):
        if not isinstance(iterable, Iterable) and not hasattr(iterable, "__getitem__"):
            which = "the input" if len(iterables) == 1 else f"input {position}"
            raise TypeError(f"{which} is not iterable: {iterable!r} is a {type(iterable).__name__}")
    columns = [list(iterable) if type(iterable) in LISTABLE else iterable for iterable in iterables]
    if all(_is_sliceable(column) for column in columns):
        return Columns(tuple(columns))
    stream = Stream(iter(columns[0]) if len(columns) == 1 else zip(*columns, strict=False))
    if is_sent and not is_still(stream.iterator):
        stream.keep_as_yielded()
    return stream


def listed(items: Iterator[Any], *, is_sent: bool) -> list[Any]:
    """List what must be pulled, each item as it is when it comes if it `is_sent` to another process."""
    if not is_sent or is_still(items):
        return list(items)
    things: list[Any] = []
    Snapshots(shares_files=True).gather(items, things)
    return things


def is_still(iterator: Iterator[Any]) -> bool:
    """Whether it gives what is at hand and no code of the caller's runs, so that nothing changes while it is pulled."""
    if type(iterator) in STILL:
        return True
    if type(iterator) not in HANDING_ON:
        return False
    parts = get_referents(iterator)
    several = [part for parts in parts if type(parts) is tuple for part in parts]  # that `zip` takes from
    return all(is_still(part) for part in (*parts, *several) if isinstance(part, Iterator))


def at_hand(iterable: Any) -> Sequence[Any] | None:
    """Give items that are at hand, apart from a list or a set that may change; None if they must be pulled."""
    if type(iterable) in (*LISTABLE, list):
        return list(iterable)
    return iterable if _is_sliceable(iterable) else None


def _is_sliceable(thing: Any) -> bool:
    if type(thing) in SLICEABLE:
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(thing) is numpy.ndarray and bool(thing.ndim)
