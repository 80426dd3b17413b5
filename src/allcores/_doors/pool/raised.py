"""What a pool raises for an item that failed, as programs expect it that know `multiprocessing.Pool`."""

from __future__ import annotations

import os
from multiprocessing.pool import MaybeEncodingError, RemoteTraceback  # type: ignore[attr-defined]  # the stubs lack it

from allcores._codec.pickling import encode_by_value
from allcores._core.errors import AllcoresError, UnpicklableItem, UnpicklableResult
from allcores._core.kinds import is_a
from allcores._objects.asking import ask, give_field, set_field
from allcores._objects.outcomes import Failure, attach_failure
from allcores._objects.tracebacks import tell_place

__all__ = ["exception_of"]


class UnsentResult(UnpicklableResult, MaybeEncodingError):  # type: ignore[misc]  # the stubs lack it
    """The result could not be sent back."""

    def __init__(self, reason: str) -> None:
        Exception.__init__(self, reason)
        self.exc, self.value = reason, ""  # as a text, which is not known here

    __str__ = Exception.__str__


def exception_of(failure: Failure) -> BaseException:
    """Give the exception to raise: the item's own, or what pickling the item raises."""
    error = failure.exception
    if type(error) is UnpicklableItem:
        error = _pickling_error(failure.item, error)
    elif type(error) is UnpicklableResult:
        error = _unsent(error)
    elif failure.worker.pid != os.getpid():
        _bear_cause(error, failure)
    attach_failure(error, failure)
    return error


def _pickling_error(item: object, refusal: UnpicklableItem) -> BaseException:
    try:
        ask(encode_by_value, item)
    except Exception as error:  # an item's pickling may raise anything
        set_field(error, "__cause__", refusal)  # it names the item
        set_field(error, "__traceback__", None)
        return error
    return refusal


def _unsent(error: UnpicklableResult) -> UnsentResult:
    unsent = UnsentResult(str(error))
    unsent.__dict__.update(vars(error))
    return unsent


def _bear_cause(error: BaseException, failure: Failure) -> None:
    """Set the cause that programs look for; one of the item's own is worth more.

    It would tell the traceback again, that the exception has itself, so it tells the last line alone.
    """
    is_ours = is_a(error, AllcoresError) and give_field(error, "__traceback__") is None
    has_reason = give_field(error, "__cause__") is not None or give_field(error, "__context__") is not None
    if not (is_ours or has_reason):
        text = f"raised in {failure.worker}, {tell_place(give_field(error, '__traceback__'))}\n"
        set_field(error, "__cause__", RemoteTraceback(f'\n"""\n{text}"""'))
