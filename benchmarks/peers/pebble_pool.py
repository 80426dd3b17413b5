"""Pebble: a `ProcessPool` with futures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.peers import Peer
from benchmarks.peers.chunks import STREAM_CHUNK, chunk_for


class Pebble(Peer):
    """Pebble's pool of processes."""

    package = "pebble"
    statement = "from pebble import ProcessPool"
    script = (
        "import os\nfrom pebble import ProcessPool\ndef f(x): return x * x\n"
        "with ProcessPool(max_workers=os.cpu_count()) as pool: print(list(pool.map(f, range(4)).result()))"
    )

    most_items = 200_000  # some 7 us each

    def open(self, workers: int) -> None:
        from pebble import ProcessPool

        self._workers = workers
        self._pool: Any = ProcessPool(max_workers=workers)

    def close(self) -> None:
        self._pool.stop()
        self._pool.join()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        return list(self._pool.map(function, items, chunksize=chunk_for(items, self._workers)).result())

    def stream(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return iter(self._pool.map(function, items, chunksize=STREAM_CHUNK).result())

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        return self._pool.schedule(function, args=[item]).result()

    def hand_in(self, function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
        return self._pool.schedule(function, args=[item]).result
