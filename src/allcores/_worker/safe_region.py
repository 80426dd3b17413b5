"""Letting what came of items be seen while a later item of the same batch runs long.

Whoever runs a batch reports what is finished when a part of it is, and cannot while it is inside of an item. So it
opens a `SafeRegion` whenever it goes on to items, and closes it before it touches what they gave. Somebody else looks
from time to time: a thread beside a worker process's own one (`Reporter`), or the driver, where workers are threads.
Items pay next to nothing for it; to open and to close it is to let go of a lock and to take it, once for thousands.

Of items that are marked together, one that runs long would hold up those behind it, too, as nobody could take them back
without knowing which one runs. Who looks puts them off, and has the mark tell.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from allcores._core.hints import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from allcores._worker.job import Part

__all__ = ["LOOK_SECONDS", "Cuttable", "SafeRegion"]

LOOK_SECONDS = 0.020  # between two looks; what has lain there at both is told


class View(Protocol):
    """What may be seen: a batch's part that has not come to its end."""

    def look(self, tell: Callable[[Part], object]) -> None:
        """Tell what came of items, if nothing more has since the last look."""


class Cuttable:
    """Items of one stride, of which another thread may take those that have not begun.

    Attributes:
        iterator: gives them.
        is_marked_together: whether the mark does not tell which of them runs.
    """

    def __init__(self, items: list[Any], first: int, values: list[Any], *, is_marked_together: bool) -> None:
        self.iterator = iter(items)
        self.is_marked_together = is_marked_together
        self._items = items
        self._first = first  # index
        self._values = values  # to which theirs are added
        self._before = len(values)

    @property
    def running(self) -> int | None:
        """The index of the item that runs, which was given last; None if all have run."""
        given = self._given
        return None if given is None or given == 0 else self._first + given - 1

    def cut(self) -> list[Any]:
        """Take what was not given; what is given meanwhile stays."""
        given = self._given
        if given is None:
            return []
        rest = self._items[given:]
        del self._items[given:]
        now = self._given
        if now is None:  # it has come to its end since, and whatever it gave has a value
            now = len(self._values) - self._before
        return rest[now - given :]

    @property
    def _given(self) -> int | None:
        """How many items the iterator gave; None if it has come to its end."""
        state: Any = self.iterator.__reduce__()  # its third part is how far it is
        return state[2] if state[2:] else None


class SafeRegion:
    """Shows what is finished, while it is open.

    Args:
        when_open: called whenever it has been opened.

    Attributes:
        is_open: whether there is something to see, or will be.
    """

    cuttable = Cuttable  # what items are given by that are marked together

    def __init__(self, when_open: Callable[[], object] | None = None) -> None:
        self.is_open = False
        self._when_open = when_open
        self._closed = allocate_lock()  # held by who runs items while they are not to be seen, and by who looks
        self._closed.acquire()
        self._view: View | None = None

    def open(self, view: View) -> None:
        """Show this view."""
        self._view = view
        self.is_open = True
        self._closed.release()
        if self._when_open is not None:
            self._when_open()

    def close(self) -> None:
        """Show nothing any more; waits for who looks."""
        self._closed.acquire()
        self.is_open = False
        self._view = None  # or the two would hold each other, and what the items lead to

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Have nobody look within the block, which may be inside of an item."""
        was_open = self.is_open
        if was_open:
            self._closed.acquire()
        try:
            yield
        finally:
            if was_open:
                self._closed.release()

    def shut(self, seconds: float) -> bool:
        """Have nobody look until it is opened again, if it is open; False if somebody still does after so long."""
        return self._closed.acquire(timeout=seconds)

    def reopen(self) -> None:
        """Let others look again."""
        self._closed.release()

    def look(self, tell: Callable[[Part], object]) -> None:
        """Tell what is to be told; for another thread than that which runs items."""
        if self.is_open and self._closed.acquire(blocking=False):
            try:
                assert self._view is not None
                self._view.look(tell)
            finally:
                self._closed.release()
