"""Executors: the standard library's `ProcessPoolExecutor`, and loky's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.peers import Peer
from benchmarks.peers.chunks import STREAM_CHUNK, chunk_for


class Standard(Peer):
    """`concurrent.futures.ProcessPoolExecutor`."""

    statement = "from concurrent.futures import ProcessPoolExecutor"
    script = (
        "from concurrent.futures import ProcessPoolExecutor\ndef f(x): return x * x\n"
        "with ProcessPoolExecutor() as executor: print(list(executor.map(f, range(4))))"
    )

    def open(self, workers: int) -> None:
        self._workers = workers
        self._executor = self._make(workers)

    def _make(self, workers: int) -> Any:
        from concurrent.futures import ProcessPoolExecutor

        return ProcessPoolExecutor(workers)

    def close(self) -> None:
        self._executor.shutdown()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        return list(self._executor.map(function, items, chunksize=chunk_for(items, self._workers)))

    def stream(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return iter(self._executor.map(function, items, chunksize=STREAM_CHUNK))

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        return self._executor.submit(function, item).result()

    def hand_in(self, function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
        return self._executor.submit(function, item).result


class Loky(Standard):
    """loky's reusable executor."""

    package = "loky"
    statement = "from loky import get_reusable_executor"
    script = (
        "from loky import get_reusable_executor\ndef f(x): return x * x\n"
        "print(list(get_reusable_executor().map(f, range(4))))"
    )

    def _make(self, workers: int) -> Any:
        from loky import get_reusable_executor

        return get_reusable_executor(max_workers=workers)
