"""Where finished values go: into a list, or to a consumer that takes them one by one."""

from __future__ import annotations

from collections import deque

from allcores._core.hints import Any, Protocol

__all__ = ["ListSink", "OrderedSink", "Sink", "UnorderedSink"]

_MISSING = object()


class Sink(Protocol):
    """Takes the values of consecutive items; ranges come in any order, each item at most once."""

    def put(self, start: int, values: list[Any]) -> None:
        """Take the values of the items from `start` on."""

    def has(self, index: int) -> bool:
        """Whether the value of this item was put, as far as can be told: one that was taken may be forgotten."""

    def finished(self) -> dict[int, Any]:
        """Give ``{index: value}`` of what is here, in order of index."""


class ListSink:
    """Puts every value at its item's position.

    Args:
        values: the empty list to fill; by default a new one.
    """

    def __init__(self, values: list[Any] | None = None) -> None:
        self.values = [] if values is None else values

    def put(self, start: int, values: list[Any]) -> None:
        """Take the values of the items from `start` on."""
        missing = start - len(self.values)
        if missing > 0:
            self.values.extend([_MISSING] * missing)
        self.values[start : start + len(values)] = values

    def has(self, index: int) -> bool:
        """Whether the value of this item was put."""
        return index < len(self.values) and self.values[index] is not _MISSING

    def finished(self) -> dict[int, Any]:
        """Give what is here."""
        return {index: value for index, value in enumerate(self.values) if value is not _MISSING}


class OrderedSink:
    """Holds values back until all before them are there."""

    def __init__(self) -> None:
        self.ready: deque[Any] = deque()
        self._next = 0  # the index that `ready` ends before
        self._early: dict[int, list[Any]] = {}  # {start: values}

    def put(self, start: int, values: list[Any]) -> None:
        """Take the values of the items from `start` on."""
        self._early[start] = values
        while values := self._early.get(self._next, []):
            following = self._next + len(values)
            del self._early[self._next]
            self._next = following
            self.ready.extend(values)  # at once after the line above: Ctrl-C never comes between the two

    def has(self, index: int) -> bool:
        """Whether the value of this item was put."""
        return index < self._next or any(0 <= index - start < len(values) for start, values in self._early.items())

    def finished(self) -> dict[int, Any]:
        """Give what is here and was not taken."""
        ready = dict(enumerate(self.ready, self._next - len(self.ready)))
        early = {start + at: value for start in sorted(self._early) for at, value in enumerate(self._early[start])}
        return ready | early


class UnorderedSink:
    """Hands values on as they come, with their indices."""

    def __init__(self) -> None:
        self.ready: deque[tuple[int, Any]] = deque()

    def put(self, start: int, values: list[Any]) -> None:
        """Take the values of the items from `start` on."""
        self.ready.extend(enumerate(values, start))

    def has(self, index: int) -> bool:
        """Whether the value of this item is here."""
        return any(index == other for other, _ in self.ready)

    def finished(self) -> dict[int, Any]:
        """Give what is here and was not taken."""
        return dict(sorted(self.ready))
