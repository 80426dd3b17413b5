"""How much memory workers use, how much time of the processors, and what moves between them and the driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce

from allcores._core.messages import WorkerWorn
from allcores._engines.engine import Arrival, MemoryUse, Usage
from allcores._engines.processes.worker import Worker
from allcores._system.memory import peak_memory, reset_peak, resident_memory
from allcores._system.processor_time import ProcessorTime, of_process
from allcores._transport.wire import Message

__all__ = ["Measures"]

PEAKS = 256  # workers whose peaks are kept, at most: a run may have any number, one after another


class Measures:
    """Tells what workers use, to those who ask, and which have grown too large to be kept.

    Args:
        recycle_bytes: by how much a worker may grow; None for any.

    Attributes:
        own_moving_seconds: how long the driver took to pickle items, and to receive and unpickle what came of them.
        sent: bytes of items.
        received: bytes of what came of them.
    """

    def __init__(self, recycle_bytes: int | None) -> None:
        self._recycle_bytes = recycle_bytes
        self._is_asked = False  # whether anyone ever does
        self._peaks: list[int] = []  # of workers that have reported, and
        self._kills: list[int] = []  # of those that the kernel has killed, since it was last asked for
        self._used: ProcessorTime | None = None  # by those that have ended, or are kept for others
        self._most: dict[int, int] = {}  # {worker: the most memory that it was seen to have had}
        self._moving_seconds = self.own_moving_seconds = 0.0
        self.sent = self.received = 0

    def use(self, workers: Iterable[Worker]) -> MemoryUse:
        """Tell what workers use."""
        self._is_asked = True
        now = [
            max(0, size - worker.idle_size)
            for worker in workers
            if worker.mark.is_busy
            and (pid := worker.process.pid) is not None
            and (size := resident_memory(pid)) is not None
        ]
        use = MemoryUse(now, self._peaks, self._kills)
        self._peaks, self._kills = [], []
        return use

    def look_at_growth(self, worker: Worker) -> Iterator[Arrival]:
        """Look at a worker between two batches, before it may get another."""
        pid = worker.process.pid
        if pid is None:
            return
        if self._is_asked:
            peak = peak_memory(pid) or 0
            self._peaks.append(max(0, peak - worker.idle_peak))
            self._note_peak(worker, peak)
            reset_peak(pid)
        if self._recycle_bytes is not None and (resident_memory(pid) or 0) - worker.idle_size > self._recycle_bytes:
            yield Arrival(WorkerWorn(worker.number))

    def hear_of_report(self, message: Message, size: int) -> None:
        """Hear of what a worker reports, so many bytes."""
        self.received += size
        self._moving_seconds += message.moved

    def usage(self, workers: Iterable[Worker]) -> Usage:
        """Tell what workers have used: these, and those that have ended."""
        present = list(workers)  # at once, as another thread may ask
        for worker in present:
            self._look_at_peak(worker)
        return Usage(
            time=_sum([self._used, *map(_used_by, present)]),
            peaks=dict(self._most),
            moving_seconds=self._moving_seconds,
            own_moving_seconds=self.own_moving_seconds,
            sent=self.sent,
            received=self.received,
        )

    def hear_of_end(self, worker: Worker) -> None:
        """Hear that a worker is about to be none any more."""
        if worker.used_before is not None:  # else it has had no item, or this was heard before
            self._look_at_peak(worker)
        self._used = _sum([self._used, _used_by(worker)])
        worker.used_before = None

    def hear_of_death(self, worker: Worker, peak: int | None) -> None:
        """Hear of a worker that has died, and the most memory that it had used."""
        self._note_peak(worker, peak or 0)

    def _look_at_peak(self, worker: Worker) -> None:
        if worker.is_ready and worker.process.pid is not None:
            self._note_peak(worker, peak_memory(worker.process.pid) or 0)

    def _note_peak(self, worker: Worker, peak: int) -> None:
        if peak and worker.number < PEAKS:
            self._most[worker.number] = max(peak, self._most.get(worker.number, 0))

    def hear_of_kill(self, worker: Worker, peak: int | None) -> None:
        """Hear that the kernel has killed a worker for lack of memory, and the most that it had used."""
        self._kills.append(max(0, (peak or 0) - worker.idle_peak))


def _used_by(worker: Worker) -> ProcessorTime | None:
    before, pid = worker.used_before, worker.process.pid
    now = None if before is None or pid is None else of_process(pid)
    return None if now is None or before is None else now.since(before)


def _sum(parts: Iterable[ProcessorTime | None]) -> ProcessorTime | None:
    known = [part for part in parts if part is not None]
    return reduce(ProcessorTime.and_also, known) if known else None
