"""What handing over costs, in processor time: `python -m benchmarks.cost`, or with the names of some of its tables.

Time on the clock is bent by whatever else the machine does. The time that a processor has worked hardly is, and how
many functions were called repeats to the digit: so it shows what a change has brought, where the clock shows noise.

- `calls`: single calls, one after another.
- `gaps`: items of a millisecond. A worker that works for its library, or waits for it, does so between two items.
- `million`: small items in large batches.
- `starts`: workers come, have one item each, and go.

All ways take turns, in rounds; the tables tell medians.
"""

from __future__ import annotations

import os
import pickle
import resource
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from allcores._core.messages import SendBatch
from allcores._engines.processes.engine import ProcessEngine
from benchmarks.cases.durations import ITEM_SECONDS, use_core
from benchmarks.cases.small import square
from benchmarks.peers import Peer, make_peer
from benchmarks.table import write_table

__all__ = ["TABLES", "Size"]

WARMING = 50  # calls that come before those that count
PROFILED = 10  # one call of so many is looked into
NAP_SECONDS = 0.1  # longer than it takes until all workers are there


@dataclass(frozen=True)
class Size:
    """How much is done."""

    rounds: int = 5
    calls: int = 500
    milliseconds: int = 400  # items of one
    million: int = 1_000_000  # small items
    workers: tuple[int, ...] = (2, 16)  # that are started


Figures = dict[str, list[list[float]]]  # {way: a row per round}


# -------------------------------------------------------------------------------------------------------- single calls


class BarePeer(Peer):
    """A process, a socket and pickle: what a call costs at least."""

    def open(self, workers: int) -> None:
        self._socket, theirs = socket.socketpair()
        if os.fork() == 0:
            self._socket.close()
            _serve(theirs)
        theirs.close()

    def call(self, function: Callable[..., Any], item: Any) -> Any:
        self._socket.sendall(pickle.dumps((function, item)))
        return pickle.loads(self._socket.recv(1 << 16))

    def close(self) -> None:
        self._socket.close()
        os.wait()


def _serve(connection: socket.socket) -> None:
    while request := connection.recv(1 << 16):
        function, item = pickle.loads(request)
        connection.sendall(pickle.dumps(function(item)))
    os._exit(0)


def tell_use(_: object = None) -> float:
    """Say for how long this process has worked."""
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


class _Counter:
    """Counts the functions that this thread calls, those written in C among them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: object, event: str, function: object) -> None:
        self.count += event in ("call", "c_call")


def count_from_here(_: object = None) -> None:
    sys.setprofile(_Counter())


def count_to_here(_: object = None) -> float:
    counter: Any = sys.getprofile()
    sys.setprofile(None)
    return float(counter.count)


def own_square(x: int) -> int:
    """Square; when this file is the program, a function of its ``__main__``."""
    return x * x


CALLS: dict[str, tuple[Callable[[], Peer], Callable[[int], int]]] = {
    "allcores.Executor": (partial(make_peer, "allcores"), square),
    "of the program's own function": (partial(make_peer, "allcores"), own_square),
    "allcores.Pool": (partial(make_peer, "allcores.Pool"), square),
    "Pool": (partial(make_peer, "Pool"), square),
    "ProcessPoolExecutor": (partial(make_peer, "ProcessPoolExecutor"), square),
    "socket and pickle alone": (BarePeer, square),
}


def calls(size: Size) -> str:
    """Measure single calls, by one worker."""
    figures: Figures = {name: [] for name in CALLS}
    for _ in range(size.rounds):
        for name, (make, function) in CALLS.items():
            with _opened(make(), 1) as peer:
                figures[name].append(_measure_calls(peer, function, size.calls))
    head = ("single calls, by one worker", "caller", "worker", "both", "x Pool", "clock", "functions", "there")
    medians = _medians(figures)
    pool = medians["Pool"][0] + medians["Pool"][1]
    rows = [
        [
            name,
            *map(_microseconds, (here, there, here + there)),
            f"{(here + there) / pool:.2f}",
            _microseconds(clock),
            *(f"{count:.0f}" for count in functions),
        ]
        for name, (here, there, clock, *functions) in medians.items()
    ]
    return write_table(head, rows)


def _measure_calls(peer: Peer, function: Callable[[int], int], count: int) -> list[float]:
    """Give, per call, the time used here, there, and on the clock; and how many functions are called."""
    _call(peer, function, WARMING)
    there, here, begun = peer.call(tell_use, None), tell_use(), time.perf_counter()
    _call(peer, function, count)
    took = [tell_use() - here, peer.call(tell_use, None) - there, time.perf_counter() - begun]
    return [each / count for each in took] + _count_functions(peer, function, max(1, count // PROFILED))


def _count_functions(peer: Peer, function: Callable[[int], int], count: int) -> list[float]:
    count_from_here()
    _call(peer, function, count)
    here = count_to_here()
    peer.call(count_from_here, None)
    _call(peer, function, count)
    return [here / count, peer.call(count_to_here, None) / count]


def _call(peer: Peer, function: Callable[[int], int], count: int) -> None:
    for _ in range(count):
        peer.call(function, 3)


# --------------------------------------------------------------------------------------------------- items in batches


def stamp(index: int) -> tuple[int, int, int, int, int]:
    """Use a core for an item's time; say who did, and when it began and ended by the clock and by this thread's own."""
    begun, begun_here = time.monotonic_ns(), time.thread_time_ns()
    use_core(index)
    return os.getpid(), begun, time.monotonic_ns(), begun_here, time.thread_time_ns()


def gaps(size: Size) -> str:
    """Measure items of a millisecond, and what is between two of them."""
    ways = [(name, workers) for workers in (1, 2) for name in ("allcores", "Pool", "bare-forks")]
    figures: Figures = {f"{name}, {workers}": [] for name, workers in ways}
    for _ in range(size.rounds):
        for name, workers in ways:
            figures[f"{name}, {workers}"].append(_measure_gaps(name, workers, size.milliseconds))
    head = ("items of 1 ms, workers", "efficiency", "caller, per item", "worker", "gap", "median", "90 %", "batches")
    rows = [
        [name, f"{efficiency:.1%}", *map(_microseconds, times), f"{batches:.0f}" if batches else ""]
        for name, (efficiency, *times, batches) in _medians(figures).items()
    ]
    return write_table(head, rows)


def _measure_gaps(name: str, workers: int, count: int) -> list[float]:
    """Give the efficiency, start and end included; times per item; and the batches, if these are known."""
    with _counted_batches() as batches:
        here, begun = tell_use(), time.perf_counter()
        with _opened(make_peer(name), workers) as peer:
            stamps = sorted(peer.map(stamp, range(count)))
        took, here = time.perf_counter() - begun, tell_use() - here
    pairs = [(one, other) for one, other in pairwise(stamps) if one[0] == other[0]]
    between = sorted((other[1] - one[2]) / 1e9 for one, other in pairs)
    there = statistics.mean((other[3] - one[4]) / 1e9 for one, other in pairs)
    efficiency = count * ITEM_SECONDS / workers / took
    ninth = between[len(between) * 9 // 10]
    return [efficiency, here / count, there, statistics.mean(between), statistics.median(between), ninth, len(batches)]


def million(size: Size) -> str:
    """Measure small items, by two workers; their start is included."""
    figures: Figures = {name: [] for name in ("loop", "allcores", "Pool")}
    for _ in range(size.rounds):
        for name in figures:
            figures[name].append(_measure_small(name, size.million))
    head = (f"{size.million:,} items of x * x", "caller", "workers", "both", "clock", "batches", "caller, per batch")
    rows = [
        [name, *map(_milliseconds, (here, there, here + there, clock))]
        + ([f"{batches:.0f}", _microseconds(here / batches)] if batches else ["", ""])
        for name, (here, there, clock, batches) in _medians(figures).items()
    ]
    return write_table(head, rows)


def _measure_small(name: str, count: int) -> list[float]:
    with _counted_batches() as batches:
        here, there, begun = tell_use(), _tell_use_of_children(), time.perf_counter()
        with _opened(make_peer(name), 2) as peer:
            peer.map(square, range(count))
        took = time.perf_counter() - begun
    return [tell_use() - here, _tell_use_of_children() - there, took, len(batches)]


@contextmanager
def _counted_batches() -> Iterator[list[SendBatch]]:
    """Give the batches that allcores sends within the block."""
    sent: list[SendBatch] = []
    send = ProcessEngine.send

    def count_and_send(engine: ProcessEngine, batch: SendBatch) -> None:
        sent.append(batch)
        send(engine, batch)

    ProcessEngine.send = count_and_send  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        ProcessEngine.send = send  # type: ignore[method-assign]


# ------------------------------------------------------------------------------------------------------ start and end


def nap(_: object) -> None:
    time.sleep(NAP_SECONDS)


def starts(size: Size) -> str:
    """Measure how workers start and end; clean ones are warm from the second round on, and no children of ours."""
    ways = [(name, n) for n in size.workers for name in ("allcores", "allcores-clean", "Pool", "bare-forks")]
    figures: Figures = {f"{name}, {workers}": [] for name, workers in ways}
    for _ in range(size.rounds + 1):
        for name, workers in ways:
            figures[f"{name}, {workers}"].append(_measure_start(name, workers))
    head = ("start and end of workers", "caller", "workers", "clock")
    rows = [[name, *map(_milliseconds, row)] for name, row in _medians(figures).items()]
    return write_table(head, rows)


def _measure_start(name: str, workers: int) -> list[float]:
    here, there, begun = tell_use(), _tell_use_of_children(), time.perf_counter()
    with _opened(make_peer(name), workers) as peer:
        peer.map(nap, range(workers))
    took = time.perf_counter() - begun - NAP_SECONDS
    return [tell_use() - here, _tell_use_of_children() - there, took]


# ------------------------------------------------------------------------------------------------------------- shared


@contextmanager
def _opened(peer: Peer, workers: int) -> Iterator[Peer]:
    peer.open(workers)
    with closing(peer):
        yield peer


def _tell_use_of_children() -> float:
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime


def _medians(figures: Figures) -> dict[str, list[float]]:
    return {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in figures.items()}


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


TABLES: dict[str, Callable[[Size], str]] = {"calls": calls, "gaps": gaps, "million": million, "starts": starts}


def main(names: Sequence[str]) -> None:
    for name in names or TABLES:
        print(TABLES[name](Size()))


if __name__ == "__main__":
    main(sys.argv[1:])
