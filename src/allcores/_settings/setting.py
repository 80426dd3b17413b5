"""A row of the table: one setting, how to read it and how to make it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from operator import eq

from allcores._hints import Any, TypeAlias
from allcores._records import Record

__all__ = ["UNKNOWN", "Setting", "attribute", "remembering"]


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
        if value != read():
            setattr(sys.modules[module], name, value)

    return Setting(title, module, read, write, default, is_early=is_early)


def remembering(
    look: Reader,
    make: Callable[[Any], Any],
    *,
    is_same: Callable[[Any, Any], bool] = eq,
    keep: Callable[[Any], Any] | None = None,
) -> Reader:
    """Give a `read` that makes a value anew only when what is seen at a glance has changed.

    Args:
        look: gives something that is cheap to compare, and kept.
        make: makes the value of it.
        is_same: compares what was seen last with what is seen now.
        keep: gives a copy of what is seen, where that changes under our eyes.
    """
    last: tuple[Any, Any] | None = None

    def read() -> Any:
        nonlocal last
        known, now = last, look()  # once, as other threads read, too
        if known is None or not is_same(known[0], now):
            known = last = now if keep is None else keep(now), make(now)
        return known[1]

    return read
