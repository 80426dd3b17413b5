"""Many small values of plain types, packed: faster to write and to read than a pickle, and as exact.

Values are looked at a chunk at a time, while they are in the processor's cache. Chunks whose values are all of one type
that has a short form travel in that form; others are left to pickle. What is packed is of exactly the types named here,
and never of one that is derived from them, so that a `bool` comes back as a `bool` and an `IntEnum` as an `IntEnum`.
"""

from __future__ import annotations

import copyreg
import marshal
import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator
from itertools import repeat
from operator import setitem

from allcores._core.hints import Any, Literal, Self, TypeAlias
from allcores._objects.asking import ask

__all__ = ["CHUNK", "Packed", "Parcel", "packed"]

CHUNK = 4096  # values: so many fit into a processor's cache together with what becomes of them
FEW = 64  # values that are not worth a look
SMALL = 1 << 10  # bytes: a larger array, or text, costs more to copy than to describe

# A word of 64 bits; as ``l`` it is faster, where that has so many.
WORD: Literal["l", "q"] = "l" if struct.calcsize("l") == struct.calcsize("q") else "q"
SCALARS = frozenset({int, float, complex, bool, str, bytes, type(None)})  # marshal tells each from all else

NUMBERS = "biufc"  # NumPy's kinds of number: of these, the type says all

TAKEN_APART = ("__new__", "__getattribute__", "__reduce__", "__reduce_ex__", "__getstate__")  # what a class may do
PUT_TOGETHER = ("__setstate__", "__getnewargs__", "__getnewargs_ex__")  # itself to be pickled, and unpickled

Piece: TypeAlias = "tuple[str, Any]"  # how values of a chunk are packed, and what they became


class Parcel:
    """Values of consecutive items on their way to another process; chunks are added with ``+=``."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []

    def __iadd__(self, values: list[Any]) -> Self:
        form, content = _pack(values)
        if form == "objects" and self._pieces and self._pieces[-1][0] == form:
            self._pieces[-1][1].extend(content)
        else:
            self._pieces.append((form, content))
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(_unpack(self._pieces))

    def close(self) -> list[Any] | Packed:
        """Give what travels: the values as they are, where nothing could be packed."""
        if not self._pieces:
            return []
        form, content = self._pieces[0]
        return content if form == "objects" and len(self._pieces) == 1 else Packed(self._pieces)


class Packed:
    """What a parcel with something packed in it is pickled as; it arrives as a list."""

    def __init__(self, pieces: list[Piece]) -> None:
        self._pieces = pieces

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, (self._pieces,)


def packed(things: Any) -> Any:
    """Give what a list travels as; anything else, such as a range or an array, as it is."""
    if type(things) is not list or len(things) < FEW:
        return things
    parcel = Parcel()
    for start in range(0, len(things), CHUNK):
        parcel += things[start : start + CHUNK]
    return parcel.close()


def _pack(values: list[Any]) -> Piece:
    try:
        piece = ask(_pack_many, values) if len(values) >= FEW else None
    except Exception:  # a metaclass may say anything of its classes
        piece = None
    return piece or ("objects", values)


def _pack_many(values: list[Any]) -> Piece | None:
    kinds = list(map(type, values))
    kind = kinds[0]
    if kinds.count(kind) < len(kinds):
        return ("scalars", marshal.dumps(values)) if SCALARS.issuperset(kinds) else None
    if kind in SCALARS:
        return _pack_scalars(kind, values)
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray:
        return _pack_arrays(numpy, values)
    if numpy is not None and issubclass(kind, numpy.generic):
        return _pack_numbers(numpy, kind, values)
    return _pack_instances(kind, values) if _has_only_attributes(kind) else None


def _pack_scalars(kind: type, values: list[Any]) -> Piece | None:
    if kind is int:
        return _pack_integers(values)
    if kind is float:
        return "floats", struct.pack(f"{len(values)}d", *values)
    if kind in (str, bytes) and len(values[0]) > SMALL:
        return None
    return "scalars", marshal.dumps(values)


def _pack_integers(values: list[int]) -> Piece:
    try:
        return "integers", struct.pack(f"{len(values)}{WORD}", *values)
    except struct.error:  # one is larger
        return "scalars", marshal.dumps(values)


def _pack_numbers(numpy: Any, kind: type, values: list[Any]) -> Piece | None:
    """Pack NumPy's own numbers; of what else it has, not all is in the type: a time's unit, for one."""
    dtype = numpy.dtype(kind)
    if dtype.type is not kind or dtype.kind not in NUMBERS:
        return None
    return "numbers", (dtype.char, numpy.array(values, dtype).tobytes())


def _pack_arrays(numpy: Any, arrays: list[Any]) -> Piece | None:
    """Pack small arrays of one shape and one plain type, each of which has its own memory and can be written to."""
    first = arrays[0]
    dtype, shape = first.dtype, first.shape
    if not (dtype.isbuiltin == 1 and dtype.kind in NUMBERS and shape and 0 < first.nbytes <= SMALL):
        return None
    for array in arrays:
        if array.dtype is not dtype or array.shape != shape or array.base is not None or not array.flags.carray:
            return None
    return "arrays", (dtype.char, shape, numpy.concatenate(arrays, None).tobytes())


class _Plain:
    """Has attributes and nothing else."""


LAYOUT = ("__basicsize__", "__itemsize__", "__dictoffset__", "__weakrefoffset__")  # one differs where there are slots
HELD = vars(_Plain)["__dict__"]  # gives what an instance holds; a class may have something else in its place


def _has_only_attributes(kind: type) -> bool:
    """Whether pickle would copy the attributes of such instances and ask nobody."""
    return (
        all(getattr(kind, name) == getattr(_Plain, name) for name in LAYOUT)
        and all(getattr(kind, name) is getattr(object, name) for name in TAKEN_APART)
        and not any(hasattr(kind, name) for name in PUT_TOGETHER)
        and not any(type(vars(cls).get("__dict__", HELD)) is not type(HELD) for cls in kind.__mro__)
        and kind not in copyreg.dispatch_table
    )


def _is_plain_name(name: object) -> bool:
    """Whether an attribute's name is a string that Python keeps one of, and no name that pickle asks for."""
    return type(name) is str and name[:2] != "__"


def _pack_instances(kind: type, values: list[Any]) -> Piece | None:
    """Pack instances that have the same attributes, all of them scalars: so no two can share, or lead to, a third."""
    states = list(map(vars, values))
    names = tuple(states[0])
    if not names or list(map(tuple, states)).count(names) < len(states) or not all(map(_is_plain_name, names)):
        return None
    columns = []
    for name in names:
        column = [state[name] for state in states]
        if not SCALARS.issuperset(map(type, column)):
            return None
        columns.append(_pack(column))
    return "instances", (kind, names, columns)


# ------------------------------------------------------------------------------------------------------- unpacking


def _unpack(pieces: list[Piece]) -> list[Any]:
    values: list[Any] = []
    for form, content in pieces:
        values += _UNPACK[form](content)
    return values


def _unpack_numbers(content: tuple[str, bytes]) -> list[Any]:
    import numpy as np

    char, data = content
    return list(np.frombuffer(data, char))


def _unpack_arrays(content: tuple[str, tuple[int, ...], bytes]) -> list[Any]:
    import numpy as np

    char, shape, data = content
    return list(map(np.array, np.frombuffer(data, char).reshape(-1, *shape)))  # each with its own memory


def _unpack_instances(content: tuple[type, tuple[str, ...], list[Piece]]) -> list[Any]:
    kind, names, pieces = content
    columns = [_unpack([piece]) for piece in pieces]
    instances: list[Any] = [object.__new__(kind) for _ in columns[0]]
    states = [vars(instance) for instance in instances]
    for name, column in zip(names, columns, strict=True):
        deque(map(setitem, states, repeat(sys.intern(name)), column), maxlen=0)
    return instances


_UNPACK: dict[str, Callable[[Any], list[Any]]] = {
    "objects": list,
    "integers": lambda data: memoryview(data).cast(WORD).tolist(),
    "floats": lambda data: memoryview(data).cast("d").tolist(),
    "scalars": marshal.loads,
    "numbers": _unpack_numbers,
    "arrays": _unpack_arrays,
    "instances": _unpack_instances,
}
