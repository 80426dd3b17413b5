"""Workers that are processes of this machine, wherever they come from.

A forked worker has the function and the dataset from birth, and only ranges travel to it. A clean one, or any worker
of a stream, gets what it needs over its channel: the job once, then each batch's items.

What a worker had finished and not yet reported when it died is found on its shelf of the mark board.

A worker's end shows on its sentinel, a descriptor that becomes readable, where the system has one, and else as the end
of its channel. What it had reported until then still counts: the channel is read to its end first.
"""

from __future__ import annotations

import pickle
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from math import inf

from allcores._codec.codec import (
    Encoded,
    decode_outcomes,
    encode_definitions,
    encode_items,
    encode_job,
    encode_settings,
)
from allcores._codec.definitions.contents import Contents, Inspection
from allcores._codec.definitions.globals import Key, Known
from allcores._codec.exceptions import decode_exception
from allcores._codec.pickling import decode
from allcores._core.errors import ItemCancelled, UnpicklableItem, UnpicklableResult, WorkerDied
from allcores._core.hints import TYPE_CHECKING, Any, Protocol
from allcores._core.messages import (
    BatchAdvanced,
    BatchFinished,
    BatchUnreadable,
    BatchWeighed,
    Moment,
    SendBatch,
    WorkerDown,
    WorkerReady,
    WorkerSetupFailed,
    WorkerUp,
    WorkerWorn,
)
from allcores._core.plan import Plan
from allcores._core.records import Record
from allcores._core.scheduler.pace import HEAVY_BYTES
from allcores._engines.bundles import Bundles
from allcores._engines.deaths import DeathReader
from allcores._engines.engine import Arrival, MemoryUse
from allcores._engines.holdings import Held, Takings
from allcores._engines.watchdog import Verdict, Watchdog
from allcores._input.dataset import Columns, Dataset
from allcores._objects.asking import describe
from allcores._objects.outcomes import WorkerIdentity
from allcores._system.descriptors import claim
from allcores._system.interrupts import let_interrupts_in
from allcores._system.leadership import Leadership
from allcores._system.leaving import stop_if_left
from allcores._system.lifeline import End, has_news, shield_children
from allcores._system.memory import peak_memory, reset_peak, resident_memory
from allcores._system.tracking import SharedTracker
from allcores._transport.board import HAS_CHILDREN, NEEDS_EXIT, TELLS_TRACKER, Mark
from allcores._transport.channel import Channel
from allcores._transport.segment import Segment
from allcores._transport.wire import Buffer, Kind, Message
from allcores._worker.exit import SHUTDOWN_SECONDS
from allcores._worker.kinship import next_number
from allcores._worker.line import Lines

if TYPE_CHECKING:
    from allcores._settings.snapshot import Settings
    from allcores._system.waker import Waker

__all__ = ["ProcessEngine", "Setup"]

PROMPT_SECONDS = SHUTDOWN_SECONDS + 0.5  # for processes that were killed, or told to leave, to end
EXIT_SECONDS = 0.5  # between the end of a process's channel and its own


class Setup(Record):
    """What makes a process ready for its first item: the surroundings and the job, for one that is not born with them.

    Attributes:
        frames: of the job.
        surroundings: pickled, for a process that is not born with the job.
        known: what the process has of the caller's ``__main__`` then.
        unsure: ``{(module, name): contents}`` of what it must compare with its own.
        descriptors: that go along.
        segment: holds the large frames, for all processes; None where there are none.
        settings: that it has then; None where nobody hands in under others.
    """

    frames: list[Buffer]
    surroundings: bytes
    known: Known
    unsure: dict[Key, Contents]
    descriptors: list[int]
    segment: Segment | None
    settings: Settings | None


class Process(Protocol):
    """The driver's handle of one worker process."""

    pid: int | None
    known: Known  # what it has of the caller's; of modules, from run to run
    mark: Mark
    channel: Channel
    sentinel: int | None  # a descriptor that becomes readable when the process ends; None where there is none

    def kill(self, *, with_descendants: bool = True) -> None:
        """End the process now, and what it has started."""

    def wait_for_end(self) -> End:
        """Wait for the end of a process that has ended or will at once."""

    def see_end(self) -> None:
        """Wait likewise, where nobody asks how it ended."""

    def close(self) -> None:
        """Free what the driver holds for a process that has ended."""


class ProcessSource(Protocol):
    """Starts the processes of one run: `ForkedSource`, `CleanSource`."""

    inherits: bool  # whether its processes are born with the job, the dataset's columns and the caller's __main__
    keeps_processes: bool  # whether idle ones are of use to later runs

    def set_up(self) -> Setup:
        """Give what a process must be sent first."""

    def start(self, tracker: SharedTracker) -> Process:
        """Begin to start a process, which tells a tracker. Raises OSError where the system does not allow it."""

    def keep(self, process: Any) -> None:
        """Take back an idle process, where they are kept."""

    def close(self) -> None:
        """Free what the source holds; its processes have ended or were kept."""


class _Worker:
    def __init__(self, number: int, process: Process, settings: Settings | None) -> None:
        self.number = number
        self.process = process
        self.settings = settings  # that it was told last
        self.is_writing = False  # whether the selector waits for room in the channel
        self.born_with = 0  # bytes of memory that are not its own doing
        self.idle_size = 0  # bytes of memory when it was ready for its first item
        self.idle_peak = 0  # the most it had used by then
        self.is_ready = False
        self.leaving_since = inf  # when it was told to leave
        self.lines: set[int] = set()  # whose jobs it has, beside that of its setup
        self.held: Held = {}
        self.verdict: Verdict | None = None  # why we have killed it
        self.is_mute = False  # whether it has closed its channel, and so was killed

    def holds_only(self, start: int, stop: int) -> bool:
        """Whether all that it was sent and has not reported is of ``[start, stop)``."""
        return all(start <= batch.start and batch.stop <= stop for batch in self.held.values())


class ProcessEngine:
    """Provides worker processes for one run.

    Args:
        source: starts them.
        dataset: where items come from.
        plan: says which limits workers must keep.
        lines: what runs each item; None where it is the one job that the source sets processes up with.
    """

    def __init__(self, source: ProcessSource, dataset: Dataset, plan: Plan, lines: Lines | None = None) -> None:
        self._source = source
        self._dataset = dataset
        self._lines = lines
        self._inspection = Inspection(is_only=self._lines is None)
        self._has_items = source.inherits and isinstance(dataset, Columns)
        self._workers: dict[int, _Worker] = {}
        self._takings = Takings()
        self._ending: dict[int, _Worker] = {}  # killed or told to leave, and not yet seen to end
        self._identities: dict[int, WorkerIdentity] = {}
        self._host = socket.gethostname()
        self._arrivals: list[Arrival] = []  # to be told by the next wait
        self._bundles = Bundles()
        self._tired: list[_Worker] = []  # have done all that they were sent, and keep memory for large frames
        self._watchdog = Watchdog(plan.timeout, plan.memory)
        self._recycle_bytes = plan.recycle_bytes
        self._is_measuring = False  # whether anyone asks for the memory of workers
        self._peaks: list[int] = []  # of workers that have reported, and
        self._kills: list[int] = []  # of those that the kernel has killed, since it was last asked for
        self._deaths = DeathReader()
        self._waker: Waker | None = None
        self._leadership: Leadership | None = None
        self._selector = selectors.DefaultSelector()  # last: these need to be closed
        if hasattr(self._selector, "fileno"):
            claim(self._selector)
        try:
            self._tracker = SharedTracker()
        except OSError:
            self._selector.close()
            raise
        if self._tracker.reading is not None:
            self._selector.register(self._tracker.reading, selectors.EVENT_READ, self._tracker)

    # ------------------------------------------------------------------------------------------------- commands

    def start(self, worker: int) -> None:
        """Start a process, and send it what it was not born with."""
        setup = self._source.set_up()
        try:
            with shield_children():
                process = self._start_process()
        except OSError as error:
            self._arrivals.append(Arrival(WorkerDown(worker, Moment.STARTING), cause=error))
            return
        process.mark.shelf.clear(-1, 0, 0)  # what an earlier run has left there
        process.mark.want_back(-1)
        process.known.update_from(setup.known)
        state = self._workers[worker] = _Worker(worker, process, setup.settings)
        self._identities[worker] = WorkerIdentity(worker, process.pid, self._host)
        self._selector.register(process.channel, selectors.EVENT_READ, state)
        if process.sentinel is not None:
            self._selector.register(process.sentinel, selectors.EVENT_READ, state)
        if not self._source.inherits:
            if process.pid is not None:  # it is warm: it said hello to an earlier run
                self._arrivals.append(Arrival(WorkerUp(worker)))
            frames = [setup.surroundings, pickle.dumps(process.known.news_among(setup.unsure)), *setup.frames]
            process.known.contents |= setup.unsure
            descriptors = [self._tracker.descriptor, *setup.descriptors]
            message = Message(Kind.SETUP, start=next_number(), frames=frames, descriptors=descriptors)
            self._post(state, message, setup.segment)

    def send(self, batch: SendBatch) -> None:
        """Send a range, with its items where the worker does not have them."""
        state = self._workers.get(batch.worker)
        if state is None:  # it has just ended, and the scheduler is about to hear of it
            return
        message = Message(Kind.RUN, batch.token, batch.start, batch.stop, flag=batch.may_give_back, tries=batch.tries)
        if self._lines is not None:
            message.line = self._bring_job(state, self._lines, batch.start)
            self._bring_settings(state, self._lines.conditions(batch.start))
        if not self._has_items:
            message.frames = self._bring_items(state, batch)
        state.held[batch.token] = batch
        self._post(state, message)
        if (size := sum(map(len, message.frames))) > HEAVY_BYTES:
            self._arrivals.append(Arrival(BatchWeighed(batch.worker, batch.token, batch.stop - batch.start, size)))

    def take_back(self, worker: int) -> None:
        """Ask the worker for what it has not begun; what it cannot give, being inside of an item, `wait` takes."""
        state = self._workers.get(worker)
        if state is not None:
            self._takings.ask(worker, state.process.mark, state.held)

    def kill(self, worker: int) -> None:
        """Kill the worker's process; nobody waits for its end before `close`."""
        state = self._workers.get(worker)
        if state is not None:
            self._dismiss(state)

    def condemn(self, worker: int, start: int, stop: int) -> None:
        """Kill the worker's process if it runs one of these items, or is about to; its end will be told."""
        state = self._workers.get(worker)
        if state is None or state.verdict is not None:
            return
        running = state.process.mark.running_since()
        index = -1 if running is None else running[0]
        if start <= index < stop or state.holds_only(start, stop):
            state.verdict = Verdict(index, ItemCancelled("was killed as it was cancelled,"))
            state.process.kill()

    def release(self, worker: int) -> None:
        """Give the worker's process back to where it came from, or end it."""
        state = self._workers.get(worker)
        if state is None:
            return
        if self._source.keeps_processes and not state.process.mark.is_tied(HAS_CHILDREN):
            self._let_go(state)  # first: once it is kept, it may be another run's, or closed
            self._source.keep(state.process)
        else:
            self._dismiss(state)

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Wait for messages, ends of processes, and room in channels."""
        self._have_rest()
        patience = 0 if self._arrivals else self._patience(timeout)
        ready = self._select(patience)
        arrivals, self._arrivals = self._arrivals, []
        for key, mask in ready:
            if key.fileobj is self._waker:
                self._waker.clear()
                continue
            if key.data is self._tracker:
                self._tracker.forward()
                continue
            state: _Worker = key.data
            if state.number not in self._workers:  # it ended by an earlier key of this very wait, or was killed
                self._bury(state)
                continue
            if mask & selectors.EVENT_WRITE:
                state.process.channel.flush()
                self._await_room(state)
            if key.fileobj is not state.process.channel:
                arrivals += self._read_to_the_end(state)
            elif mask & selectors.EVENT_READ:
                arrivals += self._read(state)
        self._enforce_limits()
        arrivals += self._takings.take()
        return arrivals

    def make_waker(self) -> Callable[[], None]:
        """Give what ends a wait."""
        from allcores._system.waker import Waker  # for runs that others talk to

        self._waker = Waker()
        self._selector.register(self._waker, selectors.EVENT_READ)
        return self._waker.wake

    def share(self, leadership: Leadership) -> None:
        """Let other threads into the loop while waiting."""
        leadership.share(self._selector)
        self._leadership = leadership

    def memory(self) -> MemoryUse:
        """Tell what workers use."""
        self._is_measuring = True
        now = [
            max(0, size - state.idle_size)
            for state in self._workers.values()
            if state.process.mark.is_busy
            and (pid := state.process.pid) is not None
            and (size := resident_memory(pid)) is not None
        ]
        use = MemoryUse(now, self._peaks, self._kills)
        self._peaks, self._kills = [], []
        return use

    def identity(self, worker: int) -> WorkerIdentity:
        """Say who the worker is."""
        return self._identities.get(worker) or WorkerIdentity(worker, None, self._host)

    def close(self) -> None:
        """Kill what still runs, and see every killed process end.

        They end at once, and until then Ctrl-C is held back. One that doesn't is in the depths of the kernel and ends
        when it comes up; who does not want to wait for that may interrupt, and it is not seen to end.
        """
        if self._waker is not None:
            self._selector.unregister(self._waker)
            self._waker.close()
            self._waker = None
        for state in list(self._workers.values()):
            self._let_end(state)
        self._see_prompt_ends()
        try:
            self._see_killed_end()
        finally:
            for state in self._ending.values():
                state.process.close()
            self._ending.clear()
            self._selector.close()
            self._tracker.close()
            self._bundles.drop(lambda _: False)
            self._source.close()

    # ------------------------------------------------------------------------------------------------- arrivals

    def _select(self, patience: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._leadership is not None:
            return self._leadership.select(self._selector, patience)
        with let_interrupts_in():
            ready = self._selector.select(patience)
        stop_if_left()
        return ready

    def _read(self, state: _Worker) -> Iterator[Arrival]:
        """Read what has come; at the end of the channel the worker is no use any more, even if it still runs."""
        try:
            is_open = state.process.channel.read()
        except BlockingIOError:
            return
        for message in state.process.channel.messages():
            if _is_of_taken(state, message):
                continue
            if message.kind is Kind.ASK:
                self._answer(state, message)
                continue
            if message.kind is Kind.REPORT:
                if state.process.mark.is_tied(TELLS_TRACKER):
                    self._tracker.forward()  # first: what it has made may be removed as soon as its name is known
                yield from self._look_at_growth(state)
                if (size := sum(map(len, message.frames))) > HEAVY_BYTES:
                    yield Arrival(BatchWeighed(state.number, message.token, message.stop - message.start, size))
            yield self._understand(state, message)
        if not is_open:
            self._see_to_its_end(state)
            yield from self._mourn(state)

    def _see_to_its_end(self, state: _Worker) -> None:
        """A channel that has ended belongs to a process that is about to; one that goes on has closed it by mistake."""
        sentinel = state.process.sentinel
        if sentinel is None or not has_news(sentinel, within=EXIT_SECONDS):
            state.is_mute = sentinel is not None
            state.process.kill(with_descendants=False)  # as if it had ended by itself

    def _read_to_the_end(self, state: _Worker) -> Iterator[Arrival]:
        """The process has ended: take what it still said, then tell of its end."""
        channel = state.process.channel
        try:
            while channel.read():
                pass
        except BlockingIOError:  # a process that it started holds the channel open
            pass
        for message in channel.messages():
            if not (_is_of_taken(state, message) or message.kind is Kind.ASK):
                yield self._understand(state, message)
        yield from self._mourn(state)

    def _mourn(self, state: _Worker) -> Iterator[Arrival]:
        """Tell what the worker had finished, and of its end; whatever it did after our verdict nobody is blamed for."""
        end = state.process.wait_for_end()
        mark, verdict = state.process.mark, state.verdict
        moment, start, stop = mark.read()
        yield from self._salvage(state)
        self._let_go(state)
        state.process.close()
        pid = self._identities[state.number].pid
        if verdict is None and state.is_mute:
            cause: BaseException = WorkerDied("was killed as it had closed its channel", exit="SIGKILL", pid=pid)
        elif verdict is None:
            cause = death = self._deaths.explain(end, pid)
            if death.is_out_of_memory:
                self._kills.append(max(0, (end.peak or 0) - state.idle_peak))
        else:
            cause = verdict.error
            if (moment, start) != (Moment.RUNNING, verdict.index):
                moment = Moment.IDLE
        yield Arrival(WorkerDown(state.number, moment, start, stop), cause=cause)

    def _salvage(self, state: _Worker) -> Iterator[Arrival]:
        """Tell what lies on the worker's shelf, less what it had reported."""
        token, start, seconds, values = state.process.mark.shelf.read(state.process.pid)
        batch, stop = state.held.get(token), start + len(values)
        if batch is not None and start <= batch.start < stop <= batch.stop:
            first = batch.start
            yield Arrival(BatchAdvanced(state.number, token, stop, seconds), first, values[first - start :])

    def _understand(self, state: _Worker, message: Message) -> Arrival:
        worker = state.number
        match message.kind:
            case Kind.HELLO:
                state.process.pid = message.start
                self._identities[worker] = WorkerIdentity(worker, message.start, self._host)
                return Arrival(WorkerUp(worker))
            case Kind.READY:
                state.is_ready = True
                self._weigh(state)
                return Arrival(WorkerReady(worker))
            case Kind.SETUP_FAILED:
                raised = decode_exception(decode(message.frames))
                return Arrival(WorkerSetupFailed(worker), cause=raised.exception)
            case Kind.REPORT:
                batch = state.held.pop(message.token)
                if not message.flag:
                    state.held[message.token] = batch._replace(start=message.stop)
                elif not state.held and self._keeps_memory(state):
                    self._tired.append(state)
                return _understand_report(worker, message)
            case Kind.UNREADABLE:
                state.process.known.forget()  # who knows what has arrived
                state.settings = None
                error = decode_exception(decode(message.frames)).exception
                text = f"it arrived at its worker and could not be unpickled there: {describe(error)}"
                return Arrival(
                    BatchUnreadable(worker, message.token, message.stop, is_last=True), cause=UnpicklableItem(text)
                )
            case _:
                raise AssertionError(message.kind)

    # -------------------------------------------------------------------------------------------------- workers

    def _patience(self, timeout: float | None) -> float | None:
        return self._takings.patience(self._watchdog.patience(timeout, time.monotonic_ns()))

    def _post(self, state: _Worker, message: Message, segment: Segment | None = None) -> None:
        state.process.channel.send(message, segment)
        self._await_room(state)

    def _await_room(self, state: _Worker) -> None:
        """Have the selector wait for room in the channel exactly while something is unsent."""
        if state.process.channel.has_unsent is not state.is_writing:
            state.is_writing = not state.is_writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if state.is_writing else 0)
            self._selector.modify(state.process.channel, events, state)

    def _inspection_for(self, index: int) -> Inspection:
        """Give what looks at things for an item."""
        line = None if self._lines is None else self._lines.line(index)
        return self._inspection if line is None else line.inspection or Inspection()

    def _bring_items(self, state: _Worker, batch: SendBatch) -> list[Buffer]:
        """See that the worker has all that items need; give them as frames."""
        inspection, known = self._inspection_for(batch.start), state.process.known
        encoded = encode_items(self._dataset.items(batch.start, batch.stop), known, inspection)
        self._prepare_for(state, encoded, inspection)
        return encoded.frames

    def _prepare_for(self, state: _Worker, encoded: Encoded, inspection: Inspection) -> None:
        """See that the worker has compared and learnt what it needs for a message."""
        self._have_compared(state, encoded.unsure)
        if encoded.definitions:
            frames = encode_definitions(encoded.definitions, state.process.known, inspection)
            self._post(state, Message(Kind.TEACH, frames=frames))

    def _have_compared(self, state: _Worker, unsure: dict[Key, Contents]) -> None:
        """Have the worker compare what it has before anything that is sent from now on; it may ask."""
        if unsure:
            state.process.known.contents |= unsure
            self._post(state, Message(Kind.COMPARE, frames=[pickle.dumps(unsure)]))

    def _answer(self, state: _Worker, message: Message) -> None:
        from allcores._codec.answers import encode_answer  # hardly any worker asks

        keys = pickle.loads(message.frames[0])  # from our own worker
        self._post(state, Message(Kind.ANSWER, frames=encode_answer(keys, state.process.known, self._inspection)))

    def _bring_job(self, state: _Worker, lines: Lines, index: int) -> int:
        """See that the worker has the job for an item, and none that is over; give its line."""
        self._drop_jobs(state, lines)
        line = lines.line(index)
        if line.number not in state.lines:
            state.lines.add(line.number)
            frames, _, unsure = encode_job(line.job, state.process.known, self._inspection_for(index))
            self._have_compared(state, unsure)
            message = Message(Kind.ADD_JOB, line=line.number, frames=frames)
            self._post(state, message, self._bundles.segment(line.number, frames))
        return line.number

    def _bring_settings(self, state: _Worker, settings: Settings) -> None:
        """See that the worker has the settings under which items were handed in."""
        if settings is state.settings:
            return
        state.settings = settings
        if settings.message is not None:
            frames: list[Buffer] = [settings.message]
        else:
            encoded = encode_settings(settings.sealed, state.process.known, self._inspection)
            self._prepare_for(state, encoded, self._inspection)
            frames = encoded.frames
        self._post(state, Message(Kind.SETTINGS, frames=frames))

    def _keeps_memory(self, state: _Worker) -> bool:
        """Whether large frames are held for a worker, or by it."""
        return state.process.channel.has_lent or not self._bundles.numbers.isdisjoint(state.lines)

    def _have_rest(self) -> None:
        """Have those let go of memory who were not sent more meanwhile."""
        while self._tired:
            state = self._tired.pop()
            if state.number in self._workers and not state.held:
                if self._lines is not None:
                    self._drop_jobs(state, self._lines)
                state.process.channel.rest()
                self._post(state, Message(Kind.REST))

    def _drop_jobs(self, state: _Worker, lines: Lines) -> None:
        for number in [number for number in state.lines if not lines.has_line(number)]:
            state.lines.remove(number)
            self._post(state, Message(Kind.DROP_JOB, line=number))
        self._bundles.drop(lines.has_line)

    def _start_process(self) -> Process:
        try:
            return self._source.start(self._tracker)
        except OSError:
            if not self._ending:
                raise
        self._see_killed_end()  # they may hold what was missing
        return self._source.start(self._tracker)

    def _let_go(self, state: _Worker) -> None:
        self._workers.pop(state.number, None)
        self._takings.forget(state.number)
        self._selector.unregister(state.process.channel)
        if state.process.sentinel is not None:
            self._selector.unregister(state.process.sentinel)

    def _dismiss(self, state: _Worker) -> None:
        """Have a process end that nothing more is wanted from; an idle one may do first what is left to do."""
        now = time.monotonic()
        for other in self._ending.values():
            if now - other.leaving_since > PROMPT_SECONDS:  # it has not ended by itself
                other.process.kill()
        if state.is_ready and not state.held and state.process.mark.is_tied(NEEDS_EXIT):
            state.leaving_since = now
            state.process.channel.send(Message(Kind.LEAVE))
            self._set_aside(state)
        else:
            self._let_end(state)

    def _let_end(self, state: _Worker) -> None:
        """Kill a process that nothing more is wanted from; an idle one has said whether there are others."""
        is_idle = state.is_ready and not state.held
        state.process.kill(with_descendants=not is_idle or state.process.mark.is_tied(HAS_CHILDREN))
        self._set_aside(state)

    def _set_aside(self, state: _Worker) -> None:
        """Have nothing to do with a process but its end: `wait` buries it when its sentinel tells."""
        self._ending[state.number] = state
        self._workers.pop(state.number, None)
        self._takings.forget(state.number)
        self._selector.unregister(state.process.channel)

    def _bury(self, state: _Worker) -> None:
        if state.number in self._ending:
            state.process.see_end()
            del self._ending[state.number]
            if state.process.sentinel is not None:
                self._selector.unregister(state.process.sentinel)
            state.process.close()

    def _see_prompt_ends(self) -> None:
        """See those processes end that do so at once, as all but a few do."""
        deadline = time.monotonic() + PROMPT_SECONDS
        while any(state.process.sentinel is not None for state in self._ending.values()):
            ended = self._selector.select(max(0.0, deadline - time.monotonic()))
            for key, _ in ended:
                if key.data is self._tracker:
                    self._tracker.forward()
                else:
                    self._bury(key.data)
            if not ended:
                return

    def _see_killed_end(self) -> None:
        for state in list(self._ending.values()):
            if state.leaving_since < inf:  # it may not have
                state.process.kill()
            self._bury(state)

    # -------------------------------------------------------------------------------------------- what they consume

    def _weigh(self, state: _Worker) -> None:
        """Take down what a worker has before its first item."""
        pid = state.process.pid
        if pid is not None:
            state.idle_size, state.idle_peak = resident_memory(pid) or 0, peak_memory(pid) or 0
            state.born_with = state.idle_size if self._source.inherits else 0

    def _look_at_growth(self, state: _Worker) -> Iterator[Arrival]:
        """Look at a worker between two batches, before it may get another."""
        pid = state.process.pid
        if pid is None:
            return
        if self._is_measuring:
            self._peaks.append(max(0, (peak_memory(pid) or 0) - state.idle_peak))
            reset_peak(pid)
        if self._recycle_bytes is not None and (resident_memory(pid) or 0) - state.idle_size > self._recycle_bytes:
            yield Arrival(WorkerWorn(state.number))

    def _enforce_limits(self) -> None:
        """Kill every worker that has broken a limit; its end will be told as that of any other."""
        now = time.monotonic_ns()
        if self._watchdog.is_due(now):
            for state in self._workers.values():
                if state.verdict is None:
                    process = state.process
                    state.verdict = self._watchdog.look(process.mark, process.pid, state.born_with, now)
                    if state.verdict is not None:
                        process.kill()


def _is_of_taken(state: _Worker, message: Message) -> bool:
    """Whether a worker tells of a batch that was taken from it before it came to it."""
    return message.kind in (Kind.REPORT, Kind.UNREADABLE) and message.token not in state.held


def _understand_report(worker: int, message: Message) -> Arrival:
    try:
        values, raised = decode_outcomes(message.frames)
    except UnpicklableResult as error:
        return Arrival(BatchUnreadable(worker, message.token, message.stop, is_last=message.flag), cause=error)
    happened = BatchFinished if message.flag else BatchAdvanced
    event = happened(worker, message.token, message.stop, message.seconds, tuple(raised))
    return Arrival(event, message.start, values, raised)
