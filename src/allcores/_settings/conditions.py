"""What holds in one thread alone and its items rely on, for threads of this process that run them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context

from allcores._core.hints import Any
from allcores._settings.setting import Setting
from allcores._settings.snapshot import SETTINGS

__all__ = ["Conditions"]

OF_THREADS = tuple(setting for setting in SETTINGS if setting.is_of_thread)
_NOTHING = object()


class Conditions:
    """The context of a thread at one moment, and its settings that do not follow contexts.

    Args:
        context: a copy, which nobody runs in; each run is in a copy of its own.
        decimal: decimal's context, which a copy of the context would share, and which may be changed in place.
        settings: each with its value.
    """

    __slots__ = ("_context", "_decimal", "_settings")

    def __init__(self, context: Context, decimal: Any, settings: list[tuple[Setting, Any]]) -> None:
        self._context = context
        self._decimal = decimal
        self._settings = settings

    @classmethod
    def here(cls) -> Conditions:
        """Take them down as they are in this thread."""
        decimal = sys.modules.get("decimal")
        own = None if decimal is None else decimal.getcontext().copy()
        return cls(copy_context(), own, [(setting, setting.read()) for setting in OF_THREADS if setting.is_loaded])

    def begin(self) -> Context:
        """Give a context of one's own to run in."""
        context = self._context.copy()
        if self._decimal is not None:
            context.run(_have_own_decimal, self._decimal)
        return context

    def settle(self) -> None:
        """Make the thread's settings here, in a thread that has no others."""
        _make(self._settings)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function under these conditions, in whichever thread this is."""
        with _keeping(self._settings):
            return self.begin().run(function, *args)

    def run_on(self, base: Conditions, context: Context, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function where an initializer has run, whose settings hold where these conditions say nothing else.

        Args:
            base: the conditions that it has run under.
            context: that it has run in, by `begin` of those.
            function: what to call.
            args: its arguments.
        """
        if base is self:
            return context.run(function, *args)
        with _keeping([pair for pair in self._settings if pair not in base._settings]):
            return self._begin_on(base, context).run(function, *args)

    def _begin_on(self, base: Conditions, context: Context) -> Context:
        own = context.copy()
        for variable, value in self._context.items():
            if base._context.get(variable, _NOTHING) is not value:
                own.run(variable.set, value)
        if self._decimal is not None:
            is_other = repr(self._decimal) != repr(base._decimal)
            own.run(_have_own_decimal, self._decimal if is_other else None)
        return own


def _have_own_decimal(model: Any) -> None:
    """Have a decimal context that nobody shares: like the model, or, if that is None, like the one there is."""
    decimal: Any = sys.modules["decimal"]
    decimal.setcontext((decimal.getcontext() if model is None else model).copy())


@contextmanager
def _keeping(settings: list[tuple[Setting, Any]]) -> Iterator[None]:
    """Make settings of this thread, and then those that there were."""
    before = [(setting, setting.read()) for setting, _ in settings]
    _make(settings)
    try:
        yield
    finally:
        _make(before)


def _make(settings: list[tuple[Setting, Any]]) -> None:
    for setting, value in settings:
        if setting.read() != value:
            setting.write(value)
