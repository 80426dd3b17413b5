"""A row of the table: one setting, how to read it and how to make it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from functools import partial

from allcores._core.hints import Any, TypeAlias
from allcores._core.records import Record

__all__ = ["UNKNOWN", "Reader", "Setting", "attribute", "variable_of"]


Reader: TypeAlias = Callable[[], Any]


class _Unknown:
    """Equal to nothing."""


UNKNOWN = _Unknown()
SHORT = (int, float, str)  # values that say more than that there is one


def _waits_for_nothing(value: Any) -> Collection[str]:  # noqa: ARG001 - others look at it
    return ()


class Setting(Record):
    """One setting, or a few that belong together.

    Attributes:
        title: what it is called; no two have the same.
        module: where it lives; only where that is loaded may anybody read or write it.
        read: gives its value, which can be compared, and does not change when the setting does.
        write: makes it, and is called again when a module has come that the value waits for.
        glance: gives, once its module is loaded, a function whose result is unequal after each change. It is called
            whenever something is handed in, where every function of Python's counts; None: that is `read`.
        default: what is read where nobody has changed it; `UNKNOWN` where that is not the same everywhere.
        is_early: whether unpickling a job hangs on it.
        is_of_thread: whether each thread has its own, which does not follow the context of `contextvars`.
        is_of_context: whether it belongs to a thread or to a context, so that another thread's import cannot make it.
        waits_for: gives the modules that a value needs, beside `module`, to be made completely.
        describe: says for the plan what is carried; None where that is nothing to speak of.
    """

    title: str
    module: str
    read: Reader
    write: Callable[[Any], object]
    default: Any = UNKNOWN
    glance: Callable[[], Reader] | None = None
    is_early: bool = False
    is_of_thread: bool = False
    is_of_context: bool = False
    waits_for: Callable[[Any], Collection[str]] = _waits_for_nothing
    describe: Callable[[Any], bool] | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether its module is."""
        return self.module in sys.modules

    def tell(self, value: Any) -> str | None:
        """Say in a few words that this value is carried; None where that is nothing to speak of."""
        if not (value != self.default if self.describe is None else self.describe(value)):
            return None
        return f"{self.title} {value}" if type(value) in SHORT else self.title


def attribute(title: str, module: str, name: str, default: Any = None, *, is_early: bool = False) -> Setting:
    """Give the row of a module's global variable; where it is not there, the default stands for that."""

    def read() -> Any:
        return vars(sys.modules[module]).get(name, default)

    def write(value: Any) -> None:
        setattr(sys.modules[module], name, value)

    return Setting(title, module, read, write, default, partial(variable_of, module, name), is_early=is_early)


def variable_of(module: str, name: str) -> Reader:
    """Give what looks at a module's global variable, without a function of Python's."""
    return partial(vars(sys.modules[module]).get, name)
