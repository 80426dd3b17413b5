"""What a worker must have before it can run a batch: the job, definitions, and the items themselves.

What is sent once is remembered with the worker (`Known`); what it may have in another state it is told to compare.
"""

from __future__ import annotations

import pickle

from allcores._codec.codec import encode_items
from allcores._codec.definitions.contents import Inspection
from allcores._core.hints import TYPE_CHECKING
from allcores._core.messages import SendBatch
from allcores._engines.processes.process import Setup
from allcores._engines.processes.worker import Worker
from allcores._input.dataset import Dataset
from allcores._transport.wire import Buffer, Kind, Message
from allcores._worker.kinship import next_number

if TYPE_CHECKING:
    from allcores._engines.processes.jobs import Jobs
    from allcores._worker.line import Lines

__all__ = ["Supplies"]


class Supplies:
    """Sees that workers have what they need.

    Args:
        dataset: where items come from.
        lines: what runs each item; None where it is the one job that processes are set up with.
        are_items_inherited: whether workers have all items from birth.
    """

    def __init__(self, dataset: Dataset, lines: Lines | None, *, are_items_inherited: bool) -> None:
        self._dataset = dataset
        self._are_items_inherited = are_items_inherited
        self._inspection = Inspection(is_only=lines is None)
        self._tired: list[Worker] = []  # have done all that they were sent, and keep memory for large frames
        self._jobs: Jobs | None = None
        if lines is not None:
            from allcores._engines.processes.jobs import Jobs  # for runs that items are handed in to

            self._jobs = Jobs(lines, self._inspection)

    def set_up(self, worker: Worker, setup: Setup, tracker: int) -> None:
        """Send a worker what it was not born with.

        Args:
            worker: a process that inherits nothing.
            setup: what it needs.
            tracker: the descriptor by which it tells the resource tracker.
        """
        own = (worker.known.news_among(setup.unsure), dict(setup.variables))
        frames = [setup.surroundings, pickle.dumps(own), *setup.frames]
        worker.known.contents |= setup.unsure
        descriptors = [tracker, *setup.descriptors]
        worker.post(Message(Kind.SETUP, start=next_number(), frames=frames, descriptors=descriptors), setup.segment)

    def order(self, worker: Worker, batch: SendBatch) -> Message:
        """Send all that the batch needs; give the message that has it run."""
        message = Message(Kind.RUN, batch.token, batch.start, batch.stop, flag=batch.may_give_back, tries=batch.tries)
        inspection = self._inspection
        if self._jobs is not None:
            line = self._jobs.bring(worker, batch.start)
            message.line, inspection = line.number, line.inspection or Inspection()
        if not self._are_items_inherited:
            message.frames = self._bring_items(worker, batch, inspection)
        return message

    def _bring_items(self, worker: Worker, batch: SendBatch, inspection: Inspection) -> list[Buffer]:
        """See that the worker has all that items need; give them as frames."""
        encoded = encode_items(self._dataset.items(batch.start, batch.stop), worker.known, inspection)
        worker.compare(encoded.unsure)
        worker.learn(encoded.definitions, inspection)
        return encoded.frames

    def answer(self, worker: Worker, question: Message) -> None:
        """Send what a worker has asked for."""
        from allcores._codec.answers import encode_answer  # hardly any worker asks

        keys = pickle.loads(question.frames[0])  # from our own worker
        worker.post(Message(Kind.ANSWER, frames=encode_answer(keys, worker.known, self._inspection)))

    def hear_of_leisure(self, worker: Worker) -> None:
        """Hear that a worker has done all that it was sent."""
        if worker.channel.has_lent or (self._jobs is not None and self._jobs.hold_memory_for(worker)):
            self._tired.append(worker)

    def have_rest(self) -> None:
        """Have those let go of memory who were not sent more meanwhile."""
        while self._tired:
            worker = self._tired.pop()
            if worker.is_watched and not worker.held:
                if self._jobs is not None:
                    self._jobs.drop_old(worker)
                worker.rest()

    def close(self) -> None:
        """Let go of what is kept for workers."""
        if self._jobs is not None:
            self._jobs.close()
