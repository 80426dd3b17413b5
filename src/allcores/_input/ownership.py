"""Whether a thing can change behind our back: if it cannot change at all, or nobody else can reach it.

A generator may go on to change what it has yielded, and a function what it has returned, if they have kept it. Who has
a thing can be counted: CPython knows how many references there are to an object. So one to which we have the only
reference, and which has the only one to each thing in it that can change, is ours alone. To look costs a fraction of
what a copy does, and most things that generators and functions make are new.

How many references are the only one hangs on where one looks from, and on Python's version: it is measured when this is
imported, on new objects. Where that, or what a type keeps to itself, is in doubt, a thing passes for shared.
"""

from __future__ import annotations

import sys
from _weakref import getweakrefcount
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from gc import get_referents
from io import BytesIO, StringIO
from itertools import groupby
from sys import getrefcount
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
    WrapperDescriptorType,
)

from allcores._core.hints import Any

__all__ = [
    "CONSTANT",
    "GROUP",
    "WAYS",
    "has_all_to_itself",
    "has_only_constants",
    "is_constant",
    "is_iterator",
    "never_changes",
    "way_to_ask",
]

CONSTANT_TYPES: tuple[type, ...] = (
    *(int, float, complex, bool, str, bytes, range, type, object),
    *(type(None), type(...), type(NotImplemented)),
    *(ModuleType, CodeType, MethodDescriptorType, WrapperDescriptorType),
)
CONSTANT = set(CONSTANT_TYPES)  # types whose own instances never change; more are found out later
CONSTANTS_OF_MODULES = {
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "pandas": ("Interval", "Period", "Timedelta", "Timestamp"),
    "pathlib": ("Path", "PosixPath", "PurePath", "PurePosixPath", "PureWindowsPath", "WindowsPath"),
    "re": ("Pattern",),
    "uuid": ("UUID",),
    "zoneinfo": ("ZoneInfo",),
}

# Whatever an instance has can be found among its referents. Of other types that Python code has not made, nobody knows.
OPEN_TYPES = (
    *(list, tuple, dict, set, frozenset, slice),
    *(OrderedDict, defaultdict, deque, partial, MethodType, BuiltinFunctionType, SimpleNamespace),
)
BASES = (*OPEN_TYPES, object, int, float, complex, str, bytes)  # and so of types that are made of these

FIXED_TYPE, HEAP_TYPE = 1 << 8, 1 << 9  # in a type's flags: nobody can change it; it was made at run time
DEPTH = 50  # things within things
GROUP = type(next(groupby([0]))[1])  # which ends when the next one begins
KNOWN_TYPES = 10_000  # that are kept alive as they are known; of later ones everything is found out each time


def _count_of_part(thing: list[object]) -> int:
    for part in get_referents(thing):
        return getrefcount(part)
    return 0


# What these count of an object that nothing refers to but what was asked for its referents, or for its attribute.
_HOLDER = slice(object())
ONE_HOLDER = _count_of_part([object()])
ONE_ATTRIBUTE = getrefcount(_HOLDER.stop)


WAYS: dict[type, Callable[..., bool]] = {}  # {type: how to ask whether an instance has all in it to itself}
_ITERATORS: set[type] = set()


def is_constant(thing: Any) -> bool:
    """Whether it never changes, nor anything in it."""
    kind = type(thing)
    if kind in CONSTANT:
        return True
    if kind is tuple or kind is frozenset:
        return all(map(is_constant, thing))
    if kind is FunctionType:
        return _is_constant_function(thing)
    if kind is BuiltinFunctionType:
        return is_constant(thing.__self__)
    if kind not in WAYS:
        way_to_ask(kind)
    return kind in CONSTANT


def is_iterator(thing: object) -> bool:
    """Whether to look at it is to change it; streams in memory can be copied."""
    kind = type(thing)
    if kind not in WAYS:
        way_to_ask(kind)
    return kind in _ITERATORS and kind not in (BytesIO, StringIO)


def has_all_to_itself(thing: Any) -> bool:
    """Whether a thing that nobody else has is all that leads to whatever in it can change."""
    kind = type(thing)
    return (WAYS.get(kind) or way_to_ask(kind))(thing)


def way_to_ask(kind: type) -> Callable[..., bool]:
    """Give what `has_all_to_itself` asks with, and keep it in `WAYS`, where to look for it first is quicker."""
    way = _find_way_to_ask(kind)
    if len(WAYS) < KNOWN_TYPES:
        WAYS[kind] = way
        if _is_constant(kind):
            CONSTANT.add(kind)
        if any("__next__" in vars(base) for base in kind.__mro__):
            _ITERATORS.add(kind)
    return way


def has_only_constants(thing: Any) -> bool:
    """Whether nothing in a list, tuple, set or dict can change."""
    if type(thing) is dict:
        for key in thing:
            if type(key) is not str and not is_constant(key):
                return False
        thing = thing.values()
    for part in thing:  # noqa: SIM110 - a generator takes twice as long
        if type(part) not in CONSTANT and not is_constant(part):
            return False
    return True


# ------------------------------------------------------------------------------------------------------- constants


def _is_constant(kind: type) -> bool:
    if kind in CONSTANT or issubclass(kind, type):
        return True
    numpy, enum = sys.modules.get("numpy"), sys.modules.get("enum")
    if not kind.__flags__ & HEAP_TYPE and _is_number_of(numpy, kind):
        return True
    if numpy is not None and issubclass(kind, getattr(numpy, "dtype", ())):
        return True
    return (enum is not None and issubclass(kind, enum.Enum)) or any(kind is one for one in _constants_of_modules())


def _is_number_of(numpy: Any, kind: type) -> bool:
    """Whether it is one of NumPy's own scalars, of which the structured ones are parts of arrays."""
    generic, void = getattr(numpy, "generic", ()), getattr(numpy, "void", ())
    return issubclass(kind, generic) and not issubclass(kind, void)


def _constants_of_modules() -> Iterable[object]:
    for name, names in CONSTANTS_OF_MODULES.items():
        module = sys.modules.get(name)
        yield from (getattr(module, one, None) for one in names if module is not None)


def _is_constant_function(function: Any) -> bool:
    """Whether it is found by its name, or has no variables of another function's, and no default that can change."""
    if function.__closure__ is not None:
        return _is_found_by_name(function)
    more = (function.__kwdefaults__ or {}) | function.__dict__
    return (is_constant(function.__defaults__) and has_only_constants(more)) or _is_found_by_name(function)


def _is_found_by_name(function: Any) -> bool:
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


# -------------------------------------------------------------------------------------------------------- owners


def _find_way_to_ask(kind: type) -> Callable[..., bool]:
    if _is_constant(kind):
        return never_changes
    for kinds, way in _ways_of_types():
        if any(kind is one for one in kinds):
            return way
    if _is_open_iterator(kind):
        return _has_all_parts
    if _is_made_of_open(kind):
        return _has_all_parts_unwatched if kind.__weakrefoffset__ else _has_all_parts
    return _never


def _ways_of_types() -> Iterable[tuple[tuple[object, ...], Callable[..., bool]]]:
    array, numpy = sys.modules.get("array"), sys.modules.get("numpy")
    yield (dict,), _has_all_in_dict
    yield OPEN_TYPES, _has_all_parts
    yield (FunctionType,), _is_constant_alone
    yield (bytearray, getattr(array, "array", None)), _always  # whoever has a view of it has a reference to it
    yield (getattr(numpy, "ndarray", None),), _has_memory


def never_changes(_thing: object, _depth: int = DEPTH) -> bool:
    """Whether an instance of a type in `CONSTANT` has all to itself."""
    return True


def _always(_thing: object, _depth: int = DEPTH) -> bool:
    return True


def _never(_thing: object, _depth: int = DEPTH) -> bool:
    return False


def _is_constant_alone(function: object, _depth: int = DEPTH) -> bool:
    return _is_constant_function(function)


def _has_all_in_dict(thing: dict[Any, Any], depth: int = DEPTH) -> bool:
    return has_only_constants(thing) or _has_all_parts(thing, depth)


def _has_all_parts(thing: Any, depth: int = DEPTH) -> bool:
    for part in get_referents(thing):
        if type(part) not in CONSTANT and not is_constant(part):
            if getrefcount(part) > ONE_HOLDER or not depth:
                return False
            kind = type(part)
            if not (WAYS.get(kind) or way_to_ask(kind))(part, depth - 1):
                return False
    return True


def _has_all_parts_unwatched(thing: Any, depth: int = DEPTH) -> bool:
    """Ask likewise of what a weak reference may lead to as well, from a cache, say."""
    return not getweakrefcount(thing) and _has_all_parts(thing, depth)


def _has_memory(array: Any, _depth: int = DEPTH) -> bool:
    """Whether an array's numbers are its own, or those of a new array that it is a view of."""
    if array.dtype.hasobject or getweakrefcount(array):
        return False
    owns: bool = array.flags.owndata
    if not owns and type(array.base) is type(array) and getrefcount(array.base) <= ONE_ATTRIBUTE:
        owns = array.base.flags.owndata
    return owns


def _is_open_iterator(kind: type) -> bool:
    """Whether it is one of the iterators that Python itself has for what it can iterate over."""
    is_of_python = bool(kind.__flags__ & FIXED_TYPE) or not kind.__flags__ & HEAP_TYPE
    return (
        is_of_python and kind.__module__ in ("builtins", "itertools") and "__next__" in vars(kind) and kind is not GROUP
    )


def _is_made_of_open(kind: type) -> bool:
    """Whether instances have attributes and slots, beside what a type has that they are derived from, and no more."""
    base: type | None = kind
    while base is not None and not any(base is one for one in BASES):
        base = base.__base__
    if base is None or not kind.__flags__ & HEAP_TYPE:
        return False
    made_here = [one for one in kind.__mro__ if not issubclass(base, one)]
    slots = sum(type(value) is MemberDescriptorType for one in made_here for value in vars(one).values())
    plain = _size_with(base, has_dict=bool(kind.__dictoffset__), is_weak=bool(kind.__weakrefoffset__))
    return kind.__basicsize__ == plain + slots * tuple.__itemsize__


@lru_cache(maxsize=64)
def _size_with(base: type, *, has_dict: bool, is_weak: bool) -> int:
    """Give the size of instances of a class that has nothing but attributes and weak references."""
    wanted = {"__dict__": has_dict and not base.__dictoffset__, "__weakref__": is_weak and not base.__weakrefoffset__}
    slots = tuple(name for name, is_wanted in wanted.items() if is_wanted)
    is_plain = has_dict and bool(base.__itemsize__)  # such may have no slots but these, and they only unnamed
    return type("Derived", (base,), {} if is_plain else {"__slots__": slots}).__basicsize__
