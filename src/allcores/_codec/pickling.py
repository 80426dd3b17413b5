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
from collections.abc import Callable, Collection, Mapping, Sequence
from types import CellType, CodeType, FunctionType

from allcores._codec.definitions.classes import (
    MAIN,
    find_definition,
    is_definition,
    name_by_driver,
    name_in_worker,
    name_to_teach,
    own_class,
)
from allcores._codec.definitions.contents import Contents, Inspection
from allcores._codec.definitions.definitions import (
    find_alias,
    is_importable,
    is_made_by_type,
    reduce_class,
    reduce_code,
    reduce_hidden,
)
from allcores._codec.definitions.globals import Key, Known, find_lacking, is_of_main
from allcores._codec.definitions.parts import parts_of, set_parts
from allcores._codec.definitions.unimportable import unimportable_modules
from allcores._codec.handover import reducers
from allcores._codec.reductions import Reducers
from allcores._core.hints import Any, Protocol
from allcores._objects.asking import ask
from allcores._transport.wire import Buffer

__all__ = [
    "OUT_OF_BAND",
    "PROTOCOL",
    "Announcer",
    "Pupil",
    "Role",
    "Substitute",
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
    if _is_for_worker(role) and any(name.encode() in data for name in unimportable_modules()):
        return encode_by_value(thing, role)
    return [data, *buffers]


def _dumps(thing: object, role: Role | None, keep_in_band: Callable[[pickle.PickleBuffer], bool]) -> bytes:
    """Pickle `thing` plainly, but for what that would change."""
    with io.BytesIO() as file:
        pickler = pickle.Pickler(file, PROTOCOL, buffer_callback=keep_in_band)
        pickler.dispatch_table = Reducers(reducers(), copyreg.dispatch_table, is_for_worker=_is_for_worker(role))
        pickler.dump(thing)
        return file.getvalue()


def _is_for_worker(role: Role | None) -> bool:
    return not isinstance(role, Pupil)


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
        table = Reducers(reducers(), pickler.dispatch_table, is_for_worker=_is_for_worker(role))
        # The attribute of cloudpickle's class hides the one that counts.
        vars(pickle.Pickler)["dispatch_table"].__set__(pickler, table)
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

    def replaces(self, thing: Any) -> bool:
        """Whether a class or function goes by value although the other side can import one of its name."""

    def note(self, thing: Any) -> None:
        """Hear of a class or function that goes by value."""

    def settle(self, function: FunctionType, reduction: Reduction) -> Reduction:
        """Decide where a function that goes by value has its globals."""


class Teacher:
    """The driver, pickling for a worker: collects the definitions that the worker shall know by name.

    Args:
        known: what the worker's ``__main__`` has of the caller's. The functions of the caller's then live in the
            worker's, and what it has does not go again. None: each pickle brings globals of its own.
        inspection: looks at what things consist of; one of its own by default.
        left_out: names of globals that the worker must do without.

    Attributes:
        definitions: ``{name: thing}``, to be learnt by the worker.
        sent: ``{name: value}`` of the globals that travel along with functions.
        unsure: ``{(module, name): contents}`` of what the worker must compare.
    """

    def __init__(
        self, known: Known | None = None, inspection: Inspection | None = None, left_out: Collection[str] = ()
    ) -> None:
        self._known = known
        self._inspection = inspection or Inspection(is_only=True)
        self._left_out = left_out
        self.definitions: dict[str, Any] = {}
        self.sent: dict[str, Any] = {}
        self.unsure: dict[Key, Contents] = {}

    def shorten(self, thing: Any) -> Reduction | None:
        """Name what the worker has; what it does not have must go by value."""
        name = None if self._known is None else name_in_worker(thing, self._known)
        return None if name is None else self._name(thing, name)

    def replaces(self, thing: Any) -> bool:
        """What can be imported is imported."""
        return False

    def note(self, thing: Any) -> None:
        """Collect it."""
        name = name_to_teach(thing)
        if name is not None:
            self.definitions[name] = thing

    def settle(self, function: FunctionType, reduction: Reduction) -> Reduction:
        """Have a function of ``__main__`` live in the worker's, where that is shared."""
        if self._known is None or not is_of_main(function):
            return reduction
        return _in_module(reduction, MAIN, self._find_lacking(function, self._known))

    def _name(self, thing: Any, name: str) -> Reduction:
        """Call it by its name, and bring what has become of it, and of the globals that it leads to."""
        assert self._known is not None
        lacking = self._find_lacking(thing, self._known)
        if name in lacking:  # it is the same object, and consists of something else
            del lacking[name]
            return find_definition, (name,), (parts_of(thing), lacking), None, None, _bring_up_to_date
        return find_definition, (name,), *((lacking, None, None, _set_globals) if lacking else ())

    def _find_lacking(self, thing: Any, known: Known) -> dict[str, Any]:
        """Give the globals that the worker lacks and that travel with what leads to them."""
        values, unsure = find_lacking(thing, known, self._inspection)
        self.unsure |= unsure
        values = {name: value for name, value in values.items() if name not in self._left_out}
        self.sent |= values
        return values


class Surveyor(Teacher):
    """Collects, as `met`, the globals that the worker lacks, and has none of them travel.

    Args:
        known: what the worker's ``__main__`` has of the caller's.
        inspection: as for `Teacher`.
    """

    def __init__(self, known: Known, inspection: Inspection) -> None:
        super().__init__(known, inspection)
        self.met: dict[str, Any] = {}

    def _find_lacking(self, thing: Any, known: Known) -> dict[str, Any]:
        values, unsure = find_lacking(thing, known, self._inspection)
        self.unsure |= unsure
        self.met |= values
        return {}


class Substitute(Teacher):
    """The driver, pickling things of modules whose own the worker is to give up for them.

    Args:
        known: as for `Teacher`.
        inspection: as for `Teacher`.
        keys: which things go by value, by module and name; others of these modules are where they are.
    """

    def __init__(self, known: Known, inspection: Inspection, keys: Collection[Key]) -> None:
        super().__init__(known, inspection)
        self._keys = keys

    def replaces(self, thing: Any) -> bool:
        """Whether it, or what it is defined in, was asked for."""
        names = str(thing.__qualname__).split(".")
        return any((thing.__module__, ".".join(names[:count])) in self._keys for count in range(1, len(names) + 1))

    def settle(self, function: FunctionType, reduction: Reduction) -> Reduction:
        """Have a function of such a module live in the worker's."""
        module = function.__module__
        if self.replaces(function) and function.__globals__ is vars(sys.modules[module]):
            return _in_module(reduction, module, {})
        return super().settle(function, reduction)


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

    def replaces(self, thing: Any) -> bool:
        """What can be imported is imported."""
        return False

    def note(self, thing: Any) -> None:
        """Nothing is collected."""

    def settle(self, function: FunctionType, reduction: Reduction) -> Reduction:
        """Leave it its own."""
        return reduction


@functools.cache
def _by_value_pickler() -> Any:
    import cloudpickle  # heavy: only when something must travel by value
    from cloudpickle.cloudpickle import _should_pickle_by_reference

    class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle is untyped
        """cloudpickle, and what it leaves out; what becomes of definitions is the role's to say."""

        role: Role

        def reducer_override(self, thing: Any) -> Any:
            kind = type(thing)
            if kind is FunctionType or issubclass(kind, type):
                return self._reduce_definition(thing)
            if kind is _CachedFunction and (self.role.replaces(thing) or not is_importable(thing)):
                return self._shorten(thing) or _reduce_cached(thing)
            return reduce_code(thing) if kind is CodeType else NotImplemented

        def _reduce_definition(self, thing: Any) -> Any:
            is_hidden = _is_for_worker(self.role) and thing.__module__ in unimportable_modules()
            is_hidden = is_hidden or self.role.replaces(thing)  # behind the worker's own
            if not is_hidden and _should_pickle_by_reference(thing):
                return NotImplemented
            if isinstance(thing, type) and not is_made_by_type(thing):
                return super().reducer_override(thing)
            alias = None if is_hidden else find_alias(thing)
            return alias or self._shorten(thing) or _take_apart(self, thing)

        def _shorten(self, thing: Any) -> Reduction | None:
            shorter = self.role.shorten(thing)
            if shorter is None:
                self.role.note(thing)
            return shorter

    return ByValuePickler


def _take_apart(pickler: Any, thing: Any) -> Reduction:
    if isinstance(thing, type):
        return reduce_class(thing, is_for_worker=_is_for_worker(pickler.role))
    reduction = pickler.role.settle(thing, pickler._dynamic_function_reduce(thing))  # noqa: SLF001 - cloudpickle's
    return reduce_hidden(thing, reduction) if thing.__module__ in unimportable_modules() else reduction


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


def _in_module(reduction: Reduction, module: str, values: dict[str, Any]) -> Reduction:
    """Have a function made in a module of whoever unpickles it, where `values` are set."""
    _, (code, *_, closure), (attributes, slots), *_, set_state = reduction
    slots["__globals__"] = values
    return _function_of_module, (module, code, closure), (set_state, (attributes, slots)), None, None, _set_state_there


def _function_of_module(module: str, code: CodeType, closure: tuple[CellType, ...] | None) -> FunctionType:
    return FunctionType(code, vars(sys.modules[module]), None, None, closure)


def _set_state_there(function: FunctionType, state: tuple[Callable[[FunctionType, Any], None], Any]) -> None:
    set_state, how_it_was = state
    builtins = function.__globals__["__builtins__"]
    set_state(function, how_it_was)
    function.__globals__["__builtins__"] = builtins  # a module, in whose place cloudpickle puts a dict


def _set_globals(thing: Any, values: dict[str, Any]) -> None:  # noqa: ARG001 - a setter is called with both
    vars(sys.modules[MAIN]).update(values)


def _bring_up_to_date(thing: Any, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    parts, values = state
    _set_globals(thing, values)
    set_parts(thing, parts)


def _reduce_cached(function: Any) -> Reduction:
    """Make it again; its own ``__reduce__`` names it, and nobody could find it under that name."""
    return functools.lru_cache(**function.cache_parameters()), (function.__wrapped__,)
