"""Names: what functions and classes are called, and which of them are no more than that."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

from allcores._codec.definitions.classes import MAIN
from allcores._journal.digest.words import text

__all__ = ["MAIN_ONLY", "CachedFunction", "goes_by_name", "homes_of", "named", "type_name"]

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made at run time, not compiled in
MAIN_ONLY = frozenset({MAIN})  # the modules whose functions and classes no name in the next session stands for
CachedFunction = type(functools.cache(lambda: None))


def type_name(kind: type) -> str:
    """Give a type's full name, past whatever its metaclass makes of the attributes."""
    module, name = (type.__dict__[part].__get__(kind) for part in ("__module__", "__qualname__"))
    return name if type(module) is not str or module == "builtins" else f"{module}.{name}"


def named(definition: Any) -> bytes:
    """Give a word that tells a function or class by its name."""
    return text(b"named", f"{definition.__module__}:{definition.__qualname__}")


def _is_importable(definition: Any) -> bool:
    """Whether its module holds a function or class under its own name."""
    found = sys.modules.get(definition.__module__)
    for name in getattr(definition, "__qualname__", "").split("."):
        found = getattr(found, name, None)
    return found is definition


def goes_by_name(definition: Any, homes: frozenset[str]) -> bool:
    """Whether a function or class is its name, not its code."""
    is_compiled = isinstance(definition, type) and not definition.__flags__ & HEAP_TYPE
    return is_compiled or (definition.__module__ not in homes and _is_importable(definition))


def homes_of(function: Any) -> Iterator[str]:
    """Give the modules whose definitions make up what a function computes."""
    kind = type(function)
    if kind is functools.partial:
        yield from homes_of(function.func)
    elif kind is CachedFunction:
        yield from homes_of(function.__wrapped__)
    elif kind is MethodType:
        yield from homes_of(function.__func__)
        yield from homes_of(function.__self__)
    else:
        yield (function if kind is FunctionType or issubclass(kind, type) else kind).__module__
