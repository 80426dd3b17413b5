"""When to take back what was sent.

A worker may sit in a long item with others waiting behind it. When somebody else has had nothing to do for a moment, or
could be started, these are taken back; of batches whose size was asked for, only those that have not begun.

Where items are handed in, they are taken back, too, when for a while nothing has come of any: what runs may wait for
one that waits behind it, and would have begun if it had been sent to whoever is free first.
"""

from __future__ import annotations

from math import inf

from allcores._core.scheduler.horizon import Horizon
from allcores._core.scheduler.roster import Roster
from allcores._core.scheduler.worker import Worker

__all__ = ["Idleness"]

IDLE_SECONDS = 0.002  # that a worker has nothing to do before others are asked for what they have not begun
STUCK_SECONDS = 0.05  # in which nothing has come of any item
PATIENCE = 8  # so many times longer is waited if nothing has been settled since: the items may be long on their way


class Idleness:
    """Sees that somebody has nothing to do, and will have nothing, while others may have too much.

    Args:
        roster: whose workers are watched.
        horizon: which tells whether there is more for them.

    Attributes:
        latest_waiting: the last batch, by its token, of which items wait behind others of it or of one before.
        due: when those who hold waiting items are asked for them; infinite where they need not be.
    """

    __slots__ = (
        "_horizon",
        "_idle_due",
        "_latest_asked",
        "_roster",
        "_seconds",
        "_settled_when_asked",
        "_settled_when_watched",
        "_stuck_due",
        "due",
        "latest_waiting",
    )

    def __init__(self, roster: Roster, horizon: Horizon) -> None:
        self.due = inf
        self.latest_waiting = -1
        self._roster = roster
        self._horizon = horizon
        self._latest_asked = -1  # what that was when they were asked
        self._settled_when_asked = -1  # how many items were settled then
        self._settled_when_watched = -1  # and when `_stuck_due` was set
        self._idle_due = self._stuck_due = inf
        self._seconds = IDLE_SECONDS  # until they are asked again

    def __repr__(self) -> str:
        return f"<Idleness: due at {self.due}, {self._seconds:.3g} s after it is seen>"

    def watch(self, now: float) -> None:
        """See whether somebody is idle in vain, or nothing comes of anything, and for how long that may be."""
        settled, may_wait_in_vain = self._horizon.settled, self.latest_waiting > self._latest_asked
        if not (may_wait_in_vain and self._horizon.is_served):
            self._stuck_due = inf
        elif self._stuck_due == inf or settled != self._settled_when_watched:
            self._settled_when_watched = settled
            self._stuck_due = now + STUCK_SECONDS
        if not (may_wait_in_vain and not self._horizon.may_have_more() and self._may_have_takers()):
            self._idle_due = inf
        elif self._idle_due == inf:
            is_vain = settled == self._settled_when_asked  # to ask has changed nothing yet
            self._seconds = self._seconds * PATIENCE if is_vain else IDLE_SECONDS
            self._idle_due = now + self._seconds
        self.due = min(self._idle_due, self._stuck_due)

    def _may_have_takers(self) -> bool:
        return self._roster.may_have_idle() or self._roster.may_start()

    def ask(self, now: float) -> list[Worker]:
        """Give those to be asked for what they have not begun; for what they are sent later they may be asked again."""
        is_stuck = self._stuck_due <= now
        self.due = self._idle_due = self._stuck_due = inf
        if not (is_stuck or self._roster.may_start() or self._roster.has_idle()):
            return []
        since, self._latest_asked = self._latest_asked, self.latest_waiting
        self._settled_when_asked = self._horizon.settled
        return [worker for worker in self._roster.workers.values() if worker.holds_waiting(since)]
