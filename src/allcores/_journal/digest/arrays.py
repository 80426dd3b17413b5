"""Arrays and scalars of numpy, by their type, their shape and their elements."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from allcores._journal.digest.names import type_name
from allcores._journal.digest.words import text, word, words

__all__ = ["describe_array", "is_array"]


def is_array(kind: type) -> bool:
    """Whether it is a type of numpy, or one that adds nothing to it which pickle would keep."""
    numpy = sys.modules.get("numpy")
    bases = (getattr(numpy, "ndarray", None), getattr(numpy, "generic", None))
    return any(base is not None and issubclass(kind, base) and kind.__reduce__ is base.__reduce__ for base in bases)


def describe_array(thing: Any, describe: Callable[[Any], bytes]) -> bytes:
    """Describe an array or a scalar of numpy: the same for every layout in memory.

    Args:
        thing: such a one.
        describe: describes anything else, such as what it holds.
    """
    array = sys.modules["numpy"].asarray(thing)
    kind = f"{type_name(type(thing))}:{array.dtype.str}:{type_name(array.dtype.type)}"
    return words(b"array", [text(b"type", kind), describe(array.shape), _describe_elements(array, describe)])


def _describe_elements(array: Any, describe: Callable[[Any], bytes]) -> bytes:
    numpy, dtype = sys.modules["numpy"], array.dtype
    if dtype.names is not None:  # field by field, as there may be anything in the gaps between them
        return words(b"fields", [describe(name) + describe_array(array[name], describe) for name in dtype.names])
    if dtype.hasobject or dtype.kind == "T":  # the memory holds addresses
        return describe(array.ravel().tolist())
    if dtype.char in "gG":  # gaps in every number, again
        array = array.astype("U")
    return word(b"elements", memoryview(numpy.ascontiguousarray(array).reshape(-1).view("u1")))
