"""Copies of things by way of pickle, made for this very process or for whoever they travel to.

What need not be copied, or cannot be, goes from the thing to its copy as it is.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
import threading
from collections.abc import Iterable
from functools import partial
from operator import getitem
from types import CellType, FunctionType, ModuleType

from allcores._codec.handover import reducers
from allcores._codec.mapped import maps_file
from allcores._codec.reductions import Reducers
from allcores._core.hints import Any
from allcores._input.ownership import GROUP, is_constant

__all__ = ["Copier", "InputError", "Pickled", "PickledThing", "opens_anew", "unpickle"]

PROTOCOL = 5
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made at run time, not compiled in

ANNOTATIONS = "__annotate__" if hasattr(FunctionType, "__annotate__") else "__annotations__"
DESCRIPTIONS = ("__module__", "__qualname__", "__doc__", ANNOTATIONS)  # of a function; the rest makes it


def opens_anew(function: Any) -> bool:
    """Whether a copy of what a function is bound to might open files or connections, which nobody would close."""
    kind = type(getattr(function, "__self__", function))
    return hasattr(kind, "__setstate__") or _has_way(kind)


def _has_way(kind: type) -> bool:
    """Whether a class, written in Python, says itself how its instances are made again."""
    made_by = (vars(base) for base in kind.__mro__ if base is not object and base.__flags__ & HEAP_TYPE)
    return any("__reduce__" in names or "__reduce_ex__" in names for names in made_by)


class Copier(pickle.Pickler):
    """Pickles things for this very process: what need not be copied, or cannot be, goes as a number.

    Args:
        shares_files: as of `Snapshots`.

    Attributes:
        buffers: copies of the large parts.
        kept: what goes by its number.
        met_ways: whether something came whose class, written in Python, says itself how it is made again.
    """

    def __init__(self, *, shares_files: bool) -> None:
        self._file = io.BytesIO()
        self.buffers: list[bytearray] = []
        # Not a method of its own, or it would hold itself, and with it the things, for a while.
        super().__init__(self._file, PROTOCOL, buffer_callback=partial(_add_copy, self.buffers))
        self.kept: list[Any] = []
        self.met_ways = False
        self._shares_files = shares_files
        self._travelling = tuple(reducers())  # in ways that pickle does not know
        self.dispatch_table = Reducers({}, copyreg.dispatch_table, is_for_worker=False)

    def pickle(self, things: tuple[Any, ...]) -> bytes:
        """Give the pickle. Raises `InputError`, and whatever an object's pickling may raise."""
        self.dump(things)
        return self._file.getvalue()

    def reducer_override(self, thing: Any) -> Any:
        """Say how to pickle what is no plain container."""
        kind = type(thing)
        if kind is GROUP:
            return iter, (_listed(thing),)
        if kind is FunctionType and thing.__globals__ is globals():  # what this pickler itself has called
            return NotImplemented
        if kind is FunctionType and not is_constant(thing):
            return self._reduce_function(thing)
        if issubclass(kind, (type, ModuleType, FunctionType)) or kind in self._travelling:
            return self._keep(thing)
        if self._shares_files and _is_array(kind) and maps_file(thing):
            return self._keep(thing)
        self.met_ways = self.met_ways or _has_way(kind)
        return NotImplemented

    def _keep(self, thing: Any) -> tuple[Any, ...]:
        self.kept.append(thing)
        return _kept, (len(self.kept) - 1,)

    def _reduce_function(self, function: Any) -> tuple[Any, ...]:
        """Have it made with variables of its own, which are as those of the function around it are now."""
        _, (number,) = self._keep(function)
        cells = [(cell.cell_contents,) if _is_full(cell) else () for cell in function.__closure__ or ()]
        state = (cells, function.__defaults__, function.__kwdefaults__, function.__dict__)
        return _function_like, (number,), state, None, None, _set_variables


def _add_copy(buffers: list[bytearray], buffer: pickle.PickleBuffer) -> bool:
    try:
        buffers.append(bytearray(buffer.raw()))
    except BufferError:  # not contiguous
        return True
    return False


class _Unpickling(threading.local):
    kept: list[Any]


_unpickling = _Unpickling()


def unpickle(data: bytes, buffers: list[bytearray], kept: list[Any]) -> tuple[Any, ...]:
    """Make the copies: of what a copier has pickled, with its buffers and what it has kept."""
    _unpickling.kept = kept
    try:
        copies: tuple[Any, ...] = pickle.loads(data, buffers=buffers)
    finally:
        _unpickling.kept = []
    return copies


def _kept(number: int) -> Any:
    return _unpickling.kept[number]


def _function_like(number: int) -> FunctionType:
    function: FunctionType = _unpickling.kept[number]
    cells = tuple(CellType() for _ in function.__closure__ or ())
    copied = FunctionType(function.__code__, function.__globals__, function.__name__, None, cells or None)
    for name in DESCRIPTIONS:
        setattr(copied, name, getattr(function, name))
    return copied


def _set_variables(function: Any, state: tuple[list[Any], Any, Any, dict[str, Any]]) -> None:
    cells, function.__defaults__, function.__kwdefaults__, attributes = state
    for cell, content in zip(function.__closure__ or (), cells, strict=True):
        if content:
            (cell.cell_contents,) = content
    vars(function).update(attributes)


def _is_full(cell: CellType) -> bool:
    try:
        return bool((cell.cell_contents,))
    except ValueError:  # its variable has no value yet
        return False


def _is_array(kind: type) -> bool:
    ndarray = getattr(sys.modules.get("numpy"), "ndarray", None)
    return ndarray is not None and issubclass(kind, ndarray)


class InputError(Exception):
    """Listing a group has raised an error of the input's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _listed(group: Iterable[Any]) -> list[Any]:
    try:
        return list(group)
    except Exception as error:
        raise InputError(error) from error


class Pickled:
    """Stands for things until they are where they travel to, as to make them again runs code of the user's.

    That is for the worker to do: it may open what nobody here would close, or bring the process down.
    """

    def __init__(self, things: tuple[Any, ...], data: bytes, buffers: list[bytearray], kept: list[Any]) -> None:
        self.things = things  # for whoever describes them
        self._pickle = data, buffers, kept

    def __reduce__(self) -> tuple[Any, ...]:
        data, buffers, kept = self._pickle
        return unpickle, (data, [pickle.PickleBuffer(buffer) for buffer in buffers], kept)


class PickledThing:
    """Stands for one of them."""

    def __init__(self, pickled: Pickled, position: int) -> None:
        self._place = pickled, position

    def __reduce__(self) -> tuple[Any, ...]:
        return getitem, self._place

    def __repr__(self) -> str:
        pickled, position = self._place
        return repr(pickled.things[position])
