"""The main loop of a worker process: receive, run, report.

The loop is the same for a forked worker, which is born with its job and its dataset, and for a clean one, which
receives a job over its channel, serves it, forgets it, and waits for the next until it has been idle for long.
"""

from __future__ import annotations

import os
import pickle
import sys
from _thread import get_ident
from collections import deque
from contextlib import nullcontext
from functools import partial
from math import inf
from time import monotonic_ns

from allcores._codec.codec import PartialItems, encode_outcomes
from allcores._codec.definitions.classes import learn
from allcores._codec.definitions.comparison import find_torn, install, take_away
from allcores._codec.definitions.globals import Key
from allcores._codec.exceptions import encode_exception
from allcores._codec.handover import received
from allcores._codec.packing import Parcel
from allcores._codec.pickling import encode
from allcores._core.errors import UnpicklableError
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.messages import SendBatch
from allcores._input.dataset import Columns
from allcores._input.ownership import is_constant
from allcores._input.snapshots import Snapshots
from allcores._transport.board import IDLE, INDEX, MOVING, NEEDS_EXIT, PREPARING, TIES, Mark
from allcores._transport.channel import Channel
from allcores._transport.wire import Buffer, Kind, Message
from allcores._worker.exit import find_ties, finish_queues, flush_output
from allcores._worker.job import Job, Part, handed_out, part_generators, run_batch
from allcores._worker.kinship import become_child
from allcores._worker.namesake import Asker, become_namesake
from allcores._worker.reading import find_differing, read
from allcores._worker.state import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from allcores._codec.answers import Answer
    from allcores._settings.adoption import Adoption
    from allcores._worker.outlet import Outlet
    from allcores._worker.reporter import Reporter
    from allcores._worker.safe_region import SafeRegion
    from allcores._worker.said import Echo, Utterance

__all__ = ["WorkerLoop"]

SHUT_SECONDS = 1.0  # to wait for who reports beside an item, before what the item says is put off


class WorkerLoop:
    """Serves one channel until it ends.

    Args:
        channel: the worker's end; it blocks.
        mark: where this worker says what it is in the middle of.
        adoption: of settings that were inherited; None where they are not, or nobody hands in under others.
        idle_seconds: how long to wait for a job before leaving; None: for ever.
    """

    def __init__(
        self, channel: Channel, mark: Mark, adoption: Adoption | None = None, *, idle_seconds: float | None = None
    ) -> None:
        self._channel = channel
        self._mark = mark
        self._words = mark.words
        self._idle_seconds = idle_seconds
        self._backlog: deque[Message] = deque()  # came while an answer was awaited
        self._asker = Asker(self._ask)
        self._jobs: dict[int, Job | BaseException] = {}  # by line; or why one did not arrive
        self._dataset: Columns | None = None
        self._state = WorkerState()
        self._unlearnt: BaseException | None = None  # why a definition could not be taken in
        self._expected: dict[Key, Any] = {}  # contents that things were to have
        self._unlike: BaseException | None = None  # why the next job or batch has not all that it leads to
        self._unsettled: BaseException | None = None  # why the settings could not be made
        self._adoption = adoption
        self._done_at = monotonic_ns()  # when there was nothing more to do
        self._moved = 0  # nanoseconds for unpickling, pickling and sending that no report has told of
        self._quiet = _Quiet()
        self._outlet: Outlet | None = None  # tells what items say; None until that is wanted
        self._thread, self._pid = get_ident(), os.getpid()
        self._shows_warnings: Callable[..., object] | None = None  # in a worker that has no job
        self._reporter: Reporter | None = None  # tells what is finished; None until somebody awaits results

    def serve(self, job: Job | None = None, dataset: Columns | None = None) -> None:
        """Say hello and do what the driver asks for, until it is gone."""
        become_namesake(self._asker, is_inherited=job is not None)
        self._channel.put(Message(Kind.HELLO, start=os.getpid()))
        if job is None or job.takes_time:  # else it goes along with that it is ready
            self._channel.flush()
        if job is not None:
            self._prepare(job, dataset)
        self._channel.set_patience(None if self._jobs else self._idle_seconds)
        while (message := self._next_message()) is not None:
            if message.kind is Kind.LEAVE:
                return
            self._do(message)
            del message  # or its items would be held while waiting for the next
        self._state.drop()  # nobody has told this worker to leave

    def finalize(self) -> None:
        """Hand the state to its finalizer, and tell that this was done, or what it raised."""
        if self._state.has_finalizer:
            self._finalize()
        self._stop_listening()

    def _finalize(self) -> None:
        frames: list[Buffer] = []
        try:
            self._state.end()
        except BaseException as error:  # the caller's finalizer may raise anything
            frames = encode(encode_exception(error))
        self._flush_output()
        self._send(Message(Kind.FINALIZED, frames=frames))

    def _next_message(self) -> Message | None:
        if self._backlog:
            return self._backlog.popleft()
        with self._quiet:
            return self._channel.receive()

    def _send(self, message: Message) -> None:
        with self._quiet:
            self._channel.send(message)

    # ------------------------------------------------------------------------------------- what items say meanwhile

    def _listen(self, echo: Echo | None) -> None:
        """Have told what the caller is to hear of."""
        warnings: Any = sys.modules.get("warnings")
        if warnings is not None:
            self._shows_warnings, warnings.showwarning = warnings.showwarning, self._warn
        if echo is not None:
            self._make_outlet().install(echo)

    def _stop_listening(self) -> None:
        if self._shows_warnings is not None:
            vars(sys.modules["warnings"])["showwarning"] = self._shows_warnings
            self._shows_warnings = None
        if self._outlet is not None:
            self._outlet.remove()
            self._outlet = None

    def _make_outlet(self) -> Outlet:
        if self._outlet is None:
            from allcores._worker.outlet import Outlet  # most runs do without

            self._outlet = Outlet(self._say, self._thread, self._pid)
        return self._outlet

    def _warn(self, message: Warning | str, category: type[Warning], filename: str, line: int, *_: object) -> None:
        """Have the caller show a warning, as each worker would show it anew."""
        if os.getpid() != self._pid and self._shows_warnings is not None:  # a process that an item has forked
            self._shows_warnings(message, category, filename, line)
            return
        from allcores._worker.outlet import warned  # as above

        self._make_outlet().say(warned(message, category, filename, line))

    def _say(self, said: list[Utterance]) -> bool:
        """Tell what items say, be it inside of one; False while something else is being sent."""
        region = None if self._reporter is None or not self._reporter.region.is_open else self._reporter.region
        if self._quiet.is_kept or (region is not None and not region.shut(SHUT_SECONDS)):
            return False
        try:
            self._send(Message(Kind.SAID, frames=[pickle.dumps(said)]))
        except OSError:  # the driver is gone, which is for the next report to find
            return False
        finally:
            if region is not None:
                region.reopen()
        return True

    def _flush_output(self) -> None:
        if self._outlet is None:
            flush_output()
        else:
            self._outlet.bring_out()

    def _ask(self, keys: list[Key]) -> dict[Key, str]:
        """Have the driver give what stands under these names, and put it where it belongs; say what it cannot give."""
        with self._quiet, nullcontext() if self._reporter is None else self._reporter.region.closed():
            self._send(Message(Kind.ASK, frames=[pickle.dumps(keys)]))
            while (message := self._channel.receive()) is not None and message.kind is not Kind.ANSWER:
                self._backlog.append(message)
        if message is None:
            raise SystemExit  # the driver is gone
        answer: Answer
        answer, definitions = read(message.frames)
        learn(definitions)
        install(answer.values)
        return answer.refusals

    def _compare(self, expected: dict[Key, Any]) -> None:
        """Have what the caller has. Raises UnpicklableError where that cannot be."""
        self._expected |= expected
        differing = find_differing(expected)
        while differing:
            for (module, name), why in self._ask(differing).items():
                if not take_away(module, name):
                    raise UnpicklableError(f"{module}.{name} is another here than at the caller's, and {why}")
            differing = [key for key in find_torn(self._expected) if key not in differing]

    def _compare_for_items(self, message: Message) -> None:
        try:
            self._compare(pickle.loads(message.frames[0]))  # from our own driver
        except Exception as error:  # unpickling the caller's objects may raise anything
            self._unlike = error

    def _do(self, message: Message) -> None:  # noqa: C901 - a line or two for each kind
        if message.kind is Kind.RUN:
            self._run(message)
        elif message.kind is Kind.COMPARE:
            self._compare_for_items(message)
        elif message.kind is Kind.TEACH:
            self._learn(message)
        elif message.kind is Kind.SETUP:
            self._channel.set_patience(None)
            self._set_up(message)
        elif message.kind is Kind.ADD_JOB:
            self._add_job(message)
        elif message.kind is Kind.SETTINGS:
            self._change_settings(message)
        elif message.kind is Kind.DROP_JOB:
            self._jobs.pop(message.line, None)
        elif message.kind is Kind.REST:
            self._channel.rest()
        elif message.kind is Kind.FINALIZE:
            self.finalize()
        elif message.kind is Kind.FORGET:
            self._forget()

    def _forget(self) -> None:
        self._jobs.clear()
        self._state.drop()
        self._stop_listening()
        self._dataset = self._unlearnt = self._unlike = self._unsettled = None
        self._adopt().put_back()
        self._channel.rest()
        become_namesake(self._asker, is_inherited=False)
        self._words[INDEX] = IDLE
        self._channel.set_patience(self._idle_seconds)

    def _set_up(self, message: Message) -> None:
        self._words[INDEX] = PREPARING
        try:
            tracker, *descriptors = message.descriptors or (None,)
            kinship, surroundings, early_settings = pickle.loads(message.frames[0])  # from our own driver
            become_child(kinship, message.start, tracker)
            expected, variables = pickle.loads(message.frames[1])  # likewise
            surroundings.adopt(variables)
            self._adopt().begin(early_settings)
            self._compare(expected)
            with received(descriptors):
                job, definitions = read(message.frames[2:])
            learn(definitions)
            surroundings.share.confirm()
        except BaseException as error:  # unpickling the caller's objects may raise anything
            self._answer(Kind.SETUP_FAILED, error)
        else:
            self._prepare(job, None)

    def _add_job(self, message: Message) -> None:
        try:
            job, definitions = self._decode(message.frames)
            learn(definitions)
            base = self._jobs[0]
            assert isinstance(base, Job)
            if not job.chance.is_seeded:
                part_generators(job, base.initializer)
            job = self._state.bind(job).at_home()
        except BaseException as error:  # unpickling the caller's objects may raise anything
            self._jobs[message.line] = error  # told when items come for it
        else:
            self._jobs[message.line] = self._unlike or job
            self._unlike = None

    def _learn(self, message: Message) -> None:
        try:
            learn(self._decode(message.frames))
        except BaseException as error:  # unpickling the caller's objects may raise anything
            self._unlearnt = error  # told when items come that need it

    def _change_settings(self, message: Message) -> None:
        try:
            self._adopt().change(self._decode(message.frames))
            self._unsettled = None
        except BaseException as error:  # unpickling the caller's objects, and making its settings, may raise anything
            self._unsettled = error  # told when items come

    def _adopt(self) -> Adoption:
        if self._adoption is None:
            from allcores._settings.adoption import Adoption  # a forked worker of a plain run does without

            self._adoption = Adoption()
        return self._adoption

    def _decode(self, frames: list[Buffer]) -> Any:
        """Unpickle; what is imported for that has been imported by the caller long ago, and sets nothing any more."""
        loaded = len(sys.modules)
        thing = read(frames)
        if self._adoption is not None and len(sys.modules) != loaded:
            self._adoption.hold()
        return thing

    def _prepare(self, job: Job, dataset: Columns | None) -> None:
        self._words[INDEX] = PREPARING
        self._listen(job.echo)
        try:
            if job.settings is not None:
                self._adopt().adopt(job.settings)
            elif self._adoption is not None:
                self._adoption.arrive()
            if not job.chance.is_seeded:
                part_generators(job)  # before the initializer, which may begin them itself
            self._state = job.prepare()
            self._tell_ties(inf)  # at once: who has a state is not to be killed any more
            if self._adoption is not None and (job.settings is not None or job.takes_time):
                self._adoption.stand()
        except BaseException as error:  # the caller's initializer may raise anything
            finish_queues()
            self._answer(Kind.SETUP_FAILED, error)
            return
        self._jobs[0], self._dataset = self._state.bind(job).at_home(), dataset
        self._words[INDEX] = IDLE
        self._flush_output()
        self._send(Message(Kind.READY))
        self._done_at = monotonic_ns()

    def _run(self, message: Message) -> None:
        self._words[INDEX] = MOVING
        began = monotonic_ns()
        waited = (began - self._done_at) / 1e9
        job = self._jobs[message.line] if self._unsettled is None else self._unsettled
        try:
            if self._adoption is not None:
                self._adoption.catch_up()
            items = self._items_of(message)
        except BaseException as error:  # unpickling the caller's objects may raise anything
            self._answer(Kind.UNREADABLE, self._unlearnt or error, message.token, message.stop)
            return
        if isinstance(job, BaseException):
            self._answer(Kind.UNREADABLE, job, message.token, message.stop)
            return
        if self._unlike is not None:
            self._answer(Kind.UNREADABLE, self._unlike, message.token, message.stop)
            self._unlike = None
            return
        batch = SendBatch(0, message.token, message.start, message.stop, message.flag, message.tries)
        snapshots = Snapshots(shares_files=False) if batch.stop - batch.start > 1 else None
        fetch = self._asker.fetch
        region = self._region(batch) if job.is_awaited and batch.stop - batch.start > 1 else None
        self._moved += monotonic_ns() - began
        for part in run_batch(
            job, items, batch, self._mark, fetch=fetch, gather=Parcel, snapshots=snapshots, region=region
        ):
            self._words[INDEX] = MOVING
            ended = monotonic_ns()
            frames = encode_outcomes(part.start, part.values, part.raised)
            self._mark.shelf.expect(sum(map(len, frames)) / max(1, part.stop - part.start))
            self._flush_output()
            self._tell_ties(part.seconds)
            if part.is_last:
                self._words[INDEX] = IDLE
            told = monotonic_ns()
            self._send(_report(batch.token, part, frames, waited, (self._moved + told - ended) / 1e9))
            waited, self._done_at = 0.0, monotonic_ns()
            self._moved = self._done_at - told

    def _region(self, batch: SendBatch) -> SafeRegion:
        """See to it that somebody looks what items of the batch gave, and tells it if a later one runs long."""
        if self._reporter is None:
            from allcores._worker.reporter import Reporter  # a run whose results are taken together does without

            self._reporter = Reporter()
        return self._reporter.attend(partial(self._tell, batch.token))

    def _tell(self, token: int, part: Part) -> None:
        """Report a part while a later item runs; in the reporter's thread."""
        frames = encode_outcomes(part.start, part.values, part.raised)
        flush_output()
        self._channel.send(_report(token, part, frames))

    def _tell_ties(self, seconds: float) -> None:
        before = self._words[TIES]
        ties = find_ties(before, seconds) | (NEEDS_EXIT if self._state.has_finalizer else 0)
        if ties != before:  # hardly ever: the driver has this cache line to itself
            self._words[TIES] = ties

    def _items_of(self, message: Message) -> Any:
        if message.frames:
            items: PartialItems | Any = self._decode(message.frames)
            return handed_out(items) if type(items) is list and not is_constant(items[0]) else items
        assert self._dataset is not None
        return self._dataset.items(message.start, message.stop)

    def _answer(self, kind: Kind, error: BaseException, token: int = 0, stop: int = 0) -> None:
        self._flush_output()
        self._words[INDEX] = IDLE
        self._send(Message(kind, token, stop=stop, frames=encode(encode_exception(error))))


def _report(token: int, part: Part, frames: list[Buffer], waited: float = 0.0, moved: float = 0.0) -> Message:
    start, stop, _, _, seconds, is_last, ended = part
    return Message(Kind.REPORT, token, start, stop, seconds, is_last, frames, waited=waited, moved=moved, ended=ended)


class _Quiet:
    """Whether the channel is in use, so that what is said meanwhile, by a finalizer of Python's, say, has to wait."""

    def __init__(self) -> None:
        self._depth = 0

    @property
    def is_kept(self) -> bool:
        return self._depth > 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
