"""The describer: things by their content, containers by what they hold, other objects by what they tell pickle."""

from __future__ import annotations

import copyreg
from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import chain, islice, repeat
from operator import itemgetter
from types import FunctionType, ModuleType
from typing import Any, ClassVar

from allcores._journal.digest.arrays import describe_array, is_array
from allcores._journal.digest.names import CachedFunction, type_name
from allcores._journal.digest.undigestible import Undigestible, explain
from allcores._journal.digest.words import SIMPLE, text, word, words

__all__ = ["DEFINITIONS", "Describer", "Ways"]

Ways = dict[int, Callable[[Any, Any], bytes]]  # {id of a type: method of a describer}

DEFINITIONS = (FunctionType, type, CachedFunction)
PATIENCE = 10_000  # objects to be described again, which circles through sets can do without end: a fifth of a second


class Describer:
    """Describes things by their content, piece by piece; one for each thing that is asked for.

    A thing that is met again while it is being described is so many levels up. One that was described before, and that
    such a reference led out of, has a number: else circles could be gone round in more ways than there is time for.
    """

    def __init__(self) -> None:
        self._path: dict[int, int] = {}  # {id: level} of what is being described
        self._circles: dict[int, tuple[Any, int]] = {}  # {id: (thing, number)} of what refers to the path, or to these
        self._long: dict[int, tuple[Any, bytes]] = {}  # {id: (thing, description)} of other things that took a while
        self._references = 0
        self._forgotten = 0

    def describe(self, thing: Any) -> bytes:
        """Give a word that tells the thing by its content. Raises whatever the thing's own methods raise."""
        simple = SIMPLE.get(id(type(thing)))
        if simple is not None:
            return simple(thing)
        if id(thing) in self._long:
            return self._long[id(thing)][1]
        return self._refer_to(thing) or self._describe_new(thing)

    def _refer_to(self, thing: Any) -> bytes:
        """Refer to a thing that was met before; give nothing for one that wasn't."""
        if id(thing) in self._path:
            self._references += 1
            return b"up %x;" % (len(self._path) - self._path[id(thing)])
        if id(thing) in self._circles:
            self._references += 1
            return b"met %x;" % self._circles[id(thing)][1]
        return b""

    def _describe_new(self, thing: Any) -> bytes:
        references = self._references
        self._path[id(thing)] = len(self._path)
        way = self.ways.get(id(type(thing)))
        try:
            description = self._describe_other(thing) if way is None else way(self, thing)
        finally:
            del self._path[id(thing)]
        if self._references > references:
            self._circles[id(thing)] = thing, len(self._circles)
        elif b"#" in description:  # else it is short, and so is the way to it
            self._long[id(thing)] = thing, description
        return description

    def _describe_unordered(self, thing: Any) -> bytes:
        """Describe an element of what has no order, as if nothing in the elements before had been met."""
        simple = SIMPLE.get(id(type(thing)))
        if simple is not None:
            return simple(thing)
        met = len(self._circles)
        description = self.describe(thing)
        while len(self._circles) > met:
            self._circles.popitem()
            self._forgotten += 1
        if self._forgotten > PATIENCE:
            raise Undigestible(f"a {type_name(type(thing))} refers to others, and they to it, in too many ways")
        return description

    def _describe_other(self, thing: Any) -> bytes:
        kind = type(thing)
        if issubclass(kind, DEFINITIONS):
            return self._describe_definition(thing)
        if is_array(kind):
            return describe_array(thing, self.describe)
        return self._describe_reduced(thing)

    def _describe_definition(self, definition: Any) -> bytes:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------- containers

    def _describe_tuple(self, things: tuple[Any, ...]) -> bytes:
        return words(b"tuple", [*map(self.describe, things)])

    def _describe_list(self, things: list[Any]) -> bytes:
        return words(b"list", [*map(self.describe, things)])

    def _describe_set(self, things: Iterable[Any]) -> bytes:
        return words(b"set", sorted(map(self._describe_unordered, things)))

    def _describe_frozenset(self, things: frozenset[Any]) -> bytes:
        return words(b"frozenset", [self._describe_set(things)])

    def _describe_dict(self, things: dict[Any, Any]) -> bytes:
        return self._describe_pairs(things.items(), is_ordered=False)

    def _describe_pairs(self, pairs: Iterable[tuple[Any, Any]], *, is_ordered: bool) -> bytes:
        entries = [(self._describe_unordered(key), value) for key, value in pairs]
        if not is_ordered:
            entries.sort(key=itemgetter(0))
        values = [*map(self.describe, map(itemgetter(1), entries))]
        return words(b"dict", [key + value for (key, _), value in zip(entries, values, strict=True)])

    def _describe_memoryview(self, view: memoryview) -> bytes:
        return words(b"memoryview", map(self.describe, (view.format, view.shape, view.tobytes())))

    # ---------------------------------------------------------------------------------------------------- objects

    def _describe_reduced(self, thing: Any) -> bytes:
        """Describe any other object by what it tells pickle."""
        kind = type(thing)
        parts = _reduce(thing)
        if isinstance(parts, str):
            return text(b"global", f"{type_name(kind)}:{getattr(thing, '__module__', None)}:{parts}")
        function, arguments, state, items, pairs, setter = islice(chain(parts, repeat(None)), 6)
        if issubclass(kind, (set, frozenset)) and function is kind:
            # The elements are a list, in the order of their hashes.
            arguments = [self._describe_set(part) if type(part) is list else part for part in arguments]
        pieces = [*map(self.describe, (function, arguments, state, setter))]
        if items is not None:
            pieces.append(self._describe_list(items))
        if pairs is not None:
            pieces.append(self._describe_pairs(pairs, is_ordered=issubclass(kind, OrderedDict)))
        return words(b"object", pieces)

    ways: ClassVar[Ways] = {  # by address, as in `SIMPLE`
        id(tuple): _describe_tuple,
        id(list): _describe_list,
        id(set): _describe_set,
        id(frozenset): _describe_frozenset,
        id(dict): _describe_dict,
        id(memoryview): _describe_memoryview,
        id(bytearray): lambda _, content: word(b"bytearray", content),
        id(ModuleType): lambda _, module: text(b"module", module.__name__),
    }


def _reduce(thing: Any) -> Any:
    """Give what pickle would be given."""
    kind = type(thing)
    try:
        for registered, reducer in copyreg.dispatch_table.items():
            if registered is kind:
                return reducer(thing)
        return thing.__reduce_ex__(4)
    except RecursionError:
        raise
    except Exception as error:  # it may raise anything
        raise explain(kind, error) from error
