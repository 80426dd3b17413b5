"""A Dask cluster, whose processes are somebody else's."""

from __future__ import annotations

import asyncio
import queue
import warnings
from collections.abc import Callable, Collection

from allcores._core.hints import Any
from allcores._core.options import Place
from allcores._engines.clusters.cluster import Inbox, Landed, ProcessesChanged
from allcores._system.dask_cluster import Connection

__all__ = ["DaskCluster"]


class DaskCluster:
    """Speaks with Dask; see `Cluster`.

    Args:
        place: where it is.
        workers: how many processes it has if it is made here.

    Raises:
        ImportError, OSError, ValueError: as `Connection`.
    """

    def __init__(self, place: Place, workers: int) -> None:
        self.news: Inbox = queue.SimpleQueue()
        self._connection = Connection(place, workers=workers)
        self._client = self._connection.client
        self._futures: dict[int, Any] = {}
        self._count = 0
        try:
            self._client.subscribe_topic("all", self._hear)  # before anybody asks who is there
        except BaseException:
            self._connection.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self._client.status == "running")

    def threads(self) -> dict[str, int]:
        """Ask the scheduler."""
        return dict(self._client.nthreads())

    def awaited(self, processes: int) -> str:
        """Say whether there is nobody, or nobody is free."""
        cluster = f"the Dask cluster at {self._client.scheduler.address}"
        if not processes:
            return f"workers of {cluster}, which has none"
        return f"workers of {cluster} to tell their versions: all {processes} may be busy for others"

    def name(self, address: str) -> str:
        """Name it by its address."""
        return f"the process at {address}"

    def want(self, workers: int) -> None:
        """How many there are is not ours to say."""

    def leave(self, address: str) -> bool:
        """It is not ours to end."""
        return False

    def call(self, address: str, function: Callable[..., Any], *arguments: Any) -> int:
        """Submit it to that process alone, for one try."""
        self._count = number = self._count + 1
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # it is but a few batches at a time
            future = self._client.submit(
                function,
                *arguments,
                workers=[address],
                allow_other_workers=False,
                pure=False,
                retries=0,
                fifo_timeout=0,  # in this order: of tasks of one moment, the last would come first
            )
        self._futures[number] = future
        self._do(self._fetch(number, future))
        return number

    def forget(self, numbers: Collection[int]) -> None:
        """Cancel them; those that run go on to their end."""
        futures = [future for number in numbers if (future := self._futures.pop(number, None)) is not None]
        if futures:
            self._do(self._cancel(futures))

    def close(self) -> None:
        """End the connection, with which Dask forgets all that was asked for."""
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
            is_lost = future.status == "finished"  # on the way: a scheduler that has gone may not be known to be gone
            self.news.put(Landed(number, error=asyncio.CancelledError(f"{error}") if is_lost else error))
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
