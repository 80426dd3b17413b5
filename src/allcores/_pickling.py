"""Any object to frames and back.

Frames are a pickle (protocol 5) and the large buffers that were taken out of it; they travel without another copy.
Objects go through plain pickle, which is fast, and by value, through cloudpickle, where that does not do. What
becomes of a class that goes by value hangs on who pickles it for whom: see `Role`, and `_classes`.
"""

from __future__ import annotations

import copyreg
import functools
import io
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable, Collection, Mapping, Sequence
from types import CellType, CodeType, FunctionType
from weakref import WeakKeyDictionary, WeakValueDictionary

from allcores._classes import (
    MAIN,
    find_definition,
    is_definition,
    name_by_driver,
    name_in_worker,
    name_to_teach,
    own_class,
)
from allcores._foreign import ask
from allcores._globals import is_of_main, unknown_globals
from allcores._handover import reducers
from allcores._hints import Any, Protocol
from allcores._mapped import array_reducers, is_array, reduce_array
from allcores._wire import Buffer

__all__ = [
    "OUT_OF_BAND",
    "PROTOCOL",
    "Announcer",
    "Pupil",
    "Role",
    "Surveyor",
    "Teacher",
    "decode",
    "encode",
    "encode_by_value",
    "is_picklable",
    "set_apart",
]

PROTOCOL = 5
FEW = 64  # things among which large ones are looked for
OUT_OF_BAND = 1 << 16  # bytes: below that, a frame of its own costs more than the copy

Reduction = tuple[Any, ...]  # what pickle's ``__reduce__`` gives

_BYTES = {bytes, bytearray}
_CachedFunction = type(functools.cache(lambda: None))


def encode(thing: object, role: Role | None = None) -> list[Buffer]:
    """Pickle `thing` by reference where possible, by value where not. Raises whatever pickling it raises.

    Args:
        thing: what travels.
        role: which way it goes, for what goes by value; by default from the driver to a worker.
    """
    buffers: list[Buffer] = []
    try:
        data = _dumps(thing, role, functools.partial(_keep_in_band, buffers))
    except RecursionError:
        raise  # by value it would be deeper still
    except Exception:  # whatever it was, by value it may work
        return encode_by_value(thing, role)
    return [data, *buffers]


def _dumps(thing: object, role: Role | None, keep_in_band: Callable[[pickle.PickleBuffer], bool]) -> bytes:
    """Pickle `thing` plainly, but for what must not go as a copy: connections, and arrays of files to a worker."""
    special = reducers() | ({} if isinstance(role, Pupil) else array_reducers())
    if not special:
        return pickle.dumps(thing, PROTOCOL, buffer_callback=keep_in_band)
    with io.BytesIO() as file:
        pickler = pickle.Pickler(file, PROTOCOL, buffer_callback=keep_in_band)
        pickler.dispatch_table = {**copyreg.dispatch_table, **special}
        pickler.dump(thing)
        return file.getvalue()


def encode_by_value(
    thing: object,
    role: Role | None = None,
    references: Mapping[int, int] | None = None,
    reduce: Callable[[Any], Reduction | None] | None = None,
) -> list[Buffer]:
    """Pickle `thing` with the functions and classes that the other side cannot import.

    Args:
        thing: what travels.
        role: which way it goes, for what goes by value; by default from the driver to a worker.
        references: ``{id: number}`` of objects in it that travel beside it; `decode` is told where to find them.
        reduce: goes along with `references`: gives how to pickle an object, or None if it has no opinion.
    """
    buffers: list[Buffer] = []
    with io.BytesIO() as file:
        make_pickler = _referring_pickler() if references else _by_value_pickler()
        pickler = make_pickler(file, PROTOCOL, buffer_callback=functools.partial(_keep_in_band, buffers))
        pickler.role, pickler.references, pickler.reduce = role or Teacher(), references, reduce
        if more := reducers():  # the attribute of cloudpickle's class hides the one that counts
            vars(pickle.Pickler)["dispatch_table"].__set__(pickler, ChainMap(more, pickler.dispatch_table))
        pickler.dump(thing)
        return [file.getvalue(), *buffers]


def is_picklable(thing: object, role: Role | None = None) -> bool:
    """Whether `thing` can be pickled by value."""
    try:
        ask(encode_by_value, thing, role)
    except Exception:  # an object's pickling may raise anything
        return False
    return True


def decode(frames: list[Buffer], find: Callable[[int], Any] | None = None) -> Any:
    """Unpickle what `encode` gave. Raises whatever unpickling it raises.

    Args:
        frames: what `encode` gave.
        find: gives what travelled beside it, by number.
    """
    if find is None:
        return pickle.loads(frames[0], buffers=frames[1:])
    return _FindingUnpickler(frames, find).load()


class _FindingUnpickler(pickle.Unpickler):
    def __init__(self, frames: list[Buffer], find: Callable[[int], Any]) -> None:
        super().__init__(io.BytesIO(frames[0]), buffers=frames[1:])
        self._find = find

    def persistent_load(self, number: int) -> Any:
        return self._find(number)


def set_apart(things: Sequence[Any]) -> Sequence[Any]:
    """Have large bytes among a few things go out of band, as arrays do; pickle would copy them into the pickle."""
    if len(things) <= FEW and type(things) in (list, tuple) and not _BYTES.isdisjoint(map(type, things)):
        return [_Apart(thing) if type(thing) in _BYTES and len(thing) >= OUT_OF_BAND else thing for thing in things]
    return things


class _Apart:
    """Large bytes, or a bytearray, which arrive as what they were."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = data

    def __reduce_ex__(self, protocol: Any) -> Reduction:
        return type(self._data), (pickle.PickleBuffer(self._data),)


def _keep_in_band(buffers: list[Buffer], buffer: pickle.PickleBuffer) -> bool:
    try:
        raw = buffer.raw()
    except BufferError:  # not contiguous
        return True
    if raw.nbytes < OUT_OF_BAND:
        return True
    buffers.append(raw)
    return False


class Role(Protocol):
    """What a process is to the one it pickles for; decides what becomes of classes and functions that go by value."""

    def shorten(self, thing: Any) -> Reduction | None:
        """Give a shorter reduction of the class or function, or None: by value."""

    def note(self, thing: Any) -> None:
        """Hear of a class or function that goes by value."""

    def settle(self, function: FunctionType, reduction: Reduction) -> Reduction:
        """Decide where a function that goes by value has its globals."""


class Teacher:
    """The driver, pickling for a worker: collects the definitions that the worker shall know by name.

    Args:
        known: ``{name: thing}``, what the worker's ``__main__`` has of the caller's. The functions of the caller's then
            live in the worker's, and what it has does not go again. None: each pickle brings globals of its own.
        left_out: names of globals that the worker must do without.

    Attributes:
        definitions: ``{name: thing}``, to be learnt by the worker.
        sent: ``{name: value}`` of the globals that travel along with functions.
    """

    def __init__(self, known: Mapping[str, Any] | None = None, left_out: Collection[str] = ()) -> None:
        self._known = known
        self._left_out = left_out
        self.definitions: dict[str, Any] = {}
        self.sent: dict[str, Any] = {}

    def shorten(self, thing: Any) -> Reduction | None:
        """Name what the worker has; what it does not have must go by value."""
        name = None if self._known is None else name_in_worker(thing, self._known)
        return None if name is None else self._name(thing, name)

    def note(self, thing: Any) -> None:
        """Collect it."""
        name = name_to_teach(thing)
        if name is not None:
            self.definitions[name] = thing

    def settle(self, function: FunctionType, reduction: Reduction) -> Reduction:
        """Have a function of ``__main__`` live in the worker's, where that is shared."""
        if self._known is None or not is_of_main(function):
            return reduction
        return _in_main(reduction, self._send(unknown_globals(function, self._known)))

    def _name(self, thing: Any, name: str) -> Reduction:
        """Call it by its name, and bring what has become of the globals that it leads to."""
        assert self._known is not None
        changed = self._send(unknown_globals(thing, self._known))
        return (find_definition, (name,), *((changed, None, None, _set_globals) if changed else ()))

    def _send(self, values: dict[str, Any]) -> dict[str, Any]:
        """Choose from the globals that the worker lacks those that travel with what leads to them."""
        values = {name: value for name, value in values.items() if name not in self._left_out}
        self.sent |= values
        return values


class Surveyor(Teacher):
    """Collects, as `met`, the globals that the worker lacks, and has none of them travel.

    Args:
        known: ``{name: thing}``, what the worker's ``__main__`` has of the caller's.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        super().__init__(known)
        self.met: dict[str, Any] = {}

    def _send(self, values: dict[str, Any]) -> dict[str, Any]:
        self.met |= values
        return {}


class Announcer(Surveyor):
    """The driver, pickling what a worker is taught about first: all definitions of ``__main__`` go by name."""

    def shorten(self, thing: Any) -> Reduction | None:
        """Name what the worker has, or will have been taught."""
        if not is_definition(thing):
            return super().shorten(thing)
        self.note(thing)
        return self._name(thing, thing.__qualname__)


class Pupil:
    """A worker, pickling for its driver: calls the driver's own classes by name."""

    def shorten(self, thing: Any) -> Reduction | None:
        """Name a class that the driver has."""
        name = name_by_driver(thing) if isinstance(thing, type) else None
        return None if name is None else (own_class, (name,))

    def note(self, thing: Any) -> None:
        """Nothing is collected."""

    def settle(self, function: FunctionType, reduction: Reduction) -> Reduction:
        """Leave it its own."""
        return reduction


@functools.cache
def _by_value_pickler() -> Any:
    import cloudpickle  # heavy: only when something must travel by value

    class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is untyped
        """cloudpickle, and what it leaves out; what becomes of definitions is the role's to say."""

        role: Role

        def reducer_override(self, thing: Any) -> Any:
            if is_array(thing) and not isinstance(self.role, Pupil):
                return reduce_array(thing)
            if isinstance(thing, _CachedFunction) and not _is_importable(thing):
                return self._reduce_definition(thing, _reduce_cached(thing))
            if isinstance(thing, functools.cached_property):  # before Python 3.12 it holds a lock
                return _cached_property_again, (thing.func, thing.attrname)
            if isinstance(thing, WeakKeyDictionary | WeakValueDictionary):  # in functools.singledispatch, for one
                return type(thing), (dict(thing),)
            reduction = super().reducer_override(thing)
            if isinstance(thing, type | FunctionType) and isinstance(reduction, tuple):
                return self._reduce_definition(thing, reduction)
            return reduction

        def _reduce_definition(self, thing: Any, reduction: Reduction) -> Reduction:
            shorter = None if thing.__module__ == "builtins" else self.role.shorten(thing)
            if shorter is not None:
                return shorter
            self.role.note(thing)
            if isinstance(thing, type):
                return reduction if thing.__module__ == "builtins" else _with_slots(thing, reduction)
            return self.role.settle(thing, reduction) if isinstance(thing, FunctionType) else reduction

    return ByValuePickler


@functools.cache
def _referring_pickler() -> Any:
    class ReferringPickler(_by_value_pickler()):  # type: ignore[misc]
        """Has some objects go as numbers; to ask about every object costs too much where there are none."""

        references: Mapping[int, int]
        reduce: Callable[[Any], Reduction | None] | None

        def persistent_id(self, thing: Any) -> int | None:
            return self.references.get(id(thing))

        def reducer_override(self, thing: Any) -> Any:
            reduction = None if self.reduce is None else self.reduce(thing)
            return super().reducer_override(thing) if reduction is None else reduction

    return ReferringPickler


def _in_main(reduction: Reduction, values: dict[str, Any]) -> Reduction:
    """Have a function made in the ``__main__`` of whoever unpickles it, where `values` are set."""
    _, (code, *_, closure), (attributes, slots), *_, set_state = reduction
    slots["__globals__"] = values
    return _function_of_main, (code, closure), (set_state, (attributes, slots)), None, None, _set_state_in_main


def _function_of_main(code: CodeType, closure: tuple[CellType, ...] | None) -> FunctionType:
    return FunctionType(code, vars(sys.modules[MAIN]), None, None, closure)


def _set_state_in_main(function: FunctionType, state: tuple[Callable[[FunctionType, Any], None], Any]) -> None:
    set_state, how_it_was = state
    builtins = function.__globals__["__builtins__"]
    set_state(function, how_it_was)
    function.__globals__["__builtins__"] = builtins  # a module, in whose place cloudpickle puts a dict


def _set_globals(thing: Any, values: dict[str, Any]) -> None:  # noqa: ARG001 - a setter is called with both
    vars(sys.modules[MAIN]).update(values)


def _reduce_cached(function: Any) -> Reduction:
    """Make it again; its own ``__reduce__`` names it, and nobody could find it under that name."""
    return functools.lru_cache(**function.cache_parameters()), (function.__wrapped__,)


def _cached_property_again(function: Any, name: str | None) -> functools.cached_property[Any]:
    again = functools.cached_property(function)
    again.attrname = name
    return again


def _is_importable(thing: Any) -> bool:
    module = sys.modules.get(thing.__module__)
    return thing.__module__ != MAIN and getattr(module, thing.__qualname__, None) is thing


def _with_slots(thing: type, reduction: tuple[Any, ...]) -> tuple[Any, ...]:
    """Have a class made with its slots: cloudpickle only sets the attribute afterwards, when it is too late."""
    slots = vars(thing).get("__slots__")
    if slots:
        _, arguments, *_ = reduction
        class_attributes = next((part for part in arguments if isinstance(part, dict)), None)
        if class_attributes is not None:
            class_attributes["__slots__"] = slots
    return reduction
