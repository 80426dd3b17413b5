"""The input of a run that serves others: what any thread hands in, one submission after another.

Any thread posts; the driver alone takes what was posted, gives it indices, and tells the scheduler of it. So the two
sides share nothing but a queue, and a submission that was posted is the driver's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from math import inf

from allcores._core.hints import Any, TypeAlias
from allcores._core.messages import (
    Event,
    InputEnded,
    InputPulled,
    ItemsCancelled,
    ItemsWithdrawn,
    RunStopped,
    StretchBegan,
)
from allcores._core.records import Record
from allcores._run.submission import Submission, showing_errors
from allcores._worker.line import Line

__all__ = ["Inbox"]


STALE = 1000  # starts of settled submissions that are kept, at least


class _Cancelled(Record):
    """Nobody wants what would come of a submission."""

    submission: Submission


class _Withdrawn(Record):
    """Nobody wants what would come of items that have not begun, but single ones that were handed in first."""

    kept: int


class _Closed:
    """Nothing more will be handed in."""


class _Stopped:
    """No outcome is wanted any more."""


_Posted: TypeAlias = Submission | _Cancelled | _Withdrawn | _Closed | _Stopped


def _wake_nobody() -> None:
    """The driver has not begun."""


class Inbox:
    """Submissions, held until they are settled.

    Attributes:
        wake: called after anything else than a submission was posted: the driver may be waiting for a worker.
    """

    def __init__(self) -> None:
        self.length: int | None = None
        self.pulled = 0
        self.wake: Callable[[], None] = _wake_nobody
        self._posted: deque[_Posted] = deque()
        self._submissions: dict[int, Submission] = {}  # {start: submission}
        self._starts: list[int] = []  # of those, and of some that are settled; ascending
        self._stale = 0  # how many of those are
        self._lines: dict[int, int] = {}  # {number: unsettled submissions}
        self._latest: Submission | None = None  # to be taken in

    # -------------------------------------------------------------------------------------------------- any thread

    def submit(self, submission: Submission) -> None:
        """Hand items in; whoever does so sees to it that the driver looks."""
        self._posted.append(submission)

    def cancel(self, submission: Submission) -> None:
        """Have no more of a submission's items run, and end whoever runs one."""
        self._post(_Cancelled(submission))

    def withdraw(self, kept: int) -> None:
        """Have nothing run that has not begun, but single items among the `kept` oldest submissions."""
        self._post(_Withdrawn(kept))

    def close(self) -> None:
        """Say that nothing more will be handed in."""
        self._post(_Closed())

    def stop(self) -> None:
        """Say that no outcome is wanted any more."""
        self._post(_Stopped())

    def _post(self, news: _Posted) -> None:
        self._posted.append(news)
        self.wake()

    # -------------------------------------------------------------------------------------------------- the driver

    @property
    def has_news(self) -> bool:
        """Whether something was posted that has not been taken in."""
        return bool(self._posted)

    @property
    def news_size(self) -> int | float:
        """How many items the one submission has that has not been taken in; infinite if there is more than that."""
        posted = self._posted[0] if len(self._posted) == 1 else None
        return posted.unsettled if isinstance(posted, Submission) else inf

    def news(self) -> Iterator[Event]:
        """Take in what was posted, and tell what it means for the run."""
        while self._posted:
            posted = self._posted.popleft()
            match posted:
                case Submission():
                    yield from self._take_in(posted)
                case _Cancelled(submission):
                    if submission.unsettled:
                        self._drop(submission)
                        yield ItemsCancelled(submission.start, submission.stop)
                case _Withdrawn(kept):
                    for at, submission in enumerate(list(self._submissions.values())):
                        if at >= kept or len(submission.items) > 1:
                            self._drop(submission)
                    yield ItemsWithdrawn()
                case _Closed() if self.length is None:
                    self.length = self.pulled
                    yield InputEnded(self.length)
                case _Stopped():
                    yield RunStopped()

    def pull(self, stop: int) -> int:
        """Nothing can be pulled: what is at hand was told."""
        return min(stop, self.pulled)

    def items(self, start: int, stop: int) -> Sequence[Any]:
        """Give items ``[start, stop)``."""
        first = self._submissions.get(start)
        if first is not None and first.stop >= stop:  # the common case
            return first.items[: stop - start]
        parts = [one.wanted(max(start - one.start, 0), stop - one.start) for one in self._overlapping(start, stop)]
        return parts[0] if len(parts) == 1 else [item for part in parts for item in part]

    def is_dropped(self, start: int, stop: int) -> bool:
        """Whether nobody wants any of these items, which are about to run."""
        first = self._submissions.get(start)
        if first is not None and first.stop >= stop:  # the common case
            return not first.begin()
        wanted = [one.begin() for one in self._overlapping(start, stop)]
        return not any(wanted)

    def place(self, index: int) -> tuple[Submission, int]:
        """Give the submission that an item is of, and its position there."""
        submission = self._holding(index)
        return submission, index - submission.start

    def line(self, index: int) -> Line:
        """Give what runs an item."""
        return self._holding(index).line

    def conditions(self, index: int) -> Any:
        """Give what was in force where an item was handed in."""
        return self._holding(index).conditions

    def has_line(self, number: int) -> bool:
        """Whether items of this line are unsettled."""
        return number in self._lines

    def put(self, start: int, values: list[Any]) -> None:
        """Hand on what came of consecutive items."""
        for one in self._overlapping(start, start + len(values)):
            first = max(start, one.start)
            with showing_errors:
                one.receiver.put(first - one.start, values[first - start : one.stop - start])

    def has(self, index: int) -> bool:
        """Nothing is put any more once the run is over: its receivers have been told."""
        return True

    def finished(self) -> dict[int, Any]:
        """Nothing stays here."""
        return {}

    def settle(self, start: int, stop: int) -> None:
        """Let go of items that nobody will ask for again."""
        for one in self._overlapping(start, stop):
            one.unsettled -= min(stop, one.stop) - max(start, one.start)
            if not one.unsettled:
                self._forget(one)

    def abandon(self, error: BaseException) -> None:
        """Tell every receiver that waits for something that nothing more will come."""
        waiting = [*self._submissions.values(), *(one for one in self._posted if isinstance(one, Submission))]
        self._posted.clear()
        self._submissions.clear()
        self._starts.clear()
        self._lines.clear()
        for one in waiting:
            with showing_errors:
                one.receiver.abandon(error)
            one.release()

    def _take_in(self, submission: Submission) -> Iterator[Event]:
        line, latest = submission.line, self._latest
        if latest is None or not submission.goes_with(latest):
            is_same_kind = latest is not None and latest.line is line
            yield StretchBegan(self.pulled, line.batch, line.depth, line.job.is_awaited, is_same_kind)
        self._hold(submission)
        following = self._posted[0] if self._posted else None
        if not (isinstance(following, Submission) and following.goes_with(submission)):
            yield InputPulled(self.pulled)

    def _hold(self, submission: Submission) -> None:
        line = submission.line
        self._latest = submission
        submission.start = self.pulled
        self.pulled = submission.stop = self.pulled + submission.unsettled
        self._submissions[submission.start] = submission
        self._starts.append(submission.start)
        self._lines[line.number] = self._lines.get(line.number, 0) + 1

    def _drop(self, submission: Submission) -> None:
        with showing_errors:
            submission.drop()

    def _forget(self, submission: Submission) -> None:
        del self._submissions[submission.start]
        number = submission.line.number
        self._lines[number] -= 1
        if not self._lines[number]:
            del self._lines[number]
        submission.release()
        self._stale += 1
        if self._stale > max(STALE, len(self._starts) // 2):
            self._starts = list(self._submissions)  # in the order in which they were taken in
            self._stale = 0

    def _holding(self, index: int) -> Submission:
        return self._submissions.get(index) or self._overlapping(index, index + 1)[0]

    def _overlapping(self, start: int, stop: int) -> list[Submission]:
        first = self._submissions.get(start)
        if first is not None and first.stop >= stop:  # the common case
            return [first]
        low = max(bisect_right(self._starts, start) - 1, 0)
        high = bisect_right(self._starts, stop - 1)
        return [one for at in self._starts[low:high] if (one := self._submissions.get(at)) is not None]
