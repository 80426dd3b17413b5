"""The filters of warnings.

A filter names a class. To have that in a worker would mean to import its library, so a class goes as a name, and a
filter whose library is not loaded there waits: nobody can warn of what does not exist yet.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from allcores._core.hints import Any
from allcores._settings.setting import UNKNOWN, Setting

__all__ = ["FILTERS", "raises", "usual_filters"]

MAIN = "__main__"

# As the interpreter makes them where nobody asks for others by -W or PYTHONWARNINGS.
_USUAL = (
    ("default", None, DeprecationWarning, MAIN, 0),
    ("ignore", None, DeprecationWarning, None, 0),
    ("ignore", None, PendingDeprecationWarning, None, 0),
    ("ignore", None, ImportWarning, None, 0),
    ("ignore", None, ResourceWarning, None, 0),
)


_at_start = tuple(warnings.filters)


# From Python 3.14 on each context may have filters of its own.
_present: Callable[[], Any] = getattr(warnings, "_get_filters", lambda: warnings.filters)


def _look() -> Any:
    return tuple(_present())


def _name_classes(filters: Any) -> Any:
    return tuple((action, text, _name(category), module, line) for action, text, category, module, line in filters)


def _name(category: Any) -> Any:
    """Give where a class is found, as a text; the class itself where that is nowhere, or its name says enough."""
    if isinstance(category, tuple):
        return tuple(map(_name, category))
    module, name = getattr(category, "__module__", None), getattr(category, "__qualname__", "")
    is_plain = module in {"builtins", MAIN} or type(module) is not str
    return category if is_plain or "<" in name else f"{module}:{name}"


def _find(category: Any) -> Any:
    """Give the class; None where its module is not loaded."""
    if isinstance(category, tuple):
        return tuple(part for part in map(_find, category) if part is not None) or None
    if not isinstance(category, str):
        return category
    module, _, names = category.partition(":")
    found: Any = sys.modules.get(module)
    for name in names.split("."):
        found = getattr(found, name, None)
    return found


def _write(value: Any) -> None:
    wanted = [
        (action, text, found, module, line)
        for action, text, category, module, line in value
        if (found := _find(category)) is not None
    ]
    _put(wanted)


def _put(wanted: Any) -> None:
    present = _present()
    if present != wanted:
        warnings.resetwarnings()  # it also has everybody forget what was shown under the old ones
        present[:] = wanted


def _modules(value: Any) -> Collection[str]:
    return {module for _, _, category, _, _ in value for module in _modules_of(category)}


def _modules_of(category: Any) -> Collection[str]:
    if isinstance(category, tuple):
        return {module for part in category for module in _modules_of(part)}
    return {category.partition(":")[0]} if isinstance(category, str) else ()


def raises(value: Any) -> bool:
    """Whether a warning may become an exception."""
    return any(action == "error" for action, *_ in value)


@contextmanager
def usual_filters() -> Iterator[None]:
    """Have the filters that a clean worker began with, and then those that there were."""
    before = list(_present())
    _put(list(_at_start))
    try:
        yield
    finally:
        _put(before)


FILTERS = Setting(
    "warning filters",
    "warnings",
    lambda: _name_classes(_present()),
    _write,
    UNKNOWN if sys.warnoptions else _name_classes(_USUAL),
    lambda: _look,
    waits_for=_modules,
    describe=lambda value: value != _name_classes(_USUAL),
)
