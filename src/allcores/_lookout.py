"""Letting what came of items be seen while a later item of the same batch runs long.

Whoever runs a batch reports what is finished when a part of it is, and cannot while it is inside of an item. So it
opens a `Lookout` whenever it goes on to items, and closes it before it touches what they gave. Somebody else looks from
time to time: a thread beside a worker process's own one (`Bystander`), or the driver, where workers are threads. Items
pay nothing for it; to open and to close it is to let go of a lock and to take it, once for thousands of short items.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from allcores._hints import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from allcores._job import Part

__all__ = ["LOOK_SECONDS", "Lookout"]

LOOK_SECONDS = 0.020  # between two looks; what has lain there at both is told


class View(Protocol):
    """What may be seen: a batch's part that has not come to its end."""

    def look(self, tell: Callable[[Part], object]) -> None:
        """Tell what came of items, if nothing more has since the last look."""


class Lookout:
    """Shows what is finished, while it is open.

    Args:
        when_open: called whenever it has been opened.

    Attributes:
        is_open: whether there is something to see, or will be.
    """

    def __init__(self, when_open: Callable[[], object] | None = None) -> None:
        self.is_open = False
        self._when_open = when_open
        self._closed = allocate_lock()  # held by who runs items while they are not to be seen, and by who looks
        self._closed.acquire()
        self._view: View | None = None

    def showing(self, view: View) -> Self:
        """Be open for this view, within the block."""
        self._view = view
        return self

    def __enter__(self) -> None:
        self.is_open = True
        self._closed.release()
        if self._when_open is not None:
            self._when_open()

    def __exit__(self, *_: object) -> None:
        self._closed.acquire()  # waits for who looks
        self.is_open = False

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

    def look(self, tell: Callable[[Part], object]) -> None:
        """Tell what is to be told; for another thread than that which runs items."""
        if self.is_open and self._closed.acquire(blocking=False):
            try:
                assert self._view is not None
                self._view.look(tell)
            finally:
                self._closed.release()
