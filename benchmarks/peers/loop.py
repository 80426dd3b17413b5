"""The plain loop: what the results must equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.peers import Peer


class Loop(Peer):
    """The plain loop."""

    statement = "pass"
    script = "def f(x): return x * x\nprint([f(x) for x in range(4)])"

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        return [function(item) for item in items]

    def stream(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(function, items)

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        return function(item)

    def hand_in(self, function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
        return partial(function, item)
