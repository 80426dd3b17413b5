"""Modules that are there and that another process would not find: made at run time, or loaded from a file by its path.

What they define goes by value, as what ``__main__`` defines does. To find them means to look at all modules; so each is
looked at once, and all of them only when some have come.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from allcores._core.hints import Any
from allcores._system.imports import look_at_modules

__all__ = ["unimportable_modules"]

MAIN = "__main__"  # what it defines goes by value anyway
PART_OF_PYTHON = ("built-in", "frozen")
OF_CYTHON = ("cython_runtime", "_cython_")  # there is nothing in them that travels

_verdicts: dict[str, tuple[int, bool]] = {}  # {name: (the module's id, whether another process would find it)}
_unimportable: frozenset[str] = frozenset()
_last_look: tuple[int, str] = 0, ""  # how many modules there were, and which was the last to come


def unimportable_modules() -> frozenset[str]:
    """Give the names under which there are modules that another process would not find."""
    global _unimportable, _last_look  # noqa: PLW0603 - facts about this process
    look = look_at_modules()
    if look != _last_look:
        modules = sys.modules.copy()
        missing = [name for name, module in modules.items() if not _is_importable(name, module)]
        _unimportable = frozenset(name for name in missing if not name.startswith(OF_CYTHON))
        _last_look = look
    return _unimportable


def _is_importable(name: str, module: Any) -> bool:
    identity, is_importable = _verdicts.get(name, (0, True))
    if identity != id(module):
        try:
            is_importable = not isinstance(module, ModuleType) or name == MAIN or _would_be_found(name, module)
        except Exception:  # modules, and whoever finds them, may raise anything
            is_importable = True
        _verdicts[name] = id(module), is_importable
    return is_importable


def _would_be_found(name: str, module: Any) -> bool:
    spec = module.__spec__
    outer = name.rpartition(".")[0]
    if outer:
        return _is_in_package(sys.modules.get(outer), outer, name, spec)
    if spec is not None and (spec.name != name or spec.origin in PART_OF_PYTHON):
        return True  # or it is another's second name
    return any(os.path.dirname(path) in sys.path for path in _paths_of(spec)) or _is_found(name, None, spec)


def _is_in_package(package: Any, outer: str, name: str, spec: Any) -> bool:
    if package is None or not _is_importable(outer, package):
        return False
    if spec is None or spec.name != name:  # a package has put it there, and will again
        return True
    places = list(package.__path__)
    return any(path.startswith(place) for path in _paths_of(spec) for place in places) or _is_found(name, places, spec)


def _paths_of(spec: Any) -> list[str]:
    paths = () if spec is None else (spec.origin, *(spec.submodule_search_locations or ()))
    return [path for path in paths if path is not None]


def _is_found(name: str, places: list[str] | None, spec: Any) -> bool:
    """Ask all who find modules, which takes long."""
    found = (finder.find_spec(name, places) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    return any(one is not None and (spec is None or one.origin == spec.origin) for one in found)
