"""What is asked of a cluster, whichever it is, and what it tells."""

from __future__ import annotations

import queue
from collections.abc import Callable, Collection

from allcores._core.hints import Any, Protocol, TypeAlias
from allcores._core.records import Record

__all__ = ["Cluster", "Inbox", "Landed", "ProcessesChanged"]


class Landed(Record):
    """A call is over.

    Attributes:
        call: its number.
        value: what it returned.
        error: what it raised, or why nothing came of it; `CancelledError` if nobody is to blame for that.
    """

    call: int
    value: Any = None
    error: BaseException | None = None


class ProcessesChanged(Record):
    """Processes have come, or one has gone.

    Attributes:
        gone: the address of the one that has gone; None where some have come.
        is_expected: whether it was told to go, and so has not died of an item.
    """

    gone: str | None = None
    is_expected: bool = False


Inbox: TypeAlias = "queue.SimpleQueue[Landed | ProcessesChanged | None]"


class Cluster(Protocol):
    """A cluster; every answer goes into one queue, for one thread to read.

    Attributes:
        news: what has happened, oldest first; None ends a wait.
    """

    news: Inbox

    @property
    def is_alive(self) -> bool:
        """Whether there is anybody who could answer."""

    def awaited(self, processes: int) -> str:
        """Say what is missing while none of its processes, of which there are so many, has answered."""

    def name(self, address: str) -> str:
        """Name a process."""

    def want(self, workers: int) -> None:
        """See that so many workers find a place, where that is ours to see to."""

    def threads(self) -> dict[str, int]:
        """Give how many threads each process has, by address."""

    def call(self, address: str, function: Callable[..., Any], *arguments: Any) -> int:
        """Have a process call a function; give the number of the call. Raises whatever the library raises."""

    def forget(self, numbers: Collection[int]) -> None:
        """Have the cluster not go on with calls; those that run may go on to their end."""

    def leave(self, address: str) -> bool:
        """Hear that nobody has a claim to a process any more; say whether that was its end."""

    def close(self) -> None:
        """Have nothing more to do with it."""
