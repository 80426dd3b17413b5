"""A run whose results are taken one by one: it goes on whenever its consumer asks for more."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

from allcores._core.hints import Any
from allcores._core.report import Report
from allcores._objects.asking import give_field
from allcores._objects.entry import one_frame, rethrow
from allcores._objects.outcomes import Failure
from allcores._run.driver import Run
from allcores._run.progress import Progress
from allcores._run.sinks import OrderedSink, UnorderedSink
from allcores._run.start import Start
from allcores._system.interrupts import hold_interrupts
from allcores._system.leaving import begin_to_leave, stop_if_left

__all__ = ["LazyRun"]

TURN_SECONDS = 0.000_5  # a consumer that finds results ready lets the driver look around this often
CHUNK = 256  # results at most that are handed over at once: the consumer may have become slow


class LazyRun:
    """Goes on while chunks of results are asked for.

    Args:
        start: makes the run, once the first result is asked for.
        sink: where its results are ready.
    """

    def __init__(self, start: Start, sink: OrderedSink | UnorderedSink) -> None:
        self._start = start
        self._sink = sink
        self._run: Run | None = None
        self._progress: Progress | None = None
        self._staged: list[Any] = []  # what was ready, last first: to take many from a list's end is quick
        self._chunk: list[Any] = []  # handed over last
        self._size = 1  # of the next chunk, at most
        self._taken = 0  # results of earlier chunks
        self._handed_at = 0.0
        self._consumer_seconds = 0.0
        self._turn_at = 0.0
        self._is_closed = False
        self._is_advancing = False
        self._is_forgotten = False

    @property
    def failures(self) -> list[Failure]:
        """The failures so far."""
        return [] if self._run is None else self._run.failures

    @property
    def report(self) -> Report | None:
        """What the run has cost so far; None before it began."""
        return None if self._run is None else self._run.report._replace(consumer_seconds=self._consumer_seconds)

    @property
    def status(self) -> str:
        """How it stands, in words."""
        if self._run is None:
            return "closed" if self._is_closed else "not begun"
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"{self._run.settled} done{failed}, {'over' if self._is_closed else 'running'}"

    def chunks(self) -> Iterator[list[Any]]:
        """Yield the results, a few at a time; each chunk is taken when the next one is asked for."""
        while not self._is_closed:
            with one_frame:
                try:
                    self._count_taken()
                    self._chunk = self._next_chunk()
                except BaseException as error:  # Ctrl-C, or what the run ends with
                    self._fail(error)
                    raise
            yield self._chunk

    def close(self) -> None:
        """End the run: workers are let go, results that were not taken are lost."""
        with hold_interrupts():
            if not self._is_closed:
                self._is_closed = True
                for results in (self._chunk, self._staged, self._sink.ready):
                    results.clear()  # the consumer may be in the middle of the first
                self._end()

    def forget(self, pid: int) -> None:
        """End the run that nobody can ask for results any more; in a child forked from process `pid` it is not ours.

        At the interpreter's exit a daemon thread may be asking: that one is in the run, or comes to know in `_advance`.
        """
        self._is_forgotten = self._run is not None
        if os.getpid() == pid and not self._is_advancing:
            with suppress(KeyboardInterrupt), hold_interrupts():  # it may be anywhere: nobody could be told
                self._end()

    def _count_taken(self) -> None:
        """Find out how fast the consumer is."""
        now = time.perf_counter()
        took, self._handed_at = now - self._handed_at, now
        count = len(self._chunk)
        if count and self._run is not None and not self._run.is_finished:  # nothing waits for it afterwards
            self._consumer_seconds += took
        self._taken += count
        fitting = 2 * count if took <= TURN_SECONDS / 2 else int(count * TURN_SECONDS / took)
        self._size = max(1, min(fitting, CHUNK))

    def _next_chunk(self) -> list[Any]:
        if not self._has_ready or self._handed_at >= self._turn_at:
            self._is_advancing = True  # before it is asked whether it is forgotten, as `forget` asks afterwards
            try:
                self._advance()
            finally:
                self._is_advancing = False
            self._turn_at = self._handed_at + TURN_SECONDS
        if not self._staged:
            self._staged = list(self._sink.ready)
            self._staged.reverse()
            self._sink.ready.clear()
        chunk = self._staged[-self._size :]
        chunk.reverse()
        del self._staged[-self._size :]
        self._handed_at = time.perf_counter()
        return chunk

    @property
    def _has_ready(self) -> bool:
        return bool(self._staged or self._sink.ready)

    def _begin(self) -> Run:
        self._progress = self._start.progress(is_lazy=True)
        self._run = self._start.run(self._sink, is_lazy=True, watcher=self._progress)
        return self._run

    def _end(self) -> None:
        try:
            if self._run is not None:
                self._run.close()
        finally:
            if self._progress is not None:
                self._progress.close()

    def _advance(self) -> None:
        """Let the driver work until a result is ready or the run is over; raise the error that the run ends with."""
        if self._is_forgotten:
            begin_to_leave()
            stop_if_left()
            raise RuntimeError("the run was ended, as the interpreter ends")
        with hold_interrupts():
            run = self._run or self._begin()
            if not run.is_finished:
                run.took(self._taken)
                run.turn(may_block=not self._has_ready)
            while not self._has_ready and not run.is_finished:
                run.turn()
            if run.is_finished:
                self._end()
                if not self._has_ready:
                    self._is_closed = True
                    if isinstance(run.error, StopIteration):  # raised here it would pass for the end
                        raise RuntimeError("an item raised StopIteration") from run.error
                    if run.error is not None:
                        rethrow(run.error, give_field(run.error, "__traceback__"))

    def _fail(self, error: BaseException) -> None:
        try:
            with hold_interrupts():
                self._is_closed = True
                self._attach_finished(error)
                self._end()
        except KeyboardInterrupt as another:
            self._attach_finished(another)
            raise

    def _attach_finished(self, error: BaseException) -> None:
        self._sink.ready.extendleft(self._staged)
        self._staged.clear()
        if self._run is not None:
            self._run.attach_finished(error)
