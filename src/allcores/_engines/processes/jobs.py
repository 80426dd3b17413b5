"""Jobs that travel while workers run: items of several lines are handed in, and each line has a job of its own."""

from __future__ import annotations

from allcores._codec.codec import encode_job, encode_settings
from allcores._codec.definitions.contents import Inspection
from allcores._core.hints import TYPE_CHECKING
from allcores._engines.processes.bundles import Bundles
from allcores._engines.processes.worker import Worker
from allcores._transport.wire import Buffer, Kind, Message
from allcores._worker.line import Line, Lines

if TYPE_CHECKING:
    from allcores._settings.snapshot import Settings

__all__ = ["Jobs"]


class Jobs:
    """Sees that workers have the jobs and the settings of the items that they get, and none that is over.

    Args:
        lines: what runs each item.
        inspection: looks at what settings lead to.
    """

    def __init__(self, lines: Lines, inspection: Inspection) -> None:
        self._lines = lines
        self._inspection = inspection
        self._bundles = Bundles()

    def bring(self, worker: Worker, index: int) -> Line:
        """See that a worker has the job for an item, and the settings under which it was handed in; give its line."""
        self.drop_old(worker)
        line = self._lines.line(index)
        if line.number not in worker.lines:
            self._bring_job(worker, line)
        settings: Settings = self._lines.conditions(index)
        if settings is not worker.settings:
            self._bring_settings(worker, settings)
        return line

    def _bring_job(self, worker: Worker, line: Line) -> None:
        worker.lines.add(line.number)
        frames, _, unsure = encode_job(line.job, worker.known, line.inspection or Inspection())
        worker.compare(unsure)
        message = Message(Kind.ADD_JOB, line=line.number, frames=frames)
        worker.post(message, self._bundles.segment(line.number, frames))

    def _bring_settings(self, worker: Worker, settings: Settings) -> None:
        worker.settings = settings
        if settings.message is not None:
            frames: list[Buffer] = [settings.message]
        else:
            encoded = encode_settings(settings.sealed, worker.known, self._inspection)
            worker.compare(encoded.unsure)
            worker.learn(encoded.definitions, self._inspection)
            frames = encoded.frames
        worker.post(Message(Kind.SETTINGS, frames=frames))

    def drop_old(self, worker: Worker) -> None:
        """Have a worker let go of the jobs that are over."""
        for number in [number for number in worker.lines if not self._lines.has_line(number)]:
            worker.lines.remove(number)
            worker.post(Message(Kind.DROP_JOB, line=number))
        if self._bundles.numbers:
            self._bundles.drop(self._lines.has_line)

    def hold_memory_for(self, worker: Worker) -> bool:
        """Whether a job that a worker has is kept in memory of its own."""
        return not self._bundles.numbers.isdisjoint(worker.lines)

    def close(self) -> None:
        """Let go of that memory."""
        self._bundles.drop(lambda _: False)
