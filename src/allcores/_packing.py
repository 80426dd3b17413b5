"""Many small values of plain types, packed: faster to write and to read than a pickle, and as exact.

Values are looked at a chunk at a time, while they are in the processor's cache. Chunks whose values are all of one type
that has a short form travel in that form; others are left to pickle. What is packed is of exactly the types named here,
and never of one that is derived from them, so that a `bool` comes back as a `bool` and an `IntEnum` as an `IntEnum`.
"""

from __future__ import annotations

import marshal
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal, Self, TypeAlias

from allcores._foreign import ask

__all__ = ["CHUNK", "Packed", "Parcel", "packed"]

CHUNK = 4096  # values: so many fit into a processor's cache together with what becomes of them
FEW = 64  # values that are not worth a look
SMALL = 1 << 10  # bytes: a larger array, or text, costs more to copy than to describe

# A word of 64 bits; as ``l`` it is faster, where that has so many.
WORD: Literal["l", "q"] = "l" if struct.calcsize("l") == struct.calcsize("q") else "q"
SCALARS = frozenset({int, float, complex, bool, str, bytes, type(None)})  # marshal tells each from all else

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
    if kind is int:
        return _pack_integers(values)
    if kind is float:
        return "floats", struct.pack(f"{len(values)}d", *values)
    if kind in SCALARS:
        return None if kind in (str, bytes) and len(values[0]) > SMALL else ("scalars", marshal.dumps(values))
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    return _pack_arrays(numpy, values) if kind is numpy.ndarray else _pack_numbers(numpy, kind, values)


def _pack_integers(values: list[int]) -> Piece:
    try:
        return "integers", struct.pack(f"{len(values)}{WORD}", *values)
    except struct.error:  # one is larger
        return "scalars", marshal.dumps(values)


def _pack_numbers(numpy: Any, kind: type, values: list[Any]) -> Piece | None:
    """Pack NumPy's own numbers."""
    if not issubclass(kind, numpy.number | numpy.bool_):
        return None
    dtype = numpy.dtype(kind)
    return ("numbers", (dtype.char, numpy.array(values, dtype).tobytes())) if dtype.type is kind else None


def _pack_arrays(numpy: Any, arrays: list[Any]) -> Piece | None:
    """Pack small arrays of one shape and one plain type, each of which has its own memory."""
    first = arrays[0]
    dtype, shape = first.dtype, first.shape
    if not (dtype.isbuiltin == 1 and dtype.kind in "biufc" and shape and 0 < first.nbytes <= SMALL):
        return None
    for array in arrays:
        if array.dtype is not dtype or array.shape != shape or array.base is not None or not array.flags.c_contiguous:
            return None
    return "arrays", (dtype.char, shape, numpy.concatenate(arrays, None).tobytes())


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


_UNPACK: dict[str, Callable[[Any], list[Any]]] = {
    "objects": list,
    "integers": lambda data: memoryview(data).cast(WORD).tolist(),
    "floats": lambda data: memoryview(data).cast("d").tolist(),
    "scalars": marshal.loads,
    "numbers": _unpack_numbers,
    "arrays": _unpack_arrays,
}
