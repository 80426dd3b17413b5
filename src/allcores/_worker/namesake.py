"""A worker's ``__main__``: a namesake of the caller's, which fills with what the caller's functions need.

Most of it travels with the functions, by the names in their code. What is found only when it runs, as by ``eval`` or
``import __main__``, is asked for when it is missed.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
from collections.abc import Callable
from types import ModuleType

from allcores._codec.definitions.classes import MAIN
from allcores._codec.definitions.globals import Key
from allcores._core.errors import UnpicklableError
from allcores._core.hints import Any

__all__ = ["Asker", "become_namesake"]

ALIAS = "__mp_main__"  # multiprocessing's second name for it


class Asker:
    """Asks the driver for what stands under a name in the caller's ``__main__``.

    Args:
        ask: gives ``{key: why not}`` of what cannot be had, after the rest was put where it belongs; it waits for the
            answer, in the worker's own thread.
    """

    def __init__(self, ask: Callable[[list[Key]], dict[Key, str]]) -> None:
        self._ask = ask
        self._owner = os.getpid(), threading.get_ident()

    def fetch(self, name: str) -> bool:
        """Put there what the caller has under a name; False if it has nothing.

        Raises:
            UnpicklableError: it has something that cannot travel.
        """
        if (os.getpid(), threading.get_ident()) != self._owner:  # nobody else may use the channel
            return False
        refusals = self._ask([(MAIN, name)])
        if refusals:
            raise UnpicklableError(f"the function needs the variable {name!r} of __main__, and {refusals[MAIN, name]}")
        return name in vars(sys.modules[MAIN])


class _Namesake(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if _here is not None and not name.startswith("__") and _here.fetch(name):
            return vars(self)[name]
        raise AttributeError(f"module {MAIN!r} has no attribute {name!r}")


_here: Asker | None = None


def become_namesake(asker: Asker, *, is_inherited: bool) -> None:
    """Have a ``__main__`` that asks for what is missed: the one that was inherited, or an empty one."""
    global _here  # noqa: PLW0603 - a fact about this process
    _here = asker
    if not is_inherited:
        sys.modules[MAIN] = _Namesake(MAIN)
        vars(sys.modules[MAIN])["__builtins__"] = builtins
        if ALIAS in sys.modules:
            sys.modules[ALIAS] = sys.modules[MAIN]
    elif type(sys.modules[MAIN]) is ModuleType:
        sys.modules[MAIN].__class__ = _Namesake
