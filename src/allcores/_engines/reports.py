"""What workers elsewhere report of their batches, told as arrivals."""

from __future__ import annotations

from allcores._codec.codec import decode_outcomes
from allcores._codec.exceptions import decode_exception
from allcores._codec.pickling import decode
from allcores._core.errors import UnpicklableItem, UnpicklableResult
from allcores._core.messages import BatchAdvanced, BatchFinished, BatchUnreadable
from allcores._engines.engine import Arrival
from allcores._objects.asking import describe
from allcores._transport.wire import Message

__all__ = ["understand_report", "understand_unreadable"]


def understand_report(worker: int, message: Message) -> Arrival:
    """Tell what came of items."""
    try:
        values, raised = decode_outcomes(message.frames)
    except UnpicklableResult as error:
        return Arrival(BatchUnreadable(worker, message.token, message.stop, is_last=message.flag), cause=error)
    happened = BatchFinished if message.flag else BatchAdvanced
    event = happened(worker, message.token, message.stop, message.seconds, tuple(raised), (), message.waited)
    return Arrival(event, message.start, values, raised, ended=message.ended)


def understand_unreadable(worker: int, message: Message) -> Arrival:
    """Tell that a batch could not be read where it was to run."""
    error = decode_exception(decode(message.frames)).exception
    text = f"it arrived at its worker and could not be unpickled there: {describe(error)}"
    return Arrival(BatchUnreadable(worker, message.token, message.stop, is_last=True), cause=UnpicklableItem(text))
