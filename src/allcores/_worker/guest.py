"""Batches that run in a process of somebody else's: a worker of an executor, of a cluster.

`serve` is all that such a process is asked to call. What a run needs there, the process learns by lessons, in their
order: the job, definitions of the caller's ``__main__``, what to compare with its own modules. They come along with
batches; a process that lacks some says so, and the batch comes again with all of them. The latest few runs are kept.

While a batch runs, the process has the ``__main__`` that the run's functions know, and the caller's settings. After it
it is as it was; its environment and folder stay its own. Each thread in which batches run is a place by itself, with
the state that is made for items there, and with what the initializer has set.
"""

from __future__ import annotations

import builtins
import os
import pickle
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from time import monotonic_ns
from types import ModuleType

from allcores._codec.codec import encode_outcomes
from allcores._codec.definitions.classes import MAIN, learn
from allcores._codec.definitions.comparison import find_torn, install, take_away
from allcores._codec.definitions.globals import Key
from allcores._codec.exceptions import encode_exception, leave_behind
from allcores._codec.packing import Parcel
from allcores._codec.pickling import encode
from allcores._core.errors import UnpicklableError, WorkersUnavailable
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.messages import SendBatch
from allcores._core.records import Record
from allcores._input.ownership import is_constant
from allcores._input.snapshots import Snapshots
from allcores._settings.adoption import Adoption
from allcores._settings.setting import Setting
from allcores._settings.snapshot import SETTINGS
from allcores._system.cores import cores_limited_here
from allcores._system.processor_time import ProcessorTime, ThreadMeter
from allcores._transport.wire import Buffer, Kind, Message
from allcores._worker.exit import flush_output
from allcores._worker.job import Job, handed_out, part_generators, run_batch
from allcores._worker.luggage import Luggage
from allcores._worker.reading import find_differing, read
from allcores._worker.stamp import Stamp, describe_process, differ, stamp_here
from allcores._worker.state import WorkerState

if TYPE_CHECKING:
    from allcores._codec.answers import Answer

__all__ = ["STAYS", "Order", "Reply", "as_bytes", "as_frames", "serve"]

# After so long the rest of a batch is given back: twice what one should last, where handing it over costs most.
LONGEST_SECONDS = 0.3
STAYS = 8  # runs that a process remembers, unless it is told that they are over: what is forgotten has to come again


class Order(Record):
    """A batch on its way, but for its items.

    Attributes:
        run: a name that no other run has.
        batch: which items, and how.
        first: how many lessons there are before `lessons`.
        lessons: that come along.
        path: the caller's ``sys.path``.
        cores: how many cores each worker may use itself.
        has_seed: whether items seed generators that all threads share, so that no two may run at once.
        ended: runs of the same caller's that are over.
    """

    run: str
    batch: SendBatch
    first: int
    lessons: list[Message]
    path: list[str]
    cores: int
    has_seed: bool
    ended: tuple[str, ...] = ()


class Reply(Record):
    """What came of an order.

    Attributes:
        pid: of the process.
        host: that it is on.
        messages: as a worker process sends them; an ASK without frames asks for the lessons that the process lacks.
        used: of the processor.
        remarks: on what differs here.
    """

    pid: int
    host: str
    messages: list[Message]
    used: ProcessorTime = ProcessorTime()
    remarks: tuple[str, ...] = ()


def as_bytes(frames: list[Buffer]) -> list[bytes]:
    """Give frames as what anybody can send."""
    return [*map(bytes, frames)]


def as_frames(sent: list[bytes]) -> list[Buffer]:
    """Give frames again of which arrays can be made that may be written to."""
    return [*sent[:1], *map(bytearray, sent[1:])]


def serve(stamp: Stamp, head: bytes, *sent: bytes) -> Reply:
    """Run a batch; the only thing that is called from elsewhere. Whatever goes wrong is in the reply.

    Args:
        stamp: of who sends it.
        head: a pickled `Order`.
        sent: the items.

    Raises:
        WorkersUnavailable: the two ends cannot understand each other.
    """
    difference = differ(stamp_here(), stamp)
    if difference is not None:
        raise WorkersUnavailable(f"{describe_process()} cannot be used: {difference}")
    order: Order = pickle.loads(head)
    leave_behind(sys.exc_info()[1])
    meter = ThreadMeter()
    with closing(meter):
        stay = _find_stay(order)
        try:
            messages = stay.serve(order, as_frames([*sent]), meter)
        except BaseException as error:  # nothing of ours may end somebody else's worker
            messages = [_tell(Kind.UNREADABLE, error, order.batch)]
    return Reply(os.getpid(), socket.gethostname(), messages, meter.used, (*stay.luggage.remarks,))


def _tell(kind: Kind, error: BaseException, batch: SendBatch) -> Message:
    return Message(kind, batch.token, stop=batch.stop, frames=_sendable(encode(encode_exception(error))))


def _sendable(frames: list[Buffer]) -> list[Buffer]:
    return [*as_bytes(frames)]


# ------------------------------------------------------------------------------------------------------- the stage


class _Stage:
    """Has a run's modules be the process's while its batches run; those of another run wait for their end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._run: _Stay | None = None
        self._count = 0  # of that run's batches that are on the stage

    @contextmanager
    def taken_by(self, stay: _Stay, *, is_alone: bool) -> Iterator[None]:
        """Have this run's ``__main__``, and what it has brought along, within the block."""
        with self._changed:
            while self._run is not None and (is_alone or self._run is not stay):
                self._changed.wait()
            if self._run is None:
                self._before = sys.modules.get(MAIN)
                sys.modules[MAIN] = stay.main
                stay.luggage.arrive()
            self._run = stay
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                if not self._count:
                    self._run = None
                    stay.luggage.leave()
                    if self._before is not None:
                        sys.modules[MAIN] = self._before
                    self._changed.notify_all()


_stage = _Stage()
_stays: OrderedDict[str, _Stay] = OrderedDict()  # by run, the latest last
_door = threading.Lock()  # to these
_parted = -1  # the process that numpy's generator was begun anew in


def _find_stay(order: Order) -> _Stay:
    with _door:
        stay = _stays.get(order.run)
        if stay is None:
            _part_numpy()
            stay = _stays[order.run] = _Stay(order.path)
        _stays.move_to_end(order.run)
        for run in order.ended:
            _stays.pop(run, None)
        while len(_stays) > STAYS:
            _stays.popitem(last=False)
    return stay


def _part_numpy() -> None:
    """Have this process draw other numbers than those that were forked beside it; `random` sees to that itself."""
    global _parted  # noqa: PLW0603 - a fact about this process
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None and _parted != os.getpid():
        _parted = os.getpid()
        numpy_random.seed()


# --------------------------------------------------------------------------------------------------------- a stay


class _Place:
    """A thread in which batches of a run come.

    Attributes:
        job: what runs the items here.
        standing: the settings as the latest batch has left them.
        done_at: when that was, in nanoseconds.
    """

    def __init__(self, job: Job) -> None:
        self.standing: list[tuple[Setting, Any]] = []
        self.done_at: int | None = None
        self._adoption = Adoption()
        self._adoption.adopt(job.settings)
        state = job.prepare()
        self._adoption.stand()
        self.job = state.bind(job).at_home()
        self._state: WorkerState = state  # lives as long as the place

    def begin(self) -> None:
        """Have the settings that stand here."""
        _make(self.standing)
        self._adoption.catch_up()

    def end(self) -> None:
        """Note down what they are now."""
        self.standing = _settings()
        self.done_at = monotonic_ns()


class _Stay:
    """What a process has of a run.

    Args:
        path: the caller's ``sys.path``: what is missing here is added behind, for the user's own modules.

    Attributes:
        main: the run's ``__main__``.
        luggage: the user's own modules that it has brought along.
    """

    def __init__(self, path: list[str]) -> None:
        sys.path += [entry for entry in path if entry not in sys.path]
        self.main = ModuleType(MAIN)
        self.luggage = Luggage()
        vars(self.main)["__builtins__"] = builtins
        self._learnt = 0  # how many lessons
        self._job: Job | BaseException | None = None  # or why there is none
        self._learning = threading.RLock()
        self._here = threading.local()

    def serve(self, order: Order, frames: list[Buffer], meter: ThreadMeter) -> list[Message]:
        """Run a batch, or say what it takes to run it."""
        here = cores_limited_here(order.cores)
        with _stage.taken_by(self, is_alone=order.has_seed), _settings_kept(), here:
            with self._learning:
                question = self._learn(order)
            if question is not None:
                return [question]
            if isinstance(self._job, BaseException):
                return [_tell(Kind.SETUP_FAILED, self._job, order.batch)]
            assert self._job is not None
            place: _Place | None = getattr(self._here, "place", None)
            if place is None:
                try:
                    place = self._here.place = _Place(self._job)
                except BaseException as error:  # the caller's initializer may raise anything
                    return [_tell(Kind.SETUP_FAILED, error, order.batch)]
            else:
                place.begin()
            try:
                return self._run(place, order.batch, frames, meter)
            finally:
                place.end()

    def _run(self, place: _Place, batch: SendBatch, frames: list[Buffer], meter: ThreadMeter) -> list[Message]:
        waited = 0.0 if place.done_at is None else (monotonic_ns() - place.done_at) / 1e9
        job = place.job
        try:
            items = read(frames)
        except Exception as error:  # unpickling the caller's objects may raise anything
            return [_tell(Kind.UNREADABLE, error, batch)]
        if type(items) is list and not is_constant(items[0]):
            items = handed_out(items)
        snapshots = Snapshots(shares_files=False) if batch.stop - batch.start > 1 else None
        messages = []
        with _streams_kept(job):
            parts = run_batch(job, items, batch, gather=Parcel, snapshots=snapshots, report_seconds=LONGEST_SECONDS)
            for part in meter.measured(parts):
                told = _sendable(encode_outcomes(part.start, part.values, part.raised))
                start, stop, seconds, is_last = part.start, part.stop, part.seconds, part.is_last
                message = Message(Kind.REPORT, batch.token, start, stop, seconds, is_last, told, waited=waited)
                messages.append(message)
                waited = 0.0
        flush_output()
        return messages

    # ------------------------------------------------------------------------------------------------- lessons

    def _learn(self, order: Order) -> Message | None:
        """Take in the lessons that are new; give the question that must be answered first, if there is one."""
        if self._learnt < order.first:
            return Message(Kind.ASK)
        for lesson in order.lessons[self._learnt - order.first :]:
            try:
                asked = self._take_in(lesson)
            except BaseException as error:  # unpickling the caller's objects may raise anything
                self._job = error
                asked = []
            if asked:
                return Message(Kind.ASK, start=self._learnt, frames=[pickle.dumps(asked)])
            self._learnt += 1
        return None

    def _take_in(self, lesson: Message) -> list[Key]:
        """Take in one; give the keys of what this process has to be sent first."""
        if lesson.kind is Kind.COMPARE:
            return self._compare(lesson.frames)
        if lesson.kind is Kind.SOURCES:
            return [(top, "") for top in self.luggage.unpack(*pickle.loads(lesson.frames[0]))]
        if lesson.kind is Kind.SETUP:
            early, *frames = lesson.frames
            adoption = Adoption()
            adoption.begin(pickle.loads(early))
            self._job, definitions = read(as_frames(frames))  # type: ignore[arg-type]  # they are bytes
            learn(definitions)
            assert isinstance(self._job, Job)
            if not self._job.chance.is_seeded:
                part_generators(self._job)
        else:
            learn(read(as_frames(lesson.frames)))  # type: ignore[arg-type]  # they are bytes
        return []

    def _compare(self, frames: list[Buffer]) -> list[Key]:
        """Have what the caller has, as far as it was sent along; give what was not."""
        expected, answered = pickle.loads(frames[0])
        if answered:
            answer: Answer
            answer, definitions = read(as_frames(frames[1:]))  # type: ignore[arg-type]  # they are bytes
            learn(definitions)
            install(answer.values)
            for (module, name), why in answer.refusals.items():
                if not take_away(module, name):
                    raise UnpicklableError(f"{module}.{name} is another here than at the caller's, and {why}")
            missing = find_torn(expected)
        else:
            missing = find_differing(expected)
        return [*answered, *news] if (news := [key for key in missing if key not in answered]) else []


# ------------------------------------------------------------------------------------------------------- settings


def _settings() -> list[tuple[Setting, Any]]:
    found = []
    for setting in SETTINGS:
        if setting.is_loaded:
            with suppress(Exception):  # a library of a kind that we do not know
                found.append((setting, setting.read()))
    return found


def _make(settings: list[tuple[Setting, Any]]) -> None:
    for setting, value in settings:
        with suppress(Exception):  # likewise
            if setting.read() != value:
                setting.write(value)


@contextmanager
def _settings_kept() -> Iterator[None]:
    """Have the process's settings afterwards be what they were."""
    before = _settings()
    try:
        yield
    finally:
        _make(before)


def _streams_kept(job: Job) -> Any:
    """Have the process's generators afterwards be where they were, which seeded items begin anew."""
    if not job.chance.is_seeded:
        return nullcontext()
    from allcores._worker.streams import keep_streams  # a run without a seed does without

    return keep_streams(job.captured)
