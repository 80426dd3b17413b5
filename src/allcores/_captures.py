"""Why a function cannot travel: which of the things that it captures stands in the way."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType, MethodType

from allcores._errors import UnpicklableError
from allcores._foreign import ask, text_of, type_name
from allcores._hints import Any
from allcores._outcomes import short_repr
from allcores._pickling import is_picklable

__all__ = ["explain_unpicklable"]

DEEPEST = 20  # captures within captures: beyond that, a name explains nothing


def explain_unpicklable(role: str, thing: Any, error: Exception) -> UnpicklableError | None:
    """Say which capture of a function, or which part of an object, stands in the way of pickling it.

    Args:
        role: what it is to the caller: ``"the function"``, ``"the initializer"``.
        thing: what must travel.
        error: what pickling raised.

    Returns:
        The error to raise, or None if this very thing can be pickled.
    """
    if is_picklable(thing):
        return None
    reason = _find_culprit(thing) or f"a {type_name(thing)} cannot be pickled"
    return UnpicklableError(
        f"{role} cannot travel to the workers: {reason} ({text_of(error)}); "
        "create it inside the function or in an initializer, or use start='fork' where that is safe"
    )


def _find_culprit(thing: Any) -> str | None:
    """Name the innermost capture that cannot be pickled, as ``variable 'tools -> lock', a lock, ...``."""
    path: list[str] = []
    seen = {id(thing)}
    while len(path) < DEEPEST and (found := _unpicklable_capture(thing, seen)) is not None:
        name, thing = found
        path.append(name)
        seen.add(id(thing))
    return f"variable {' -> '.join(path)!r}, a {type_name(thing)}, cannot be pickled" if path else None


def _unpicklable_capture(thing: Any, seen: set[int]) -> tuple[str, Any] | None:
    try:
        captures = ask(_list_captures, thing)
    except Exception:  # an object may say anything of its attributes
        return None
    return next(((name, value) for name, value in captures if id(value) not in seen and not is_picklable(value)), None)


def _list_captures(thing: Any) -> list[tuple[str, Any]]:
    return list(_captures(thing))


def _captures(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield what travels along with an object, by name."""
    if isinstance(thing, FunctionType):
        yield from _captures_of_function(thing)
    elif isinstance(thing, functools.partial):
        yield "func", thing.func
        yield from _captures(thing.args)
        yield from thing.keywords.items()
    elif isinstance(thing, MethodType):
        yield "self", thing.__self__
    elif isinstance(thing, dict):
        yield from ((f"[{short_repr(key)}]", value) for key, value in thing.items())
    elif isinstance(thing, list | tuple):
        yield from ((f"[{position}]", value) for position, value in enumerate(thing))
    elif hasattr(thing, "__dict__") and not isinstance(thing, type):
        yield from vars(thing).items()


def _captures_of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # an empty cell
            yield name, cell.cell_contents
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    yield from zip(_argument_names(function), function.__defaults__ or (), strict=False)


def _argument_names(function: FunctionType) -> tuple[str, ...]:
    code = function.__code__
    return code.co_varnames[code.co_argcount - len(function.__defaults__ or ()) : code.co_argcount]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
