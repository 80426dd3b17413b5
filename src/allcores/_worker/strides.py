"""Running a batch's items a few at a time, marked, and kept until they are reported.

To mark an item, to look at the clock and to put its value on the shelf take longer than many an item does. So items
that prove short are run in strides: marked together, and looked at after the last. One that takes long is alone again.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable, Iterator
from itertools import islice
from time import monotonic_ns

from allcores._codec.definitions.comparison import find_missing
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.messages import SendBatch
from allcores._input.snapshots import Snapshots
from allcores._transport.board import INDEX, KEPT_TOKEN, SINCE, SPAN, WANTED, WORDS, Mark, Shelf

if TYPE_CHECKING:
    from allcores._worker.safe_region import Cuttable, SafeRegion

__all__ = ["LONG_STRIDE", "LOOKUP_ERRORS", "STRIDE", "Strides", "mends"]

STRIDE = 64  # items that are marked together, once they have proved short
LONG_STRIDE = 1024  # of items that take less than a tenth of a microsecond
SHORT_NANOSECONDS = 150_000  # a stride that took less may grow; one beyond `STRIDE`, if it took less than half
NEVER = 1 << 62  # a token that no batch has
LOOKUP_ERRORS = (NameError, KeyError)  # by which an item may fail that looks for a variable when it runs
KEPT_ONE_BY_ONE = 100  # values of a part, before they are put on the shelf by strides, to bound what that costs


class Strides:
    """Runs a few items at a time.

    Attributes:
        index: of the next item.
        values: what the chunk's items gave so far.
        raised: what the part's items raised, by index.
        must_report: whether the part should end here, because what is finished could not be kept.
        is_wanted_back: whether it must end here, because the driver wants the rest of the batch back.
        now: when the last stride ended.
        began: when the item that runs began, or the items that are marked together.
    """

    def __init__(
        self,
        call: Callable[[Any], Any],
        iterator: Iterator[Any],
        batch: SendBatch,
        *,
        longest: int,
        region: SafeRegion | None,
        mark: Mark | None,
        passing: tuple[type[BaseException], ...],
        fetch: Callable[[str], bool] | None,
        snapshots: Snapshots | None,
    ) -> None:
        self.index = batch.start
        self.values: list[Any] = []
        self._token = batch.token
        self._last_token = batch.token  # unless it is wanted back up to this one, the next item is run
        self._may_be_split = batch.may_give_back
        self._call = call
        self._iterator = iterator
        self._region = region
        self._cutting = allocate_lock()
        self._stride: Cuttable | None = None  # that runs
        self._put_off: list[Any] = []  # items that come before those of the iterator
        self._longest = longest
        self._length = 1  # items of the next stride
        self._words: Any = [-1] * WORDS if mark is None else mark.words
        self._shelf: Shelf | None = mark.shelf if mark is not None and mark.has_shelf else None
        self._passing = passing
        self._fetch = fetch
        self._missing: list[Any] = []  # the item that missed a variable which is here now
        self._snapshots = snapshots

    @property
    def began(self) -> int:
        since: int = self._words[SINCE]
        return since

    def begin_part(self, now: int) -> None:
        """Begin what will be reported together."""
        self.now = now
        self.raised: dict[int, BaseException] = {}
        self.must_report = False
        self.is_wanted_back = False
        self.values = []
        self._kept = 0  # of these
        self._has_gap = False  # whether some values were not put on the shelf, so that later ones cannot be
        if self._shelf is None:
            self._words[KEPT_TOKEN] = self._token
        else:
            self._shelf.clear(self._token, self.index, now)

    def begin_chunk(self) -> None:
        """Begin values that are gathered together; a part has one or more of them."""
        self._has_gap = self._has_gap or self._kept < len(self.values)
        self.values = []
        self._kept = 0

    def run(self) -> None:
        """Run the next stride: fewer items at the end, or if one raises or must be reported."""
        words, length = self._words, self._length
        words[SINCE] = self.now
        words[INDEX], words[SPAN] = self.index, 1 if length < STRIDE else length
        first = self.index - len(self.values)
        try:
            if words[WANTED] >= self._last_token:
                self.is_wanted_back = True
            elif length < STRIDE:
                self._run_marked(first, self._next_items(length))
            elif self._snapshots is None:
                self._run_together(self._next_items(length))
            else:
                self._run_apart(self._next_items(length), self._snapshots)
            while self._missing:
                self._run_again(self._missing.pop())
        except self._passing:
            raise
        except BaseException as error:  # sys.exit() in an item is that item's failure, too
            self.raised[first + len(self.values)] = error
            self.values.append(None)
            self.must_report = self._shelf is not None
        if self._stride is not None:
            self._end_stride()
        self.index = first + len(self.values)
        if not self._may_be_split:
            self._last_token = NEVER
        self._look_at_clock()

    def _next_items(self, count: int) -> Iterator[Any]:
        if self._region is None or (count < STRIDE and not self._put_off):
            return islice(self._iterator, count)
        items = self._put_off[:count] or list(islice(self._iterator, count))
        del self._put_off[:count]
        self._stride = self._region.cuttable(items, self.index, self.values, is_marked_together=count >= STRIDE)
        return self._stride.iterator

    def _end_stride(self) -> None:
        with self._cutting:  # waits for who cuts it, who writes to the mark
            stride, self._stride = self._stride, None
        if stride is not None:
            self._put_off[:0] = stride.iterator

    def cut(self) -> None:
        """Put off what is marked together with the item that runs, so that it can be taken back.

        For another thread, once that item runs long.
        """
        with self._cutting:
            stride = self._stride
            if stride is not None and stride.is_marked_together:
                self._put_off[:0] = stride.cut()
                if stride.running is not None:
                    self._words[INDEX], self._words[SPAN] = stride.running, 1

    # The hot loops: what stands here is paid for every item.

    def _run_together(self, items: Iterator[Any]) -> None:
        values, call = self.values, self._call
        for item in items:
            try:
                value = call(item)
            except LOOKUP_ERRORS as error:
                if not mends(error, self._fetch):
                    raise
                self._missing.append(item)
                return
            values.append(value)

    def _run_apart(self, items: Iterator[Any], snapshots: Snapshots) -> None:
        """Run items of which none can change what came of another."""
        values, call, kind, take = self.values, self._call, snapshots.kind, snapshots.take
        for item in items:
            try:
                value = call(item)
            except LOOKUP_ERRORS as error:
                if not mends(error, self._fetch):
                    raise
                self._missing.append(item)
                return
            if type(value) is kind:
                values.append(value)
            else:
                del item  # the value may be the item, or have it
                values.append(take(value))
                kind = snapshots.kind

    def _run_marked(self, first: int, items: Iterator[Any]) -> None:
        words, token, values, call, snapshots = self._words, self._last_token, self.values, self._call, self._snapshots
        keeps = self._shelf is not None and self._kept == len(values) < KEPT_ONE_BY_ONE
        for item in items:
            words[SINCE] = monotonic_ns()
            words[INDEX] = first + len(values)
            if words[WANTED] >= token:
                self.is_wanted_back = True
                return
            try:
                value = call(item)
            except LOOKUP_ERRORS as error:
                if not mends(error, self._fetch):
                    raise
                self._missing.append(item)
                return
            del item  # the value may be the item, or have it
            if keeps:
                values.append(value)
                if not self._keep():  # it will be reported before another item can change it
                    return
                values.pop()
            values.append(value if snapshots is None else snapshots.take(value))

    def _run_again(self, item: Any) -> None:
        """Run an item that missed a variable of the caller's, until it misses no more."""
        try:
            value = self._call(item)
        except LOOKUP_ERRORS as error:
            if not mends(error, self._fetch):
                raise
            self._missing.append(item)
            return
        self.values.append(value if self._snapshots is None else self._snapshots.copy(value))

    def _look_at_clock(self) -> None:
        before, self.now = self.now, monotonic_ns()
        took = self.now - before
        if took * STRIDE >= SHORT_NANOSECONDS * max(self._length, STRIDE):
            if self._kept < len(self.values):  # those that are marked one by one are kept one by one
                self._keep()
            self._length = 1
        elif took >= SHORT_NANOSECONDS:
            self._length = STRIDE
        elif self._length < STRIDE or took < SHORT_NANOSECONDS // 2:
            self._length = min(2 * self._length, self._longest)

    def _keep(self) -> bool:
        """Put the values that are new on the shelf; False if they must be reported instead."""
        if self._shelf is not None and not self.must_report:
            self.must_report = self._has_gap or not self._shelf.keep(self.values[self._kept :])
            self._kept = len(self.values)
        return not self.must_report


def mends(error: BaseException, fetch: Callable[[str], bool] | None) -> bool:
    """Get what an item missed, if the caller has it; say whether the item may run again."""
    name = None if fetch is None else find_missing(error)
    return name is not None and fetch is not None and fetch(name)
