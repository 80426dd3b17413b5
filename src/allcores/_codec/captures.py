"""Why a function cannot travel: which of the things that it captures stands in the way."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType

from allcores._codec.definitions.classes import MAIN
from allcores._codec.handover import advise_on_means
from allcores._codec.pickling import Role, is_picklable
from allcores._core.errors import UnpicklableError
from allcores._core.hints import Any
from allcores._core.kinds import is_a, is_executor, type_name
from allcores._objects.asking import ask, text_of
from allcores._objects.short_repr import short_repr

__all__ = ["explain_unpicklable", "find_culprit", "named_parts"]

OURS = __name__.partition(".")[0]
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
    path, culprit = find_culprit(thing)
    kind = _kind_of(culprit)
    reason = f"variable {' -> '.join(path)!r}, {kind}, cannot be pickled" if path else f"{kind} cannot be pickled"
    return UnpicklableError(f"{role} cannot travel to the workers: {reason} ({text_of(error)}); {_advise(culprit)}")


def _kind_of(culprit: Any) -> str:
    name = type_name(culprit)
    if _runs_others(culprit) and type(culprit).__module__.startswith(f"{OURS}."):
        name = f"{OURS}.{name}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _runs_others(thing: Any) -> bool:
    """Whether it is a pool or an executor: what in it stands in the way is no concern of who captures it."""
    pool = sys.modules.get("multiprocessing.pool")
    return is_executor(thing) or (pool is not None and is_a(thing, pool.Pool))


def _advise(culprit: Any) -> str:
    if _runs_others(culprit):
        return (
            "have the function compute and leave the pool out of it, or create it there; "
            "allcores.map inside the function keeps to its worker's share of the cores"
        )
    if (advice := advise_on_means(culprit)) is not None:
        return advice
    if hasattr(type(culprit), "fileno"):  # forked workers would share it
        return "open it inside the function, or once in each worker by state="
    return "create it inside the function, or once in each worker by state=, or use start='fork' where that is safe"


def find_culprit(thing: Any, role: Role | None = None) -> tuple[list[str], Any]:
    """Find the innermost capture that cannot be pickled: the names on the way to it, and itself.

    Args:
        thing: what cannot be pickled.
        role: of who pickles it.
    """
    path: list[str] = []
    seen = {id(thing)}
    while len(path) < DEEPEST and advise_on_means(thing) is None and not _runs_others(thing):
        found = _unpicklable_capture(thing, seen, role)
        if found is None:
            break
        name, thing = found
        path.append(name)
        seen.add(id(thing))
    return path, thing


def _unpicklable_capture(thing: Any, seen: set[int], role: Role | None) -> tuple[str, Any] | None:
    unseen = ((name, value) for name, value in named_parts(thing) if id(value) not in seen)
    return next(((name, value) for name, value in unseen if not is_picklable(value, role)), None)


def named_parts(thing: Any) -> list[tuple[str, Any]]:
    """Give what an object has, by name; whatever it says to that, only an `Exception` is nothing."""
    try:
        return ask(_list_captures, thing)
    except Exception:  # an object may say anything of its attributes
        return []


def _list_captures(thing: Any) -> list[tuple[str, Any]]:
    return list(_captures(thing))


def _captures(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield what travels along with an object, by name."""
    if isinstance(thing, FunctionType):
        yield from _captures_of_function(thing)
    elif isinstance(thing, functools.partial):
        yield "func", thing.func
        yield from zip(_arguments_of_partial(thing), thing.args, strict=True)
        yield from thing.keywords.items()
    elif isinstance(thing, MethodType):
        yield "self", thing.__self__
    elif isinstance(thing, dict):
        yield from ((f"[{short_repr(key)}]", value) for key, value in thing.items())
    elif isinstance(thing, list | tuple):
        yield from ((f"[{position}]", value) for position, value in enumerate(thing))
    elif isinstance(thing, type):
        yield from _captures_of_class(thing)
    else:
        yield from getattr(thing, "__dict__", {}).items()
        yield from _slots(thing)
        yield from _captures_of_class(type(thing))


def _captures_of_class(kind: type) -> Iterator[tuple[str, Any]]:
    if kind.__module__ == MAIN or "<locals>" in kind.__qualname__:  # others travel by name
        for name, value in vars(kind).items():
            if not (name.startswith("__") or isinstance(value, GetSetDescriptorType | MemberDescriptorType)):
                yield name, value


def _slots(thing: Any) -> Iterator[tuple[str, Any]]:
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            with suppress(AttributeError):  # it has no value
                yield name, getattr(thing, name)


def _arguments_of_partial(partial: functools.partial[Any]) -> list[str]:
    code = partial.func.__code__ if isinstance(partial.func, FunctionType) else None
    names = () if code is None else code.co_varnames[: code.co_argcount]
    return [names[at] if at < len(names) else f"[{at}]" for at in range(len(partial.args))]


def _captures_of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # an empty cell
            yield name, cell.cell_contents
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    yield from zip(_argument_names(function), function.__defaults__ or (), strict=False)
    yield from (function.__kwdefaults__ or {}).items()


def _argument_names(function: FunctionType) -> tuple[str, ...]:
    code = function.__code__
    return code.co_varnames[code.co_argcount - len(function.__defaults__ or ()) : code.co_argcount]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
