"""What provides workers, one file per place, behind one small protocol.

An engine carries out the scheduler's commands and tells what happened. It decides nothing: which items run where,
what a death means for them and when the run is over is the scheduler's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from allcores._core.hints import TYPE_CHECKING, Any, Protocol
from allcores._core.messages import Event, SendBatch
from allcores._core.records import Record
from allcores._objects.outcomes import Raised, WorkerIdentity

if TYPE_CHECKING:
    from allcores._system.leadership import Leadership
    from allcores._system.processor_time import ProcessorTime

__all__ = ["Arrival", "Engine", "MemoryUse", "PlainEngine", "Usage"]


class Arrival:
    """An event, with the objects that came along and that the scheduler does not see.

    Attributes:
        event: what happened.
        start: the index of the first value.
        values: one per item that the event reports; None for those that failed.
        raised: what failed, by index.
        cause: why a worker is gone, its setup failed, or its batch could not be read.
        ended: when the last of the items did that the event reports, on this machine's clock; 0: nobody knows.
    """

    __slots__ = ("cause", "ended", "event", "raised", "start", "values")

    def __init__(
        self,
        event: Event,
        start: int = 0,
        values: list[Any] | None = None,
        raised: dict[int, Raised] | None = None,
        cause: BaseException | None = None,
        *,
        ended: float = 0.0,
    ) -> None:
        self.event = event
        self.start = start
        self.values = [] if values is None else values
        self.raised = {} if raised is None else raised
        self.cause = cause
        self.ended = ended


class Usage(Record):
    """What workers have used since they were ready, those included that have ended.

    Attributes:
        time: of the processors; None if nobody knows.
        peaks: the most memory that each has had, in bytes, by its number; of those whose number is small.
        moving_seconds: how long workers took to unpickle items, and to pickle and send what came of them; None where
            nothing travels, or nobody knows.
        own_moving_seconds: how long this process took to pickle items, and to receive and unpickle what came of them.
        sent: bytes of items.
        received: bytes of what came of them.
    """

    time: ProcessorTime | None = None
    peaks: Mapping[int, int] = {}
    moving_seconds: float | None = None
    own_moving_seconds: float = 0.0
    sent: int = 0
    received: int = 0


class MemoryUse(Record):
    """What workers use beyond their size before their first item, in bytes."""

    now: Sequence[int] = ()  # each that is in the middle of something
    peaks: Sequence[int] = ()  # for each report since this was last asked: the most since the one before
    kills: Sequence[int] = ()  # the most that each had used which the kernel has killed since for lack of memory


class Engine(Protocol):
    """Provides the workers of one run. The driver alone calls it, in one thread at a time.

    Every token that was sent comes back in exactly one last event: finished, refused, unreadable, or with the
    `WorkerDown` of its worker; unless the worker was killed or released, of which nothing is heard any more.
    """

    def start(self, workers: tuple[int, ...]) -> None:
        """Begin to start workers; `WorkerUp`, then `WorkerReady` will tell of each, or `WorkerDown`."""

    def send(self, batch: SendBatch) -> None:
        """Hand a batch over; never blocks."""

    def take_back(self, worker: int) -> None:
        """Have the worker begin no more of what it was sent, as far as the place allows; `ItemsTakenBack` may tell."""

    def kill(self, worker: int) -> None:
        """End a worker whatever it is doing, as far as the place allows."""

    def condemn(self, worker: int, start: int, stop: int) -> None:
        """End a worker if it runs an item of ``[start, stop)``, as far as the place allows; its end will be told."""

    def release(self, worker: int) -> None:
        """Let an idle worker go."""

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Wait until something happens, at most `timeout` seconds (None: for ever); the one place that blocks."""

    def awaited(self) -> str | None:
        """Say what others must bring before any item can run; None where nothing is missing."""

    def make_waker(self) -> Callable[[], None]:
        """Give what any thread may call to end the present `wait`, or the next; after `close` it does nothing."""

    def share(self, leadership: Leadership) -> None:
        """Have several threads turn the loop, which whoever calls holds; `wait` lets go of it, if possible."""

    def memory(self) -> MemoryUse:
        """Tell what workers use, as far as the place knows."""

    def usage(self) -> Usage:
        """Tell what workers have used, as far as the place knows."""

    def identity(self, worker: int) -> WorkerIdentity:
        """Say who the worker is, also after its end."""

    def complaint(self) -> RuntimeWarning | None:
        """Tell what finalizers raised, once it is closed."""

    def close(self) -> None:
        """Let everything go; afterwards none of this run's workers runs any more, as far as the place allows."""


class PlainEngine:
    """What those engines have in common whose workers are no processes of ours."""

    def share(self, leadership: Leadership) -> None:
        """Whoever waits keeps the leadership: there is no selector that others could wait on."""

    def awaited(self) -> str | None:
        """Nothing, but where workers are somebody else's."""
        return None

    def memory(self) -> MemoryUse:
        """Nobody knows."""
        return MemoryUse()
