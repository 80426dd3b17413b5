"""What a thing consists of at a moment, so that it can be told later, or by another process, whether it has changed.

A name that stands for the same object may stand for something else all the same: a dict was filled, a class got another
attribute, a module was edited and loaded again. So what a worker has is compared by what it consists of: functions by
their code and all that is bound to them, classes by their attributes, anything else by what pickle makes of it. That
is the same in two processes which have made it in the same way; where it differs although it is equal, as the order of
a set may, the thing travels once in vain.
"""

from __future__ import annotations

import functools
import pickle
import sys
import zlib
from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType

from allcores._codec.definitions.user_modules import is_of_user
from allcores._core.hints import Any, TypeAlias
from allcores._core.kinds import is_a
from allcores._objects.asking import ask

__all__ = ["Contents", "Inspection", "is_fixed"]

Contents: TypeAlias = Any  # what can be compared, and pickled; None for what cannot be told
Reduction: TypeAlias = "Callable[[Any], Iterable[Any]]"

PROTOCOL = 5
FIXED = frozenset(
    {bool, bytes, complex, float, int, str, type(None), type(...), range, ModuleType, BuiltinFunctionType}
)
# Where random generators are from, of which no two processes must have the same.
CHANCE = frozenset({"random", "numpy.random._generator", "numpy.random.mtrand", "numpy.random.bit_generator"})
SCALARS = frozenset({bool, complex, float, int, type(None), type(...)})
CONTAINERS = frozenset({dict, list, tuple})
MANY_ELEMENTS = 1000
MANY_CODES = 10_000  # digests that are kept

# What Python itself notes down in a class, and what is no attribute of the user's.
NOT_OURS = frozenset({"__dict__", "__weakref__", "__doc__", "__module__", "__slotnames__", "_abc_impl"})
# What enumerations note down as they are used.
NOT_OURS |= {"_value2member_map_", "_hashable_values_", "_unhashable_values_", "_unhashable_values_map_", "_inverted_"}

_CachedFunction = type(functools.cache(lambda: None))
_codes: dict[int, tuple[CodeType, int]] = {}  # {id: (code, digest)}


def is_fixed(thing: Any) -> bool:
    """Whether a thing is of a type whose instances consist of the same for ever."""
    return type(thing) in FIXED


class Inspection:
    """Looks at things, at each only once.

    Args:
        is_only: whether workers hear of no other inspection, so that what they are sent need not be compared later.
    """

    def __init__(self, *, is_only: bool = False) -> None:
        self.is_only = is_only
        self._seen: dict[int, tuple[Any, Contents]] = {}  # {id: (thing, contents)}
        self._path: set[int] = set()  # what is being looked at
        self._largest = sys.maxsize

    def contents(self, thing: Any, largest: int = sys.maxsize) -> Contents:
        """Tell what a thing consists of, the same for each that is equal to it.

        Args:
            thing: a definition, or anything else.
            largest: how many bytes of what is no definition are looked at.

        Returns:
            Something to be compared, and pickled; None where nobody can tell, or there is more.
        """
        seen = self._seen.get(id(thing))
        if seen is not None:
            return seen[1]
        self._largest = largest
        try:
            contents = ask(self.at, thing)
        except Exception:  # a metaclass may raise anything, and other threads may be changing what is looked at
            contents = None
        self._seen[id(thing)] = thing, contents
        return contents

    def at(self, thing: Any) -> Contents:
        """Look at a thing, or a part of one."""
        kind = type(thing)
        if kind in SCALARS:
            return kind.__name__, repr(thing)
        look = _LOOKS.get(kind)
        if look is None and not is_a(thing, type):
            return self._at_other(thing)
        if id(thing) in self._path:
            return ("again",)
        self._path.add(id(thing))
        try:
            return self._at_class(thing) if look is None else look(self, thing)
        finally:
            self._path.discard(id(thing))

    def _at_other(self, thing: Any) -> Contents:
        if type(thing).__module__ in CHANCE:
            return "generator", type(thing).__qualname__
        try:
            return _hash_pickle(thing, self._largest)
        except _TooLarge:
            return None
        except Exception:  # an object's pickling may raise anything
            return self._at_elements(thing)

    def _at_elements(self, thing: Any) -> Contents:
        """Look at what cannot be pickled by reference: there may be functions in it that no module holds."""
        kind = type(thing)
        if kind not in CONTAINERS or len(thing) > MANY_ELEMENTS or id(thing) in self._path:
            return None
        self._path.add(id(thing))
        try:
            elements = thing.items() if kind is dict else thing
            found = tuple(tuple(map(self.at, each)) if kind is dict else self.at(each) for each in elements)
            return (kind.__name__, found) if any(found) else None
        finally:
            self._path.discard(id(thing))

    def at_function(self, function: FunctionType) -> Contents:
        """Look at a function."""
        bound = (function.__defaults__, function.__kwdefaults__, function.__closure__, function.__dict__)
        digest = _digest(function.__code__)
        return ("function", digest, *map(self._at_bound, bound)) if any(bound) else digest

    def _at_bound(self, bound: Any) -> Contents:
        if isinstance(bound, dict):
            return tuple((name, self.at(value)) for name, value in bound.items())
        return tuple(map(self.at, bound or ()))

    def at_cell(self, cell: CellType) -> Contents:
        """Look at a variable of an enclosing function."""
        try:
            return self.at(cell.cell_contents)
        except ValueError:  # the variable has no value yet
            return ("empty",)

    def _at_class(self, kind: type) -> Contents:
        if not is_of_user(kind):
            return "named", kind.__module__, kind.__qualname__
        attributes = sorted((name, value) for name, value in vars(kind).items() if name not in NOT_OURS)
        bases = tuple((base.__module__, base.__qualname__) for base in kind.__bases__)
        return "class", bases, tuple((name, self.at(value)) for name, value in attributes)

    def at_parts(self, thing: Any) -> Contents:
        """Look at what is made of others that it hands out."""
        return type(thing).__name__, tuple(map(self.at, _PARTS[type(thing)](thing)))


_PARTS: dict[type, Reduction] = {
    MethodType: lambda method: (method.__func__, method.__self__),
    functools.partial: lambda partial: (partial.func, partial.args, partial.keywords),
    property: lambda made: (made.fget, made.fset, made.fdel),
    staticmethod: lambda method: (method.__func__,),
    classmethod: lambda method: (method.__func__,),
    functools.cached_property: lambda cached: (cached.func,),
    _CachedFunction: lambda cached: (cached.__wrapped__,),
}
_LOOKS: dict[type, Callable[[Inspection, Any], Contents]] = {
    FunctionType: Inspection.at_function,
    CellType: Inspection.at_cell,
    ModuleType: lambda _, module: ("module", module.__name__),
    **dict.fromkeys(_PARTS, Inspection.at_parts),
}


# ---------------------------------------------------------------------------------------------------------- code


def _digest(code: CodeType) -> int:
    """Give a number that tells a code object by all that shows when it runs, its place in the file included."""
    known = _codes.get(id(code))
    if known is None:
        if len(_codes) >= MANY_CODES:
            _codes.clear()
        known = _codes[id(code)] = code, _hash(repr(_describe(code)).encode("utf-8", "surrogatepass"))
    return known[1]


def _describe(code: CodeType) -> tuple[Any, ...]:
    names = code.co_qualname, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_firstlineno
    return names, counts, code.co_code, code.co_linetable, code.co_exceptiontable, [*map(_constant, code.co_consts)]


def _constant(constant: Any) -> Any:
    if isinstance(constant, CodeType):
        return _describe(constant)
    if isinstance(constant, frozenset):  # in an order that hangs on the process
        return sorted(map(repr, constant))
    return type(constant).__name__, constant


# ------------------------------------------------------------------------------------------------------ anything


class _TooLarge(Exception):
    """There is more than is looked at."""


class _Hasher:
    """The file that a pickle goes to: it keeps nothing but the hash."""

    __slots__ = ("_room", "hash")

    def __init__(self, largest: int) -> None:
        self.hash = 0
        self._room = largest

    def write(self, data: Any) -> None:
        """Take a part of the pickle."""
        self._room -= len(data)
        if self._room < 0:
            raise _TooLarge
        self.hash = _hash(data, self.hash)

    def take(self, buffer: pickle.PickleBuffer) -> bool:
        """Take a large buffer past the pickle, which would copy it; True if it must go in there all the same."""
        try:
            self.write(buffer.raw())
        except BufferError:  # not contiguous
            return True
        return False


def _hash(data: Any, before: int = 0) -> int:
    """Mix two checksums of 32 bits, which are several times as fast as one that withstands malice."""
    return zlib.crc32(data, before & 0xFFFFFFFF) | zlib.adler32(data, before >> 32 or 1) << 32


def _hash_pickle(thing: Any, largest: int) -> Contents:
    hasher = _Hasher(largest)
    pickle.Pickler(hasher, PROTOCOL, buffer_callback=hasher.take).dump(thing)
    return type(thing).__qualname__, hasher.hash
