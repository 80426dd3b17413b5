"""What a wait waits for: news of workers, what they write for the resource tracker, and who wants the wait to end."""

from __future__ import annotations

import selectors
from collections.abc import Callable

from allcores._core.hints import TYPE_CHECKING
from allcores._system.descriptors import claim
from allcores._system.interrupts import let_interrupts_in
from allcores._system.leaving import stop_if_left
from allcores._system.tracking import SharedTracker

if TYPE_CHECKING:
    from allcores._system.leadership import Leadership
    from allcores._system.waker import Waker

__all__ = ["Connections"]

News = list[tuple[selectors.SelectorKey, int]]


class Connections:
    """The selector of a run.

    Attributes:
        selector: where workers register, each with itself as the data.
        tracker: what workers tell the caller's resource tracker by.

    Raises:
        OSError: there are too many descriptors.
    """

    def __init__(self) -> None:
        self._waker: Waker | None = None
        self._leadership: Leadership | None = None
        self.selector = selectors.DefaultSelector()
        if hasattr(self.selector, "fileno"):
            claim(self.selector)
        try:
            self.tracker = SharedTracker()
        except OSError:
            self.selector.close()
            raise
        if self.tracker.reading is not None:
            self.selector.register(self.tracker.reading, selectors.EVENT_READ, self.tracker)

    def make_waker(self) -> Callable[[], None]:
        """Give what ends a wait."""
        from allcores._system.waker import Waker  # for runs that others talk to

        self._waker = Waker()
        self.selector.register(self._waker, selectors.EVENT_READ)
        return self._waker.wake

    def remove_waker(self) -> None:
        """Let what ends a wait do nothing any more."""
        if self._waker is not None:
            self.selector.unregister(self._waker)
            self._waker.close()
            self._waker = None

    def share(self, leadership: Leadership) -> None:
        """Let other threads into the loop while waiting."""
        leadership.share(self.selector)
        self._leadership = leadership

    def wait(self, patience: float | None) -> News:
        """Wait for news, at most so many seconds, None for ever; give those of workers."""
        if self._leadership is not None:
            return self._of_workers(self._leadership.select(self.selector, patience))
        with let_interrupts_in():
            ready = self.selector.select(patience)
        stop_if_left()
        return self._of_workers(ready)

    def wait_for_ends(self, patience: float) -> tuple[bool, News]:
        """Wait likewise, while interrupts are held back; say, too, whether there was anything."""
        ready = self.selector.select(patience)
        return bool(ready), self._of_workers(ready)

    def _of_workers(self, ready: News) -> News:
        """See to what is not of workers, and leave it out."""
        news = []
        for key, events in ready:
            if key.data is self.tracker:
                self.tracker.forward()
            elif key.fileobj is self._waker:
                self._waker.clear()
            else:
                news.append((key, events))
        return news

    def close(self) -> None:
        """Close the selector; what workers have written for the tracker is told first."""
        self.selector.close()
        self.tracker.close()
