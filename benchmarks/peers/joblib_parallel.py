"""joblib: `Parallel(n_jobs)(delayed(f)(x) for x in items)`, whose workers stay from call to call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.peers import Peer


class Joblib(Peer):
    """joblib with its default backend; large arrays among a call's arguments it maps from a file by itself."""

    package = "joblib"
    statement = "from joblib import Parallel, delayed"
    script = (
        "from joblib import Parallel, delayed\ndef f(x): return x * x\n"
        "print(Parallel(n_jobs=-1)(delayed(f)(x) for x in range(4)))"
    )
    most_items = 200_000  # some 20 us each, in batches that it chooses itself

    def open(self, workers: int) -> None:
        import joblib

        self._joblib = joblib
        self._workers = workers

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        results = self._joblib.Parallel(n_jobs=self._workers)(self._calls(function, items))
        return list(results)

    def stream(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return iter(self._joblib.Parallel(n_jobs=self._workers, return_as="generator")(self._calls(function, items)))

    def _calls(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        if isinstance(function, partial):  # what is bound becomes an argument, as in a call that a user writes
            return (self._joblib.delayed(function.func)(*function.args, item) for item in items)
        return (self._joblib.delayed(function)(item) for item in items)
