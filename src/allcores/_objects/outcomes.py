"""What comes of an item: a value, or a `Failure`; and what comes of a run: `Results`."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from allcores._core.errors import WorkerDied
from allcores._core.hints import TYPE_CHECKING, Any, TypeVar, overload
from allcores._core.kinds import is_a, type_name
from allcores._core.records import Record
from allcores._objects.asking import attributes_of, text_of
from allcores._objects.short_repr import short_repr

if TYPE_CHECKING:
    from typing import SupportsIndex

    from allcores._core.report import Report

__all__ = [
    "DROPPED",
    "Chance",
    "Failure",
    "Origin",
    "Raised",
    "Results",
    "WorkerIdentity",
    "attach_failure",
    "attach_finished",
    "count_kinds",
    "failure_of",
    "finished",
]

R = TypeVar("R")

FAILURE_ATTRIBUTE = "__allcores_failure__"  # on the exception of an item
SHOWN = 20  # failures, in a notebook
TEXT_LENGTH = 100  # characters of an exception's text, for a failure to fit into two lines
FINISHED_ATTRIBUTE = "__allcores_finished__"  # on the exception that ended a run


class WorkerIdentity(Record):
    """Which worker it was: its number in the run, its process and its host."""

    number: int
    pid: int | None
    host: str

    def __str__(self) -> str:
        pid = "pid unknown" if self.pid is None else f"pid {self.pid}"
        return f"worker {self.number} ({pid} on {self.host})"


class Chance(Record):
    """What all random numbers of a run come from.

    Attributes:
        entropy: a number; each item's stream follows from it and the item's index.
        is_seeded: whether the caller gave it, and so wants the global generators seeded for every item, too.
    """

    entropy: int
    is_seeded: bool


class Raised(Record):
    """An exception as it came out of an item, before anyone said which item that was."""

    exception: BaseException
    traceback: str


class Origin(Record):
    """What it takes to run an item again as its run did.

    Attributes:
        job: gives the run's job; it may have to be unpickled first.
        chance: what the run's random numbers come from.
    """

    job: Callable[[], Any]
    chance: Chance


class _Dropped(Enum):
    DROPPED = "dropped"


DROPPED = _Dropped.DROPPED  # what comes of an item that was cancelled before it ran


class Failure:
    """An item that did not yield a value.

    Attributes:
        index: the item's position in the input.
        item: the item itself.
        exception: the original exception, with the traceback of the user's own frames.
        traceback: that traceback as text, chained exceptions included.
        worker: where it happened.
        tries: how often the item was run in all.
        origin: what `replay` needs to run it again; it stays behind when the failure is pickled.
        output: the last lines of what the item printed, warned of and logged, where the option `log` kept that.

    Example:
        >>> import allcores
        >>> results = allcores.map(int, ["1", "x"], errors="collect", on="serial")
        >>> results[1].index, type(results[1].exception)
        (1, <class 'ValueError'>)
    """

    __slots__ = ("exception", "index", "item", "origin", "output", "traceback", "tries", "worker")

    def __init__(  # noqa: PLR0917 - as others know it
        self,
        index: int,
        item: Any,
        exception: BaseException,
        traceback: str,
        worker: WorkerIdentity,
        tries: int = 1,
        origin: Origin | None = None,
        output: str = "",
    ) -> None:
        self.index = index
        self.item = item
        self.exception = exception
        self.traceback = traceback
        self.worker = worker
        self.tries = tries
        self.origin = origin
        self.output = output

    def __repr__(self) -> str:
        return f"<Failure of item {self.index} ({short_repr(self.item)}): {_describe(self.exception)}>"

    def _repr_html_(self) -> str:
        from allcores._core.rows import as_html, escape  # for notebooks

        rows = [
            ("failed", f"item {self.index} ({short_repr(self.item)})"),
            ("of", _describe(self.exception)),
            ("where", f"{self.worker}{f', try {self.tries}' if self.tries > 1 else ''}"),
            *([("said last", self.output)] if self.output else []),
        ]
        return f"{as_html(rows)}<details><summary>traceback</summary><pre>{escape(self.traceback)}</pre></details>"


_element = list.__getitem__


class Results(list[R]):
    """The results of `map`: a list, equal to the comprehension's, that knows how the run went.

    Where items have failed, it is printed as how many of what kind; its elements are still there to be looked at.
    Slices and copies have the failures that are in them, whose indices stay those of the input, and the run's report.

    Attributes:
        failures: the `Failure` of every item that failed, by index; empty unless ``errors="collect"``.
        report: what the run cost.

    Example:
        >>> import allcores
        >>> results = allcores.map(int, ["1", "x", "3"], errors="collect", on="serial")
        >>> print(results)
        2 of 3 finished, 1 failed: 1 ValueError
        >>> results.successes
        [1, 3]
        >>> print(results[1:])
        1 of 2 finished, 1 failed: 1 ValueError
    """

    failures: list[Failure]
    report: Report

    @property
    def successes(self) -> list[Any]:
        """The values of the items that did not fail, in order."""
        failed = set(map(id, self.failures))  # a function may return a `Failure`, which is a value then
        return [value for value in self if id(value) not in failed]

    @overload
    def __getitem__(self, at: SupportsIndex, /) -> R: ...
    @overload
    def __getitem__(self, at: slice[Any, Any, Any], /) -> Results[R]: ...
    def __getitem__(self, at: SupportsIndex | slice[Any, Any, Any], /) -> R | Results[R]:
        """Give an element, or a part that knows of its own failures."""
        found: Any = _element(self, at)  # not by way of super(), which takes twice as long
        return found if type(at) is not slice else self._part(found)

    def copy(self) -> Results[R]:
        """Give the same results once more."""
        return self._part(self)

    def _part(self, values: list[R]) -> Results[R]:
        part = Results(values)
        vars(part).update(vars(self))
        if failures := vars(self).get("failures"):
            here = set(map(id, values))
            part.failures = [failure for failure in failures if id(failure) in here]
        return part

    def __str__(self) -> str:
        return self._summary or super().__str__()

    def _repr_html_(self) -> str | None:
        """Show which items failed; None where none did, so that a notebook shows the list."""
        if not self._summary:
            return None
        from allcores._core.rows import as_html, escape  # for notebooks

        rows = [(f"item {one.index}", f"{short_repr(one.item)}: {_describe(one.exception)}") for one in self.failures]
        more = f"<p>and {len(rows) - SHOWN} more</p>" if len(rows) > SHOWN else ""
        return f"<p>{escape(self._summary)}</p>{as_html(rows[:SHOWN])}{more}"

    @property
    def _summary(self) -> str:
        """How many of what kind have failed; empty if none have, or the run is not over."""
        failures: list[Failure] = getattr(self, "failures", [])
        if not failures:
            return ""
        kinds = ", ".join(f"{count} {kind}" for kind, count in count_kinds(failures))
        return f"{len(self) - len(failures)} of {len(self)} finished, {len(failures)} failed: {kinds}"


def count_kinds(failures: list[Failure]) -> tuple[tuple[str, int], ...]:
    """Count the failures by the name of their exceptions' type; most come first."""
    counts: dict[str, int] = {}
    for failure in failures:
        kind = type_name(failure.exception)
        counts[kind] = counts.get(kind, 0) + 1
    return tuple(sorted(counts.items(), key=lambda kind: -kind[1]))


def finished(error: BaseException) -> dict[int, Any]:
    """Give the results that were finished when `error` ended the run.

    Args:
        error: an exception that `map` or another entry point raised, `KeyboardInterrupt` and the
            `asyncio.CancelledError` of a task that awaits one included.

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
    give: Callable[[], dict[int, Any]] | None = _held_by(error, FINISHED_ATTRIBUTE)
    return {} if give is None else give()


def attach_finished(error: BaseException, give: Callable[[], dict[int, Any]]) -> None:
    """Make what was finished reachable from the exception that ended the run."""
    attributes_of(error)[FINISHED_ATTRIBUTE] = _StaysBehind(give)


def failure_of(error: BaseException) -> Failure | None:
    """Give the failure that an exception was raised for; None if it was not raised for an item."""
    failure: Failure | None = _held_by(error, FAILURE_ATTRIBUTE)
    return failure


def attach_failure(error: BaseException, failure: Failure) -> None:
    """Make the failure that an exception is raised for reachable from it."""
    attributes_of(error)[FAILURE_ATTRIBUTE] = _StaysBehind(failure)


def _held_by(error: BaseException, name: str) -> Any:
    held = attributes_of(error).get(name) if is_a(error, BaseException) else None
    return held.thing if type(held) is _StaysBehind else None


class _StaysBehind:
    """Holds something for an exception that must not travel with it."""

    def __init__(self, thing: Any = None) -> None:
        self.thing = thing

    def __reduce__(self) -> tuple[Any, ...]:
        return _StaysBehind, ()


def _describe(error: BaseException) -> str:
    kind = type_name(error)
    signal = error.exit if is_a(error, WorkerDied) else ""
    text = signal or " ".join(text_of(error).split())
    if len(text) > TEXT_LENGTH:
        text = text[: TEXT_LENGTH - 3] + "..."
    return f"{kind}: {text}" if text else kind
