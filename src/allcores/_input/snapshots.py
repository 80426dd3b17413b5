"""Things as they are now, safe from whoever else may change them: items when they are yielded, results when returned.

A generator may yield the same row again with other values in it, and a function fill the same buffer each time. In a
plain loop that goes well, as each is used before the next comes; here items are pulled ahead, and results travel
together. So a thing is looked at before its maker goes on: if it cannot change, or nobody else has it (`ownership`),
it is safe as it is; else a copy is made, by way of pickle, as it would travel.

Something large often comes unchanged with every item, such as a model beside a row. As long as its pickle is the same,
one copy serves, so that memory holds it once, and a batch brings it once.

Two things need more. A group of `itertools.groupby` is lost once the next one begins, so it is listed. And an iterator
that comes with one item after another would give each of them the same: from the second time on it is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from gc import get_referents
from itertools import chain, compress
from sys import getrefcount

from allcores._codec.mapped import maps_file
from allcores._core.hints import Any
from allcores._core.kinds import type_name
from allcores._core.records import Record
from allcores._input.copier import Copier, InputError, Pickled, PickledThing, unpickle
from allcores._input.ownership import (
    CONSTANT,
    GROUP,
    WAYS,
    has_only_constants,
    is_constant,
    is_iterator,
    never_changes,
    way_to_ask,
)
from allcores._objects.asking import ask

__all__ = ["Snapshots"]

LARGE = 1 << 16  # bytes: of a smaller thing, each copy is a new one
STEP = 1 << 20  # bytes that are compared at a time
MOST_ITERATORS = 16  # that are remembered


class _Copied(Record):
    """What was copied together last, and how."""

    things: tuple[Any, ...] = ()
    data: bytes = b""
    buffers: tuple[bytearray, ...] = ()
    kept: tuple[Any, ...] = ()  # what the copies share with the things
    copies: tuple[Any, ...] = ()


class Snapshots:
    """Takes snapshots of things that come one after another, each before the next one is made.

    Args:
        shares_files: whether arrays that map a file stay as they are, as others will map it, too.
        is_to_travel: whether all that is done with copies is to send them, so that what the user's own code makes again
            need not be made here.

    Attributes:
        kind: a type whose own instances never change: the last such thing was one. A loop over many first asks whether
            a thing is of it, which is quickest.
    """

    def __init__(self, *, shares_files: bool, is_to_travel: bool = False) -> None:
        self.kind: type = int
        self._shares_files = shares_files
        self._is_to_travel = is_to_travel
        self._last = _Copied()
        self._last_array: tuple[Any, Any] = (None, None)  # and its copy
        self._iterators: list[object] = []  # that have come lately

    def gather(self, things: Iterable[Any], gathered: list[Any]) -> None:
        """Add things to a list, each as it is when it comes; what came before an exception is there."""
        kind, take = self.kind, self.take
        for thing in things:
            if type(thing) is kind:
                gathered.append(thing)
            else:
                gathered.append(take(thing))
                kind = self.kind

    def take(self, thing: Any) -> Any:
        """Give the thing as it is now, itself or a copy.

        It is to be called as in `gather`: with a variable that has the only reference which the caller knows of.

        Raises:
            Exception: what a group of items raised while it was listed, which is the input's own.
        """
        is_alone = getrefcount(thing) <= ALONE
        kind = type(thing)
        try:
            if kind is tuple:
                for part in thing:
                    if type(part) not in CONSTANT:
                        break
                else:
                    return thing
                del part  # it would count
            way = WAYS[kind] if kind in WAYS else way_to_ask(kind)
            if way is never_changes:
                self.kind = kind
                return thing
            if (is_alone and way(thing)) or is_constant(thing):
                return thing
        except Exception:  # noqa: S110 - a metaclass may say anything of its classes
            pass
        return self.copy(thing, is_alone=is_alone)

    def copy(self, thing: Any, *, is_alone: bool = False) -> Any:
        """Give a copy; or the thing itself if there can be none, as then it cannot travel either, which will be told.

        Args:
            thing: what may change.
            is_alone: whether only what is in it can change.

        Raises:
            Exception: as `take`.
        """
        try:
            return ask(self._copy_parts if is_alone else self._copy, thing)
        except InputError as error:
            raise error.error from None
        except _IteratorError as error:
            return _Refused(thing, str(error))
        except Exception:  # an object's pickling may raise anything
            return thing

    def _copy_parts(self, thing: Any) -> Any:
        """Copy what can change in a thing that nobody else has, so that none of its parts leads to it either."""
        kind = type(thing)
        if kind not in (tuple, list, dict):
            return self._copy(thing)
        self._refuse_known_iterators(thing)
        if kind is dict and not all(map(is_constant, thing)):
            return self._copy_together((thing,))[0]
        parts = list(thing.values()) if kind is dict else thing
        are_constant = list(map(is_constant, parts))
        changeable = tuple(compress(parts, (not is_so for is_so in are_constant)))
        copies = iter((self._copy(*changeable),) if len(changeable) == 1 else self._copy_together(changeable))
        copied = [part if is_so else next(copies) for part, is_so in zip(parts, are_constant, strict=True)]
        return dict(zip(thing, copied, strict=True)) if kind is dict else kind(copied)

    def _copy(self, thing: Any) -> Any:
        kind = type(thing)
        if _is_array_of_numbers(thing):
            return self._copy_array(thing)
        if kind in (list, dict, set) and has_only_constants(thing):
            return thing.copy()
        if kind is bytearray:
            return bytearray(thing)
        self._refuse_known_iterators(thing)
        return self._copy_together((thing,))[0]

    def _copy_together(self, things: tuple[Any, ...]) -> tuple[Any, ...]:
        """Copy things that may share others."""
        if len(things) == 1 and _is_array_of_numbers(things[0]):
            return (self._copy_array(things[0]),)
        copier = Copier(shares_files=self._shares_files)
        data = copier.pickle(things)
        last, buffers, kept = self._last, tuple(copier.buffers), tuple(copier.kept)
        have_come_again = _are_same(things, last.things) and _are_same(kept, last.kept)
        if have_come_again and (data, buffers) == (last.data, last.buffers):
            return last.copies
        copies: tuple[Any, ...]
        if self._is_to_travel and copier.met_ways:
            pickled = Pickled(things, data, copier.buffers, copier.kept)
            copies = tuple(PickledThing(pickled, position) for position in range(len(things)))
        else:
            copies = unpickle(data, copier.buffers, copier.kept)
        if len(data) + sum(map(len, buffers)) >= LARGE:
            self._last = _Copied(things, data, buffers, kept, copies)
        return copies

    def _copy_array(self, array: Any) -> Any:
        if self._shares_files and maps_file(array):
            return array
        before, copied = self._last_array
        if before is array and _has_same_numbers(array, copied):
            return copied
        copied = array.copy("K" if array.flags.forc else "C")  # in the order in which it would arrive
        if not array.flags.writeable:
            copied.flags.writeable = False
        if array.nbytes >= LARGE:
            self._last_array = array, copied
        return copied

    def _refuse_known_iterators(self, thing: Any) -> None:
        parts = thing.values() if type(thing) is dict else thing if type(thing) in (tuple, list) else (thing,)
        for part in parts:
            for iterator in _iterators_behind(part):
                if any(iterator is one for one in self._iterators):
                    raise _IteratorError(type_name(iterator))
                self._iterators = [*self._iterators[1 - MOST_ITERATORS :], iterator]


# ------------------------------------------------------------------------------------------------------ comparing


def _are_same(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))


def _is_array_of_numbers(thing: Any) -> bool:
    """Whether it is an array that `copy` copies whole: not the gaps between the fields of records."""
    is_array = type(thing) is getattr(sys.modules.get("numpy"), "ndarray", None)
    return is_array and not thing.dtype.hasobject and thing.dtype.names is None


def _has_same_numbers(array: Any, other: Any) -> bool:
    """Whether two arrays of one shape, with their numbers in one order, have the same bytes."""
    if array.shape != other.shape or array.dtype != other.dtype or array.strides != other.strides:
        return False
    ours, theirs = (one.reshape(-1, order="A").view("u1") for one in (array, other))
    return all((ours[at : at + STEP] == theirs[at : at + STEP]).all() for at in range(0, len(ours), STEP))


# --------------------------------------------------------------------------------------- what is used up by a look


class _IteratorError(Exception):
    """An iterator comes with one thing after another."""


class _Refused:
    """Stands for a thing that would arrive as something else; it cannot be pickled, and says why."""

    def __init__(self, thing: Any, iterator: str) -> None:
        self._thing = thing
        self._iterator = iterator

    def __reduce__(self) -> Any:
        raise TypeError(
            f"the same {self._iterator} came with an earlier one, and workers cannot share what is left of it; "
            "use a list of what belongs to each"
        )

    def __repr__(self) -> str:
        return repr(self._thing)


def _iterators_behind(thing: Any) -> Iterator[object]:
    """Give an iterator, and those that it takes from; of other things none."""
    if is_iterator(thing) and type(thing) is not GROUP:
        yield thing
        parts = get_referents(thing)
        several = [part for part in parts if type(part) is tuple]  # that `zip` takes from
        for part in chain(parts, *several):
            yield from _iterators_behind(part)


class _Gauge(Snapshots):
    """Counts references where `Snapshots` does."""

    def take(self, thing: Any) -> Any:
        return getrefcount(thing)


def _count_of_new() -> int:
    counts: list[int] = []
    _Gauge(shares_files=False).gather(map(_make, (object,)), counts)
    return counts[0]


def _make(kind: type) -> object:
    return kind()


ALONE = _count_of_new()  # references to a thing that nobody has but whoever asks
