"""Running a batch of one item, as single calls are, and items that take long: what serves many costs more than such.

The item is marked, mended and kept as those of `Strides` are.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

from allcores._core.hints import Any
from allcores._core.messages import SendBatch
from allcores._transport.board import INDEX, KEPT_TOKEN, SINCE, SPAN, WANTED, Mark
from allcores._worker.current import RunningItem
from allcores._worker.strides import LOOKUP_ERRORS, mends

__all__ = ["run_single"]


def run_single(
    call: Callable[[Any], Any],
    running: RunningItem,
    item: Any,
    batch: SendBatch,
    mark: Mark | None,
    *,
    passing: tuple[type[BaseException], ...],
    fetch: Callable[[str], bool] | None,
) -> tuple[list[Any], dict[int, BaseException], float]:
    """Run it, unless the driver wants it back; give its value, what it raised, and for how many seconds it ran.

    Args:
        call: what to call with the item.
        running: tells the item which one it is.
        item: the only one of its batch.
        batch: as for `run_batch`, and so are the others.
        mark: as above.
        passing: as above.
        fetch: as above.
    """
    began = monotonic_ns()
    if mark is not None and not _may_begin(batch, mark, began):
        return [], {}, 0.0
    with running.here(batch.start, []):
        try:
            value = _run(call, item, fetch)
        except passing:
            raise
        except BaseException as error:  # sys.exit() in an item is that item's failure, too
            return [None], {batch.start: error}, (monotonic_ns() - began) / 1e9
    ended = monotonic_ns()
    if mark is not None and mark.has_shelf:
        mark.shelf.keep([value])
    return [value], {}, (ended - began) / 1e9


def _may_begin(batch: SendBatch, mark: Mark, now: int) -> bool:
    words = mark.words
    if mark.has_shelf:
        mark.shelf.clear(batch.token, batch.start, now)
    else:
        words[KEPT_TOKEN] = batch.token
    words[SINCE] = now
    words[INDEX], words[SPAN] = batch.start, 1
    return bool(words[WANTED] < batch.token)


def _run(call: Callable[[Any], Any], item: Any, fetch: Callable[[str], bool] | None) -> Any:
    """Run the item, and again as long as it misses a variable that the caller has."""
    while True:
        try:
            return call(item)
        except LOOKUP_ERRORS as error:
            if not mends(error, fetch):
                raise
