"""Every option of every entry point, described once."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict

__all__ = ["Engine", "Errors", "OptionKeywords", "Options", "ProgressCallback", "StartMethod"]

Engine = Literal["processes", "threads", "serial"]
StartMethod = Literal["auto", "fork", "forkserver", "spawn"]
Errors = Literal["raise", "collect"]
ProgressCallback = Callable[[int, int | None], object]

ENGINES = ("processes", "threads", "serial")
START_METHODS = ("auto", "fork", "forkserver", "spawn")
ERRORS = ("raise", "collect")


class OptionKeywords(TypedDict, total=False):
    """The options as keywords, for type checkers; `errors` stands apart because the result's type hangs on it."""

    workers: int | None
    on: Engine
    start: StartMethod
    batch: int | None
    ahead: int | None
    initializer: Callable[..., object] | None
    initargs: Iterable[Any]
    progress: bool | str | ProgressCallback | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run is to be done, as the caller asked for it.

    Args:
        workers: how many workers; by default as many as usable cores.
        on: the engine: ``"processes"``, ``"threads"`` or ``"serial"`` (in the caller's own thread, for debugging).
        start: how processes start: ``"fork"``, ``"forkserver"``, ``"spawn"``, or ``"auto"``, which forks where that
            is safe and starts clean otherwise.
        batch: items per batch; by default measured and adapted.
        ahead: how many items a lazy run may read past what its consumer has taken; by default a few batches per
            worker.
        errors: ``"raise"``: the first failure stops the run and raises the original exception; ``"collect"``: every
            item runs, a failed position holds its `Failure`.
        initializer: called once in each worker before its first item.
        initargs: the initializer's arguments.
        progress: None: a bar when a person is watching and the run lasts; True, False, a description for the bar,
            or a callback ``callback(finished, total)`` whose total is None where the length is unknown.

    Raises:
        TypeError: a value of the wrong type.
        ValueError: a value that makes no sense.
    """

    workers: int | None = None
    on: Engine = "processes"
    start: StartMethod = "auto"
    batch: int | None = None
    ahead: int | None = None
    errors: Errors = "raise"
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    progress: bool | str | ProgressCallback | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "batch", "ahead"):
            self._set(name, _positive_integer(name, getattr(self, name)))
        _require_choice("on", self.on, ENGINES)
        _require_choice("start", self.start, START_METHODS)
        _require_choice("errors", self.errors, ERRORS)
        self._set("initargs", _argument_tuple(self.initargs))
        if self.initializer is not None and not callable(self.initializer):
            raise TypeError(f"initializer={self.initializer!r} is not callable; allowed: a function, or None")
        if self.initargs and self.initializer is None:
            raise ValueError(f"initargs={self.initargs!r} need an initializer; none is given")
        if not (self.progress is None or isinstance(self.progress, bool | str) or callable(self.progress)):
            raise TypeError(
                f"progress={self.progress!r} makes no sense; allowed: None, True, False, a description, or a callback"
            )

    @classmethod
    def from_keywords(cls, keywords: dict[str, Any]) -> Options:
        """Build options from what the caller wrote, naming an option that does not exist."""
        names = [field.name for field in fields(cls)]
        for name, value in keywords.items():
            if name not in names:
                likely = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {likely[0]!r}? " if likely else ""
                raise TypeError(f"unknown option {name}={value!r}; {hint}allowed: {', '.join(names)}")
        return cls(**keywords)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _positive_integer(name: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name}={value!r} is not a whole number; allowed: 1, 2, 3, … or None for the default")
    if number < 1:
        raise ValueError(f"{name}={value!r} makes no sense; allowed: 1, 2, 3, … or None for the default")
    return number


def _require_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    choices = ", ".join(repr(choice) for choice in allowed)
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} is not a string; allowed: {choices}")
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; allowed: {choices}")


def _argument_tuple(value: Any) -> tuple[Any, ...]:
    try:
        return tuple(value)
    except TypeError:
        raise TypeError(f"initargs={value!r} is not a tuple of arguments; for one argument write (argument,)") from None
