"""A stream whose items come when they come: the driver asks for them and does not wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from allcores._core.hints import Any
from allcores._input.dataset import Stream
from allcores._input.snapshots import Snapshots

__all__ = ["Trickle"]


class _End:
    """Nothing more will come."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Trickle(Stream):
    """Items that somebody adds; whoever does so wakes the driver.

    Args:
        ask: called by the driver with the index before which it wants all items; must not block.
    """

    is_trickle = True

    def __init__(self, ask: Callable[[int], None]) -> None:
        self.ask = ask
        self._at_entry: Snapshots | None = None
        self._added: deque[Any] = deque()
        super().__init__(_Queue(self._added))

    def keep_as_yielded(self) -> None:
        """Have each item stay as it is when it is added."""
        self._at_entry = Snapshots(shares_files=True)

    def add(self, item: Any) -> None:
        """Add an item; any thread may, one at a time."""
        self._added.append(item if self._at_entry is None else self._at_entry.take(item))

    def end(self, error: BaseException | None = None) -> None:
        """Say that there are no more items, and if so what went wrong."""
        self._added.append(_End(error))

    @property
    def reach(self) -> int:
        """How far it can be pulled at once: up to what was added, and past the end to learn of it."""
        return self.pulled + len(self._added)


class _Queue:
    """Gives what is there; one that is empty now may have something later."""

    def __init__(self, items: deque[Any]) -> None:
        self._items = items

    def __iter__(self) -> _Queue:
        return self

    def __next__(self) -> Any:
        item = self._items.popleft() if self._items else _End(None)
        if not isinstance(item, _End):
            return item
        raise StopIteration if item.error is None else item.error
