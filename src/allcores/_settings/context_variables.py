"""Context variables of the user's and of libraries, as far as a worker can find them: those that a module holds."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Collection, Iterator
from contextvars import ContextVar, Token, copy_context

from allcores._core.hints import Any
from allcores._settings.setting import Setting

__all__ = ["VARIABLES", "names_of_lost"]

# Whose variables other rows know better, or belong to what a process does at the moment.
OTHERS = {"__main__", "_decimal", "_pydecimal", "allcores", "asyncio", "decimal", "numpy", "warnings"}
CONSTANTS = {bool, bytes, float, int, str, type(None)}

Place = tuple[str, str]  # a module, and a name in it

_places: dict[int, tuple[ContextVar[Any], Place | None]] = {}  # by id; with the variable, so that no other has its id
_constants: dict[Place, tuple[Any, bytes]] = {}  # the last value of each that cannot change, and its pickle
_made: dict[Place, tuple[bytes, Token[Any]]] = {}  # in a worker: what was set, and how to have it as it was before


def _read() -> Any:
    found = [
        (place, _pickle(place, value)) for variable, value in copy_context().items() if (place := _place(variable))
    ]
    return tuple(sorted(found, key=_by_place)) if found else ()


def _by_place(found: tuple[Place, Any]) -> Place:
    return found[0]


def _place(variable: ContextVar[Any]) -> Place | None:
    known = _places.get(id(variable))
    if known is None:
        known = _places[id(variable)] = variable, next(_places_of(variable), None)
    return known[1]


def _places_of(variable: ContextVar[Any]) -> Iterator[Place]:
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] not in OTHERS:
            for name, value in list(getattr(module, "__dict__", {}).items()):
                if value is variable:
                    yield module_name, name


def _pickle(place: Place, value: Any) -> bytes | None:
    """Pickle a value, anew unless it is a constant, as it may have been changed since; None if that is impossible."""
    known = _constants.get(place)
    if known is not None and known[0] is value:
        return known[1]
    try:
        data = pickle.dumps(value)
    except Exception:  # an object's pickling may raise anything
        return None
    if type(value) in CONSTANTS:
        _constants[place] = value, data
    return None if b"__main__" in data else data


def _write(value: Any) -> None:
    wanted = {place: data for place, data in value if data is not None}
    for place in [place for place in _made if place not in wanted]:
        _variable(place).reset(_made.pop(place)[1])
    for place, data in wanted.items():
        if place[0] in sys.modules and (place not in _made or _made[place][0] != data):
            token = _variable(place).set(pickle.loads(data))
            _made[place] = data, _made[place][1] if place in _made else token


def _variable(place: Place) -> ContextVar[Any]:
    variable: ContextVar[Any] = getattr(sys.modules[place[0]], place[1])
    return variable


def _modules(value: Any) -> Collection[str]:
    return {module for (module, _), data in value if data is not None}


def names_of_lost() -> list[str]:
    """Give the names of those whose values cannot travel."""
    return [f"{module}.{name}" for (module, name), data in _read() if data is None]


VARIABLES = Setting(
    "context variables",
    "sys",
    _read,
    _write,
    (),
    is_of_context=True,
    waits_for=_modules,
    describe=lambda value: any(data is not None for _, data in value),
)
