"""For tests: what every engine promises, as checks for who has one; and a clock and an engine that are fakes.

`PROMISES` is a suite that any engine can be put through, one of your own included. With pytest:

    @pytest.mark.parametrize("promise", allcores.testing.PROMISES, ids=str)
    def test_my_executor(promise):
        assert promise.verdict(on=MyExecutor, workers=2) == "kept"

`FakeClock` and `FakeEngine` do only what a test says, for tests of whatever drives workers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from allcores._core.messages import (
    CondemnItems,
    KillWorker,
    ReleaseWorker,
    SendBatch,
    StartWorkers,
    TakeBackItems,
    WorkerReady,
    WorkerUp,
)
from allcores._doors.conformance import PROMISES, Promise
from allcores._engines.engine import Arrival, MemoryUse, Usage
from allcores._objects.outcomes import WorkerIdentity
from allcores._system.leadership import Leadership

__all__ = ["PROMISES", "FakeClock", "FakeEngine", "Promise", "come_up"]

EngineCommand = StartWorkers | SendBatch | TakeBackItems | KillWorker | CondemnItems | ReleaseWorker
News = Arrival | BaseException


class FakeClock:
    """A clock that stands still until it is moved.

    Args:
        now: the seconds that it shows first.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Give the seconds that it shows."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds


def come_up(command: EngineCommand) -> list[News]:
    """Answer as workers do that start at once; no batch ever comes back."""
    if isinstance(command, StartWorkers):
        return [Arrival(event(worker)) for worker in command.workers for event in (WorkerUp, WorkerReady)]
    return []


class FakeEngine:
    """An engine without workers: it writes down its commands and reports what a test scripts.

    Args:
        answer: called with every command; gives what the engine shall report because of it.
        clock: moved by a `wait` in which nothing happens.

    Attributes:
        commands: what the engine was told to do, in order.
        is_closed: whether it was closed.
        awaits: what it says must come before any item can run.

    Example:
        >>> from allcores._core.messages import StartWorkers
        >>> engine = FakeEngine()
        >>> engine.start((0,))
        >>> engine.commands
        [StartWorkers(workers=(0,))]
        >>> [arrival.event for arrival in engine.wait(None)]
        [WorkerUp(worker=0), WorkerReady(worker=0)]
    """

    def __init__(
        self, answer: Callable[[EngineCommand], Iterable[News]] = come_up, clock: FakeClock | None = None
    ) -> None:
        self.commands: list[EngineCommand] = []
        self.is_closed = False
        self.awaits: str | None = None
        self._answer = answer
        self._clock = FakeClock() if clock is None else clock
        self._news: deque[News] = deque()

    def report(self, *news: News) -> None:
        """Script what `wait` gives next, after what was scripted before; an exception is raised when its turn comes."""
        self._news.extend(news)

    def start(self, workers: tuple[int, ...]) -> None:
        """Write the command down."""
        self._obey(StartWorkers(workers))

    def send(self, batch: SendBatch) -> None:
        """Write the command down."""
        self._obey(batch)

    def take_back(self, worker: int) -> None:
        """Write the command down."""
        self._obey(TakeBackItems(worker))

    def kill(self, worker: int) -> None:
        """Write the command down."""
        self._obey(KillWorker(worker))

    def condemn(self, worker: int, start: int, stop: int) -> None:
        """Write the command down."""
        self._obey(CondemnItems(worker, start, stop))

    def release(self, worker: int) -> None:
        """Write the command down."""
        self._obey(ReleaseWorker(worker))

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Give what is scripted, up to an exception; otherwise let the time pass.

        Raises:
            AssertionError: nothing is scripted and there is no timeout, so that a true engine would wait for ever.
        """
        if not self._news:
            if timeout is None:
                raise AssertionError(f"waits for ever: nothing is scripted after {self.commands}")
            self._clock.advance(timeout)
            return []
        first = self._news.popleft()
        if isinstance(first, BaseException):
            raise first
        arrivals = [first]
        while self._news and isinstance(more := self._news[0], Arrival):
            arrivals.append(more)
            self._news.popleft()
        return arrivals

    def awaited(self) -> str | None:
        """Say what was set."""
        return self.awaits

    def make_waker(self) -> Callable[[], None]:
        """Nobody needs to be woken: a `wait` in which nothing happens ends by itself, or fails."""
        return lambda: None

    def share(self, leadership: Leadership) -> None:
        """Nobody shares it."""

    def memory(self) -> MemoryUse:
        """Nothing is known of workers that do not exist."""
        return MemoryUse()

    def usage(self) -> Usage:
        """Nobody knows."""
        return Usage()

    def identity(self, worker: int) -> WorkerIdentity:
        """Name a worker that has no process."""
        return WorkerIdentity(worker, None, "nowhere")

    def complaint(self) -> None:
        """There are no finalizers."""

    def close(self) -> None:
        """Forget what is scripted."""
        self.is_closed = True
        self._news.clear()

    def _obey(self, command: EngineCommand) -> None:
        self.commands.append(command)
        self.report(*self._answer(command))
