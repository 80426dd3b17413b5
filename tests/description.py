"""Descriptions of values, which tell whatever a program might notice of them: types, flags, bits, and who is who.

A description is plain data and the same in every process, so that it may be made in a worker and compared elsewhere.
"""

from __future__ import annotations

import array
import collections
import copy
import enum
import functools
import io
import struct
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

MADE_AGAIN = {"__dict__", "__weakref__", "_abc_impl", "__slotnames__", "__annotations_cache__"}  # of a class
OF_ENUMS = {"_value2member_map_", "__new__", "__new_member__", "_generate_next_value_", "__slots__"}
OF_INSTANCES = {"_sort_order_", "_inverted_", "__objclass__", "_mmap", "_basedict", "_optinfo"}  # made when needed
IN_C = ("pathlib", "functools", "operator")  # modules whose classes have slots of their own
SHOWN = ("typing", "types", "collections.abc", "re", "builtins", "operator")  # modules whose things' text says all
FIELDS = ("errno", "filename", "name", "path", "start", "value", "code")  # of exceptions
HEAP_TYPE = 1 << 9


class Describer:
    """Describes values; what has been met before is called by its number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []

    def __call__(self, thing: Any) -> Any:
        kind = type(thing)
        if kind in (int, bool, type(None), str, bytes):
            return kind.__name__, thing
        if kind in (float, complex):
            return kind.__name__, struct.pack("=dd", thing.real, thing.imag)
        if id(thing) in self._numbers:
            return "met", self._numbers[id(thing)]
        self._numbers[id(thing)] = len(self._numbers)
        self._kept.append(thing)
        describe_it = next(how for kinds, how in HOW if isinstance(thing, kinds))
        return f"{kind.__module__}.{kind.__qualname__}", *describe_it(self, thing)

    def many(self, things: Any) -> list[Any]:
        return [self(thing) for thing in things]

    def of_class(self, cls: type) -> Iterator[Any]:
        yield cls.__name__, cls.__qualname__, cls.__module__, self.many(cls.__bases__)
        is_local = "<locals>" in cls.__qualname__ or cls.__module__ in ("builtins", "made_at_run_time")
        if not (cls.__flags__ & HEAP_TYPE and is_local):
            return
        told = int, str, float, bool, list, types.FunctionType, property, staticmethod, classmethod, enum.Enum
        for name, value in sorted(vars(cls).items()):
            if isinstance(value, tuple):
                yield name, self.many(value)
            elif name not in MADE_AGAIN:
                yield name, self(value) if isinstance(value, told) and name not in OF_ENUMS else type(value).__name__

    def of_function(self, function: Any) -> Iterator[Any]:
        code = function.__code__
        yield function.__qualname__, function.__module__, code.co_filename, code.co_firstlineno, code.co_code
        yield self(function.__defaults__), self(function.__kwdefaults__), sorted(function.__annotations__)
        yield self(dict(function.__dict__))
        for cell in function.__closure__ or ():
            try:
                yield self(cell.cell_contents)
            except ValueError:
                yield "empty"

    def of_method(self, method: Any) -> Iterator[Any]:
        yield self(method.__func__)
        yield self(method.__self__)

    def of_builtin_method(self, method: Any) -> Iterator[Any]:
        owner = method.__self__
        yield method.__qualname__
        yield owner.__name__ if isinstance(owner, types.ModuleType | type) else self(owner)

    def of_array(self, made: Any) -> Iterator[Any]:
        yield repr(made.dtype), dict(made.dtype.metadata or {}), made.shape
        if isinstance(made, np.ndarray):
            yield made.flags.writeable, made.flags.f_contiguous and not made.flags.c_contiguous
        if isinstance(made, np.ma.MaskedArray):
            yield made.hardmask, made.fill_value, made.mask.tolist(), repr(made)
        elif made.dtype.hasobject:
            yield self(np.asarray(made).tolist())
        else:
            yield repr(made) if made.dtype.char in "gG" else np.asarray(made).tobytes()
        yield from self.of_object(made)

    def of_dtype(self, dtype: Any) -> Iterator[Any]:
        yield repr(dtype), dict(dtype.metadata or {})

    def of_view(self, view: memoryview) -> Iterator[Any]:
        yield view.format.removeprefix("<"), view.shape, view.readonly, view.tobytes()

    def of_member(self, member: Any) -> Iterator[Any]:
        yield member._name_, self(member._value_), type(member)(member) is member
        yield from self.of_object(member)

    def of_exception(self, error: BaseException) -> Iterator[Any]:
        yield self.many(error.args), str(error), [getattr(error, name, None) for name in FIELDS]
        yield from self.of_object(error)

    def of_dict(self, thing: Any) -> Iterator[Any]:
        yield [self.many(pair) for pair in dict.items(thing)]
        yield self(getattr(thing, "default_factory", None))
        yield from self.of_object(thing)

    def of_sequence(self, thing: Any) -> Iterator[Any]:
        yield self.many(thing), getattr(thing, "maxlen", None), getattr(thing, "typecode", None)
        yield from self.of_object(thing)

    def of_set(self, thing: Any) -> Iterator[Any]:
        yield sorted((describe(one) for one in thing), key=repr)
        yield from self.of_object(thing)

    def of_scalar(self, thing: Any) -> Iterator[Any]:
        plain = next(kind for kind in (int, float, complex, str, bytes, bytearray) if isinstance(thing, kind))
        yield describe(bytes(thing) if plain is bytearray else plain(thing))
        yield from self.of_object(thing)

    def of_partial(self, thing: Any) -> Iterator[Any]:
        yield self(thing.func), self(thing.args), self(thing.keywords)
        yield from self.of_object(thing)

    def of_other(self, thing: Any) -> Iterator[Any]:
        kind = type(thing)
        is_told = kind.__repr__ is not object.__repr__ and (
            kind.__module__ in SHOWN or not isinstance(getattr(thing, "__dict__", None), dict)
        )
        if is_told:
            yield repr(thing)
        yield from self.of_object(thing)

    def of_object(self, thing: Any) -> Iterator[Any]:
        """Describe attributes, and what is in slots."""
        held = getattr(thing, "__dict__", None)
        if type(held) is dict:
            yield [(name, self(value)) for name, value in held.items() if name not in OF_INSTANCES]
        for cls in type(thing).__mro__:
            for name, slot in vars(cls).items():
                if isinstance(slot, types.MemberDescriptorType) and cls.__module__ not in IN_C:
                    yield name, self(getattr(thing, name)) if hasattr(thing, name) else "unset"


HOW: tuple[tuple[Any, Any], ...] = (
    (type, Describer.of_class),
    (types.FunctionType, Describer.of_function),
    (types.MethodType, Describer.of_method),
    ((types.BuiltinMethodType, types.MethodWrapperType), Describer.of_builtin_method),
    ((np.ndarray, np.generic), Describer.of_array),
    (np.dtype, Describer.of_dtype),
    (memoryview, Describer.of_view),
    (enum.Enum, Describer.of_member),
    (BaseException, Describer.of_exception),
    (types.ModuleType, lambda _, module: [module.__name__]),
    (property, lambda describer, made: [describer(made.fget)]),
    ((staticmethod, classmethod), lambda describer, made: [describer(made.__func__)]),
    (
        (collections.abc.KeysView, collections.abc.ValuesView, collections.abc.ItemsView),
        lambda describer, view: describer.many(view),
    ),
    (types.MappingProxyType, lambda describer, proxy: describer.many(proxy.items())),
    (io.BytesIO, lambda _, file: [file.getvalue(), file.tell()]),
    (collections.abc.Iterator, lambda describer, iterator: describer.many(copy.deepcopy(iterator))),
    (np.random.Generator, lambda _, generator: [str(generator.bit_generator.state)]),
    (dict, Describer.of_dict),
    ((list, tuple, collections.deque, array.array), Describer.of_sequence),
    ((set, frozenset), Describer.of_set),
    ((int, float, complex, str, bytes, bytearray), Describer.of_scalar),
    (functools.partial, Describer.of_partial),
    (object, Describer.of_other),
)


def describe(thing: Any) -> Any:
    """Give a description of the thing."""
    return Describer()(thing)
