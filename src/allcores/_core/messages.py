"""The scheduler's only input and output: events say what happened, commands say what to do next.

Every event and command is made of ids and ranges; no user's object passes through the scheduler. A range
``[start, stop)`` is two indices; a `token` names one sending of one batch and is never used twice in a run.
"""

from __future__ import annotations

from enum import Enum

from allcores._core.records import Record

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
    "ItemsTakenBack",
    "ItemsWithdrawn",
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
    "StartWorkers",
    "StretchBegan",
    "TakeBackItems",
    "WorkerDown",
    "WorkerReady",
    "WorkerSetupFailed",
    "WorkerUp",
    "WorkerWorn",
    "WorkersOffered",
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


class RunStarted(Record):
    """The driver is ready to carry out commands."""


class RunStopped(Record):
    """Somebody wants no more results: Ctrl-C, a closed iterator."""


class DeadlinePassed(Record):
    """`Scheduler.next_deadline` has come."""


class InputPulled(Record):
    """Items up to `stop` (exclusive) are at hand; the ranges `recalled` among the new ones are settled already."""

    stop: int
    recalled: tuple[tuple[int, int], ...] = ()  # ascending


class StretchBegan(Record):
    """From item `start` on items are of another kind: no batch reaches across, and no measurement holds for both.

    Or they are of the kind before, and only must not share batches with those.
    """

    start: int
    batch: int | None  # items per batch; None to measure and adapt
    depth: int  # batches that a worker may hold, but for what it takes not to run dry; 1: whatever it takes
    is_awaited: bool = False  # whether somebody takes the results one by one
    is_same_kind: bool = False  # as before, so that what was measured holds


class ItemsCancelled(Record):
    """Nobody wants the outcomes of items ``[start, stop)`` any more, so whoever runs one should be ended."""

    start: int
    stop: int


class ItemsWithdrawn(Record):
    """Of some items that have not begun, nobody wants the outcomes any more: workers should give back what waits."""


class InputEnded(Record):
    """The input has `length` items, no more."""

    length: int


class ResultsTaken(Record):
    """The consumer has taken `count` results in all."""

    count: int  # type: ignore[assignment]  # tuples have a method of that name


class WorkerUp(Record):
    """The worker's process runs our code."""

    worker: int


class WorkerReady(Record):
    """The worker has the function and has run the initializer."""

    worker: int


class WorkerSetupFailed(Record):
    """The function did not arrive, or the initializer raised."""

    worker: int


class WorkerWorn(Record):
    """The worker shall take no more items: it has grown too large."""

    worker: int


class RoomMeasured(Record):
    """Memory suffices for items on so many workers at once; None: for all."""

    workers: int | None


class WorkersOffered(Record):
    """There may be so many workers from now on, which is more than before."""

    workers: int


class Excuse(Enum):
    """Why an item that failed may be tried again."""

    NONE = "none"  # it may not
    RETRIABLE = "retriable"  # the caller said that such failures are worth further tries
    STARVED = "starved"  # it was lost to a lack of memory


class WorkerDown(Record):
    """The worker is gone, and whatever it held with it. If it was RUNNING items, one in ``[start, stop)`` did it."""

    worker: int
    moment: Moment
    start: int = 0
    stop: int = 0
    excuse: Excuse = Excuse.NONE


class BatchWeighed(Record):
    """So many of the batch's items, or what came of them, are a lot of data to move."""

    worker: int
    token: int
    items: int
    size: int  # bytes


class BatchAdvanced(Record):
    """The batch's items before `stop` are finished; the worker goes on with the rest."""

    worker: int
    token: int
    stop: int
    seconds: float  # spent inside the items that this event reports
    failed: tuple[int, ...] = ()  # indices among them that failed
    excuses: tuple[tuple[int, Excuse], ...] = ()  # of those that failed and may be tried again
    waited: float = 0.0  # seconds since the worker was done with what it had before, told with the batch's first items


class BatchFinished(Record):
    """The worker is done with the batch: items before `stop` are finished, the rest is given back unrun."""

    worker: int
    token: int
    stop: int
    seconds: float
    failed: tuple[int, ...] = ()
    excuses: tuple[tuple[int, Excuse], ...] = ()
    waited: float = 0.0


class ItemsTakenBack(Record):
    """The worker is at items of batch `token` before `stop`, and will begin none behind them, up to batch `last`."""

    worker: int
    token: int
    stop: int
    last: int  # a token


class BatchRefused(Record):
    """The batch never ran; nobody is to blame."""

    worker: int
    token: int


class BatchUnreadable(Record):
    """Items of the batch before `stop` are lost, because they or their results could not be unpickled."""

    worker: int
    token: int
    stop: int
    is_last: bool  # whether the worker is done with the batch
    excuse: Excuse = Excuse.NONE


class EngineLost(Record):
    """All workers are gone and no new one can come."""


Event = (
    RunStarted
    | RunStopped
    | DeadlinePassed
    | InputPulled
    | StretchBegan
    | ItemsCancelled
    | ItemsWithdrawn
    | InputEnded
    | ResultsTaken
    | WorkerUp
    | WorkerReady
    | WorkerSetupFailed
    | WorkerDown
    | WorkerWorn
    | WorkersOffered
    | RoomMeasured
    | BatchWeighed
    | BatchAdvanced
    | BatchFinished
    | ItemsTakenBack
    | BatchRefused
    | BatchUnreadable
    | EngineLost
)

# -------------------------------------------------------------------------------------------------- commands


class StartWorkers(Record):
    """Start workers under these numbers, which are never used twice in a run."""

    workers: tuple[int, ...]


class SendBatch(Record):
    """Hand items ``[start, stop)`` to the worker."""

    worker: int
    token: int
    start: int
    stop: int
    may_give_back: bool  # whether the worker may return the rest when the batch runs long; else all of it or nothing
    tries: int = 1  # of an item that runs again, which is a batch of its own; this one included


class TakeBackItems(Record):
    """Have the worker begin no more of what it was sent: it gives that back, or it is taken from behind a long item."""

    worker: int


class KillWorker(Record):
    """End the worker now; nothing more is wanted from it."""

    worker: int


class CondemnItems(Record):
    """Have the worker begin none of ``[start, stop)``, and end it if it runs one of them, which fails of that."""

    worker: int
    start: int
    stop: int


class ReleaseWorker(Record):
    """The worker is idle and no longer needed by this run."""

    worker: int


class PullInput(Record):
    """Take items from the input until those before `stop` are at hand."""

    stop: int


class FailItem(Record):
    """The item fails of what the event told: a death, or objects that cannot be read."""

    index: int  # type: ignore[assignment]  # tuples have a method of that name


class RetryItem(Record):
    """The item failed and will be tried again: hold back what came of it."""

    index: int  # type: ignore[assignment]  # tuples have a method of that name


class AbortRun(Record):
    """The run ends with an error."""

    reason: AbortReason


Command = (
    StartWorkers
    | SendBatch
    | TakeBackItems
    | KillWorker
    | CondemnItems
    | ReleaseWorker
    | PullInput
    | FailItem
    | RetryItem
    | AbortRun
)
