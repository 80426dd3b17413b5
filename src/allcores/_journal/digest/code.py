"""Functions and classes by their code, and those that they lead to."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import chain
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, ClassVar

from allcores._journal.digest.bytecode import global_names, instructions
from allcores._journal.digest.describer import DEFINITIONS, Describer, Ways
from allcores._journal.digest.names import CachedFunction, goes_by_name, named, type_name
from allcores._journal.digest.words import SIMPLE, text, words

__all__ = ["CodeDescriber"]

HAS_DOCSTRING = 0x4000000  # CO_HAS_DOCSTRING, since Python 3.14
# Besides numbers, texts, bytes, enums and tuples: what a module or a class holds counts by value only if it stays.
IMMUTABLE = {
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "ellipsis",
    "fractions.Fraction",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
    "range",
    "re.Pattern",
}

_PARTS: dict[int, Callable[[Any], Iterable[Any]]] = {
    id(MethodType): lambda method: (method.__func__, method.__self__),
    id(functools.partial): lambda partial: (partial.func, *_arguments(partial)),
    id(functools.partialmethod): lambda method: (method.func, *_arguments(method)),
    id(functools.cached_property): lambda cached: (cached.func,),
    id(property): lambda made: (made.fget, made.fset, made.fdel),
    id(staticmethod): lambda method: (method.__func__,),
    id(classmethod): lambda method: (method.__func__,),
}


class CodeDescriber(Describer):
    """Describes functions and classes by their code, and those that they lead to.

    Args:
        homes: the modules whose functions and classes are described by code, even if they can be imported.
    """

    def __init__(self, homes: frozenset[str]) -> None:
        super().__init__()
        self._homes = homes
        self._definitions: list[Any] = []  # in the order they are met
        self._numbers: dict[int, int] = {}  # {id: index in the list}
        self._is_unordered = False

    def describe_all_of(self, function: Any) -> bytes:
        """Describe a function or a class and, one after another, all that it leads to."""
        pieces = [self._describe_leniently(function)]
        pieces.extend(self._describe_body(definition) for definition in self._definitions)  # which grows meanwhile
        return b"".join(pieces)

    def _describe_definition(self, definition: Any) -> bytes:
        if isinstance(definition, CachedFunction):
            return self.describe(definition.__wrapped__)
        if goes_by_name(definition, self._homes):
            return named(definition)
        if self._is_unordered:
            return named(definition) + self.describe(getattr(definition, "__code__", None))
        if id(definition) not in self._numbers:
            self._numbers[id(definition)] = len(self._definitions)
            self._definitions.append(definition)
        return b"definition %x;" % self._numbers[id(definition)]

    def _describe_unordered(self, thing: Any) -> bytes:
        was_unordered, self._is_unordered = self._is_unordered, True
        try:
            return super()._describe_unordered(thing)
        finally:
            self._is_unordered = was_unordered

    def _describe_leniently(self, thing: Any) -> bytes:
        try:
            return self.describe(thing)
        except Exception:  # of what cannot be told by its content, the type must do
            return self._describe_type(type(thing))

    def _describe_parts(self, thing: Any) -> bytes:
        kind = type(thing)
        return words(b"parts", [self._describe_type(kind), self._describe_each(_PARTS[id(kind)](thing))])

    def _describe_each(self, things: Iterable[Any]) -> bytes:
        return words(b"each", [self._describe_leniently(thing) for thing in things])

    def _describe_type(self, kind: type) -> bytes:
        try:
            return words(b"some", [self.describe(kind)])
        except Exception:  # its metaclass may raise anything
            return text(b"some", type_name(kind))

    # ------------------------------------------------------------------------------------------------- definitions

    def _describe_body(self, definition: Any) -> bytes:
        return self._describe_class(definition) if isinstance(definition, type) else self._describe_function(definition)

    def _describe_function(self, function: FunctionType) -> bytes:
        names = sorted(global_names(function.__code__) & function.__globals__.keys())
        pieces = [
            self.describe(function.__code__),
            self._describe_each(function.__defaults__ or ()),
            self._describe_each(chain.from_iterable((function.__kwdefaults__ or {}).items())),
            *[self._describe_cell(cell) for cell in function.__closure__ or ()],
            *[self.describe(name) + self._describe_held(function.__globals__[name]) for name in names],
        ]
        return words(b"function", pieces)

    def _describe_cell(self, cell: CellType) -> bytes:
        try:
            content = cell.cell_contents
        except ValueError:  # the variable has no value
            return b"empty;"
        return self._describe_leniently(content)

    def _describe_class(self, kind: type) -> bytes:
        names = sorted(name for name, value in vars(kind).items() if _is_used(name, value))
        pieces = [
            self.describe(kind.__qualname__),
            self.describe(type(kind)),
            self._describe_each(kind.__bases__),
            *[self.describe(name) + self._describe_held(vars(kind)[name]) for name in names],
        ]
        return words(b"class", pieces)

    def _describe_held(self, value: Any) -> bytes:
        """Describe what a module or a class holds under a name: what may change while it runs by its type only."""
        kind = type(value)
        if id(kind) in _PARTS or issubclass(kind, tuple):
            parts = _PARTS.get(id(kind), tuple.__iter__)(value)
            return words(b"held", [self._describe_type(kind), *map(self._describe_held, parts)])
        if issubclass(kind, (*DEFINITIONS, ModuleType)) or _is_constant(value):
            return self._describe_leniently(value)
        return self._describe_type(kind) + self.describe(_own_name(value))

    # -------------------------------------------------------------------------------------------------------- code

    def _describe_code(self, code: CodeType) -> bytes:
        pieces = [
            self.describe((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)),
            self.describe((code.co_flags & ~HAS_DOCSTRING, code.co_exceptiontable)),
            self.describe((code.co_varnames, code.co_cellvars, code.co_freevars)),
            *[b"%d " % number + self.describe(operand) for number, operand in instructions(code)],
        ]
        return words(b"code", pieces)

    ways: ClassVar[Ways] = Describer.ways | {id(CodeType): _describe_code} | dict.fromkeys(_PARTS, _describe_parts)


def _arguments(partial: Any) -> Iterator[Any]:
    yield len(partial.args)
    yield from partial.args
    yield from chain.from_iterable(partial.keywords.items())


def _is_used(name: str, value: Any) -> bool:
    """Whether a class's attribute is there to be used: a method, or not one of those that Python sets itself."""
    is_special = name.startswith("__") and name.endswith("__")
    return not is_special or type(value) is FunctionType or id(type(value)) in _PARTS


def _is_constant(value: Any) -> bool:
    kind = type(value)
    if kind is frozenset:
        return all(map(_is_constant, value))
    numpy_scalar = getattr(sys.modules.get("numpy"), "generic", Enum)
    return id(kind) in SIMPLE or type_name(kind) in IMMUTABLE or issubclass(kind, (Enum, numpy_scalar))


def _own_name(value: Any) -> str:
    """Give the name of something that can be called and has one."""
    if not callable(value):
        return ""
    try:
        names = [getattr(value, part, None) for part in ("__module__", "__qualname__", "__name__")]
    except Exception:  # a proxy that stands for nothing just now, for one
        return ""
    return ":".join(name for name in names if type(name) is str)
