"""What whoever runs a batch of a run must have learnt before, in order; see `_worker.guest`.

Nobody can be told anything but with a batch, and nobody knows which process will run it. So each batch brings the
latest lessons, as far as they are small; who lacks earlier ones says so, and the batch goes again with all of them.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Sequence

from allcores._codec.answers import encode_answer
from allcores._codec.codec import encode_definitions, encode_items
from allcores._codec.definitions.contents import Contents, Inspection
from allcores._codec.definitions.globals import Key, Known
from allcores._codec.definitions.sources import Source, find_sources, make_manifest
from allcores._core.hints import Any
from allcores._core.messages import SendBatch
from allcores._core.plan import Plan
from allcores._engines.job_pickle import encode_for_strangers
from allcores._settings.snapshot import find_settings
from allcores._transport.wire import Buffer, Kind, Message
from allcores._worker.guest import STAYS, Order, as_bytes
from allcores._worker.job import Job
from allcores._worker.surroundings import absolute_path, present_folder

__all__ = ["Lessons"]

SMALL = 1 << 16  # bytes: of lessons that every batch brings

_ended: deque[str] = deque(maxlen=STAYS)  # the latest runs that are over, for whoever still has something of them


class Lessons:
    """Sees that whoever runs a batch can learn what it needs.

    Args:
        plan: says what share of the cores each worker has.
        job: what runs the items.

    Attributes:
        edition: grows with all that there is to be learnt.

    Raises:
        UnpicklableError: the job cannot travel.
    """

    def __init__(self, plan: Plan, job: Job) -> None:
        settings = (find_settings() if job.settings is None else job.settings).sealed
        self.edition = 0
        self._run = os.urandom(16).hex()
        self._cores = plan.cores
        self._has_seed = job.chance.is_seeded
        self._path = absolute_path(present_folder())
        self._known, self._inspection = Known(), Inspection(is_only=True)
        self._lessons: list[Message] = []
        self._compared: dict[int, tuple[dict[Key, Contents], list[Key]]] = {}  # {lesson: what, and what it answers}
        self._sources = find_sources()
        self._manifest = make_manifest(self._sources)
        self._brought: dict[str, Source] = {}  # that somebody has asked for
        if self._manifest:
            self._teach(Kind.SOURCES, [pickle.dumps((self._manifest, self._brought))])
        frames, _, unsure = encode_for_strangers(job._replace(settings=settings), self._known, self._inspection)
        self._compare(unsure)
        self._teach(Kind.SETUP, [pickle.dumps(settings.early), *frames])

    def order(self, batch: SendBatch, items: Sequence[Any], *, is_whole: bool) -> tuple[bytes, list[bytes]]:
        """Give what to send of a batch.

        Args:
            batch: which it is.
            items: its own.
            is_whole: whether all lessons come along.
        """
        encoded = encode_items(items, self._known, self._inspection)
        self._compare(encoded.unsure)
        if encoded.definitions:
            self._teach(Kind.TEACH, encode_definitions(encoded.definitions, self._known, self._inspection))
        first = 0 if is_whole else self._first_of_small()
        lessons = self._lessons[first:]
        order = Order(self._run, batch, first, lessons, self._path, self._cores, self._has_seed, (*_ended,))
        return pickle.dumps(order), as_bytes(encoded.frames)

    def answer(self, question: Message) -> None:
        """Put into a lesson what a process has asked for that it lacks, or has otherwise."""
        if not question.frames:
            return
        self.edition += 1
        if self._lessons[question.start].kind is Kind.SOURCES:
            self._bring({top for top, _ in pickle.loads(question.frames[0])})  # from our own worker
        else:
            expected, _ = self._compared[question.start]
            keys: list[Key] = pickle.loads(question.frames[0])  # from our own worker
            answer = encode_answer(keys, self._known, self._inspection)
            self._compared[question.start] = expected, keys
            frames = as_bytes([pickle.dumps((expected, keys)), *answer])
            self._lessons[question.start] = Message(Kind.COMPARE, frames=[*frames])

    def _bring(self, tops: set[str]) -> None:
        """Have sources come along, also for whoever asks later."""
        self._brought |= {name: source for name, source in self._sources.items() if name.partition(".")[0] in tops}
        self._lessons[0] = Message(Kind.SOURCES, frames=[pickle.dumps((self._manifest, self._brought))])

    def close(self) -> None:
        """Have the run be over, which processes hear of with a batch of the next one."""
        _ended.append(self._run)

    def _compare(self, unsure: dict[Key, Contents]) -> None:
        if unsure:
            self._known.contents |= unsure
            self._compared[len(self._lessons)] = unsure, []
            self._teach(Kind.COMPARE, [pickle.dumps((unsure, []))])

    def _teach(self, kind: Kind, frames: list[Buffer]) -> None:
        self.edition += 1
        self._lessons.append(Message(kind, frames=[*as_bytes(frames)]))

    def _first_of_small(self) -> int:
        size, first = 0, len(self._lessons)
        while first and (size := size + sum(map(len, self._lessons[first - 1].frames))) <= SMALL:
            first -= 1
        return first
