"""What each feature costs while it is off: allcores as it is beside allcores with that feature's code cut out.

The cut is made in the source of the functions that a run passes through: `FEATURES` says what goes. Nothing should be
measurable: a ratio within the spread of its rounds.
"""

from __future__ import annotations
import __future__

import inspect
import os
import statistics
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import allcores
from allcores._engines.processes.watchdog import Watchdog
from allcores._run.delivery import Delivery
from allcores._run.driver import Run
from allcores._worker.strides import Strides
from benchmarks.cases.small import square
from benchmarks.table import write_table

ITEMS = range(200_000)
ROUNDS = 25


@dataclass(frozen=True)
class Cut:
    """A method of which some texts are replaced: ``{old: new}``."""

    owner: type
    method: str
    replacements: dict[str, str]

    def method_without(self) -> Callable[..., Any]:
        """Give the method without that text."""
        method = getattr(self.owner, self.method)
        source = textwrap.dedent(inspect.getsource(method))
        for old, new in self.replacements.items():
            assert old in source, f"{self.owner.__name__}.{self.method} has changed: it lacks {old!r}"
            source = source.replace(old, new)
        flags = __future__.annotations.compiler_flag
        made: dict[str, Any] = {}
        exec(compile(source, __file__, "exec", flags), method.__globals__, made)
        function: Callable[..., Any] = made[self.method]
        return function


FEATURES = {
    "progress=": [Cut(Run, "turn", {"if self._watcher is not None and": "if False and"})],
    "report": [
        Cut(
            Delivery,
            "deliver",
            {"self.item_seconds += event.seconds": "pass", "if event.seconds > self._exceeding:": "if False:"},
        )
    ],
    "timeout=": [
        Cut(Watchdog, "patience", {"if self._due is None:": "if True:"}),
        Cut(Watchdog, "is_due", {"if self._due is None or now < self._due:": "if True:"}),
        Cut(Strides, "run", {"words[SINCE] = self.now": "pass"}),
        Cut(Strides, "_run_marked", {"words[SINCE] = monotonic_ns()": "pass"}),
    ],
    "resume=": [
        Cut(Run, "turn", {"if self._recorder is not None and": "if False and"}),
        Cut(Delivery, "_put", {"if self._recorder is not None:": "if False:"}),
    ],
    "care for free memory": [Cut(Run, "_measure_memory", {"if admission is not None and": "if False and"})],
}


@contextmanager
def cut_out(cuts: list[Cut]) -> Iterator[None]:
    """Make the cuts, and mend them again."""
    originals = [(cut.owner, cut.method, getattr(cut.owner, cut.method)) for cut in cuts]
    try:
        for cut in cuts:
            setattr(cut.owner, cut.method, cut.method_without())
        yield
    finally:
        for owner, name, method in reversed(originals):
            setattr(owner, name, method)


def measure(cuts: list[Cut]) -> tuple[float, float]:
    """Give the time on the clock, and that of all cores, workers' included, which others on the machine bend less."""
    with cut_out(cuts):
        begun, used = time.perf_counter(), sum(os.times()[:4])
        results = allcores.map(square, ITEMS)
        seconds = (time.perf_counter() - begun, sum(os.times()[:4]) - used)
    assert len(results) == len(ITEMS)
    return seconds


def compare(rounds: int = ROUNDS) -> str:
    """Measure all features in turn, and nothing beside nothing; give a table of ratios, as it is to without."""
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in (*FEATURES, "nothing")}
    for turn in range(rounds):
        for name, taken in ratios.items():
            cuts = FEATURES.get(name, [])
            if turn % 2:
                (wall, cpu), (wall_without, cpu_without) = measure([]), measure(cuts)
            else:
                (wall_without, cpu_without), (wall, cpu) = measure(cuts), measure([])
            taken.append((wall / wall_without, cpu / cpu_without))
    rows = [
        [name, *(cell for column in zip(*taken, strict=True) for cell in _cells(column))]
        for name, taken in ratios.items()
    ]
    return write_table(("cut out", "time as it is / without", "half the rounds", "CPU time", "half the rounds"), rows)


def _cells(ratios: Iterable[float]) -> tuple[str, str]:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f}", f"{low:.2f} to {high:.2f}"


if __name__ == "__main__":
    print(compare())
