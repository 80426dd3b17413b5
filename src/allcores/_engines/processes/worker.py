"""What the engine knows of one worker process: what it holds, what it has, and how it is written to and heard."""

from __future__ import annotations

import pickle
import selectors
import time
from math import inf

from allcores._codec.codec import encode_definitions
from allcores._codec.definitions.contents import Contents, Inspection
from allcores._codec.definitions.globals import Key
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._engines.processes.process import Process, Setup
from allcores._system.lifeline import has_news
from allcores._system.memory import peak_memory, reset_peak, resident_memory
from allcores._system.processor_time import ProcessorTime, of_process
from allcores._transport.segment import Segment
from allcores._transport.wire import Kind, Message

if TYPE_CHECKING:
    from allcores._engines.holdings import Held
    from allcores._engines.processes.watchdog import Verdict
    from allcores._settings.snapshot import Settings

__all__ = ["Worker"]

EXIT_SECONDS = 0.5  # between the end of a process's channel and its own


class Worker:
    """A worker process.

    Args:
        number: by which the scheduler knows it.
        process: its own; whatever an earlier run has left on its mark is forgotten.
        setup: what it has, or will be sent first.
        selector: tells when there is news of it, once it is watched.
        inherits: whether it is born with what belongs to the run, so that its size by then is not its own doing.

    Attributes:
        is_watched: whether anything that it says matters.
        is_ready: for its first item.
        held: what it was sent and has not reported.
        lines: whose jobs it has, beside that of its setup.
        settings: that it was told last; None where nobody knows.
        verdict: why we have killed it.
        is_mute: whether it has closed its channel, and so was killed.
        leaving_since: when it was told to leave, or to do what is left to do.
        has_finalized: whether it has said what came of its finalizer.
        used_before: what its process had used of the processors when it was ready; None where nobody asks.
        born_with: bytes of memory that are not its own doing.
        idle_size: bytes of memory when it was ready for its first item.
        idle_peak: the most that it had used by then.
    """

    def __init__(
        self, number: int, process: Process, setup: Setup, selector: selectors.BaseSelector, *, inherits: bool
    ) -> None:
        self.number = number
        self.process = process
        self.channel = process.channel
        self.mark = process.mark
        self.known = process.known
        self.is_watched = False
        self.is_ready = False
        self.held: Held = {}
        self.lines: set[int] = set()
        self.settings: Settings | None = setup.settings
        self.verdict: Verdict | None = None
        self.is_mute = False
        self.leaving_since = inf
        self.has_finalized = False
        self.used_before: ProcessorTime | None = None
        self.born_with = self.idle_size = self.idle_peak = 0
        self._selector = selector
        self._is_writing = False  # whether the selector waits for room in the channel
        self._inherits = inherits
        self.mark.shelf.clear(-1, 0, 0)
        self.mark.want_back(-1)
        self.known.update_from(setup.known)

    # ------------------------------------------------------------------------------------------------ news of it

    def watch(self) -> None:
        """Have the selector tell when it says something, and when it ends."""
        self._selector.register(self.channel, selectors.EVENT_READ, self)
        self.is_watched = True
        if self.process.sentinel is not None:
            self._selector.register(self.process.sentinel, selectors.EVENT_READ, self)

    def ignore(self) -> None:
        """Have the selector tell of its end alone."""
        self.is_watched = False
        self._selector.unregister(self.channel)

    def ignore_end(self) -> None:
        """Have the selector not tell of its end, either."""
        if self.process.sentinel is not None:
            self._selector.unregister(self.process.sentinel)

    # --------------------------------------------------------------------------------------------- writing to it

    def post(self, message: Message, segment: Segment | None = None) -> None:
        """Send a message; what there is no room for is sent when there is."""
        self.channel.send(message, segment)
        self._await_room()

    def flush(self) -> None:
        """Send what there is room for now."""
        self.channel.flush()
        self._await_room()

    def _await_room(self) -> None:
        """Have the selector wait for room in the channel exactly while something is unsent."""
        if self.channel.has_unsent is not self._is_writing:
            self._is_writing = not self._is_writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._is_writing else 0)
            self._selector.modify(self.channel, events, self)

    def compare(self, unsure: dict[Key, Contents]) -> None:
        """Have it compare what it has before anything that is sent from now on; it may ask."""
        if unsure:
            self.known.contents |= unsure
            self.post(Message(Kind.COMPARE, frames=[pickle.dumps(unsure)]))

    def learn(self, definitions: dict[Any, Any], inspection: Inspection) -> None:
        """Have it take in definitions."""
        if definitions:
            self.post(Message(Kind.TEACH, frames=encode_definitions(definitions, self.known, inspection)))

    def rest(self) -> None:
        """Let go of the memory that is kept for large frames, here and there."""
        self.channel.rest()
        self.post(Message(Kind.REST))

    def leave(self) -> None:
        """Tell it to do what is left to do, and end; who waits for that must not wait for ever."""
        self.leaving_since = time.monotonic()
        self.channel.send(Message(Kind.LEAVE))

    def finalize(self) -> None:
        """Tell it to do what is left to do for this run, and stay; who waits for that must not wait for ever."""
        self.leaving_since = time.monotonic()
        self.channel.send(Message(Kind.FINALIZE))

    # --------------------------------------------------------------------------------------------- what it holds

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing to do."""
        return self.is_ready and not self.held

    def holds_only(self, start: int, stop: int) -> bool:
        """Whether all that it was sent and has not reported is of ``[start, stop)``."""
        return all(start <= batch.start and batch.stop <= stop for batch in self.held.values())

    def has_lost(self, message: Message) -> bool:
        """Whether it tells of a batch that was taken from it before it came to it."""
        return message.kind in (Kind.REPORT, Kind.UNREADABLE) and message.token not in self.held

    def settle(self, report: Message) -> None:
        """Take down what it has reported."""
        batch = self.held.pop(report.token)
        if not report.flag:
            self.held[report.token] = batch._replace(start=report.stop)

    # -------------------------------------------------------------------------------------------------- its state

    def become_ready(self) -> None:
        """Take down what it has used before its first item."""
        self.is_ready = True
        pid = self.process.pid
        if pid is not None:
            if not self._inherits:  # its peak may be of an earlier run
                reset_peak(pid)
            self.used_before = of_process(pid)
            self.idle_size, self.idle_peak = resident_memory(pid) or 0, peak_memory(pid) or 0
            self.born_with = self.idle_size if self._inherits else 0

    def doubt(self) -> None:
        """Count on nothing that it was sent: who knows what has arrived."""
        self.known.forget()
        self.settings = None

    def condemn(self, verdict: Verdict) -> None:
        """Kill it, so that its end will be told with this verdict."""
        self.verdict = verdict
        self.process.kill()

    def follow_channel(self) -> None:
        """Have it end, as its channel has: it is about to, or has closed it by mistake and goes on."""
        sentinel = self.process.sentinel
        if sentinel is None or not has_news(sentinel, within=EXIT_SECONDS):
            self.is_mute = sentinel is not None
            self.process.kill(with_descendants=False)  # as if it had ended by itself
