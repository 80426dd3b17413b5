"""A glance at a function: whether it can lead to no random generator, which is so of most.

What it cannot answer for certain, `CapturedGenerators` finds out, which takes longer, and some imports.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from types import BuiltinMethodType, CellType, CodeType, FunctionType, ModuleType

from allcores._core.hints import Any

__all__ = ["LARGE", "leads_nowhere"]

LARGE = 100  # elements: a container of data, into which nobody looks
MOST = 200  # things that are looked at
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made at run time, not compiled in

PLAIN = {bool, int, float, complex, str, bytes, type(None), range}
LIBRARIES = sys.stdlib_module_names | {"numpy", "pandas", "scipy", "sklearn", "allcores"}  # whose generators are theirs


def leads_nowhere(function: Callable[..., Any]) -> bool:
    """Whether it is made of plain values, libraries, builtins and functions that are so, too; False if in doubt."""
    pending: list[Any] = [function]
    seen: set[int] = set()
    for thing in pending:  # grows while it is walked
        if id(thing) in seen or _is_plain(thing):
            continue
        parts = _parts_of(thing)
        if parts is None or len(pending) > MOST:
            return False
        seen.add(id(thing))
        pending += parts
    return True


def _is_plain(thing: Any) -> bool:
    kind = type(thing)
    if kind is ModuleType:
        return _is_of_library(thing.__name__)
    if kind is BuiltinMethodType:
        return type(thing.__self__) is ModuleType
    if kind is type:
        return not thing.__flags__ & HEAP_TYPE
    return kind in PLAIN or kind.__module__ == "numpy"  # arrays and functions; generators are of its submodules


def _parts_of(thing: Any) -> Iterable[Any] | None:
    """Give what a function or a container has; None of what else may have something, in whatever way."""
    kind = type(thing)
    if kind is list or kind is tuple:
        return thing if len(thing) < LARGE else ()
    if kind is dict:
        return thing.values() if len(thing) < LARGE else ()
    if kind is not FunctionType:
        return None
    defaults = chain(thing.__defaults__ or (), (thing.__kwdefaults__ or {}).values())
    return chain(_contents(thing.__closure__ or ()), defaults, vars(thing).values(), _globals_of(thing))


def _contents(cells: Iterable[CellType]) -> Iterator[Any]:
    for cell in cells:
        with suppress(ValueError):  # the variable has no value yet
            yield cell.cell_contents


def _globals_of(function: FunctionType) -> Iterator[Any]:
    """Give the globals that it may refer to, and modules that it may import."""
    present = function.__globals__
    if _is_of_library(present.get("__name__")):
        return
    for name in _names_in(function.__code__):
        if name in present:
            yield present[name]
        elif name in sys.modules:
            yield sys.modules[name]


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _names_in(constant)


def _is_of_library(module: Any) -> bool:
    return type(module) is str and module.partition(".")[0] in LIBRARIES
