"""Provides the worker processes of one run: carries out commands, and waits for what comes of them.

A worker's end shows on its sentinel, a descriptor that becomes readable, where the system has one, and else as the end
of its channel.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterator

from allcores._core.errors import ItemCancelled
from allcores._core.hints import TYPE_CHECKING
from allcores._core.messages import BatchWeighed, Moment, SendBatch, WorkerDown, WorkerUp
from allcores._core.plan import Plan
from allcores._core.scheduler.pace import HEAVY_BYTES
from allcores._engines.complaints import Complaints
from allcores._engines.engine import Arrival, MemoryUse, Usage
from allcores._engines.holdings import Takings
from allcores._engines.processes.connections import Connections
from allcores._engines.processes.deaths import DeathReader
from allcores._engines.processes.echo import Repeater
from allcores._engines.processes.endings import Endings
from allcores._engines.processes.listener import Listener
from allcores._engines.processes.measures import Measures
from allcores._engines.processes.process import Process, ProcessSource, Setup
from allcores._engines.processes.supplies import Supplies
from allcores._engines.processes.watchdog import Verdict, Watchdog
from allcores._engines.processes.worker import Worker
from allcores._input.dataset import Columns, Dataset
from allcores._objects.outcomes import WorkerIdentity
from allcores._system.lifeline import shield_children
from allcores._transport.board import HAS_CHILDREN

if TYPE_CHECKING:
    from allcores._system.leadership import Leadership
    from allcores._worker.line import Lines

__all__ = ["ProcessEngine"]


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
        self._workers: dict[int, Worker] = {}  # neither dead nor dismissed
        self._arrivals: list[Arrival] = []  # to be told by the next wait
        self._takings = Takings()
        self._complaints = Complaints()
        self._measures = Measures(plan.recycle_bytes)
        self._watchdog = Watchdog(plan.timeout, plan.memory)
        self._deaths = DeathReader(self._measures)
        has_items = source.inherits and isinstance(dataset, Columns)
        self._supplies = Supplies(dataset, lines, are_items_inherited=has_items)
        self._connections = Connections()  # last of what may fail: they need to be closed
        repeater = Repeater()
        self._listener = Listener(self._connections.tracker, self._supplies, self._measures, repeater)
        self._endings = Endings(self._connections, source, self._listener.identity, self._complaints, repeater)

    # ------------------------------------------------------------------------------------------------- commands

    def start(self, workers: tuple[int, ...]) -> None:
        """Start processes, and then send them what they were not born with.

        What is touched between two forks has to be copied after each, so nothing is that can be touched after all.
        """
        started: list[tuple[int, Setup, Process]] = []
        try:
            with shield_children(), self._source.starting():
                for worker in workers:
                    setup = self._source.set_up()
                    try:
                        started.append((worker, setup, self._start_process()))
                    except OSError as error:
                        self._arrivals.append(Arrival(WorkerDown(worker, Moment.STARTING), cause=error))
        finally:
            for worker, setup, process in started:
                self._meet(worker, setup, process)

    def _meet(self, worker: int, setup: Setup, process: Process) -> None:
        inherits = self._source.inherits
        state = Worker(worker, process, setup, self._connections.selector, inherits=inherits)
        self._workers[worker] = state
        self._listener.meet(state)
        state.watch()
        if not inherits:
            if process.pid is not None:  # it is warm: it said hello to an earlier run
                self._arrivals.append(Arrival(WorkerUp(worker)))
            self._supplies.set_up(state, setup, self._connections.tracker.descriptor)

    def _start_process(self) -> Process:
        while True:
            try:
                return self._source.start(self._connections.tracker)
            except OSError:
                if not self._endings:
                    raise
            self._endings.see_first()  # it may hold what was missing

    def send(self, batch: SendBatch) -> None:
        """Send a range, with its items where the worker does not have them."""
        state = self._workers.get(batch.worker)
        if state is None:  # it has just ended, and the scheduler is about to hear of it
            return
        began = time.monotonic()
        message = self._supplies.order(state, batch)
        state.held[batch.token] = batch
        state.post(message)
        size = sum(map(len, message.frames))
        self._measures.sent += size
        self._measures.own_moving_seconds += time.monotonic() - began
        if size > HEAVY_BYTES:
            self._arrivals.append(Arrival(BatchWeighed(batch.worker, batch.token, batch.stop - batch.start, size)))

    def take_back(self, worker: int) -> None:
        """Ask the worker for what it has not begun; what it cannot give, being inside of an item, `wait` takes."""
        state = self._workers.get(worker)
        if state is not None:
            self._takings.ask(worker, state.mark, state.held)

    def kill(self, worker: int) -> None:
        """Kill the worker's process; nobody waits for its end before `close`."""
        state = self._workers.get(worker)
        if state is not None:
            self._forget(state)
            self._endings.dismiss(state)

    def condemn(self, worker: int, start: int, stop: int) -> None:
        """Kill the worker's process if it runs one of these items, or is about to; its end will be told.

        Where they wait behind others, the worker is asked for them, and killed if it begins one before it hears that.
        """
        state = self._workers.get(worker)
        if state is None or state.verdict is not None:
            return
        if state.holds_only(start, stop):
            running = state.mark.running_since()
            self._end_cancelled(worker, -1 if running is None else running[0])
        else:
            self._takings.ask(worker, state.mark, state.held, ((start, stop),))

    def _end_cancelled(self, worker: int, index: int) -> None:
        self._workers[worker].condemn(Verdict(index, ItemCancelled("was killed as it was cancelled,")))

    def release(self, worker: int) -> None:
        """Give the worker's process back to where it came from, or end it."""
        state = self._workers.get(worker)
        if state is None:
            return
        if not self._source.keeps_processes or state.mark.is_tied(HAS_CHILDREN):
            self.kill(worker)
        elif self._source.has_finalizer:
            self._forget(state)
            self._endings.finalize(state)
        else:
            self._let_go(state)  # first: once it is kept, it may be another run's, or closed
            self._source.keep(state.process)

    def awaited(self) -> None:
        """Nothing: processes are started here."""

    def make_waker(self) -> Callable[[], None]:
        """Give what ends a wait."""
        return self._connections.make_waker()

    def share(self, leadership: Leadership) -> None:
        """Let other threads into the loop while waiting."""
        self._connections.share(leadership)

    def memory(self) -> MemoryUse:
        """Tell what workers use."""
        return self._measures.use(self._workers.values())

    def usage(self) -> Usage:
        """Tell what workers have used; of the time of one that died, some may be missing."""
        return self._measures.usage(self._workers.values())

    def identity(self, worker: int) -> WorkerIdentity:
        """Say who the worker is."""
        return self._listener.identity(worker)

    def complaint(self) -> RuntimeWarning | None:
        """Tell what finalizers raised."""
        return self._complaints.warning()

    def close(self) -> None:
        """Kill what still runs, and see every killed process end.

        They end at once, and until then Ctrl-C is held back. One that doesn't is in the depths of the kernel and ends
        when it comes up; who does not want to wait for that may interrupt, and it is not seen to end.
        """
        self._connections.remove_waker()
        for state in list(self._workers.values()):
            self._forget(state)
            self._endings.kill(state)
        self._endings.see_prompt_ones()
        try:
            self._endings.see_all()
        finally:
            self._endings.close()
            self._connections.close()
            self._supplies.close()
            self._source.close()

    # ------------------------------------------------------------------------------------------------- arrivals

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Wait for messages, ends of processes, and room in channels."""
        self._supplies.have_rest()
        news = self._connections.wait(0 if self._arrivals else self._patience(timeout))
        arrivals, self._arrivals = self._arrivals, []
        for key, events in news:
            arrivals += self._attend(key, events)
        self._enforce_limits()
        arrivals += self._takings.take(self._end_cancelled)
        return arrivals

    def _patience(self, timeout: float | None) -> float | None:
        return self._takings.patience(self._watchdog.patience(timeout, time.monotonic_ns()))

    def _attend(self, key: selectors.SelectorKey, events: int) -> Iterator[Arrival]:
        """See to one worker; at the end of its channel it is no use any more, even if it still runs."""
        state: Worker = key.data
        if not state.is_watched:  # it ended by an earlier key of this very wait, or was killed
            self._endings.bury(state)
            return
        if events & selectors.EVENT_WRITE:
            state.flush()
        if key.fileobj is not state.channel:
            yield from self._listener.hear_out(state)
        elif not events & selectors.EVENT_READ or (yield from self._listener.hear(state)):
            return
        else:
            state.follow_channel()
        yield from self._mourn(state)

    def _mourn(self, state: Worker) -> Iterator[Arrival]:
        """Tell of the end of a worker, and free what it had."""
        self._measures.hear_of_end(state)
        yield from self._deaths.read(state)
        self._let_go(state)
        state.process.close()

    def _enforce_limits(self) -> None:
        """Kill every worker that has broken a limit; its end will be told as that of any other."""
        now = time.monotonic_ns()
        if self._watchdog.is_due(now):
            for state in self._workers.values():
                if state.verdict is None:
                    verdict = self._watchdog.look(state.mark, state.process.pid, state.born_with, now)
                    if verdict is not None:
                        state.condemn(verdict)

    def _forget(self, state: Worker) -> None:
        del self._workers[state.number]
        self._measures.hear_of_end(state)
        self._source.forget(state.process)
        self._takings.forget(state.number)

    def _let_go(self, state: Worker) -> None:
        """Hear nothing of a process any more."""
        self._forget(state)
        state.ignore()
        state.ignore_end()
