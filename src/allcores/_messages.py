"""The scheduler's only input and output: events say what happened, commands say what to do next.

Every event and command is made of ids and ranges; no user's object passes through the scheduler. A range
``[start, stop)`` is two indices; a `token` names one sending of one batch and is never used twice in a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "AbortReason",
    "AbortRun",
    "BatchAdvanced",
    "BatchFinished",
    "BatchRefused",
    "BatchUnreadable",
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


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The driver is ready to carry out commands."""


@dataclass(frozen=True, slots=True)
class RunStopped:
    """Somebody wants no more results: Ctrl-C, a closed iterator."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """`Scheduler.next_deadline` has come."""


@dataclass(frozen=True, slots=True)
class InputPulled:
    """Items up to `stop` (exclusive) are at hand; the ranges `recalled` among the new ones are settled already."""

    stop: int
    recalled: tuple[tuple[int, int], ...] = ()  # ascending


@dataclass(frozen=True, slots=True)
class StretchBegan:
    """From item `start` on items are of another kind: no batch reaches across, and no measurement holds for both."""

    start: int
    batch: int | None  # items per batch; None to measure and adapt
    depth: int  # batches that a worker may hold


@dataclass(frozen=True, slots=True)
class ItemsCancelled:
    """Nobody wants the outcomes of items ``[start, stop)`` any more, so whoever runs one should be ended."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class InputEnded:
    """The input has `length` items, no more."""

    length: int


@dataclass(frozen=True, slots=True)
class ResultsTaken:
    """The consumer has taken `count` results in all."""

    count: int


@dataclass(frozen=True, slots=True)
class WorkerUp:
    """The worker's process runs our code."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """The worker has the function and has run the initializer."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerSetupFailed:
    """The function did not arrive, or the initializer raised."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerWorn:
    """The worker shall take no more items: it has grown too large."""

    worker: int


@dataclass(frozen=True, slots=True)
class RoomMeasured:
    """Memory suffices for items on so many workers at once; None: for all."""

    workers: int | None


class Excuse(Enum):
    """Why an item that failed may be tried again."""

    NONE = "none"  # it may not
    RETRIABLE = "retriable"  # the caller said that such failures are worth further tries
    STARVED = "starved"  # it was lost to a lack of memory


@dataclass(frozen=True, slots=True)
class WorkerDown:
    """The worker is gone, and whatever it held with it. If it was RUNNING items, one in ``[start, stop)`` did it."""

    worker: int
    moment: Moment
    start: int = 0
    stop: int = 0
    excuse: Excuse = Excuse.NONE


@dataclass(frozen=True, slots=True)
class BatchAdvanced:
    """The batch's items before `stop` are finished; the worker goes on with the rest."""

    worker: int
    token: int
    stop: int
    seconds: float  # spent inside the items that this event reports
    failed: tuple[int, ...] = ()  # indices among them that failed
    excuses: tuple[tuple[int, Excuse], ...] = ()  # of those that failed and may be tried again


@dataclass(frozen=True, slots=True)
class BatchFinished:
    """The worker is done with the batch: items before `stop` are finished, the rest is given back unrun."""

    worker: int
    token: int
    stop: int
    seconds: float
    failed: tuple[int, ...] = ()
    excuses: tuple[tuple[int, Excuse], ...] = ()


@dataclass(frozen=True, slots=True)
class BatchRefused:
    """The batch never ran; nobody is to blame."""

    worker: int
    token: int


@dataclass(frozen=True, slots=True)
class BatchUnreadable:
    """Items of the batch before `stop` are lost, because they or their results could not be unpickled."""

    worker: int
    token: int
    stop: int
    is_last: bool  # whether the worker is done with the batch
    excuse: Excuse = Excuse.NONE


@dataclass(frozen=True, slots=True)
class EngineLost:
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
    | BatchAdvanced
    | BatchFinished
    | BatchRefused
    | BatchUnreadable
    | EngineLost
)

# -------------------------------------------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a worker under this number; numbers are never used twice in a run."""

    worker: int


@dataclass(frozen=True, slots=True)
class SendBatch:
    """Hand items ``[start, stop)`` to the worker."""

    worker: int
    token: int
    start: int
    stop: int
    may_give_back: bool  # whether the worker may return the rest when the batch runs long
    tries: int = 1  # of an item that runs again, which is a batch of its own; this one included


@dataclass(frozen=True, slots=True)
class KillWorker:
    """End the worker now; nothing more is wanted from it."""

    worker: int


@dataclass(frozen=True, slots=True)
class CondemnItems:
    """End the worker if it runs an item of ``[start, stop)``, which fails of that."""

    worker: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ReleaseWorker:
    """The worker is idle and no longer needed by this run."""

    worker: int


@dataclass(frozen=True, slots=True)
class PullInput:
    """Take items from the input until those before `stop` are at hand."""

    stop: int


@dataclass(frozen=True, slots=True)
class FailItem:
    """The item fails of what the event told: a death, or objects that cannot be read."""

    index: int


@dataclass(frozen=True, slots=True)
class RetryItem:
    """The item failed and will be tried again: hold back what came of it."""

    index: int


@dataclass(frozen=True, slots=True)
class AbortRun:
    """The run ends with an error."""

    reason: AbortReason


Command = (
    StartWorker | SendBatch | KillWorker | CondemnItems | ReleaseWorker | PullInput | FailItem | RetryItem | AbortRun
)
