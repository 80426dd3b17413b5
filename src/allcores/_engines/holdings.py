"""What workers were sent and have not reported, and taking from them what waits there behind a long item."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from allcores._core.messages import ItemsTakenBack, SendBatch
from allcores._core.records import Record
from allcores._engines.engine import Arrival
from allcores._transport.board import Mark

__all__ = ["SETTLING_SECONDS", "Held", "Takings"]

SETTLING_SECONDS = 0.001  # until a worker has certainly seen what stands on its mark, or has said that it runs an item
AGAIN_SECONDS = 0.050  # until a worker that is still in an item may tell better which one it is

Held = dict[int, SendBatch]  # {token: what is left of the batch}, oldest first


class _Asked(Record):
    """A worker that was asked for what it has not begun."""

    since: int  # when, in nanoseconds of the monotonic clock: what it has begun later, it has not begun to run
    due: float  # when to take what it cannot give, being inside of an item
    last: int  # up to which token
    mark: Mark
    held: Held
    unwanted: tuple[tuple[int, int], ...] = ()  # ranges of items: who has begun one all the same is to be ended


class Takings:
    """Asks workers that see their marks for what they have not begun."""

    def __init__(self) -> None:
        self._asked: dict[int, _Asked] = {}  # by worker

    def ask(self, worker: int, mark: Mark, held: Held, unwanted: tuple[tuple[int, int], ...] = ()) -> None:
        """Ask a worker for what it has not begun; what it cannot give, being inside of an item, `take` takes."""
        if held:
            last = max(held)
            mark.want_back(last)
            before = self._asked.get(worker)
            unwanted += () if before is None else before.unwanted
            since, due = time.monotonic_ns(), time.monotonic() + SETTLING_SECONDS
            self._asked[worker] = _Asked(since, due, last, mark, held, unwanted)

    def forget(self, worker: int) -> None:
        """Hear that the worker is gone, and its mark may be another's."""
        self._asked.pop(worker, None)

    def patience(self, timeout: float | None) -> float | None:
        """Say how long one may wait who would wait for `timeout` seconds, None for ever."""
        if not self._asked:
            return timeout
        left = max(0.0, min(asked.due for asked in self._asked.values()) - time.monotonic())
        return left if timeout is None else min(timeout, left)

    def take(self, end: Callable[[int, int], None]) -> Iterator[Arrival]:
        """Take from workers what waits behind the item that they are still in.

        Args:
            end: called with a worker, and an item that it runs, if nobody wants that.
        """
        now = time.monotonic() if self._asked else 0.0
        for worker, asked in list(self._asked.items()):
            if asked.due > now:
                continue
            del self._asked[worker]
            running = asked.mark.running_part()
            if running is None:
                continue
            token, index, stop = running
            if token > asked.last:  # it was sent later, and what is in there is wanted again, or is not run
                continue
            if any(first <= index < behind for first, behind in asked.unwanted):
                if not _gives_back(asked, token):
                    end(worker, index)
            else:
                yield from self._take_behind(worker, asked, token, index, stop)

    def _take_behind(self, worker: int, asked: _Asked, token: int, index: int, stop: int) -> Iterator[Arrival]:
        held, last = asked.held, asked.last
        batch = held.get(token)
        if batch is None or not batch.start <= index < batch.stop:
            return
        stop = min(stop, batch.stop) if batch.may_give_back else batch.stop
        if stop < batch.stop or max(held) > token:
            held[token] = batch._replace(stop=stop)
            for behind in [other for other in held if token < other <= last]:
                del held[behind]
            yield Arrival(ItemsTakenBack(worker, token, stop, last))
        if batch.may_give_back and stop - index > 1:  # they are marked together; that may yet change
            self._asked[worker] = asked._replace(due=time.monotonic() + AGAIN_SECONDS)


def _gives_back(asked: _Asked, token: int) -> bool:
    """Whether the worker has marked the item since it was asked, and so is about to see that, and to give it back."""
    batch, began = asked.held.get(token), asked.mark.running_since()
    return batch is not None and batch.may_give_back and began is not None and began[1] > asked.since
