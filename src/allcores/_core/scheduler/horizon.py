"""How far a run has come, and how far it may go.

A run whose results are taken one by one, or whose length nobody knows, goes only so far *ahead*: items are neither
pulled nor sent beyond. And input that comes to hand by pulling is pulled no further than there are workers for it.
"""

from __future__ import annotations

from allcores._core.scheduler.backlog import Backlog

__all__ = ["Horizon"]

AHEAD_BATCHES = 4  # per worker: how far a lazy run reads ahead by default
RECALL_STRIDE = 256  # items at most to ask for at once while the journal has them all


class Horizon:
    """How many items are pulled, settled and taken, and how many more may be pulled and sent.

    Args:
        backlog: where pulled items go.
        workers: how many workers there may be at a time.
        length: how many items the input has; None where nobody knows.
        is_pulled: whether items come to hand only as they are pulled.
        is_served: whether items arrive as somebody hands them in.
        ahead: how many items may be sent past those taken; None for a few batches per worker.
        is_lazy: whether somebody takes the results one by one; otherwise a settled item counts as taken.

    Attributes:
        length: how many items the input has; None where nobody knows yet.
        settled: how many items finished or failed.
        taken: of how many somebody took the results.
        is_pulled: whether there may be more to pull.
        is_served: as above.
        is_bounded: whether the run goes only so far ahead.
    """

    __slots__ = (
        "_ahead",
        "_backlog",
        "_is_lazy",
        "_most",
        "_requested",
        "_stride",
        "_workers",
        "is_bounded",
        "is_pulled",
        "is_served",
        "length",
        "settled",
        "taken",
    )

    def __init__(
        self,
        backlog: Backlog,
        workers: int,
        *,
        length: int | None,
        is_pulled: bool,
        is_served: bool,
        ahead: int | None,
        is_lazy: bool,
    ) -> None:
        self.length = length
        self.settled = 0
        self.taken = 0
        self.is_pulled = is_pulled
        self.is_served = is_served
        self.is_bounded = is_lazy or (length is None and not is_served)
        self._backlog = backlog
        self._workers = workers
        self._is_lazy = is_lazy
        self._ahead = ahead
        self._most = self._most_items()
        self._requested = 0  # items asked for
        self._stride = 0  # items to pull at least, after pulls that brought nothing to run

    def __repr__(self) -> str:
        return f"<Horizon: {self.settled} of {'?' if self.length is None else self.length} items settled>"

    # ------------------------------------------------------------------------------------------------ what comes in

    def bring(self, stop: int, recalled: tuple[tuple[int, int], ...]) -> None:
        """Take in that items before `stop` are at hand, and that some ranges of them are settled already."""
        brought_nothing = recalled == ((self._backlog.available, stop),)
        self._stride = min(2 * self._stride + 1, RECALL_STRIDE) if brought_nothing else 0
        self._backlog.available = stop
        if recalled:
            self.settled += self._backlog.recall(recalled)

    def end(self, length: int) -> None:
        """Take in that there are no more than so many items."""
        self.length = self._backlog.available = length
        self.is_pulled = False

    def widen(self, workers: int) -> None:
        """Take in that there may be more workers at a time."""
        self._workers = workers
        self._most = self._most_items()

    def _most_items(self) -> int | None:
        """Say how many items a batch has whose size is not asked for, so that there are two for everybody."""
        return max(1, self._ahead // (2 * self._workers)) if self._ahead is not None and self.is_bounded else None

    # ------------------------------------------------------------------------------------------------ what may go out

    def may_have_work(self) -> bool:
        """Take a quick look whether something could be sent: between two calls of a pool, say, there is nothing."""
        backlog = self._backlog
        return bool(backlog.returned) or self.is_bounded or backlog.cursor < backlog.available

    def may_have_more(self) -> bool:
        """Whether there is something to be sent, or to be pulled first."""
        backlog = self._backlog
        return bool(backlog.returned) or self.is_pulled or backlog.cursor < backlog.available

    def next_size(self) -> int:
        """Say how many items the next batch takes, if there are so many."""
        backlog = self._backlog
        pace = backlog.pace
        if not pace.adapts:
            return pace.batch_size(None)
        stop = backlog.stretch_stop if self.is_served else self.length
        remaining = None if stop is None else stop - backlog.cursor + backlog.returned
        if remaining is not None and remaining <= 1:  # as with single calls
            return 1
        size = pace.batch_size(remaining)
        return size if self._most is None else min(size, self._most)

    def sendable_stop(self, size: int) -> int:
        """Say before which item fresh ones may be sent, in batches of this size."""
        available = self._backlog.available
        return min(available, self._ahead_stop(size)) if self.is_bounded else available

    def next_pull(self, takers: int) -> int | None:
        """Say how far to pull, if it is to be pulled: one batch while these have nothing to run.

        Args:
            takers: how many workers could take a batch, present or to come.
        """
        backlog = self._backlog
        available = backlog.available
        if not self.is_pulled or available == self.length or self._requested > available:
            return None
        size = max(self.next_size(), 0 if self._is_lazy else self._stride)
        if available - backlog.cursor >= takers * size:
            return None
        stop = available + size
        if self.is_bounded:
            stop = min(stop, self._ahead_stop(size))
        if self.length is not None:
            stop = min(stop, self.length)
        return stop if stop > available else None

    def request(self, stop: int) -> None:
        """Take in that items before `stop` are asked for: nothing is asked for twice."""
        self._requested = stop

    def _ahead_stop(self, size: int) -> int:
        taken = self.taken if self._is_lazy else self.settled
        return taken + (AHEAD_BATCHES * self._workers * size if self._ahead is None else self._ahead)
