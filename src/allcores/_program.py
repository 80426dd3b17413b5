"""How the program that this is means processes to start, as far as it has told multiprocessing."""

from __future__ import annotations

import sys

from allcores._hints import Any
from allcores._plan import ConcreteStart

__all__ = ["start_set", "start_used"]


def start_set() -> ConcreteStart | None:
    """Give the start method that was set with `multiprocessing.set_start_method`, if it is not the usual one."""
    method, usual = _start_methods()
    return method if method != usual else None


def start_used() -> ConcreteStart | None:
    """Give the usual start method, if it was set, or something of multiprocessing's was made that settles it.

    Nobody can tell these two apart.
    """
    method, usual = _start_methods()
    return method if method == usual else None


def _start_methods() -> tuple[ConcreteStart | None, ConcreteStart | None]:
    """Give the method that is settled, and the usual one of this platform and Python; None if it matters to nobody."""
    multiprocessing: Any = sys.modules.get("multiprocessing")
    if multiprocessing is None:
        return None, None
    return multiprocessing.get_start_method(allow_none=True), multiprocessing.get_all_start_methods()[0]
