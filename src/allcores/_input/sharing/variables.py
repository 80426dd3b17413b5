"""What a function captures, by name: its closure, its defaults, and the globals that its code names.

Globals of other modules count, too, where the code reaches them by a module's name. Those of libraries don't: what a
library keeps open is not the user's to close.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import CodeType, FunctionType, ModuleType
from weakref import WeakKeyDictionary

from allcores._core.hints import Any
from allcores._core.kinds import is_a
from allcores._core.records import Record
from allcores._input.sharing.holders import is_library

__all__ = ["Names", "exact_names", "rough_names", "variables_of"]

# What takes a descriptor as its first argument; those of the second row are other objects' methods, too.
TAKERS = {
    *(
        "copy_file_range",
        "dup",
        "dup2",
        "fcntl",
        "fdatasync",
        "fdopen",
        "flock",
        "fstat",
        "fsync",
        "ftruncate",
        "ioctl",
    ),
    *("eventfd_read", "eventfd_write", "fchdir", "fchmod", "fchown", "fstatvfs", "get_blocking", "set_blocking"),
    *(
        "lockf",
        "lseek",
        "posix_fadvise",
        "pread",
        "preadv",
        "pwrite",
        "pwritev",
        "readv",
        "sendfile",
        "splice",
        "writev",
    ),
}
COMMON_TAKERS = {"close", "open", "read", "write", "mmap", "FileIO", "isatty"}
MODULES_OF_TAKERS = {"os", "posix", "fcntl", "io", "mmap"}
GLOBAL_STEPS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "STORE_GLOBAL", "DELETE_GLOBAL"}
ATTRIBUTE_STEPS = {"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"}
ARGUMENT_STEPS = 3  # that the first argument may take: self.files.first


class Names(Record):
    """The names that a function's code has, and those of functions within.

    Attributes:
        globals: those that may be of globals, or of modules that it imports.
        descriptors: those of variables and attributes that it uses as descriptors.
        may_use_more: whether it may so use others, too.
    """

    globals: frozenset[str]
    descriptors: frozenset[str]
    may_use_more: bool


_rough: WeakKeyDictionary[CodeType, Names] = WeakKeyDictionary()
_exact: WeakKeyDictionary[CodeType, Names] = WeakKeyDictionary()


def rough_names(code: CodeType) -> Names:
    """Give all names that there are: quickly, and a few too many."""
    if code not in _rough:
        names = frozenset(name for part in _parts_of(code) for name in part.co_names)
        _rough[code] = Names(names, frozenset(), not names.isdisjoint(TAKERS | COMMON_TAKERS))
    return _rough[code]


def exact_names(code: CodeType) -> Names:
    """Give the names as the code uses them."""
    if code not in _exact:
        steps = [step for part in _parts_of(code) for step in _steps_of(part)]
        names = {name for kind, name in steps if kind in GLOBAL_STEPS or kind == "IMPORT_NAME"}
        _exact[code] = Names(frozenset(names), frozenset(_first_arguments(steps)), may_use_more=False)
    return _exact[code]


def _parts_of(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts_of(constant)


def _steps_of(code: CodeType) -> list[tuple[str, Any]]:
    import dis  # heavy: only when there is something to find

    return [(step.opname, step.argval) for step in dis.get_instructions(code)]


def _first_arguments(steps: list[tuple[str, Any]]) -> Iterator[str]:
    """Find what stands right behind ``os.read`` and the like."""
    steps = [step for step in steps if step[0] not in {"PUSH_NULL", "CACHE", "PRECALL"}]
    for at, (kind, name) in enumerate(steps):
        before = steps[at - 1][1] if at and kind in ATTRIBUTE_STEPS else None
        is_method = before in MODULES_OF_TAKERS and name in TAKERS | COMMON_TAKERS
        if is_method or (kind in GLOBAL_STEPS and (name in TAKERS or name == "open")):
            yield from _names_of_argument(steps[at + 1 : at + 1 + ARGUMENT_STEPS])


def _names_of_argument(steps: list[tuple[str, Any]]) -> Iterator[str]:
    for at, (kind, name) in enumerate(steps):
        if not kind.startswith("LOAD_") or (at and kind not in ATTRIBUTE_STEPS):
            return
        if is_a(name, tuple):  # two local variables at once
            yield name[0]
            return
        if is_a(name, str) and kind != "LOAD_CONST":
            yield name


def variables_of(function: FunctionType, names_of: Callable[[CodeType], Names]) -> tuple[list[tuple[str, Any]], ...]:
    """Give what a function itself has, and the globals that it refers to: ``(name, value)`` each."""
    names = names_of(function.__code__).globals
    own = [*_contents(function), *_defaults(function), *vars(function).items()]
    return own, [] if is_library(function.__globals__) else list(_globals_of(function, names))


def _contents(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the variable has no value yet
            yield name, cell.cell_contents


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    code, defaults = function.__code__, function.__defaults__ or ()
    yield from zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _globals_of(function: FunctionType, names: frozenset[str]) -> Iterator[tuple[str, Any]]:
    attributes = rough_names(function.__code__).globals
    present = function.__globals__
    for name in names:
        if name in present:
            value = present[name]
        elif name in sys.modules:  # it may be imported in there
            value = sys.modules[name]
        else:
            continue
        if isinstance(value, ModuleType):
            yield from _globals_of_module(name, value, attributes, {id(value)})
        else:
            yield name, value


def _globals_of_module(
    path: str, module: ModuleType, attributes: frozenset[str], seen: set[int]
) -> Iterator[tuple[str, Any]]:
    present: Mapping[str, Any] = vars(module)
    if is_library(present):
        return
    for name in attributes & present.keys():
        value = present[name]
        if not isinstance(value, ModuleType):
            yield f"{path}.{name}", value
        elif id(value) not in seen:
            seen.add(id(value))
            yield from _globals_of_module(f"{path}.{name}", value, attributes, seen)
