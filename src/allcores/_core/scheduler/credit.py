"""For how long a worker's work in hand should last: until it can have more, or it sits idle meanwhile.

Between a worker's report and the next batch there is a *round trip*: the report travels, the driver comes to it, the
batch travels. On one machine that is a fraction of a millisecond, and several where the workers leave the driver no
core to itself; to another machine it is many. It shows with every batch for which a worker has waited: all the time
from when it was sent to its report, but for that in its items. Who never waits tells nothing, and nothing need change.
"""

from __future__ import annotations

__all__ = ["Credit"]

LEAST_SECONDS = 0.000_2  # of a round trip
DRY_SECONDS = 0.000_1  # who has waited for less has found the next batch when it looked
TRIPS = 2  # that work in hand lasts for
MEMORY = 0.75  # weight that older measurements keep when a new one comes
MOST_GROWTH = 4  # a measurement counts as at most so many times what was known: a single one may be an outlier


class Credit:
    """The measured round trip of a run's messages, and the work in hand that bridges it.

    Attributes:
        seconds: for how long work in hand should last; 0 as long as nothing was measured.
    """

    __slots__ = ("_round_trip", "seconds")

    def __init__(self) -> None:
        self._round_trip = LEAST_SECONDS
        self.seconds = 0.0

    def __repr__(self) -> str:
        return f"<Credit: work for {self.seconds:.3g} s>"

    def observe(self, waited: float, round_trip: float) -> None:
        """Take in how a batch was handed over.

        Args:
            waited: for how long its worker had nothing to do before.
            round_trip: seconds from when it was sent to its report, less those in its items.
        """
        if waited < DRY_SECONDS:
            return
        news = min(max(round_trip, LEAST_SECONDS), MOST_GROWTH * self._round_trip)
        self._round_trip = MEMORY * self._round_trip + (1 - MEMORY) * news
        self.seconds = TRIPS * self._round_trip
