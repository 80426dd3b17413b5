"""When to take back what was sent.

A worker may sit in a long item with others waiting behind it. When somebody else has had nothing to do for a moment, or
could be started, these are taken back; of batches whose size was asked for, only those that have not begun.
"""

from __future__ import annotations

from math import inf

from allcores._core.scheduler.horizon import Horizon
from allcores._core.scheduler.roster import Roster
from allcores._core.scheduler.worker import Worker

__all__ = ["Idleness"]

IDLE_SECONDS = 0.002  # that a worker has nothing to do before others are asked for what they have not begun
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

    __slots__ = ("_horizon", "_latest_asked", "_roster", "_seconds", "_settled_when_asked", "due", "latest_waiting")

    def __init__(self, roster: Roster, horizon: Horizon) -> None:
        self.due = inf
        self.latest_waiting = -1
        self._roster = roster
        self._horizon = horizon
        self._latest_asked = -1  # what that was when they were asked
        self._settled_when_asked = -1  # how many items were settled then
        self._seconds = IDLE_SECONDS  # until they are asked again

    def __repr__(self) -> str:
        return f"<Idleness: due at {self.due}, {self._seconds:.3g} s after it is seen>"

    def watch(self, now: float) -> None:
        """See whether somebody is idle in vain, and for how long that may be."""
        may_wait_in_vain = self.latest_waiting > self._latest_asked and not self._horizon.may_have_more()
        if not (may_wait_in_vain and (self._roster.may_have_idle() or self._roster.may_start())):
            self.due = inf
        elif self.due == inf:
            is_vain = self._horizon.settled == self._settled_when_asked  # to ask has changed nothing yet
            self._seconds = self._seconds * PATIENCE if is_vain else IDLE_SECONDS
            self.due = now + self._seconds

    def ask(self) -> list[Worker]:
        """Give those to be asked for what they have not begun; for what they are sent later they may be asked again."""
        self.due = inf
        if not (self._roster.may_start() or self._roster.has_idle()):
            return []
        since, self._latest_asked = self._latest_asked, self.latest_waiting
        self._settled_when_asked = self._horizon.settled
        return [worker for worker in self._roster.workers.values() if worker.holds_waiting(since)]
