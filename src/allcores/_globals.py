"""What functions refer to of the caller's ``__main__``, and what of that a worker lacks.

A worker that *shares* the caller's ``__main__`` has one namespace for all the functions that reach it one by one, so
that what one of them sets the others see. What the worker was sent, by name, the driver keeps as `known`. A value is
sent again only when the name stands for another object by now; so a change of the caller's reaches the worker, and
what an initializer has set there lasts.

A function that the worker has may refer to what has changed since, and so may what it refers to; that is followed
through functions and classes, and not into containers or the attributes of instances.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CellType, CodeType, FunctionType, MethodType
from weakref import WeakKeyDictionary

from allcores._classes import MAIN
from allcores._foreign import ask, is_a
from allcores._hints import Any

__all__ = ["is_known", "is_of_main", "unknown_globals"]

GLOBAL_STEPS = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
ALWAYS_USED = {"__package__"}  # by relative imports
NEVER_SENT = {"__builtins__", "__name__"}  # every ``__main__`` has its own

_NOTHING = object()
_CachedFunction = type(functools.cache(lambda: None))

# {function: {name: id}} of the globals that a walk from it looked for, found or not. An id says enough: what a worker
# has is kept from being freed.
_met_by_function: WeakKeyDictionary[FunctionType, dict[str, int]] = WeakKeyDictionary()
_names_by_code: WeakKeyDictionary[CodeType, frozenset[str]] = WeakKeyDictionary()


def is_known(known: Mapping[str, Any], name: str, thing: Any) -> bool:
    """Whether a worker has this very object under that name."""
    return known.get(name, _NOTHING) is thing


def is_of_main(function: FunctionType) -> bool:
    """Whether the function's globals are those of ``__main__``."""
    return function.__globals__ is vars(sys.modules[MAIN])


def unknown_globals(thing: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a worker lacks of the globals of ``__main__`` that `thing` leads to.

    Args:
        thing: a function or a class.
        known: ``{name: thing}``, what the worker has; it is searched for what has changed since.
    """
    if _leads_only_to_known(thing, known):
        return {}
    present = vars(sys.modules[MAIN])
    unknown: dict[str, Any] = {}
    met: dict[str, int] = {}
    may_change = False  # whether a walk leads elsewhere some day though globals stand for the same things
    pending = [thing]
    seen = {id(thing): thing}  # kept, so that no other gets the same id
    for one in pending:  # grows while it is walked
        names = _names_of(one)
        found = {name: value for name in names if (value := present.get(name, _NOTHING)) is not _NOTHING}
        met |= {name: id(present.get(name, _NOTHING)) for name in names}
        unknown |= {name: value for name, value in found.items() if not is_known(known, name, value)}
        parts = _parts_of(one)
        may_change |= not all(is_a(part, type) and part.__module__ != MAIN for part in parts)
        leads = [value for name, value in found.items() if name not in unknown] + parts
        pending += [lead for lead in leads if id(lead) not in seen]
        seen |= {id(lead): lead for lead in leads}
    if not (unknown or may_change) and is_a(thing, FunctionType):
        _met_by_function[thing] = met
    return unknown


def _leads_only_to_known(thing: Any, known: Mapping[str, Any]) -> bool:
    """Whether an earlier walk from a function met what there still is, and what the worker has."""
    met = _met_by_function.get(thing) if is_a(thing, FunctionType) else None
    if met is None:
        return False
    present = vars(sys.modules[MAIN])
    return all(
        id(value := present.get(name, _NOTHING)) == before and (value is _NOTHING or is_known(known, name, value))
        for name, before in met.items()
    )


def _names_of(thing: Any) -> list[str]:
    """Give the names of globals that a function of ``__main__`` itself refers to."""
    if not is_a(thing, FunctionType) or not is_of_main(thing):
        return []
    return sorted((_names_in(thing.__code__) | ALWAYS_USED) - NEVER_SENT)


def _names_in(code: CodeType) -> frozenset[str]:
    """Give the names of globals that a function, and those defined in it, read or set."""
    if code not in _names_by_code:
        import dis

        names = {step.argval for step in dis.get_instructions(code) if step.opname in GLOBAL_STEPS}
        inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        _names_by_code[code] = frozenset(names.union(*map(_names_in, inner)))
    return _names_by_code[code]


# ------------------------------------------------------------------------------------------------- what leads on


def _parts_of(thing: Any) -> list[Any]:
    """Give the functions and classes, among others, that `thing` is made of."""
    try:
        return ask(_list_parts, thing)
    except Exception:  # a class may say anything of itself
        return []


def _list_parts(thing: Any) -> list[Any]:
    if is_a(thing, type):
        return [*vars(thing).values(), *thing.__bases__] if thing.__module__ == MAIN else []
    give_parts = _PARTS.get(type(thing))
    return [type(thing)] if give_parts is None else list(give_parts(thing))


def _contents(cells: tuple[CellType, ...] | None) -> Iterator[Any]:
    for cell in cells or ():
        try:
            yield cell.cell_contents
        except ValueError:  # the variable has no value yet
            continue


_PARTS: dict[type, Callable[[Any], Iterable[Any]]] = {
    FunctionType: lambda function: _contents(function.__closure__),
    MethodType: lambda method: (method.__func__, method.__self__),
    functools.partial: lambda partial: (partial.func, *partial.args, *partial.keywords.values()),
    functools.cached_property: lambda cached: (cached.func,),
    property: lambda made: (made.fget, made.fset, made.fdel),
    staticmethod: lambda method: (method.__func__,),
    classmethod: lambda method: (method.__func__,),
    _CachedFunction: lambda cached: (cached.__wrapped__,),
}
