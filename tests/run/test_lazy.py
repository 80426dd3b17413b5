"""Lazy runs read no further than they may, keep the order, and leave nothing behind however they end."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import allcores

pytestmark = pytest.mark.once

LAZY = {"imap": allcores.imap, "imap_unordered": allcores.imap_unordered}

Lazy = Callable[..., Any]


@pytest.fixture(params=LAZY)
def lazy(request: pytest.FixtureRequest) -> Lazy:
    """Each lazy entry point."""
    return LAZY[request.param]


class Counting:
    """An endless input that knows how many items were pulled from it."""

    def __init__(self) -> None:
        self.pulled = 0

    def __iter__(self) -> Iterator[int]:
        for x in itertools.count():
            self.pulled += 1
            yield x


def values(results: Iterable[Any]) -> list[Any]:
    """Give the values, in order of their items where they come with their index."""
    results = list(results)
    pairs = all(isinstance(result, tuple) for result in results)
    return [value for _, value in sorted(results)] if pairs else results


# ------------------------------------------------------------------------------------------------------------ order


def test_imap_keeps_the_order(place: dict[str, Any]):
    assert list(allcores.imap(lambda x: x * x, range(300), workers=2, **place)) == [x * x for x in range(300)]
    results = allcores.imap(lambda x: x * x, iter(range(300)), workers=2, **place)
    assert list(results) == [x * x for x in range(300)]


def test_imap_keeps_the_order_when_the_first_item_is_the_last_to_finish(start: str, tmp_path: Path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def work(x: int) -> int:
        if x in (0, 5):  # the first item ends when item 5 runs, on the other worker
            os.close(os.open(gate, os.O_WRONLY if x else os.O_RDONLY))
        return x

    assert list(allcores.imap(work, range(8), workers=2, start=start, batch=1)) == list(range(8))


def test_imap_unordered_tells_the_indices(place: dict[str, Any]):
    for dataset in ("hello" * 40, iter("hello" * 40)):
        results = list(allcores.imap_unordered(str.upper, dataset, workers=2, **place))
        assert sorted(results) == list(enumerate("HELLO" * 40))


def test_imap_unordered_gives_what_is_finished_first(start: str, tmp_path: Path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def work(x: int) -> int:
        if x == 0:
            os.close(os.open(gate, os.O_RDONLY))
        return x

    with allcores.imap_unordered(work, range(4), workers=2, start=start, batch=1) as results:
        assert list(itertools.islice(results, 3)) == [(1, 1), (2, 2), (3, 3)]
        os.close(os.open(gate, os.O_WRONLY))
        assert list(results) == [(0, 0)]


def test_several_iterables_side_by_side(lazy: Lazy, place: dict[str, Any]):
    results = lazy(pow, itertools.count(2), iter([3, 2, 1]), workers=2, **place)
    assert values(results) == [8, 9, 4]


def test_an_empty_input(lazy: Lazy):
    for dataset in ([], iter([])):
        assert list(lazy(abs, dataset)) == []


# ------------------------------------------------------------------------------------------------------------ ahead


def test_the_input_is_pulled_no_further_than_ahead(lazy: Lazy, place: dict[str, Any]):
    for ahead, batch in [(1, None), (1, 7), (5, None), (5, 1), (5, 7), (40, None), (40, 7)]:
        numbers = Counting()
        with lazy(abs, numbers, workers=2, ahead=ahead, batch=batch, **place) as results:
            assert numbers.pulled == 0
            for taken, _ in enumerate(itertools.islice(results, 60)):
                assert taken < numbers.pulled <= taken + ahead, (ahead, batch)


def test_by_default_the_input_is_pulled_a_few_batches_ahead(place: dict[str, Any]):
    numbers = Counting()
    with allcores.imap(abs, numbers, workers=2, batch=3, **place) as results:
        for taken, _ in enumerate(itertools.islice(results, 150)):
            assert taken < numbers.pulled <= taken + 4 * 2 * 3


def test_nothing_runs_before_the_first_result_is_asked_for(place: dict[str, Any]):
    numbers = Counting()
    results = allcores.imap(abs, numbers, workers=2, **place)
    assert numbers.pulled == 0
    assert psutil.Process().children() == []
    assert results.report is None
    results.close()
    assert list(results) == []
    assert numbers.pulled == 0


@pytest.mark.parametrize("read", [list, iter])
def test_no_item_is_started_further_than_ahead(read: Callable[[Any], Iterable[int]], start: str, tmp_path: Path):
    diary = tmp_path / "diary"
    diary.touch()

    def work(x: int) -> None:
        with diary.open("ab", buffering=0) as file:
            file.write(b".")

    with allcores.imap(work, read(range(90)), workers=2, start=start, batch=2, ahead=6) as results:
        for taken, _ in enumerate(itertools.islice(results, 60)):
            assert taken < diary.stat().st_size <= taken + 6


def wait_for_threads() -> None:
    """Wait for worker threads to end, which hold on to their last items."""
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join()


class Item:
    """Small, sized, and nothing keeps it alive."""

    def __len__(self) -> int:
        return 1


class Watched:
    """An input of items of which it knows how many are alive."""

    def __init__(self, count: int) -> None:
        self.live: weakref.WeakSet[Item] = weakref.WeakSet()
        self.most = 0
        self._count = count

    def __iter__(self) -> Iterator[Item]:
        for _ in range(self._count):
            item = Item()
            self.live.add(item)
            self.most = max(self.most, len(self.live))
            yield item


def test_a_lazy_run_does_not_keep_the_items(lazy: Lazy, place: dict[str, Any]):
    items, ahead = Watched(200), 20
    for _ in lazy(len, items, workers=2, ahead=ahead, **place):
        pass
    wait_for_threads()
    gc.collect()
    assert items.most <= 2 * ahead  # those that are sent, and those that are just being let go
    assert len(items.live) == 0


def test_map_does_not_keep_the_items_of_a_generator(place: dict[str, Any]):
    items, ahead = Watched(500), 4 * 2 * 5
    assert allcores.map(len, items, workers=2, batch=5, **place) == [1] * 500
    wait_for_threads()
    gc.collect()
    assert items.most <= 2 * ahead
    assert len(items.live) == 0


def test_what_a_function_captures_is_let_go_with_the_run(lazy: Lazy, home: dict[str, Any]):
    """At once: nothing of a run is in a circle, which only the garbage collector would find."""
    captured = Item()
    alive = weakref.ref(captured)
    gc.disable()
    try:
        assert len(allcores.map(lambda _, held=captured: len(held), range(10), workers=2, **home)) == 10
        assert len(list(lazy(lambda _, held=captured: len(held), range(10), workers=2, **home))) == 10
        del captured
        wait_for_threads()
        assert alive() is None
    finally:
        gc.enable()


# --------------------------------------------------------------------------------------------------------- the end


def test_an_exhausted_iterator_stays_exhausted(lazy: Lazy, place: dict[str, Any]):
    results = lazy(abs, range(3), workers=2, **place)
    assert iter(results) is results
    assert values(results) == [0, 1, 2]
    for _ in range(3):
        assert next(results, "nothing") == "nothing"
    assert results.report.items == 3
    results.close()


def test_a_closed_iterator_gives_nothing_more(place: dict[str, Any]):
    results = allcores.imap(abs, itertools.count(), workers=2, **place)
    next(results)
    for _ in range(2):
        results.close()
        assert next(results, "nothing") == "nothing"


def leave_with(results: Any) -> Any:
    with results:
        return next(results)


def leave_with_an_error(results: Any) -> Any:
    first = next(results)
    with pytest.raises(ZeroDivisionError), results:
        raise ZeroDivisionError
    return first


def leave_by_break(results: Any) -> Any:
    for first in results:
        return first
    raise AssertionError


def leave_by_close(results: Any) -> Any:
    first = next(results)
    results.close()
    return first


def leave_by_dropping_it(results: Any) -> Any:
    return next(results)


LEAVES = [leave_with, leave_with_an_error, leave_by_break, leave_by_close, leave_by_dropping_it]


@pytest.mark.parametrize("leave", LEAVES)
def test_leaving_early_ends_the_run(leave: Callable[[Any], Any], place: dict[str, Any], outliving: Any):
    # An initializer keeps clean workers from being kept for the next run.
    pid = leave(allcores.imap(lambda _: os.getpid(), itertools.count(), workers=2, initializer=dict, **place))
    assert outliving({pid} - {os.getpid()}) == set()


def test_leaving_early_ends_an_item_that_runs(lazy: Lazy, start: str, outliving: Any, tmp_path: Path):
    diary = tmp_path / "diary"
    os.mkfifo(diary)

    def work(x: int) -> int:
        if x:
            with diary.open("w") as file:
                file.write(str(os.getpid()))
            signal.pause()
        return x

    with lazy(work, [0, 1], workers=2, start=start, batch=1) as results:
        next(results)
        pid = int(diary.read_text())
    assert outliving([pid]) == set()


def test_an_iterator_left_open_at_exit_is_no_trouble(run_python, place: dict[str, Any]):
    program = f"""
import itertools, allcores
results = allcores.imap(abs, itertools.count(), workers=2, **{place!r})
print(next(results))
"""
    done = run_python(program)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_failure_ends_the_run(lazy: Lazy, place: dict[str, Any]):
    def work(x: int) -> int:
        if x == 3:
            raise ValueError(x)
        return x

    results = lazy(work, itertools.count(), workers=2, **place)
    got = []
    with pytest.raises(ValueError, match="3"):
        got.extend(results)
    assert next(results, "nothing") == "nothing"


def test_the_results_before_a_failure_come_first(place: dict[str, Any]):
    got = []

    def work(x: int) -> int:
        if x == 30:
            raise ValueError(x)
        return x

    with pytest.raises(ValueError, match="30"):
        got.extend(allcores.imap(work, itertools.count(), workers=1, **place))
    assert got == list(range(30))


def test_an_error_of_the_input_comes_after_the_results_before_it(lazy: Lazy, place: dict[str, Any]):
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError("the disk is gone")

    results, got = lazy(abs, items(), workers=2, **place), []
    with pytest.raises(OSError, match="the disk is gone"):
        got.extend(results)
    assert values(got) == list(range(5))


# ----------------------------------------------------------------------------------------------------- side by side


def test_two_runs_side_by_side(place: dict[str, Any]):
    first = allcores.imap(abs, range(0, -40, -1), workers=2, **place)
    second = allcores.imap(str, itertools.count(), workers=2, **place)
    with second:
        assert list(zip(first, second, strict=False)) == [(x, str(x)) for x in range(40)]


def test_a_run_inside_the_loop_over_another(place: dict[str, Any]):
    table = [
        allcores.map(lambda x, y=y: x * y, range(4), workers=2, **place)
        for y in allcores.imap(abs, range(4), workers=2, **place)
    ]
    assert table == [[x * y for x in range(4)] for y in range(4)]


def test_lazy_runs_in_a_chain(place: dict[str, Any]):
    squares = allcores.imap(lambda x: x * x, itertools.count(), workers=1, **place)
    with squares, allcores.imap(lambda x: x + 1, squares, workers=1, **place) as results:
        assert list(itertools.islice(results, 20)) == [x * x + 1 for x in range(20)]


def test_an_iterator_made_in_one_thread_and_consumed_in_others(lazy: Lazy, place: dict[str, Any]):
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        results = one.submit(lazy, abs, range(50), workers=2, **place).result()
        taken = [thread.submit(next, results).result() for thread in (one, other) * 10]
        taken += other.submit(list, results).result()
    assert values(taken) == list(range(50))


def test_workers_outlive_the_thread_that_started_them(start: str, tmp_path: Path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    def work(x: int) -> int:
        if x:
            with gate.open("rb", buffering=0) as file:
                file.read(1)
        return x

    key = os.open(gate, os.O_RDWR)
    with allcores.imap(work, [0, 1], workers=2, start=start, batch=1) as results:
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(next, results).result() == 0
        os.write(key, b"open")
        assert list(results) == [1]
    os.close(key)


# -------------------------------------------------------------------------------------------------- chunks of results


class Live:
    """Knows how many of its kind there are in this process, and how many there were at once."""

    count = most = 0

    def __init__(self, index: int) -> None:
        self.index = index
        Live.count += 1
        Live.most = max(Live.most, Live.count)

    def __reduce__(self) -> Any:
        return Live, (self.index,)

    def __del__(self) -> None:
        Live.count -= 1


@pytest.mark.parametrize("taken", [1, 2, 3, 300, 5_000])
def test_a_lazy_run_that_is_closed_gives_nothing_more(lazy, taken):
    results = lazy(str, itertools.count(), workers=2, batch=100)
    assert len(list(itertools.islice(results, taken))) == taken
    results.close()
    assert list(results) == []


def test_results_and_items_do_not_pile_up_however_many_there_are(lazy):
    """Counted, as what a process has of memory tells little: see `Live`."""
    workers, batch, items = 2, 50, 20_000
    Live.count = Live.most = 0
    pulled = Counting()
    stream = (Live(index) for index in itertools.islice(pulled, items))
    taken = 0
    with lazy(lambda item: item, stream, workers=workers, batch=batch) as results:
        for _ in results:
            taken += 1
            assert (
                pulled.pulled - taken
                <= allcores._core.scheduler.horizon.AHEAD_BATCHES * workers * batch + allcores._run.lazy.CHUNK
            )
    assert taken == items
    gc.collect()
    most = 2 * (
        allcores._core.scheduler.horizon.AHEAD_BATCHES * workers * batch + 2 * allcores._run.lazy.CHUNK
    )  # items and results
    assert Live.most <= most


def test_a_slow_consumer_is_handed_few_results_at_once(monkeypatch):
    """Or the driver would not get to look around while they are consumed."""
    clock = itertools.count(step=1)
    monkeypatch.setattr(allcores._run.lazy.time, "perf_counter", lambda: float(next(clock)))
    lazy_run = allcores.imap(abs, itertools.count(), on="serial", batch=100)._lazy
    chunks = lazy_run.chunks()
    assert [len(next(chunks)) for _ in range(50)] == [1] * 50
    lazy_run.close()


def test_a_quick_consumer_is_handed_many_results_at_once(monkeypatch):
    monkeypatch.setattr(allcores._run.lazy.time, "perf_counter", itertools.count(step=1e-9).__next__)
    lazy_run = allcores.imap(abs, itertools.count(), on="serial", batch=10_000)._lazy
    chunks = lazy_run.chunks()
    sizes = [len(next(chunks)) for _ in range(12)]
    assert sizes == [1, *[min(2**n, allcores._run.lazy.CHUNK) for n in range(1, 12)]]
    lazy_run.close()


def test_an_iterator_says_how_its_run_stands():
    results = allcores.imap(lambda x: 1 // x, [1, 0, 1], on="serial", batch=1, errors="collect")
    assert repr(results) == "<ResultIterator: not begun>"
    next(results)
    assert repr(results) == "<ResultIterator: 1 done, running>"
    assert len(list(results)) == 2
    assert repr(results) == "<ResultIterator: 3 done, 1 failed, over>"
    closed = allcores.imap(abs, [1], on="serial")
    closed.close()
    assert repr(closed) == "<ResultIterator: closed>"
