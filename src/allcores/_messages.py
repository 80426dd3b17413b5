"""The scheduler's only input and output: events say what happened, commands say what to do next.

Every event and command is made of ids and ranges; no user's object passes through the scheduler. A range
``[start, stop)`` is two indices; a `token` names one sending of one batch and is never used twice in a run.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple, TypeVar

__all__ = [
    "AbortReason",
    "AbortRun",
    "BatchAdvanced",
    "BatchFinished",
    "BatchRefused",
    "BatchUnreadable",
    "BatchWeighed",
    "Command",
    "CondemnItems",
    "DeadlinePassed",
    "EngineLost",
    "Event",
    "Excuse",
    "FailItem",
    "InputEnded",
    "InputPulled",
    "ItemsCancelled",
    "KillWorker",
    "Moment",
    "PullInput",
    "ReleaseWorker",
    "ResultsTaken",
    "RetryItem",
    "RoomMeasured",
    "RunStarted",
    "RunStopped",
    "SendBatch",
    "StartWorker",
    "StretchBegan",
    "WorkerDown",
    "WorkerReady",
    "WorkerSetupFailed",
    "WorkerUp",
    "WorkerWorn",
]


Kind = TypeVar("Kind")


def _distinct(kind: type[Kind]) -> type[Kind]:
    """Have a message differ from those of other kinds that have the same fields; tuples would be equal."""
    kind.__eq__ = _is_same  # type: ignore[assignment,method-assign]
    kind.__ne__ = _is_other  # type: ignore[assignment,method-assign]
    return kind


def _is_same(self: tuple[Any, ...], other: object) -> bool:
    return type(self) is type(other) and tuple.__eq__(self, other)


def _is_other(self: tuple[Any, ...], other: object) -> bool:
    return not _is_same(self, other)


class Moment(Enum):
    """What a worker was doing when it died."""

    STARTING = "starting"  # the process has not said hello
    PREPARING = "preparing"  # receiving the function, running the initializer
    IDLE = "idle"  # between two batches
    RUNNING = "running"  # inside an item
    MOVING = "moving"  # unpickling items or pickling results
    UNKNOWN = "unknown"  # the engine cannot tell


class AbortReason(Enum):
    """Why a run cannot go on."""

    SETUP_FAILED = "the initializer failed"
    NO_WORKERS = "no worker can be started"
    ENGINE_LOST = "the engine is lost"


# ---------------------------------------------------------------------------------------------------- events


@_distinct
class RunStarted(NamedTuple):
    """The driver is ready to carry out commands."""


@_distinct
class RunStopped(NamedTuple):
    """Somebody wants no more results: Ctrl-C, a closed iterator."""


@_distinct
class DeadlinePassed(NamedTuple):
    """`Scheduler.next_deadline` has come."""


@_distinct
class InputPulled(NamedTuple):
    """Items up to `stop` (exclusive) are at hand; the ranges `recalled` among the new ones are settled already."""

    stop: int
    recalled: tuple[tuple[int, int], ...] = ()  # ascending


@_distinct
class StretchBegan(NamedTuple):
    """From item `start` on items are of another kind: no batch reaches across, and no measurement holds for both."""

    start: int
    batch: int | None  # items per batch; None to measure and adapt
    depth: int  # batches that a worker may hold


@_distinct
class ItemsCancelled(NamedTuple):
    """Nobody wants the outcomes of items ``[start, stop)`` any more, so whoever runs one should be ended."""

    start: int
    stop: int


@_distinct
class InputEnded(NamedTuple):
    """The input has `length` items, no more."""

    length: int


@_distinct
class ResultsTaken(NamedTuple):
    """The consumer has taken `count` results in all."""

    count: int  # type: ignore[assignment]  # tuples have a method of that name


@_distinct
class WorkerUp(NamedTuple):
    """The worker's process runs our code."""

    worker: int


@_distinct
class WorkerReady(NamedTuple):
    """The worker has the function and has run the initializer."""

    worker: int


@_distinct
class WorkerSetupFailed(NamedTuple):
    """The function did not arrive, or the initializer raised."""

    worker: int


@_distinct
class WorkerWorn(NamedTuple):
    """The worker shall take no more items: it has grown too large."""

    worker: int


@_distinct
class RoomMeasured(NamedTuple):
    """Memory suffices for items on so many workers at once; None: for all."""

    workers: int | None


class Excuse(Enum):
    """Why an item that failed may be tried again."""

    NONE = "none"  # it may not
    RETRIABLE = "retriable"  # the caller said that such failures are worth further tries
    STARVED = "starved"  # it was lost to a lack of memory


@_distinct
class WorkerDown(NamedTuple):
    """The worker is gone, and whatever it held with it. If it was RUNNING items, one in ``[start, stop)`` did it."""

    worker: int
    moment: Moment
    start: int = 0
    stop: int = 0
    excuse: Excuse = Excuse.NONE


@_distinct
class BatchWeighed(NamedTuple):
    """So many of the batch's items, or what came of them, are a lot of data to move."""

    worker: int
    token: int
    items: int
    size: int  # bytes


@_distinct
class BatchAdvanced(NamedTuple):
    """The batch's items before `stop` are finished; the worker goes on with the rest."""

    worker: int
    token: int
    stop: int
    seconds: float  # spent inside the items that this event reports
    failed: tuple[int, ...] = ()  # indices among them that failed
    excuses: tuple[tuple[int, Excuse], ...] = ()  # of those that failed and may be tried again


@_distinct
class BatchFinished(NamedTuple):
    """The worker is done with the batch: items before `stop` are finished, the rest is given back unrun."""

    worker: int
    token: int
    stop: int
    seconds: float
    failed: tuple[int, ...] = ()
    excuses: tuple[tuple[int, Excuse], ...] = ()


@_distinct
class BatchRefused(NamedTuple):
    """The batch never ran; nobody is to blame."""

    worker: int
    token: int


@_distinct
class BatchUnreadable(NamedTuple):
    """Items of the batch before `stop` are lost, because they or their results could not be unpickled."""

    worker: int
    token: int
    stop: int
    is_last: bool  # whether the worker is done with the batch
    excuse: Excuse = Excuse.NONE


@_distinct
class EngineLost(NamedTuple):
    """All workers are gone and no new one can come."""


Event = (
    RunStarted
    | RunStopped
    | DeadlinePassed
    | InputPulled
    | StretchBegan
    | ItemsCancelled
    | InputEnded
    | ResultsTaken
    | WorkerUp
    | WorkerReady
    | WorkerSetupFailed
    | WorkerDown
    | WorkerWorn
    | RoomMeasured
    | BatchWeighed
    | BatchAdvanced
    | BatchFinished
    | BatchRefused
    | BatchUnreadable
    | EngineLost
)

# -------------------------------------------------------------------------------------------------- commands


@_distinct
class StartWorker(NamedTuple):
    """Start a worker under this number; numbers are never used twice in a run."""

    worker: int


@_distinct
class SendBatch(NamedTuple):
    """Hand items ``[start, stop)`` to the worker."""

    worker: int
    token: int
    start: int
    stop: int
    may_give_back: bool  # whether the worker may return the rest when the batch runs long
    tries: int = 1  # of an item that runs again, which is a batch of its own; this one included


@_distinct
class KillWorker(NamedTuple):
    """End the worker now; nothing more is wanted from it."""

    worker: int


@_distinct
class CondemnItems(NamedTuple):
    """End the worker if it runs an item of ``[start, stop)``, which fails of that."""

    worker: int
    start: int
    stop: int


@_distinct
class ReleaseWorker(NamedTuple):
    """The worker is idle and no longer needed by this run."""

    worker: int


@_distinct
class PullInput(NamedTuple):
    """Take items from the input until those before `stop` are at hand."""

    stop: int


@_distinct
class FailItem(NamedTuple):
    """The item fails of what the event told: a death, or objects that cannot be read."""

    index: int  # type: ignore[assignment]  # tuples have a method of that name


@_distinct
class RetryItem(NamedTuple):
    """The item failed and will be tried again: hold back what came of it."""

    index: int  # type: ignore[assignment]  # tuples have a method of that name


@_distinct
class AbortRun(NamedTuple):
    """The run ends with an error."""

    reason: AbortReason


Command = (
    StartWorker | SendBatch | KillWorker | CondemnItems | ReleaseWorker | PullInput | FailItem | RetryItem | AbortRun
)
