"""Numbers of descriptors: which numbers are such, by where they are and how they are used.

In another process they stand for something else, and nothing in them tells that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import FunctionType

from allcores._core.hints import Any
from allcores._input.sharing.variables import exact_names, rough_names

__all__ = ["CONTAINERS", "LARGE", "find_number", "has_number", "is_named_as_number"]

DESCRIPTOR = r"(^|_|sock|ep|[rw])(fds?|filenos?|filedes|file_?descriptors?)\d*$"
CONTAINERS = {list, tuple, set, frozenset, dict}
LARGE = 1_000  # elements: a container that holds other things than a few descriptors


def is_named_as_number(name: str) -> bool:
    """Whether a variable's name says that it is the number of a descriptor."""
    return re.search(DESCRIPTOR, name, re.IGNORECASE) is not None


def has_number(value: Any, foreign: Mapping[int, str]) -> bool:
    """Whether it is the number of a descriptor, or a few of them."""
    if type(value) is int:
        return value in foreign
    if type(value) not in CONTAINERS or not 0 < len(value) < LARGE:
        return False
    numbers = value.values() if type(value) is dict else value
    return set(map(type, numbers)) == {int} and not foreign.keys().isdisjoint(numbers)


def find_number(
    function: Any,
    initializer: Any,
    initargs: Sequence[Any],
    arguments: Sequence[Sequence[Any]],
    foreign: Mapping[int, str],
) -> str | None:
    """Find an argument that is the number of a descriptor, as the function uses it for one, or the name says so.

    Args:
        function: called with an element of each of `arguments`.
        initializer: called with `initargs`.
        initargs: see there.
        arguments: by position.
        foreign: the descriptors.
    """
    for position, (name, value) in enumerate(zip(_parameters_of(initializer), initargs, strict=False)):
        if type(value) is int and value in foreign and is_named_as_number(name):
            return f"initargs[{position}], a descriptor's number,"
    if type(function) is not FunctionType or not rough_names(function.__code__).may_use_more:
        return None
    for name, values in zip(_parameters_of(function), arguments, strict=False):
        number = next((value for value in values if type(value) is int and value in foreign), None)
        if number is not None and name in exact_names(function.__code__).descriptors:
            return f"argument {name!r}, which is {number}, a descriptor's number,"
    return None


def _parameters_of(function: Any) -> tuple[str, ...]:
    if type(function) is not FunctionType:
        return ()
    return function.__code__.co_varnames[: function.__code__.co_argcount]
