"""mpire: a `WorkerPool` that is kept alive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers import Peer


@dataclass(frozen=True)
class OfShared:
    """A function of what is shared and an item."""

    function: Callable[..., Any]

    def __call__(self, shared: list[Any], item: Any) -> Any:
        return self.function(shared[0], item)


class Mpire(Peer):
    """mpire, forking, with its own choice of chunks; a large object is its workers' shared object."""

    package = "mpire"
    statement = "from mpire import WorkerPool"
    script = (
        "from mpire import WorkerPool\ndef f(x): return x * x\nwith WorkerPool() as pool: print(pool.map(f, range(4)))"
    )

    most_items = 200_000  # some 6 us each

    def open(self, workers: int) -> None:
        from mpire import WorkerPool

        self._pool: Any = WorkerPool(n_jobs=workers, keep_alive=True)

    def close(self) -> None:
        self._pool.terminate()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        if isinstance(items[0], tuple | dict):  # which it would spread over the function's parameters
            items = [(item,) for item in items]
        return list(self._pool.map(function, items, concatenate_numpy_output=False))

    def stream(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return iter(self._pool.imap(function, items))

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        return self._pool.apply(function, item)

    def hand_in(self, function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
        return self._pool.apply_async(function, item).get

    def bind(self, function: Callable[..., Any], big: Any) -> Callable[[Any], Any]:
        self._pool.set_shared_objects([big])  # a pool that is kept alive compares them, and arrays refuse that
        return OfShared(function)
