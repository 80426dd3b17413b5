"""The limits that an item's worker must keep: for how long it runs the item, and how much memory it uses."""

from __future__ import annotations

from allcores._core.bytes import format_bytes
from allcores._core.errors import ItemCancelled, ItemTimeout, MemoryLimitExceeded
from allcores._core.records import Record
from allcores._system.memory import resident_memory
from allcores._transport.board import Mark

__all__ = ["Verdict", "Watchdog"]

MEMORY_NANOSECONDS = 50_000_000  # between two looks at how much workers use


class Verdict(Record):
    """An item for which its worker must be killed, and what the item fails with."""

    index: int  # type: ignore[assignment]  # tuples have a method of that name
    error: ItemTimeout | MemoryLimitExceeded | ItemCancelled


class Watchdog:
    """Knows when to look at the workers again, and what to make of what is seen. Times are in nanoseconds.

    Args:
        timeout: how many seconds an item may run; None for any.
        memory: how many bytes a worker may use beyond what it was born with; None for any.
    """

    def __init__(self, timeout: float | None, memory: int | None) -> None:
        self._timeout = timeout
        self._memory = memory
        # An item that begins after a look cannot be overdue before this has passed.
        self._period = min(
            1 << 62 if timeout is None else int(timeout * 1e9), 1 << 62 if memory is None else MEMORY_NANOSECONDS
        )
        self._due: int | None = None if timeout is None and memory is None else 0

    def patience(self, seconds: float | None, now: int) -> float | None:
        """Say how long one may wait who would wait for `seconds`, None for ever."""
        if self._due is None:
            return seconds
        left = max(0, self._due - now) / 1e9
        return left if seconds is None else min(seconds, left)

    def is_due(self, now: int) -> bool:
        """Whether to look at every worker now; if so, the next look is a period away, unless one finds it nearer."""
        if self._due is None or now < self._due:
            return False
        self._due = now + self._period
        return True

    def look(self, mark: Mark, pid: int | None, born_with: int, now: int) -> Verdict | None:
        """Judge one worker.

        Args:
            mark: says which item it runs, and since when.
            pid: its process.
            born_with: what memory does not count.
            now: the time.
        """
        running = mark.running_since()
        if running is None:
            return None
        index, since = running
        if self._timeout is not None:
            overdue_at = since + int(self._timeout * 1e9)
            if now >= overdue_at:
                text = f"was killed as it had run longer than timeout={self._timeout:g} s allows,"
                return Verdict(index, ItemTimeout(text, seconds=self._timeout))
            assert self._due is not None
            self._due = min(self._due, overdue_at)
        if self._memory is not None and pid is not None:
            used = (resident_memory(pid) or 0) - born_with
            if used > self._memory:
                allowed = format_bytes(self._memory)
                text = f"was killed as it used {format_bytes(used)} where memory={allowed} is allowed,"
                return Verdict(index, MemoryLimitExceeded(text, limit=self._memory, used=used))
        return None
