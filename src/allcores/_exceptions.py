"""Exceptions that travel: taken apart in the worker, put together again in the driver.

Pickling an exception loses its traceback, its cause and its context, and may fail at either end for reasons of its
own. So each exception of a chain travels by itself, beside its text, and whatever is wrong with one hurts only that
one.
"""

from __future__ import annotations

from dataclasses import dataclass

from allcores._errors import ItemError
from allcores._outcomes import Raised
from allcores._pickling import Pupil, decode, encode
from allcores._tracebacks import FrameData, format_traceback, rebuild_traceback, take_apart, without_our_frames

__all__ = ["ExceptionData", "decode_exception", "encode_exception", "raised_here"]


@dataclass(frozen=True, slots=True)
class ExceptionData:
    """An exception taken apart, so that whatever is wrong with it hurts nothing but itself."""

    pickled: list[bytes] | None  # None: it could not be pickled
    type_name: str
    message: str
    frames: list[FrameData]
    text: str
    cause: ExceptionData | None
    context: ExceptionData | None
    hides_context: bool


def encode_exception(error: BaseException) -> ExceptionData:
    """Take an exception apart, with its chain and the user's frames."""
    return _take_apart(error, seen=set())


def _take_apart(error: BaseException, seen: set[int]) -> ExceptionData:
    seen.add(id(error))
    error.__traceback__ = without_our_frames(error.__traceback__)
    try:
        pickled = [bytes(frame) for frame in encode(error, Pupil())]
    except Exception:  # an exception's pickling may raise anything
        pickled = None

    def travelling(other: BaseException | None) -> ExceptionData | None:
        return None if other is None or id(other) in seen else _take_apart(other, seen)

    return ExceptionData(
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


def decode_exception(data: ExceptionData) -> Raised:
    """Put an exception together again; what will not be unpickled becomes an `ItemError` with its text."""
    return Raised(_put_together(data), data.text)


def _put_together(data: ExceptionData) -> BaseException:
    error = _unpickle_exception(data)
    if data.cause is not None:
        error.__cause__ = _put_together(data.cause)
    if data.context is not None:
        error.__context__ = _put_together(data.context)
    error.__suppress_context__ = data.hides_context
    return error.with_traceback(rebuild_traceback(data.frames))


def _unpickle_exception(data: ExceptionData) -> BaseException:
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
