"""Processor time: what a process or a thread computes, and how long it stood in the queue for a core.

What is neither, of the time that its work takes, it waited: for a disk, a network, a lock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from allcores._core.hints import Self, TypeVar
from allcores._core.records import Record

__all__ = ["ProcessorTime", "ThreadMeter", "of_process"]

T = TypeVar("T")

QUEUE_OF_PROCESS, QUEUE_OF_THREAD = "/proc/{}/schedstat", "/proc/thread-self/schedstat"
FIGURES = 64  # bytes in which these tell: nanoseconds on a core, nanoseconds in its queue, turns


class ProcessorTime(Record):
    """How long, in seconds.

    Attributes:
        computing: on a core, by all threads.
        queued: ready to run, while others had the cores; of the main thread alone.
    """

    computing: float = 0.0
    queued: float = 0.0

    def since(self, earlier: ProcessorTime) -> ProcessorTime:
        """Give what has come since then."""
        return ProcessorTime(self.computing - earlier.computing, self.queued - earlier.queued)

    def and_also(self, other: ProcessorTime) -> ProcessorTime:
        """Give both together."""
        return ProcessorTime(self.computing + other.computing, self.queued + other.queued)


def of_process(pid: int) -> ProcessorTime | None:
    """Give what a process has used; None where the system does not tell, or there is no such process any more."""
    try:
        computing = time.clock_gettime(~pid << 3 | 2)  # Linux's number for all that a process has run
        with open(QUEUE_OF_PROCESS.format(pid), "rb", buffering=0) as file:
            return ProcessorTime(computing, _queued(file.read(FIGURES)))
    except (AttributeError, OSError):
        return None


def _queued(figures: bytes) -> float:
    return int(figures.split()[1]) / 1e9


class ThreadMeter:
    """Sums up what the thread that makes it uses in ``with`` blocks.

    Attributes:
        used: that; any thread may ask.
    """

    def __init__(self) -> None:
        self.used = ProcessorTime()
        self._began = ProcessorTime()
        try:
            self._file = os.open(QUEUE_OF_THREAD, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # not Linux
            self._file = -1

    def __enter__(self) -> Self:
        self._began = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self.used = self.used.and_also(self._read().since(self._began))

    def measured(self, things: Iterator[T]) -> Iterator[T]:
        """Give things one after another, and measure what it takes to make each."""
        while True:
            with self:
                thing = next(things, None)
            if thing is None:
                return
            yield thing

    def close(self) -> None:
        """Measure no more."""
        if self._file != -1:
            os.close(self._file)
            self._file = -1

    def _read(self) -> ProcessorTime:
        queued = 0.0 if self._file == -1 else _queued(os.pread(self._file, FIGURES, 0))
        return ProcessorTime(time.thread_time(), queued)
