"""For how long a worker's work in hand should last: until it can have more, or it sits idle meanwhile.

Between a worker's report and the next batch there is a *round trip*: the report travels, the driver comes to it, the
batch travels. On one machine that is a fraction of a millisecond, and several where the workers leave the driver no
core to itself; to another machine it is many. It shows with every batch for which a worker has waited: all the time
from when it was sent to its report, but for that in its items. Who never waits tells nothing, and nothing need change.

A worker waits a little even if its next batch is there already, as what hands it over has its cost: microseconds where
that is a pipe, milliseconds where it is another library's scheduler. That is the least that is waited; more in hand
would not shorten it, and fewer and longer batches do.
"""

from __future__ import annotations

from math import inf

__all__ = ["Credit"]

LEAST_SECONDS = 0.000_2  # of a round trip
DRY_SECONDS = 0.000_1  # who has waited for less has found the next batch when it looked
TRIPS = 2  # that work in hand lasts for
MEMORY = 0.75  # weight that older measurements keep when a new one comes
MOST_GROWTH = 4  # a measurement counts as at most so many times what was known: a single one may be an outlier
CLEARLY = 3  # times what is the least; else it is but a slower handing over
MOST_HANDOVER = 0.005  # seconds: who waits longer each time waits for messages
HANDOVER_GROWTH = 1.05  # with each measurement that is not less, as what is the least may change


class Credit:
    """The measured round trip of a run's messages, and the work in hand that bridges it.

    Args:
        round_trip: what one takes, as far as that is known before; 0 if it is as short as can be.

    Attributes:
        seconds: for how long work in hand should last; 0 as long as nothing was measured.
        handover: seconds that a batch costs its worker though it is there; 0 as long as nothing was measured.
    """

    __slots__ = ("_least", "_round_trip", "handover", "seconds")

    def __init__(self, round_trip: float = 0.0) -> None:
        self._round_trip = max(LEAST_SECONDS, round_trip)
        self._least = inf  # that was waited of late
        self.seconds = TRIPS * round_trip
        self.handover = 0.0

    def __repr__(self) -> str:
        return f"<Credit: work for {self.seconds:.3g} s>"

    def observe(self, waited: float, round_trip: float) -> None:
        """Take in how a batch was handed over.

        Args:
            waited: for how long its worker had nothing to do before.
            round_trip: seconds from when it was sent to its report, less those in its items.
        """
        self._least = min(waited, HANDOVER_GROWTH * self._least)
        self.handover = min(self._least, MOST_HANDOVER)
        if waited < max(DRY_SECONDS, CLEARLY * self.handover):
            return
        news = min(max(round_trip, LEAST_SECONDS), MOST_GROWTH * self._round_trip)
        self._round_trip = MEMORY * self._round_trip + (1 - MEMORY) * news
        self.seconds = TRIPS * self._round_trip
