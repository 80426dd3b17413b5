"""What is asked of Dask, and what it tells; every answer goes into one queue, for one thread to read."""

from __future__ import annotations

import asyncio
import queue
import warnings
from collections.abc import Callable, Collection

from allcores._core.hints import Any
from allcores._core.options import Place
from allcores._core.records import Record
from allcores._system.dask_cluster import Connection
from allcores._worker.stamp import QUESTION

__all__ = ["Cluster", "Landed", "ProcessesChanged"]


class Landed(Record):
    """A call is over.

    Attributes:
        call: its number.
        value: what it returned.
        error: what it raised, or why nothing came of it.
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


class Cluster:
    """A cluster.

    Args:
        place: where it is.
        workers: how many processes it has if it is made here.

    Attributes:
        news: what has happened, oldest first; None ends a wait.
    """

    def __init__(self, place: Place, workers: int) -> None:
        self.news: queue.SimpleQueue[Landed | ProcessesChanged | None] = queue.SimpleQueue()
        self._connection = Connection(place, workers=workers)
        self._client = self._connection.client
        self._futures: dict[int, Any] = {}
        self._count = 0
        try:
            self._client.subscribe_topic("all", self._hear)  # before anybody asks who is there
        except BaseException:
            self._connection.close()
            raise

    def __str__(self) -> str:
        return f"the Dask cluster at {self._client.scheduler.address}"

    @property
    def is_alive(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self._client.status == "running")

    def threads(self) -> dict[str, int]:
        """Give how many threads each process has, by address."""
        return dict(self._client.nthreads())

    def ask(self, address: str) -> int:
        """Ask a process which versions it has; give the number of the call."""
        return self.call(address, eval, QUESTION, {"arrived": []})

    def call(self, address: str, function: Callable[..., Any], *arguments: Any) -> int:
        """Have a process call a function; give the number of the call. Raises whatever Dask raises."""
        self._count = number = self._count + 1
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # it is but a few batches at a time
            future = self._client.submit(
                function, *arguments, workers=[address], allow_other_workers=False, pure=False, retries=0
            )
        self._futures[number] = future
        self._do(self._fetch(number, future))
        return number

    def forget(self, numbers: Collection[int]) -> None:
        """Have Dask not go on with calls; those that run go on to their end."""
        futures = [future for number in numbers if (future := self._futures.pop(number, None)) is not None]
        if futures:
            self._do(self._cancel(futures))

    def close(self) -> None:
        """Have nothing more to do with it."""
        self._futures.clear()
        self._connection.close()

    def _do(self, task: Any) -> None:
        """Have something done in the client's own thread."""
        asyncio.run_coroutine_threadsafe(task, self._client.loop.asyncio_loop)

    async def _fetch(self, number: int, future: Any) -> None:
        """Wait for a value until it is here: as long as it is there, it may be lost."""
        try:
            value = await self._client.gather(future, asynchronous=True)
        except BaseException as error:
            self.news.put(Landed(number, error=error))
        else:
            self.news.put(Landed(number, value))
        finally:
            self._futures.pop(number, None)  # lets Dask forget it

    async def _cancel(self, futures: list[Any]) -> None:
        await self._client.cancel(futures, asynchronous=True, force=True)

    def _hear(self, event: tuple[float, Any]) -> None:
        _, what = event
        if not isinstance(what, dict):
            return
        if what.get("action") == "remove-worker":
            self.news.put(ProcessesChanged(what["worker"], is_expected=bool(what.get("expected"))))
        elif what.get("action") == "add-worker":
            self.news.put(ProcessesChanged())
