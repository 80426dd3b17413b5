"""Exceptions that travel: taken apart in the worker, put together again in the driver.

Pickling an exception loses its traceback, its cause and its context, and may fail at either end for reasons of its
own. So each exception of a chain or a group travels by itself, beside its text, and whatever is wrong with one hurts
only that one. They travel as a flat list, in which one names others by their position: chains may be long, may share
links and may even bite their own tail.
"""

from __future__ import annotations

from allcores._errors import ItemError
from allcores._foreign import ask, describe, give_field, is_a, qualified_name, set_field
from allcores._outcomes import Raised
from allcores._pickling import Pupil, decode, encode, encode_by_value
from allcores._records import Record
from allcores._tracebacks import (
    FrameData,
    format_frames,
    format_traceback,
    rebuild_traceback,
    take_apart,
    without_our_frames,
)

__all__ = ["ExceptionData", "decode_exception", "encode_exception", "raised_here"]


class _Link(Record):
    """One exception of a chain or a group."""

    pickled: list[bytes] | None  # None: it could not be pickled
    type_name: str
    summary: str
    frames: list[FrameData]
    cause: int | None  # positions in the list of links
    context: int | None
    hides_context: bool


class ExceptionData(Record):
    """An exception taken apart."""

    links: list[_Link]  # the exception itself comes first
    text: str  # the traceback, chain included


def raised_here(error: BaseException) -> Raised:
    """Tell of an exception that need not travel; it keeps its own traceback, less our frames."""
    _strip_traceback(error)
    return Raised(error, format_traceback(error))


def _strip_traceback(error: BaseException) -> None:
    set_field(error, "__traceback__", without_our_frames(give_field(error, "__traceback__")))


# -------------------------------------------------------------------------------------------------- taking apart


def encode_exception(error: BaseException) -> ExceptionData:
    """Take an exception apart, with its chain and the user's frames. Raises nothing, whatever the exception is like."""
    errors = _connected(error)
    positions = {id(one): at for at, one in enumerate(errors)}
    for one in errors:
        _strip_traceback(one)
    return ExceptionData([_take_apart(one, positions) for one in errors], format_traceback(error))


def _connected(error: BaseException) -> list[BaseException]:
    """List an exception and all that it is chained to or made of, each once."""
    found, seen = [error], {id(error)}
    for one in found:  # grows while it is walked
        for other in (give_field(one, "__cause__"), give_field(one, "__context__"), *_members(one)):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                found.append(other)
    return found


def _members(error: BaseException) -> tuple[BaseException, ...]:
    return vars(BaseExceptionGroup)["exceptions"].__get__(error) if is_a(error, BaseExceptionGroup) else ()


def _take_apart(error: BaseException, positions: dict[int, int]) -> _Link:
    cause, context = give_field(error, "__cause__"), give_field(error, "__context__")
    return _Link(
        pickled=_pickle(error, positions),
        type_name=qualified_name(error),
        summary=describe(error),
        frames=take_apart(give_field(error, "__traceback__")),
        cause=None if cause is None else positions[id(cause)],
        context=None if context is None else positions[id(context)],
        hides_context=give_field(error, "__suppress_context__"),
    )


def _pickle(error: BaseException, positions: dict[int, int]) -> list[bytes] | None:
    members = {id(member): positions[id(member)] for member in _members(error)}
    try:
        frames = ask(encode_by_value, error, Pupil(), members) if members else ask(encode, error, Pupil())
    except Exception:  # an exception's pickling may raise anything
        return None
    return [bytes(frame) for frame in frames]


# ----------------------------------------------------------------------------------------- putting together again


def decode_exception(data: ExceptionData) -> Raised:
    """Put an exception together again; what will not be unpickled becomes an `ItemError` with its text."""
    made: dict[int, BaseException] = {}
    for at, link in enumerate(data.links):
        error = _make(data, at, made)
        set_field(error, "__traceback__", rebuild_traceback(link.frames))
        set_field(error, "__cause__", None if link.cause is None else _make(data, link.cause, made))
        set_field(error, "__context__", None if link.context is None else _make(data, link.context, made))
        set_field(error, "__suppress_context__", link.hides_context)
    return Raised(made[0], data.text)


def _make(data: ExceptionData, at: int, made: dict[int, BaseException]) -> BaseException:
    """Make the exception at this position; of a group, its members first. A link may be asked for many times."""
    if at not in made:
        made[at] = _unpickle(data, at, made)
    return made[at]


def _unpickle(data: ExceptionData, at: int, made: dict[int, BaseException]) -> BaseException:
    pickled = data.links[at].pickled
    if pickled is None:
        return _stand_in(data, at, "pickled")
    try:
        error = ask(decode, list(pickled), lambda member: _make(data, member, made))
    except Exception:  # an exception's unpickling may raise anything
        return _stand_in(data, at, "unpickled")
    return error if is_a(error, BaseException) else _stand_in(data, at, "unpickled")


def _stand_in(data: ExceptionData, at: int, what_failed: str) -> ItemError:
    link = data.links[at]
    trace = data.text if at == 0 else format_frames(link.frames, link.summary)
    text = f"{link.summary} (the exception itself cannot be {what_failed}; it was:\n{trace})"
    return ItemError(text, type_name=link.type_name, remote_traceback=trace)
