"""Objects to frames and back.

A message's frames are a pickle (protocol 5) and the large buffers that were taken out of it; they travel without
another copy. Objects go through plain pickle, which is fast, and through cloudpickle where that does not do. The
function and what it captures always go through cloudpickle.

The caller's ``__main__`` is not importable in a clean worker, yet instances of its classes must pickle by reference,
fast, and come back as instances of the caller's own classes. So definitions are *taught*: pickled by value once per
worker, and known to both sides by name from then on (see `_classes`).
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from allcores._classes import MAIN, is_definition, name_by_driver, name_to_teach, own_class
from allcores._errors import ItemError, UnpicklableError, UnpicklableResult
from allcores._outcomes import Raised
from allcores._tracebacks import FrameData, format_traceback, rebuild_traceback, take_apart, without_our_frames
from allcores._wire import Buffer

__all__ = [
    "PartialItems",
    "decode",
    "decode_exception",
    "decode_outcomes",
    "encode",
    "encode_definitions",
    "encode_exception",
    "encode_items",
    "encode_outcomes",
    "encode_with_definitions",
    "explain_unpicklable",
    "raised_here",
]

PROTOCOL = 5
OUT_OF_BAND = 1 << 16  # bytes: below that, a frame of its own costs more than the copy
_CachedFunction = type(functools.cache(lambda: None))

# --------------------------------------------------------------------------------------------------- any object


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


def encode_by_value(thing: object, role: Role | None = None) -> list[Buffer]:
    """Pickle `thing` with the functions and classes that the other side cannot import."""
    buffers: list[Buffer] = []
    with io.BytesIO() as file:
        pickler = _by_value_pickler()(file, PROTOCOL, buffer_callback=functools.partial(_keep_in_band, buffers))
        pickler.role = role or Teacher()
        pickler.dump(thing)
        return [file.getvalue(), *buffers]


def decode(frames: list[Buffer]) -> Any:
    """Unpickle what `encode` gave."""
    return pickle.loads(frames[0], buffers=frames[1:])


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


# ----------------------------------------------------------------------------------------------------------- the job


def encode_with_definitions(thing: object) -> tuple[list[Buffer], set[str]]:
    """Pickle ``(thing, definitions)``: by value, with the definitions that the worker shall know by name.

    Returns:
        The frames, and the definitions' names.
    """
    # The pickler fills the dict while it works on `thing`, and comes to the dict itself last.
    teacher = Teacher()
    return encode_by_value((thing, teacher.definitions), teacher), set(teacher.definitions)


# ---------------------------------------------------------------------------------------------------------- items


@dataclass(frozen=True, slots=True)
class PartialItems:
    """A batch in which some items could not be pickled: ``errors`` tells why, by position in the batch."""

    items: list[Any]
    errors: dict[int, str]


def encode_definitions(definitions: dict[str, Any]) -> list[Buffer]:
    """Pickle definitions by value, less those that cannot be: items that need them will not be read, and say so."""
    try:
        return encode_by_value(definitions)
    except Exception:  # a class's own attributes may be anything
        return encode_by_value({name: thing for name, thing in definitions.items() if _is_picklable(thing)})


def encode_items(items: Sequence[Any], known: Collection[str]) -> tuple[list[Buffer], dict[str, Any]]:
    """Pickle a batch; an item that cannot travel goes as the reason why.

    Args:
        items: the batch.
        known: names that the worker has learnt before.

    Returns:
        The frames, and the definitions that the worker must learn first.
    """
    teacher = Teacher()
    try:
        frames = encode(items, teacher)
    except Exception:  # an item's pickling may raise anything
        whole, errors = _sort_out(items)
        text = {at: f"{_describe(items[at])} cannot be pickled: {error}" for at, error in errors.items()}
        frames = encode(PartialItems(whole, text), teacher)
    definitions = {name: thing for name, thing in teacher.definitions.items() if name not in known}
    return frames, definitions | _definitions_named_in(frames, known)


def _definitions_named_in(frames: list[Buffer], known: Collection[str]) -> dict[str, Any]:
    """Find what a pickle may name of the caller's ``__main__``.

    It may find a few too many, because it looks for names in bytes; that costs a definition's trip, once.
    """
    data = bytes(frames[0])
    if MAIN.encode() not in data:
        return {}
    return {
        name: thing
        for name, thing in vars(sys.modules[MAIN]).items()
        if name not in known and name.encode() in data and is_definition(thing)
    }


def _sort_out(things: Sequence[Any]) -> tuple[list[Any], dict[int, str]]:
    """Replace what cannot be pickled by None, and say why, by position."""
    whole, errors = list(things), {}
    for at, thing in enumerate(things):
        try:
            encode(thing)
        except Exception as error:  # an object's pickling may raise anything
            whole[at] = None
            errors[at] = f"{type(error).__name__}: {error}"
    return whole, errors


def _describe(thing: object) -> str:
    return f"a {type(thing).__name__}"


# ------------------------------------------------------------------------------------------------------- outcomes


def encode_outcomes(start: int, values: list[Any], raised: dict[int, BaseException]) -> list[Buffer]:
    """Pickle what came of consecutive items.

    Args:
        start: the first item's index.
        values: one per item; None for those that failed.
        raised: ``{index: exception}`` of those that failed. A value that cannot be pickled becomes one more.
    """
    errors = {index: encode_exception(error) for index, error in raised.items()}
    try:
        return encode((values, errors), Pupil())
    except Exception:  # a result's pickling may raise anything
        whole, reasons = _sort_out(values)
        for at, reason in reasons.items():
            text = f"the result, {_describe(values[at])}, cannot be pickled: {reason}"
            errors[start + at] = encode_exception(UnpicklableResult(text))
        return encode((whole, errors), Pupil())


def decode_outcomes(frames: list[Buffer]) -> tuple[list[Any], dict[int, Raised]]:
    """Unpickle what `encode_outcomes` gave: the values, and ``{index: what was raised}``."""
    values, errors = decode(frames)
    return values, {index: decode_exception(error) for index, error in errors.items()}


# ----------------------------------------------------------------------------------------------------- exceptions


@dataclass(frozen=True, slots=True)
class _ExceptionData:
    """An exception taken apart, so that whatever is wrong with it hurts nothing but itself."""

    pickled: list[bytes] | None  # None: it could not be pickled
    type_name: str
    message: str
    frames: list[FrameData]
    text: str
    cause: _ExceptionData | None
    context: _ExceptionData | None
    hides_context: bool


def encode_exception(error: BaseException) -> _ExceptionData:
    """Take an exception apart, with its chain and the user's frames."""
    return _take_apart(error, seen=set())


def _take_apart(error: BaseException, seen: set[int]) -> _ExceptionData:
    seen.add(id(error))
    error.__traceback__ = without_our_frames(error.__traceback__)
    try:
        pickled = [bytes(frame) for frame in encode(error, Pupil())]
    except Exception:  # an exception's pickling may raise anything
        pickled = None

    def travelling(other: BaseException | None) -> _ExceptionData | None:
        return None if other is None or id(other) in seen else _take_apart(other, seen)

    return _ExceptionData(
        pickled=pickled,
        type_name=type(error).__qualname__,
        message=_message(error),
        frames=take_apart(error.__traceback__),
        text=format_traceback(error),
        cause=travelling(error.__cause__),
        context=travelling(error.__context__),
        hides_context=error.__suppress_context__,
    )


def raised_here(error: BaseException) -> Raised:
    """Tell of an exception that need not travel; it keeps its own traceback, less our frames."""
    error.__traceback__ = without_our_frames(error.__traceback__)
    return Raised(error, format_traceback(error))


def decode_exception(data: _ExceptionData) -> Raised:
    """Put an exception together again; what will not be unpickled becomes an `ItemError` with its text."""
    return Raised(_put_together(data), data.text)


def _put_together(data: _ExceptionData) -> BaseException:
    error = _unpickle_exception(data)
    if data.cause is not None:
        error.__cause__ = _put_together(data.cause)
    if data.context is not None:
        error.__context__ = _put_together(data.context)
    error.__suppress_context__ = data.hides_context
    return error.with_traceback(rebuild_traceback(data.frames))


def _unpickle_exception(data: _ExceptionData) -> BaseException:
    what_failed = "pickled"
    if data.pickled is not None:
        what_failed = "unpickled"
        try:
            error = decode(list(data.pickled))
        except Exception:  # noqa: S110 - an exception's unpickling may raise anything; below says so
            pass
        else:
            if isinstance(error, BaseException):
                return error
    text = f"{data.type_name}: {data.message} (the exception itself cannot be {what_failed}; it was:\n{data.text})"
    return ItemError(text, type_name=data.type_name, remote_traceback=data.text)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception's own __str__ may raise anything
        return "(its text cannot be had)"


# ------------------------------------------------------------------------------------- what the function captures


def explain_unpicklable(role: str, thing: Any, error: Exception) -> UnpicklableError | None:
    """Say which capture of a function, or which part of an object, stands in the way of pickling it.

    Args:
        role: what it is to the caller: ``"the function"``, ``"the initializer"``.
        thing: what must travel.
        error: what pickling raised.

    Returns:
        The error to raise, or None if this very thing can be pickled.
    """
    if _is_picklable(thing):
        return None
    reason = _find_culprit(thing, "", seen=set()) or f"{_describe(thing)} cannot be pickled"
    return UnpicklableError(
        f"{role} cannot travel to the workers: {reason} ({error}); "
        "create it inside the function or in an initializer, or use start='fork' where that is safe"
    )


def _find_culprit(thing: Any, path: str, seen: set[int]) -> str | None:
    """Name the innermost capture that cannot be pickled, as ``variable 'lock' (a lock)``."""
    seen.add(id(thing))
    for name, value in _captures(thing):
        if id(value) in seen or _is_picklable(value):
            continue
        here = f"{path}{name}"
        return _find_culprit(value, f"{here} -> ", seen) or f"variable {here!r}, {_describe(value)}, cannot be pickled"
    return None


def _is_picklable(thing: object) -> bool:
    try:
        encode_by_value(thing)
    except Exception:  # an object's pickling may raise anything
        return False
    return True


def _captures(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield what travels along with a callable: closure, globals it names, bound object, attributes, arguments."""
    if isinstance(thing, FunctionType):
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # an empty cell
                continue
        for name in _names(thing.__code__):
            if name in thing.__globals__:
                yield name, thing.__globals__[name]
        yield from zip(_argument_names(thing), thing.__defaults__ or (), strict=False)
    elif isinstance(thing, functools.partial):
        yield "func", thing.func
        yield from ((f"args[{position}]", value) for position, value in enumerate(thing.args))
        yield from thing.keywords.items()
    elif isinstance(thing, MethodType):
        yield "self", thing.__self__
    elif hasattr(thing, "__dict__") and not isinstance(thing, type):
        yield from vars(thing).items()


def _argument_names(function: FunctionType) -> tuple[str, ...]:
    code = function.__code__
    return code.co_varnames[code.co_argcount - len(function.__defaults__ or ()) : code.co_argcount]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
