"""What a plan tells of a clean start: which settings travel, and what of the caller's stays behind."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator

from allcores._core.hints import Any
from allcores._settings.context_variables import names_of_lost
from allcores._settings.snapshot import find_settings

__all__ = ["what_stays", "what_travels"]

# Ways to be told of something, each with how it is where nobody asks to be; beside `sys.gettrace` and its like.
HOOKS = (
    ("sys", "excepthook", "__excepthook__"),
    ("sys", "unraisablehook", "__unraisablehook__"),
    ("threading", "excepthook", "__excepthook__"),
)
TRACERS = (
    ("sys.settrace", sys.gettrace),
    ("sys.setprofile", sys.getprofile),
    ("threading.settrace", threading.gettrace),
    ("threading.setprofile", threading.getprofile),
)


def what_travels() -> tuple[str, ...]:
    """Name the settings that clean workers are given, in a few words each."""
    return find_settings().tell()


def what_stays() -> tuple[str, ...]:
    """Name what clean workers will lack, as far as anybody can know."""
    return (*sorted(find_settings().sealed.lost), *names_of_lost(), *_hooks(), *_handlers())


def _hooks() -> Iterator[str]:
    for module_name, name, usual in HOOKS:
        module = sys.modules.get(module_name)
        if getattr(module, name, None) is not getattr(module, usual, None):
            yield f"{module_name}.{name}"
    yield from (name for name, give in TRACERS if give() is not None)


def _handlers() -> Iterator[str]:
    for number in sorted(signal.valid_signals()):
        handler: Any = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            yield f"the handler of {signal.Signals(number).name}"
