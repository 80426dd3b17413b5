"""What the jobs that are handed in capture: large things travel in one segment for all workers."""

from __future__ import annotations

import sys
from collections.abc import Callable, KeysView, Sequence

from allcores._core.records import Record
from allcores._transport.channel import fill_segment, find_large
from allcores._transport.segment import Segment
from allcores._transport.wire import Buffer

__all__ = ["Bundles"]


class _Bundle(Record):
    large: list[memoryview]  # what was put into the segment; kept, so that other things cannot be at its place
    segment: Segment | None  # None where the system does not allow one


class Bundles:
    """The segments of jobs, by the numbers of their lines."""

    def __init__(self) -> None:
        self._bundles: dict[int, _Bundle] = {}

    @property
    def numbers(self) -> KeysView[int]:
        """The lines whose jobs have large frames."""
        return self._bundles.keys()

    def segment(self, number: int, frames: Sequence[Buffer]) -> Segment | None:
        """Give the segment that holds the large ones of a job's frames.

        Args:
            number: of the line.
            frames: which another worker may get with more or fewer globals; then it gets a segment of its own.

        Returns:
            None if there are no large frames, or no segment for them.
        """
        large = find_large(frames)
        if not large:
            return None
        bundle = self._bundles.get(number)
        if bundle is None:
            bundle = self._bundles[number] = _Bundle(large, fill_segment(frames))
        return bundle.segment if list(map(_place, bundle.large)) == list(map(_place, large)) else None

    def drop(self, is_needed: Callable[[int], bool]) -> None:
        """Let go of those of lines that are over; what workers have of them stays."""
        for number in [number for number in self._bundles if not is_needed(number)]:
            segment = self._bundles.pop(number).segment
            if segment is not None:
                segment.close()


def _place(view: memoryview) -> tuple[int, int]:
    """Say where in memory it is: arrays of another order than C's are pickled as a new object each time."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return id(view.obj), view.nbytes
    place: int = numpy.frombuffer(view, numpy.uint8).__array_interface__["data"][0]
    return place, view.nbytes
