"""What a worker has of modules, compared with what the caller has, and made the same.

A worker that has imported a module afresh, or long ago, may have another one than the caller: the file was edited in
between, or something was set in there. What differs it asks for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from operator import attrgetter

from allcores._codec.definitions.classes import MAIN
from allcores._codec.definitions.contents import Contents, Inspection
from allcores._codec.definitions.globals import LARGEST_VARIABLE, Key
from allcores._core.hints import Any
from allcores._core.kinds import is_a
from allcores._objects.asking import give_field

__all__ = ["find_differing", "find_missing", "find_torn", "install", "take_away"]

MOST_LINKS = 10  # of a chain of exceptions

_NOTHING = object()


def find_differing(expected: Mapping[Key, Contents]) -> list[Key]:
    """Find what consists of something else here, or is not here; of a class, which attributes. What is here and not
    at the caller's is taken away.

    Args:
        expected: ``{(module, name): contents}``. A module that cannot be imported is left to whoever needs it.

    Returns:
        Modules, and names in there, with dots for attributes of classes.
    """
    inspection = Inspection(is_only=True)
    differing: list[Key] = []
    for (module, name), contents in expected.items():
        namespace = _namespace(module)
        if namespace is not None:
            largest = sys.maxsize if module == MAIN else LARGEST_VARIABLE
            value = namespace.get(name, _NOTHING)
            own = None if value is _NOTHING else inspection.contents(value, largest)
            differing += [(module, found) for found in _differing_parts(name, value, own, contents)]
    return differing


def find_torn(expected: Mapping[Key, Contents]) -> list[Key]:
    """Find containers that hold functions which were replaced where these belong, and so are named there no more."""
    inspection = Inspection(is_only=True)
    namespaces = {module: _namespace(module) or {} for module, _ in expected}
    return [
        (module, name)
        for (module, name), contents in expected.items()
        if _is_torn(inspection.contents(namespaces[module].get(name)), contents)
    ]


def _is_torn(own: Contents, expected: Contents) -> bool:
    """Whether it was pickled as a whole there, and here it had to be looked at element by element."""
    match own, expected:
        case (kind, tuple()), (expected_kind, int()):
            return bool(kind == expected_kind)
    return False


def _namespace(module: str) -> dict[str, Any] | None:
    try:
        return vars(sys.modules[MAIN] if module == MAIN else import_module(module))
    except Exception:  # importing it may raise anything
        return None


def _differing_parts(name: str, value: Any, own: Contents, expected: Contents) -> Iterator[str]:
    if own == expected and value is not _NOTHING:
        return
    if not (is_a(value, type) and own is not None and own[:2] == expected[:2] and own[0] == "class"):
        yield name
        return
    own_parts, parts = dict(own[2]), dict(expected[2])
    changed = {part for part in own_parts.keys() | parts.keys() if own_parts.get(part, _NOTHING) != parts.get(part)}
    if _is_about_layout(value, changed):
        yield name
        return
    for part in changed - parts.keys():
        type.__delattr__(value, part)
    for part in changed & parts.keys():
        yield from _differing_parts(f"{name}.{part}", vars(value).get(part, _NOTHING), own_parts.get(part), parts[part])


def _is_about_layout(kind: type, changed: set[str]) -> bool:
    """Whether a class cannot be brought up to date in its place, as instances or members would be others."""
    is_enum = "_member_names_" in vars(kind) and any(name[0] == "_" and name[1:2] != "_" for name in changed)
    return is_enum or "__slots__" in changed


def install(values: Mapping[Key, Any]) -> None:
    """Put values where they belong."""
    for (module, path), value in values.items():
        *outer, name = path.split(".")
        setattr(attrgetter(".".join(outer))(sys.modules[module]) if outer else sys.modules[module], name, value)


def take_away(module: str, path: str) -> bool:
    """Let a class here do without an attribute of the caller's that cannot travel: who needs it will hear that it is
    missing, and who does not need it does not mind. False for what is no attribute of a class.
    """
    *outer, name = path.split(".")
    if not outer:
        return False
    kind = attrgetter(".".join(outer))(sys.modules[module])
    if name in vars(kind):
        type.__delattr__(kind, name)
    return True


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
