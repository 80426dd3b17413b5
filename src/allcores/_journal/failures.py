"""Failures that outlive their session: to frames and back, as far as that goes."""

from __future__ import annotations

import functools
from pickle import PickleBuffer
from typing import Any, NoReturn

from allcores._codec.exceptions import decode_exception, encode_exception
from allcores._codec.pickling import decode, encode, encode_by_value
from allcores._objects.asking import ask
from allcores._objects.outcomes import Failure, Origin
from allcores._objects.short_repr import short_repr
from allcores._transport.wire import Buffer

__all__ = ["LostItem", "decode_failure", "encode_failure"]


class LostItem:
    """Stands for a failure's item that could not be pickled, or cannot be unpickled.

    Args:
        text: what the item looked like.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def encode_failure(failure: Failure) -> list[Buffer]:
    """Pickle a failure, less its index and its origin, so that nothing that is wrong with a part hurts the rest."""
    item, text = _encode_item(failure.item), short_repr(failure.item)
    return encode((encode_exception(failure.exception), failure.traceback, failure.worker, failure.tries, item, text))


def decode_failure(index: int, frames: list[Buffer], origin: Origin | None) -> Failure:
    """Unpickle what `encode_failure` gave.

    Args:
        index: the item's.
        frames: the pickle.
        origin: what it takes to run the item again.
    """
    exception, traceback, worker, tries, item_frames, text = decode(frames)
    try:
        item = ask(decode, item_frames)
    except Exception:  # an item's unpickling may raise anything; and there may be no frames
        item, origin = LostItem(text), origin and origin._replace(job=functools.partial(_refuse, index, text))
    return Failure(index, item, decode_exception(exception).exception, traceback, worker, tries, origin)


def _encode_item(item: Any) -> list[PickleBuffer] | None:
    """Pickle an item for a session that has not got the program's own classes."""
    try:
        return [PickleBuffer(frame) for frame in ask(encode_by_value, item)]
    except Exception:  # an item's pickling may raise anything
        return None


def _refuse(index: int, text: str) -> NoReturn:
    raise ValueError(
        f"item {index} ({text}) is lost: it could not be pickled when it failed, or cannot be unpickled here and now"
    )
