"""Arrays of files, NumPy's memmaps: they travel by the file's name, and whoever receives one maps the file, too.

So a worker reads what it needs of a file that is larger than memory, and what it writes is seen by all who map the
file, as it is where workers are forked.
"""

from __future__ import annotations

import mmap
import os
import sys

from allcores._core.hints import Any

__all__ = ["array_types", "is_plain_array", "maps_file", "reduce_mapped"]

SHARED_MODES = {"r": "r", "r+": "r+", "w+": "r+"}  # {mode: how others map the file}; what "c" writes is in no file


def array_types() -> tuple[type, ...]:
    """Give NumPy's arrays; nothing where there can be none."""
    numpy = sys.modules.get("numpy")
    try:
        return () if numpy is None else (numpy.ndarray,)
    except AttributeError:  # another thread is importing it
        return ()


def is_plain_array(kind: type) -> bool:
    """Whether arrays of this class are what `reduce_mapped` is for."""
    numpy = sys.modules["numpy"]
    return kind is numpy.ndarray or kind is getattr(numpy, "memmap", None)


def maps_file(array: Any) -> bool:
    """Whether an array travels by its place in a file."""
    return _find_mappable(array) is not None


def reduce_mapped(array: Any) -> tuple[Any, ...] | None:
    """Give what pickle makes an array of that is in a file: the place in there; None for any other."""
    memmap = _find_mappable(array)
    if memmap is None:
        return None
    low, high = _bounds(array)
    first = memmap.offset + low - _address(memmap)
    place = memmap.filename, SHARED_MODES[memmap.mode], first, high - low
    return _map_again, (place, array.dtype, array.shape, _address(array) - low, array.strides)


def _map_again(place: tuple[Any, ...], dtype: Any, shape: tuple[int, ...], start: int, strides: tuple[int, ...]) -> Any:
    """Map an array of a file.

    Args:
        place: the file, how to map it, where the array's bytes begin in there, and how many they are.
        dtype: of the elements.
        shape: of the array.
        start: where the first element is among the bytes.
        strides: from one element to the next, in bytes, per axis.
    """
    import numpy as np

    path, mode, first, size = place
    if start == 0 and strides == _strides_in_order(dtype, shape):
        return np.memmap(path, dtype, mode, first, shape)
    return np.ndarray(shape, dtype, np.memmap(path, np.uint8, mode, first, (size,)), start, strides)


def _find_mappable(array: Any) -> Any:
    """Give the array that maps a file for an array, if others can map it, too; else None."""
    memmap = None if array.base is None else _find_memmap(array)
    return memmap if memmap is not None and array.nbytes and _can_be_mapped(memmap) else None


def _find_memmap(array: Any) -> Any:
    """Give the array that an array is a view of and that maps a file itself; None if there is none."""
    while array is not None and not isinstance(getattr(array, "base", None), mmap.mmap):
        array = getattr(array, "base", None)
    return array if getattr(array, "filename", None) is not None else None


def _can_be_mapped(memmap: Any) -> bool:
    """Whether others see in the file what is in the array: the file may have been removed, or be another by now."""
    try:
        return memmap.mode in SHARED_MODES and os.path.getsize(memmap.filename) >= memmap.offset + memmap.nbytes
    except OSError:
        return False


def _bounds(array: Any) -> tuple[int, int]:
    """Give the addresses of an array's first byte and of the one after its last."""
    spans = [(size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True)]
    low = _address(array) + sum(span for span in spans if span < 0)
    return low, low + sum(map(abs, spans)) + array.itemsize


def _address(array: Any) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _strides_in_order(dtype: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the strides of an array whose elements lie one after another, the last index running fastest."""
    strides, stride = [], dtype.itemsize
    for size in reversed(shape):
        strides.append(stride)
        stride *= size
    return tuple(reversed(strides))
