"""`allcores.map`, as it comes and with clean workers; single calls by `allcores.Executor`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from benchmarks.peers import Peer


class Map(Peer):
    """As it comes: workers are forked where that is safe."""

    package = "allcores"
    statement = "import allcores"
    script = "import allcores\ndef f(x): return x * x\nprint(list(allcores.map(f, range(4))))"
    options: Mapping[str, Any] = MappingProxyType({})

    def open(self, workers: int) -> None:
        import allcores

        self._allcores = allcores
        self._options = {"workers": workers, **self.options}
        self._executor: Any = None

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown()

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        return self._allcores.map(function, items, **self._options)

    def stream(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return self._allcores.imap(function, items, **self._options)

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        return self.hand_in(function, item)()

    def hand_in(self, function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
        if self._executor is None:
            self._executor = self._allcores.Executor(**self._options)
        return self._executor.submit(function, item).result

    def bind(self, function: Callable[..., Any], big: Any) -> Callable[[Any], Any]:
        return lambda item: function(big, item)


class CleanMap(Map):
    """With workers that start clean and stay warm, as wherever a fork is not safe."""

    script = Map.script.replace("range(4)", "range(4), start='forkserver'")
    options = MappingProxyType({"start": "forkserver"})
