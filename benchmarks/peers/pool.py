"""`multiprocessing.Pool`, with its default start, with a clean one, and with the best chunks there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.peers import Peer
from benchmarks.peers.chunks import STREAM_CHUNK

CHUNKS = (250, 1_000, 5_000, 25_000)  # items; of which one is the best for any kind of small item


class Pool(Peer):
    """Forked, as a plain `Pool()` is on Linux up to Python 3.13."""

    statement = "import multiprocessing.pool"
    script = (
        "import multiprocessing\ndef f(x): return x * x\n"
        "with multiprocessing.Pool() as pool: print(pool.map(f, range(4)))"
    )
    start = "fork"

    def open(self, workers: int) -> None:
        import multiprocessing

        self._pool: Any = multiprocessing.get_context(self.start).Pool(workers)

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        return self._pool.map(function, items)

    def stream(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return self._pool.imap(function, items, chunksize=STREAM_CHUNK)

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        return self._pool.apply(function, (item,))

    def hand_in(self, function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
        return self._pool.apply_async(function, (item,)).get


class CleanPool(Pool):
    """By forkserver, as a plain `Pool()` is on Linux from Python 3.14 on."""

    start = "forkserver"
    script = (
        "import multiprocessing\ndef f(x): return x * x\nif __name__ == '__main__':\n"
        "    with multiprocessing.get_context('forkserver').Pool() as pool: print(pool.map(f, range(4)))"
    )


class TunedPool(Pool):
    """With the chunk size that proves best of a few and of the default, tried before it is measured."""

    is_kept = True

    def open(self, workers: int) -> None:
        super().open(workers)
        self._chunk: int | None = None
        self._tuned_for: Callable[[Any], Any] | None = None

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        if function is not self._tuned_for:
            self._tune(function, items)
        return self._pool.map(function, items, chunksize=self._chunk)

    def _tune(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        def seconds(chunk: int | None) -> float:
            begun = time.perf_counter()
            self._pool.map(function, items, chunksize=chunk)
            return time.perf_counter() - begun

        seconds(None)  # the first call is slower than those that follow
        self._chunk = min((None, *CHUNKS), key=lambda chunk: min(seconds(chunk), seconds(chunk)))
        self._tuned_for = function
