"""What comes of an item: a value, or a `Failure`; and what comes of a run: `Results`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from reprlib import Repr
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from allcores._report import Report

__all__ = ["Failure", "Raised", "Results", "WorkerIdentity", "attach_finished", "finished", "short_repr"]

R = TypeVar("R")

REPR_LENGTH = 80  # characters: an item must fit into one line of a traceback
FINISHED_ATTRIBUTE = "__allcores_finished__"  # on the exception that ended a run


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Which worker it was: its number in the run, its process and its host."""

    number: int
    pid: int | None
    host: str

    def __str__(self) -> str:
        pid = "pid unknown" if self.pid is None else f"pid {self.pid}"
        return f"worker {self.number} ({pid} on {self.host})"


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception as it came out of an item, before anyone said which item that was."""

    exception: BaseException
    traceback: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that did not yield a value.

    Attributes:
        index: the item's position in the input.
        item: the item itself.
        exception: the original exception, with the traceback of the user's own frames.
        traceback: that traceback as text, chained exceptions included.
        worker: where it happened.

    Example:
        >>> import allcores
        >>> results = allcores.map(int, ["1", "x"], errors="collect", on="serial")
        >>> results[1].index, type(results[1].exception)
        (1, <class 'ValueError'>)
    """

    index: int
    item: Any
    exception: BaseException
    traceback: str = field(repr=False)
    worker: WorkerIdentity

    def __repr__(self) -> str:
        return f"<Failure of item {self.index} ({short_repr(self.item)}): {_describe(self.exception)}>"


class Results(list[R]):
    """The results of `map`: a list, equal to the comprehension's, that knows how the run went.

    Attributes:
        failures: the `Failure` of every item that failed, by index; empty unless ``errors="collect"``.
        report: what the run cost.
    """

    failures: list[Failure]
    report: Report


def finished(error: BaseException) -> dict[int, Any]:
    """Give the results that were finished when `error` ended the run.

    Args:
        error: an exception that `map`, `starmap`, `imap` or `imap_unordered` raised, `KeyboardInterrupt` included.

    Returns:
        ``{index: value}`` of the finished items, in order of index; for a lazy run, of those that were finished
        but not yet taken. Empty if the exception does not come from a run.

    Example:
        >>> import allcores
        >>> try:
        ...     allcores.map(int, ["1", "2", "x"], on="serial")
        ... except ValueError as error:
        ...     print(allcores.finished(error))
        {0: 1, 1: 2}
    """
    source: _Finished | None = getattr(error, FINISHED_ATTRIBUTE, None)
    return {} if source is None else source.give()


def attach_finished(error: BaseException, give: Callable[[], dict[int, Any]]) -> None:
    """Make what was finished reachable from the exception that ended the run."""
    with suppress(Exception):  # an exception that takes no attributes, or rejects them in its own way
        setattr(error, FINISHED_ATTRIBUTE, _Finished(give))


class _Finished:
    """Holds the finished results for `finished`; they stay behind when the exception travels."""

    def __init__(self, give: Callable[[], dict[int, Any]] = dict) -> None:
        self.give = give

    def __reduce__(self) -> tuple[Any, ...]:
        return _Finished, ()


def short_repr(thing: object) -> str:
    """Describe `thing` in at most `REPR_LENGTH` characters, whatever its ``__repr__`` does."""
    shortener = Repr()
    shortener.maxstring = shortener.maxother = REPR_LENGTH
    try:
        text = shortener.repr(thing)
    except Exception as error:  # an item's own __repr__ may raise anything
        return f"<{type(thing).__name__} whose repr raises {type(error).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= REPR_LENGTH else text[: REPR_LENGTH - 3] + "..."


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {short_repr(str(error))}" if str(error) else type(error).__name__
