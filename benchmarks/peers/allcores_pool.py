"""`allcores.Pool`, which takes multiprocessing.Pool's place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.peers import Peer


class Pool(Peer):
    """One pool, kept from call to call."""

    package = "allcores"
    statement = "import allcores; allcores.Pool"
    script = "import allcores\ndef f(x): return x * x\nwith allcores.Pool() as pool: print(list(pool.map(f, range(4))))"

    def open(self, workers: int) -> None:
        import allcores

        self._pool: Any = allcores.Pool(workers)

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        return list(self._pool.map(function, items))

    def stream(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return iter(self._pool.imap(function, items))

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        return self._pool.apply(function, (item,))

    def hand_in(self, function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
        return self._pool.apply_async(function, (item,)).get
