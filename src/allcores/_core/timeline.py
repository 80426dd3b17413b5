"""Who did what when: which items each worker ran, from when to when.

A run may have millions of batches, and a picture of it needs a few thousand spans. So neighbours on one worker that are
shorter than a certain grain are told as one span; whenever there are too many spans, the grain is doubled. Nothing is
left out that way: the spans cover all that was run, and how much of it each stands for is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from allcores._core.hints import Any
from allcores._core.records import Record

__all__ = ["MOST_SPANS", "MOST_WORKERS", "Span", "Stint", "Timeline"]

MOST_SPANS = 2000  # that are kept
MOST_WORKERS = 256  # whose spans are kept: a run may have any number, one after another
LEAST_GRAIN = 0.000_1  # seconds


class Span(Record):
    """Items that a worker ran one after another: those of one batch, or of several where each is short.

    Attributes:
        worker: its number.
        began, ended: seconds since the run began.
        seconds: how long items ran meanwhile.
        start, stop: between which indices they lie, the last one exclusive; all of them if `items` is the difference.
        items: how many they are.
        failed: how many of them failed.
        batches: in how many pieces they were reported.
    """

    worker: int
    began: float
    ended: float
    seconds: float
    start: int
    stop: int
    items: int
    failed: int
    batches: int

    def __str__(self) -> str:
        if self.stop == self.start + 1:
            name = f"item {self.start}"
        elif self.items == self.stop - self.start:
            name = f"items {self.start} to {self.stop - 1}"
        else:
            name = f"{self.items} of the items {self.start} to {self.stop - 1}"
        return f"{name}, {self.failed} failed" if self.failed else name


class Stint(Record):
    """What one worker has done in a run.

    Attributes:
        worker: its number.
        ready: when it was ready for its first item, in seconds since the run began; None if nobody heard.
        ended: when its last item ended, likewise; None if it has run none.
        seconds: how long items ran there.
        items: how many it has run.
        peak_memory: the most memory that it has had, in bytes, or None.
    """

    worker: int
    ready: float | None
    ended: float | None
    seconds: float
    items: int
    peak_memory: int | None = None


class _Track:
    """What one worker has done."""

    __slots__ = ("items", "ready", "seconds", "spans")

    def __init__(self) -> None:
        self.ready: float | None = None
        self.seconds = 0.0
        self.items = 0
        self.spans: list[list[Any]] = []  # the fields of a `Span` after its worker's number


BEGAN, ENDED, SECONDS, START, STOP, ITEMS, FAILED, BATCHES = range(8)  # of these


class Timeline:
    """Of one run; bounded, whatever the run does.

    Args:
        began: when the run did; all times are on its clock.

    Attributes:
        first_ready: how many seconds later the first worker was ready; None as long as none is.
    """

    def __init__(self, began: float) -> None:
        self.first_ready: float | None = None
        self._began = began
        self._tracks: dict[int, _Track] = {}
        self._grain = LEAST_GRAIN
        self._size = 0  # spans in all tracks

    def hear_of_ready(self, worker: int, now: float) -> None:
        """Hear that a worker is ready for its first item."""
        if self.first_ready is None:
            self.first_ready = now - self._began
        if len(self._tracks) < MOST_WORKERS:
            self._tracks.setdefault(worker, _Track()).ready = now - self._began

    def hear(self, worker: int, start: int, count: int, *, seconds: float, failed: int, ended: float) -> None:
        """Hear that a worker has run items.

        Args:
            worker: its number.
            start: the first item.
            count: how many follow one another, that one included.
            seconds: how long they ran, one after another.
            failed: how many of them failed.
            ended: when the last one ended.
        """
        track = self._tracks.get(worker)
        if track is None:
            if len(self._tracks) >= MOST_WORKERS:
                return
            track = self._tracks[worker] = _Track()
        track.seconds += seconds
        track.items += count
        spans, until = track.spans, ended - self._began
        since, free_since = until - seconds, spans[-1][ENDED] if spans else 0.0
        if since < free_since:  # as it was heard of late, or is a few items of many that were measured together
            since = min(free_since, until)
        span = [since, until, seconds, start, start + count, count, failed, 1]
        if spans and until - spans[-1][BEGAN] < self._grain:
            _add(spans[-1], span)
            return
        spans.append(span)
        self._size += 1
        if self._size > MOST_SPANS:
            self._coarsen()

    def spans(self) -> tuple[Span, ...]:
        """Give what was kept, worker by worker, in order."""
        return tuple(Span(worker, *span) for worker, track in list(self._tracks.items()) for span in list(track.spans))

    def stints(self, peaks: Any) -> tuple[Stint, ...]:
        """Give what each worker has done; `peaks` has their memory."""
        return tuple(
            Stint(
                worker,
                track.ready,
                track.spans[-1][ENDED] if track.spans else None,
                track.seconds,
                track.items,
                peaks.get(worker),
            )
            for worker, track in list(self._tracks.items())
        )

    def tail_seconds(self, workers: int) -> float:
        """Say how long workers, taken together, have had nothing to do while the last items ran.

        Args:
            workers: how many there were at once; those of which others took the place do not count.
        """
        ends: list[float] = sorted(
            (track.spans[-1][ENDED] for track in list(self._tracks.values()) if track.spans), reverse=True
        )
        return sum(ends[0] - end for end in ends[:workers])

    def _coarsen(self) -> None:
        while self._size > MOST_SPANS // 2:  # which is more than there can be tracks
            self._grain *= 2
            for track in self._tracks.values():
                track.spans = list(_joined(track.spans, self._grain))
            self._size = sum(len(track.spans) for track in self._tracks.values())


def _joined(spans: list[list[Any]], grain: float) -> Iterator[list[Any]]:
    """Give spans of one worker with neighbours taken together that lie within a grain."""
    last: list[Any] | None = None
    for span in spans:
        if last is not None and span[ENDED] - last[BEGAN] < grain:
            _add(last, span)
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


def _add(last: list[Any], span: list[Any]) -> None:
    """Have a span stand for the next one, too."""
    _, ended, seconds, start, stop, items, failed, batches = span
    # Without `min` and `max`: single calls come here, too, and each function counts there.
    if ended > last[ENDED]:  # noqa: PLR1730
        last[ENDED] = ended
    if start < last[START]:  # noqa: PLR1730
        last[START] = start
    if stop > last[STOP]:  # noqa: PLR1730
        last[STOP] = stop
    last[SECONDS] += seconds
    last[ITEMS] += items
    last[FAILED] += failed
    last[BATCHES] += batches
