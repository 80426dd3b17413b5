"""What messages carry, as frames: the job, batches of items, definitions, outcomes.

What cannot travel is sorted out here, so that it hurts only the item that it belongs to.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from allcores._classes import MAIN, is_definition
from allcores._errors import UnpicklableResult
from allcores._exceptions import decode_exception, encode_exception
from allcores._outcomes import Raised
from allcores._pickling import Pupil, Teacher, decode, encode, encode_by_value, is_picklable
from allcores._wire import Buffer

__all__ = [
    "PartialItems",
    "decode_outcomes",
    "encode_definitions",
    "encode_items",
    "encode_job",
    "encode_outcomes",
]

# ----------------------------------------------------------------------------------------------------------- the job


def encode_job(job: object) -> tuple[list[Buffer], set[str]]:
    """Pickle ``(job, definitions)``: by value, with the definitions that the worker shall know by name.

    Returns:
        The frames, and the definitions' names.
    """
    # The pickler fills the dict while it works on the job, and comes to the dict itself last.
    teacher = Teacher()
    return encode_by_value((job, teacher.definitions), teacher), set(teacher.definitions)


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
        return encode_by_value({name: thing for name, thing in definitions.items() if is_picklable(thing)})


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
