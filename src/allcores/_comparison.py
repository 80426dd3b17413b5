"""What a worker has of modules, compared with what the caller has, and made the same.

A worker that has imported a module afresh, or long ago, may have another one than the caller: the file was edited in
between, or something was set in there. What differs it asks for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module

from allcores._classes import MAIN
from allcores._contents import Contents, Snapshot
from allcores._foreign import give_field, is_a
from allcores._globals import LARGEST_VARIABLE, Key
from allcores._hints import Any

__all__ = ["find_differing", "find_missing", "install"]

MOST_LINKS = 10  # of a chain of exceptions

_NOTHING = object()


def find_differing(expected: Mapping[Key, Contents]) -> list[Key]:
    """Find what consists of something else here, or is not here.

    Args:
        expected: ``{(module, name): contents}``. A module that cannot be imported is left to whoever needs it.
    """
    snapshot = Snapshot(is_only=True)
    differing = []
    for (module, name), contents in expected.items():
        namespace = _namespace(module)
        if namespace is not None:
            largest = sys.maxsize if module == MAIN else LARGEST_VARIABLE
            value = namespace.get(name, _NOTHING)
            if value is _NOTHING or snapshot.contents(value, largest) != contents:
                differing.append((module, name))
    return differing


def _namespace(module: str) -> dict[str, Any] | None:
    try:
        return vars(sys.modules[MAIN] if module == MAIN else import_module(module))
    except Exception:  # importing it may raise anything
        return None


def install(values: Mapping[Key, Any]) -> None:
    """Put values where they belong."""
    for (module, name), value in values.items():
        setattr(sys.modules[module], name, value)


# ------------------------------------------------------------------------------------------ names found at run time


def find_missing(error: BaseException) -> str | None:
    """Give the name that code looked for in vain, by which an item may have failed; None if it was not that."""
    for _ in range(MOST_LINKS):
        name = _missing_name(error)
        if name is not None:
            return name
        following = give_field(error, "__cause__") or give_field(error, "__context__")
        if following is None:
            return None
        error = following
    return None


def _missing_name(error: BaseException) -> str | None:
    if is_a(error, NameError):
        name = error.name or _quoted(error)
    elif is_a(error, KeyError):
        name = error.args[0] if len(error.args) == 1 else None
    else:
        return None
    return name if type(name) is str and name.isidentifier() and name not in vars(sys.modules[MAIN]) else None


def _quoted(error: BaseException) -> str | None:
    """Give the name that an error of another library's tells in its text."""
    text = error.args[0] if error.args else None
    parts = text.split("'") if type(text) is str else []
    return parts[1] if len(parts) > 2 else None  # noqa: PLR2004 - before, between and after the quotes
