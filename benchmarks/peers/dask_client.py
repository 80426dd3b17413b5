"""Dask: a `Client` over local worker processes, and bags over the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.peers import Peer
from benchmarks.peers.chunks import PER_WORKER
from benchmarks.peers.loopback import LOOPBACK_ONLY


class Dask(Peer):
    """`Client.map`; what is bound is scattered to all workers first."""

    package = "distributed"
    statement = "from dask.distributed import Client"
    script = (
        "from dask.distributed import Client\ndef f(x): return x * x\nif __name__ == '__main__':\n"
        "    with Client(threads_per_worker=1) as client: print(client.gather(client.map(f, range(4))))"
    )
    most_items = 2_000  # each is a task, of 1 ms or so
    wrapper = LOOPBACK_ONLY

    def open(self, workers: int) -> None:
        from dask.distributed import Client

        self._workers = workers
        self._client: Any = Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)

    def close(self) -> None:
        self._client.shutdown()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        columns: list[Sequence[Any]] = [items]
        if isinstance(function, partial):
            columns = [[bound] * len(items) for bound in function.args] + columns
            function = function.func
        return list(self._client.gather(self._client.map(function, *columns, pure=False)))

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        return self._client.submit(function, item, pure=False).result()

    def hand_in(self, function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
        return self._client.submit(function, item, pure=False).result

    def bind(self, function: Callable[..., Any], big: Any) -> Callable[[Any], Any]:
        return partial(function, self._client.scatter(big, broadcast=True))


class Bag(Dask):
    """`dask.bag`, which Dask's documentation tells to use for many small objects."""

    package = "dask"
    statement = "import dask.bag"
    script = ""
    most_items = 50_000  # which travel inside the graph

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        import dask.bag

        bag = dask.bag.from_sequence(items, npartitions=self._workers * PER_WORKER)
        return list(bag.map(function).compute())
