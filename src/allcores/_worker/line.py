"""Lines: what runs the items that are handed in to a run that serves others, and how they go into batches.

Items of one line, whoever hands them in, may share batches; those of another have another job. Engines know where items
come from by the protocol `Lines` alone.
"""

from __future__ import annotations

from itertools import count

from allcores._codec.definitions.contents import Inspection
from allcores._core.hints import Any, Protocol, TypeGuard
from allcores._objects.outcomes import Failure, Origin
from allcores._objects.short_repr import short_repr
from allcores._worker.job import Job

__all__ = ["Line", "Lines"]

_numbers = count(1)  # of lines; 0 is the run's own job


class Line:
    """What runs items that are handed in, and how.

    Args:
        job: what runs them.
        batch: items per batch; None to measure and adapt.
        depth: how many batches a worker may hold.
        inspection: when what the items lead to was looked at; None: anew for each batch.
        conditions: `Settings` or `Conditions` under which the items run; None where each submission brings its own.

    Attributes:
        blank: an item that does nothing and gives `DROPPED`, to stand in a batch for one that nobody wants; None if
            there is no such.
    """

    blank: Any = None

    def __init__(
        self,
        job: Job,
        *,
        batch: int | None,
        depth: int,
        inspection: Inspection | None = None,
        conditions: Any = None,
    ) -> None:
        self.number = next(_numbers)
        self.job = job
        self.conditions = conditions
        self.batch = batch
        self.depth = depth
        self.inspection = inspection
        self.origin = Origin(lambda: job, job.chance)

    def name(self, position: int, item: Any) -> str:
        """Say in messages which item it is."""
        return f"item {position} ({short_repr(item)})"

    def has_failed(self, outcome: Any) -> TypeGuard[Failure]:
        """Whether an outcome is the failure of an item, and not a value that is a failure of another run's."""
        return isinstance(outcome, Failure) and outcome.origin is self.origin


class Lines(Protocol):
    """Which line each item is of, and under which conditions it was handed in."""

    def line(self, index: int) -> Line:
        """Give what runs an item."""

    def conditions(self, index: int) -> Any:
        """Give what was in force where an item was handed in."""

    def has_line(self, number: int) -> bool:
        """Whether items of this line are unsettled."""
