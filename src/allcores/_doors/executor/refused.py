"""What cannot be pickled, as an error that is of the type, too, that the standard library's executor raises for it."""

from __future__ import annotations

import builtins
from functools import cache
from typing import Any

from allcores._core.errors import UnpicklableItem, UnpicklableResult

__all__ = ["refused"]

Ours = UnpicklableItem | UnpicklableResult


def refused(error: Ours) -> Ours:
    """Give an error like this one, and of the type of what pickling has raised, as far as that is a builtin one."""
    kind = getattr(builtins, error.kind, None)
    if kind is None or isinstance(error, kind):
        return error
    try:
        both = _make(type(error), kind, str(error), vars(error))
    except TypeError:  # it wants more than a message, or no type can be both
        return error
    both.__traceback__, both.__cause__, both.__context__ = error.__traceback__, error.__cause__, error.__context__
    return both


def _make(ours: Any, theirs: Any, message: str, attributes: dict[str, Any]) -> Ours:
    error: Ours = _type_of_both(ours, theirs)(message)
    vars(error).update(attributes)
    return error


@cache
def _type_of_both(ours: Any, theirs: Any) -> Any:
    def reduce(self: Ours) -> tuple[Any, ...]:
        return _make, (ours, theirs, str(self), vars(self))

    return type(ours.__name__, (ours, theirs), {"__module__": ours.__module__, "__reduce__": reduce})
