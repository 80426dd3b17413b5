"""Workers that are processes of this machine, wherever they come from.

A forked worker has the function and the dataset from birth, and only ranges travel to it. A clean one, or any worker
of a stream, gets what it needs over its channel: the job once, then each batch's items.

A worker's end shows on its sentinel, a descriptor that becomes readable, where the system has one, and else as the end
of its channel. What it had reported until then still counts: the channel is read to its end first.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from allcores._board import Mark, read_mark
from allcores._channel import Channel
from allcores._codec import decode_outcomes, encode_definitions, encode_items
from allcores._dataset import Columns, Dataset
from allcores._engines import Arrival
from allcores._errors import UnpicklableItem, UnpicklableResult, WorkerDied
from allcores._exceptions import decode_exception
from allcores._lifeline import hold_interrupts
from allcores._messages import (
    BatchAdvanced,
    BatchFinished,
    BatchUnreadable,
    Moment,
    SendBatch,
    WorkerDown,
    WorkerReady,
    WorkerSetupFailed,
    WorkerUp,
)
from allcores._outcomes import WorkerIdentity
from allcores._pickling import decode
from allcores._wire import Buffer, Kind, Message

__all__ = ["ProcessEngine"]


class Process(Protocol):
    """The driver's handle of one worker process."""

    pid: int | None
    mark: Mark
    channel: Channel
    sentinel: int | None  # a descriptor that becomes readable when the process ends; None where there is none

    def kill(self) -> None:
        """End the process now."""

    def wait_status(self) -> int | None:
        """Wait for the end of a process that has ended or will at once; None if nobody knows how it ended."""

    def close(self) -> None:
        """Free what the driver holds for a process that has ended."""


class ProcessSource(Protocol):
    """Starts the processes of one run: `ForkedSource`, `CleanSource`."""

    inherits: bool  # whether its processes are born with the job, the dataset's columns and the caller's __main__
    setup: list[Buffer]  # what one must be sent first otherwise
    taught: set[str]  # the names of the caller's __main__ that come with it

    def start(self) -> Process:
        """Begin to start a process. Raises OSError where the system does not allow it."""

    def keep(self, process: Any) -> bool:
        """Take back an idle process; False if it is of no more use and must end."""

    def close(self) -> None:
        """Free what the source holds; its processes have ended or were kept."""


LIKELY_CAUSES = {
    "SIGKILL": "the usual cause is lack of memory",
    "SIGSEGV": "the usual cause is a bug in a compiled library",
    "SIGBUS": "the usual cause is a bug in a compiled library",
    "SIGABRT": "the usual cause is a check that failed in a compiled library",
    "SIGILL": "the usual cause is a library compiled for another processor",
}


@dataclass(slots=True)
class _Worker:
    number: int
    process: Process
    known: set[str]  # names of the caller's __main__ that it has learnt
    is_writing: bool = False  # whether the selector waits for room in the channel


class ProcessEngine:
    """Provides worker processes for one run.

    Args:
        source: starts them.
        dataset: where items come from.
    """

    def __init__(self, source: ProcessSource, dataset: Dataset) -> None:
        self._source = source
        self._dataset = dataset
        self._has_items = source.inherits and isinstance(dataset, Columns)
        self._workers: dict[int, _Worker] = {}
        self._ending: list[_Worker] = []  # killed, and not yet seen to end
        self._identities: dict[int, WorkerIdentity] = {}
        self._host = socket.gethostname()
        self._arrivals: list[Arrival] = []  # to be told by the next wait
        self._selector = selectors.DefaultSelector()

    # ------------------------------------------------------------------------------------------------- commands

    def start(self, worker: int) -> None:
        """Start a process, and send it what it was not born with."""
        self._see_killed_end()
        with hold_interrupts():  # until the process is known, or nobody would end it
            try:
                process = self._source.start()
            except OSError as error:
                self._arrivals.append(Arrival(WorkerDown(worker, Moment.STARTING), cause=error))
                return
            state = self._workers[worker] = _Worker(worker, process, set(self._source.taught))
            self._identities[worker] = WorkerIdentity(worker, process.pid, self._host)
            self._selector.register(process.channel, selectors.EVENT_READ, state)
            if process.sentinel is not None:
                self._selector.register(process.sentinel, selectors.EVENT_READ, state)
        if not self._source.inherits:
            if process.pid is not None:  # it is warm: it said hello to an earlier run
                self._arrivals.append(Arrival(WorkerUp(worker)))
            self._post(state, Message(Kind.SETUP, frames=self._source.setup))

    def send(self, batch: SendBatch) -> None:
        """Send a range, with its items where the worker does not have them."""
        state = self._workers.get(batch.worker)
        if state is None:  # it has just ended, and the scheduler is about to hear of it
            return
        message = Message(Kind.RUN, batch.token, batch.start, batch.stop, flag=batch.may_give_back)
        if not self._has_items:
            items = self._dataset.items(batch.start, batch.stop)
            message.frames, definitions = encode_items(items, state.known)
            self._teach(state, definitions)
        self._post(state, message)

    def kill(self, worker: int) -> None:
        """Kill the worker's process; `close` sees it end."""
        state = self._let_go(worker)
        if state is not None:
            state.process.kill()
            self._ending.append(state)

    def release(self, worker: int) -> None:
        """Give the worker's process back to where it came from, or end it."""
        state = self._let_go(worker)  # first: once it is given back, it may be another run's, or closed
        if state is not None and not self._source.keep(state.process):
            state.process.kill()
            self._ending.append(state)

    def wait(self, timeout: float | None) -> list[Arrival]:
        """Wait for messages, ends of processes, and room in channels."""
        arrivals, self._arrivals = self._arrivals, []
        for key, mask in self._selector.select(0 if arrivals else timeout):
            state: _Worker = key.data
            if state.number not in self._workers:  # it ended by an earlier key of this very wait
                continue
            if mask & selectors.EVENT_WRITE:
                state.process.channel.flush()
                self._watch(state)
            if key.fileobj is not state.process.channel:
                arrivals += self._read_to_the_end(state)
            elif mask & selectors.EVENT_READ:
                arrivals += self._read(state)
        return arrivals

    def identity(self, worker: int) -> WorkerIdentity:
        """Say who the worker is."""
        return self._identities.get(worker) or WorkerIdentity(worker, None, self._host)

    def close(self) -> None:
        """Kill what still runs, and see every killed process end."""
        for worker in list(self._workers):
            self.kill(worker)
        self._see_killed_end()
        self._selector.close()
        self._source.close()

    # ------------------------------------------------------------------------------------------------- arrivals

    def _read(self, state: _Worker) -> Iterator[Arrival]:
        """Read what has come; at the end of the channel the worker is no use any more, even if it still runs."""
        try:
            is_open = state.process.channel.read()
        except BlockingIOError:
            return
        for message in state.process.channel.messages():
            yield self._understand(state, message)
        if not is_open:
            state.process.kill()
            yield self._mourn(state)

    def _read_to_the_end(self, state: _Worker) -> Iterator[Arrival]:
        """The process has ended: take what it still said, then tell of its end."""
        channel = state.process.channel
        try:
            while channel.read():
                pass
        except BlockingIOError:  # a process that it started holds the channel open
            pass
        for message in channel.messages():
            yield self._understand(state, message)
        yield self._mourn(state)

    def _mourn(self, state: _Worker) -> Arrival:
        status = state.process.wait_status()
        moment, start, stop = read_mark(state.process.mark)
        self._unregister(state)
        del self._workers[state.number]
        state.process.close()
        how, exit_name = _describe_end(status)
        cause = WorkerDied(how, exit=exit_name, pid=self._identities[state.number].pid)
        return Arrival(WorkerDown(state.number, moment, start, stop), cause=cause)

    def _understand(self, state: _Worker, message: Message) -> Arrival:
        worker = state.number
        match message.kind:
            case Kind.HELLO:
                state.process.pid = message.start
                self._identities[worker] = WorkerIdentity(worker, message.start, self._host)
                return Arrival(WorkerUp(worker))
            case Kind.READY:
                return Arrival(WorkerReady(worker))
            case Kind.SETUP_FAILED:
                raised = decode_exception(decode(message.frames))
                return Arrival(WorkerSetupFailed(worker), cause=raised.exception)
            case Kind.REPORT:
                return _understand_report(worker, message)
            case Kind.UNREADABLE:
                error = decode_exception(decode(message.frames)).exception
                text = f"it arrived at its worker and could not be unpickled there: {type(error).__name__}: {error}"
                return Arrival(
                    BatchUnreadable(worker, message.token, message.stop, is_last=True), cause=UnpicklableItem(text)
                )
            case _:
                raise AssertionError(message.kind)

    # -------------------------------------------------------------------------------------------------- workers

    def _post(self, state: _Worker, message: Message) -> None:
        state.process.channel.send(message)
        self._watch(state)

    def _watch(self, state: _Worker) -> None:
        """Have the selector wait for room in the channel exactly while something is unsent."""
        if state.process.channel.has_unsent is not state.is_writing:
            state.is_writing = not state.is_writing
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if state.is_writing else 0)
            self._selector.modify(state.process.channel, events, state)

    def _teach(self, state: _Worker, definitions: dict[str, Any]) -> None:
        """Have the worker learn definitions before it gets the items that need them."""
        if definitions and not self._source.inherits:
            state.known.update(definitions)
            self._post(state, Message(Kind.TEACH, frames=encode_definitions(definitions)))

    def _let_go(self, worker: int) -> _Worker | None:
        state = self._workers.pop(worker, None)
        if state is not None:
            self._unregister(state)
        return state

    def _see_killed_end(self) -> None:
        for state in self._ending:
            state.process.wait_status()
            state.process.close()
        self._ending.clear()

    def _unregister(self, state: _Worker) -> None:
        self._selector.unregister(state.process.channel)
        if state.process.sentinel is not None:
            self._selector.unregister(state.process.sentinel)


def _understand_report(worker: int, message: Message) -> Arrival:
    try:
        values, raised = decode_outcomes(message.frames)
    except Exception as error:  # a result's unpickling may raise anything
        text = f"its result arrived and could not be unpickled here: {type(error).__name__}: {error}"
        lost = BatchUnreadable(worker, message.token, message.stop, is_last=message.flag)
        return Arrival(lost, cause=UnpicklableResult(text))
    happened = BatchFinished if message.flag else BatchAdvanced
    event = happened(worker, message.token, message.stop, message.seconds, tuple(raised))
    return Arrival(event, message.start, values, raised)


def _describe_end(status: int | None) -> tuple[str, str]:
    """Put a process's exit status into words, and give its name alone."""
    if status is None:
        return "ended, and nobody knows how", "unknown"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended itself with exit code {code}", f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = f" ({LIKELY_CAUSES[name]})" if name in LIKELY_CAUSES else ""
    return f"was killed by {name}{hint}", name
