"""Functions whose calls do nothing yet: of ``async def``, and those with a ``yield``.

A call of one gives an object that is to be awaited, or asked for values. It cannot travel between processes, and what
it would do is not done. Code says of what kind it is, so that nobody needs `inspect` or `asyncio` to know.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CoroutineType, FunctionType, MethodType, WrapperDescriptorType

from allcores._core.hints import Any
from allcores._core.kinds import is_a

__all__ = ["advise", "refuse_deferring"]

# Of ``co_flags``, as `inspect` names them.
GENERATOR, COROUTINE, ITERABLE_COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x100, 0x200
DEFERRING = GENERATOR | COROUTINE | ITERABLE_COROUTINE | ASYNC_GENERATOR

LAYERS = 100  # partials of methods of callable objects and so on that are looked into, at most

_CachedFunction = type(functools.cache(lambda: None))

_ADVICE = {
    "coroutine": "it was not awaited: give lambda x: asyncio.run(fn(x))",
    "async_generator": "give a function that runs asyncio.run and returns all that it yields",
    "generator": "give lambda x: list(fn(x))",
}


def refuse_deferring(function: Callable[..., Any], on: str | None, role: str = "the function") -> None:
    """Refuse a function whose calls do nothing yet.

    What only shows when it is called, as with a plain function that returns a coroutine, see `advise`.

    Args:
        function: of the caller's.
        on: where it runs, where what it returns is of use to the caller: a generator is, unless it would have to
            travel, as from ``"processes"``. None: nowhere.
        role: what it is to the caller.

    Raises:
        TypeError: it is one, and this says what to do.
    """
    if type(function) is FunctionType and not function.__code__.co_flags & DEFERRING:  # the common case
        return
    code = _code_of(function)
    if code is None or not code.co_flags & DEFERRING:
        return
    is_async = code.co_flags & (COROUTINE | ITERABLE_COROUTINE)
    if is_async or on in (None, "processes"):
        raise TypeError(f"{role}, {code.co_qualname}, {_explain(code.co_flags, 'x' if on else '*args')}")


def _explain(flags: int, arguments: str) -> str:
    if flags & (COROUTINE | ITERABLE_COROUTINE):
        return (
            "is async: a call of it does nothing until its coroutine is awaited; "
            f"give lambda {arguments}: asyncio.run(fn({arguments})), or await it as often as you like by asyncio.gather"
        )
    if flags & ASYNC_GENERATOR:
        return (
            "is an async generator: a call of it does nothing until it is asked for values, and it cannot travel "
            "between processes; give a function that runs asyncio.run and returns all that it yields"
        )
    return (
        "is a generator function: a call of it does nothing until it is asked for values, and a generator cannot "
        f"travel between processes; give lambda {arguments}: list(fn({arguments}))"
    )


def _code_of(function: Any) -> Any:
    """Give the code that a call runs first; None where it is not Python's."""
    layers = 0
    while function is not None and layers < LAYERS:
        if is_a(function, FunctionType):
            return function.__code__
        if is_a(function, functools.partial):
            function = function.func
        elif is_a(function, MethodType) or is_a(function, staticmethod) or is_a(function, classmethod):
            function = function.__func__
        elif is_a(function, _CachedFunction):
            function = vars(function).get("__wrapped__")
        else:
            function = _find_call(type(function))
        layers += 1
    return None


def _find_call(kind: type) -> Any:
    """Find what Python code calls the instances of a class, whatever its metaclass says; None if it is C code."""
    calls = (vars(base)["__call__"] for base in kind.__mro__ if "__call__" in vars(base))
    call = next(calls, None)
    return None if is_a(call, WrapperDescriptorType) else call


def advise(value: object, why: str) -> str:
    """Say what to do about a result that cannot be pickled, if a call of that kind is the reason.

    Args:
        value: the result; a coroutine that nobody has begun is closed, as nobody will await it.
        why: what pickling it raised.
    """
    if type(value) is CoroutineType and not value.cr_suspended:
        value.close()
    for kind, advice in _ADVICE.items():
        if f"'{kind}' object" in why:
            return f"; {advice}"
    return ""
