"""Any object to frames and back.

Frames are a pickle (protocol 5) and the large buffers that were taken out of it; they travel without another copy.
Objects go through plain pickle, which is fast, and by value, through cloudpickle, where that does not do. What
becomes of a class that goes by value hangs on who pickles it for whom: see `Role`, and `_classes`.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from allcores._classes import MAIN, name_by_driver, name_to_teach, own_class
from allcores._foreign import ask
from allcores._wire import Buffer

__all__ = ["Pupil", "Role", "Teacher", "decode", "encode", "encode_by_value", "is_picklable"]

PROTOCOL = 5
OUT_OF_BAND = 1 << 16  # bytes: below that, a frame of its own costs more than the copy

_CachedFunction = type(functools.cache(lambda: None))


def encode(thing: object, role: Role | None = None) -> list[Buffer]:
    """Pickle `thing` by reference where possible, by value where not. Raises whatever pickling it raises.

    Args:
        thing: what travels.
        role: which way it goes, for what goes by value; by default from the driver to a worker.
    """
    buffers: list[Buffer] = []
    try:
        data = pickle.dumps(thing, PROTOCOL, buffer_callback=functools.partial(_keep_in_band, buffers))
    except RecursionError:
        raise  # by value it would be deeper still
    except Exception:  # whatever it was, by value it may work
        return encode_by_value(thing, role)
    return [data, *buffers]


def encode_by_value(
    thing: object, role: Role | None = None, references: Mapping[int, int] | None = None
) -> list[Buffer]:
    """Pickle `thing` with the functions and classes that the other side cannot import.

    Args:
        thing: what travels.
        role: which way it goes, for what goes by value; by default from the driver to a worker.
        references: ``{id: number}`` of objects in it that travel beside it; `decode` is told where to find them.
    """
    buffers: list[Buffer] = []
    with io.BytesIO() as file:
        make_pickler = _referring_pickler() if references else _by_value_pickler()
        pickler = make_pickler(file, PROTOCOL, buffer_callback=functools.partial(_keep_in_band, buffers))
        pickler.role, pickler.references = role or Teacher(), references
        pickler.dump(thing)
        return [file.getvalue(), *buffers]


def is_picklable(thing: object) -> bool:
    """Whether `thing` can be pickled by value."""
    try:
        ask(encode_by_value, thing)
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
    """What a process is to the one it pickles for; decides what becomes of classes that go by value."""

    def shorten(self, thing: type) -> tuple[Any, ...] | None:
        """Give a shorter reduction of the class, or None: by value."""

    def note(self, thing: Any) -> None:
        """Hear of a class or function that goes by value."""


class Teacher:
    """The driver, pickling for a worker: collects the definitions that the worker shall know by name."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def shorten(self, thing: type) -> None:
        """Shorten nothing: what the worker does not have must go by value."""

    def note(self, thing: Any) -> None:
        """Collect it."""
        name = name_to_teach(thing)
        if name is not None:
            self.definitions[name] = thing


class Pupil:
    """A worker, pickling for its driver: calls the driver's own classes by name."""

    def shorten(self, thing: type) -> tuple[Any, ...] | None:
        """Name a class that the driver has."""
        name = name_by_driver(thing)
        return None if name is None else (own_class, (name,))

    def note(self, thing: Any) -> None:
        """Nothing is collected."""


@functools.cache
def _by_value_pickler() -> Any:
    import cloudpickle  # heavy: only when something must travel by value

    class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is untyped
        """cloudpickle, and what it leaves out; what becomes of definitions is the role's to say."""

        role: Role

        def reducer_override(self, thing: Any) -> Any:
            if isinstance(thing, _CachedFunction) and not _is_importable(thing):
                # Its own __reduce__ names it, and nobody could find it under that name.
                return functools.lru_cache(**thing.cache_parameters()), (thing.__wrapped__,)
            if isinstance(thing, functools.cached_property):  # before Python 3.12 it holds a lock
                return _cached_property_again, (thing.func, thing.attrname)
            if isinstance(thing, WeakKeyDictionary | WeakValueDictionary):  # in functools.singledispatch, for one
                return type(thing), (dict(thing),)
            reduction = super().reducer_override(thing)
            if isinstance(thing, type | FunctionType) and isinstance(reduction, tuple):
                self.role.note(thing)
                if isinstance(thing, type) and thing.__module__ != "builtins":
                    return self.role.shorten(thing) or _with_slots(thing, reduction)
            return reduction

    return ByValuePickler


@functools.cache
def _referring_pickler() -> Any:
    class ReferringPickler(_by_value_pickler()):  # type: ignore[misc]
        """Has some objects go as numbers; to ask about every object costs too much where there are none."""

        references: Mapping[int, int]

        def persistent_id(self, thing: Any) -> int | None:
            return self.references.get(id(thing))

    return ReferringPickler


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
