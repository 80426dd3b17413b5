"""What a worker is sent, read and compared, for which it imports the modules that define it.

The code of such a module runs in the worker as it has run at the caller's. If it begins a run, that one's workers
import the module as well, and would begin another, without end: so that is refused.
"""

from __future__ import annotations

import sys

from allcores._codec.definitions import comparison
from allcores._codec.definitions.contents import Contents
from allcores._codec.definitions.globals import Key
from allcores._codec.pickling import decode
from allcores._core.errors import UnpicklableError
from allcores._core.hints import Any
from allcores._transport.wire import Buffer

__all__ = ["find_differing", "read", "refuse_while_reading"]


class _Reading:
    """Knows whether this process reads; its thread is a worker's only one, or that of its items."""

    depth = 0


_reading = _Reading()


def read(frames: list[Buffer]) -> Any:
    """Unpickle what the driver has sent. Raises whatever objects raise that are unpickled."""
    _reading.depth += 1
    try:
        return decode(frames)
    finally:
        _reading.depth -= 1


def find_differing(expected: dict[Key, Contents]) -> list[Key]:
    """Find what is not here, or another than at the caller's."""
    _reading.depth += 1
    try:
        return comparison.find_differing(expected)
    finally:
        _reading.depth -= 1


def refuse_while_reading() -> None:
    """Raise UnpicklableError if the caller is a module that a worker imports to read what it was sent."""
    if _reading.depth:
        raise UnpicklableError(
            f"the module {_importing()!r} begins a run when it is imported, and each worker imports it, too: begin the "
            'run in a function that somebody calls, or start the workers with start="fork"'
        )


def _importing() -> str:
    """Give the name of the module whose code has called."""
    frame = sys._getframe()  # noqa: SLF001 - documented for this
    while frame.f_code.co_name != "<module>" and frame.f_back is not None:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))
