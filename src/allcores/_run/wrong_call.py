"""Items that are tuples, and a function that wants their parts: `starmap` is meant, and the error does not say so."""

from __future__ import annotations

from allcores._core.hints import Any
from allcores._core.kinds import is_a
from allcores._objects.asking import give_field, text_of

__all__ = ["advise_on_call"]

MISSES_ARGUMENTS = "required positional argument"  # of the interpreter's message


def advise_on_call(error: BaseException, item: Any) -> str:
    """Say what to do if the function was called with a whole tuple where it wants the parts; else nothing.

    Args:
        error: what the call raised; if the function itself did, there is a frame of it.
        item: what it was called with.
    """
    is_of_call = is_a(error, TypeError) and give_field(error, "__traceback__") is None
    if is_of_call and type(item) in (tuple, list) and len(item) > 1 and MISSES_ARGUMENTS in text_of(error):
        return f"; starmap calls fn(*item), with the {len(item)} parts of it"
    return ""
