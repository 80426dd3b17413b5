"""A worker's state: made once in each, given to each call first, and handed to the finalizer at the worker's end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import allcores
from tests.gate import Gate

pytestmark = pytest.mark.once

START_METHODS = ("fork", "forkserver", "spawn")


class Diary:
    """Notes what happens in workers, in a folder that all of them can reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self, what: str) -> None:
        with (self.folder / what).open("a") as file:
            file.write(f"{os.getpid()}/{threading.get_native_id()}\n")

    def read(self, what: str) -> list[str]:
        with suppress(FileNotFoundError):
            return (self.folder / what).read_text().split()
        return []

    def make(self) -> Diary:
        self.note("made")
        return self

    def end(self) -> None:
        self.note("ended")

    def is_balanced(self) -> bool:
        """Whether each worker that made a state has ended it, once."""
        made = self.read("made")
        return bool(made) and Counter(made) == Counter(self.read("ended")) and len(set(made)) == len(made)


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path)


def add(state: int, x: int) -> int:
    return state + x


# ---------------------------------------------------------------------------------------------------------- the value


def test_the_state_comes_before_the_item(place):
    assert allcores.map(add, range(5), state=lambda: 10, workers=2, **place) == [10, 11, 12, 13, 14]


def test_it_is_made_once_in_each_worker_after_the_initializer(place, diary):
    def make() -> int:
        diary.note("made")
        return int(os.environ["ALLCORES_TEST_STATE"])

    def set_up() -> None:
        os.environ["ALLCORES_TEST_STATE"] = "7"

    try:
        assert allcores.map(add, range(40), state=make, initializer=set_up, workers=2, batch=2, **place)[1] == 8
    finally:
        os.environ.pop("ALLCORES_TEST_STATE", None)  # of serial and threads
    made = diary.read("made")
    assert 1 <= len(made) <= 2
    assert len(set(made)) == len(made)


def test_it_may_be_what_cannot_travel_and_change_from_item_to_item(home):
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        connection.execute("create table seen (x)")
        return connection

    def look_up(connection: sqlite3.Connection, x: int) -> tuple[int, int]:
        connection.execute("insert into seen values (?)", [x])
        return x * x, connection.execute("select count(*) from seen").fetchone()[0]

    found = allcores.map(look_up, range(6), state=connect, finalizer=sqlite3.Connection.close, workers=1, **home)
    assert found == [(x * x, x + 1) for x in range(6)]


def test_a_state_of_none_is_given_too():
    assert allcores.map(lambda state, x: (state, x), [1], state=lambda: None, on="serial") == [(None, 1)]


def test_every_call_takes_it(start):
    options: dict[str, Any] = {"state": lambda: 10, "start": start, "workers": 2}
    assert allcores.map(lambda state, x, y: (state, x, y), [1], [2], **options) == [(10, 1, 2)]
    assert allcores.starmap(lambda state, x, y: (state, x, y), [(1, 2)], **options) == [(10, 1, 2)]
    assert list(allcores.imap(add, iter([1, 2]), **options)) == [11, 12]
    assert sorted(allcores.imap_unordered(add, [1, 2], **options)) == [(0, 11), (1, 12)]
    assert asyncio.run(allcores.amap(add, [1, 2], **options)) == [11, 12]


def test_pool_and_executor_give_it_to_maps_and_single_calls(start):
    with allcores.Pool(2, state=lambda: 10, start=start) as pool:
        assert pool.map(add, [1, 2]) == [11, 12]
        assert pool.apply(add, (3,)) == 13
        assert pool.starmap(add, [(4,)]) == [14]
        assert list(pool.imap(add, [5])) == [15]
    with allcores.Executor(2, state=lambda: 10, start=start) as executor:
        assert executor.submit(add, 1).result() == 11
        assert executor.submit(add, x=2).result() == 12
        assert list(executor.map(add, [3, 4])) == [13, 14]


def test_every_replacement_has_a_state_of_its_own(start, diary):
    def run(state: Diary, _: int) -> int:
        return os.getpid()

    pids = allcores.map(run, range(6), state=diary.make, finalizer=Diary.end, start=start, workers=1, recycle=2)
    assert len(set(pids)) == 3
    assert diary.is_balanced()
    assert {worker.partition("/")[0] for worker in diary.read("made")} >= {str(pid) for pid in pids}


def test_a_worker_that_died_is_replaced_by_one_with_a_state(start):
    def run(state: list[int], x: int) -> int:
        state.append(x)
        if x == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return len(state)

    found = allcores.map(run, range(4), state=list, start=start, workers=1, batch=1, errors="collect")
    assert [failure.index for failure in found.failures] == [1]
    assert [found[0], found[2], found[3]] == [1, 1, 2]


def test_random_numbers_of_items_do_not_hang_on_who_has_which_state():
    def draw(state: object, _: int) -> float:
        return random.random()

    runs = [allcores.map(draw, range(4), state=object, seed=1, workers=workers, batch=1) for workers in (1, 2)]
    assert runs[0] == runs[1]


def test_a_generator_that_is_the_state_has_each_items_own_numbers_with_a_seed(start):
    def draw(generator: random.Random, _: int) -> float:
        return generator.random()

    options: dict[str, Any] = {"state": lambda: random.Random(0), "seed": 1, "batch": 1}
    here = allcores.map(draw, range(6), on="serial", **options)
    assert len(set(here)) == 6
    for workers in (1, 2):
        assert allcores.map(draw, range(6), start=start, workers=workers, **options) == here
    with allcores.Pool(1, start=start, state=lambda: random.Random(0), seed=1) as pool:
        calls = [pool.apply(draw, (0,)) for _ in range(3)]
    assert len(set(calls)) == 3


def test_replay_makes_the_state_and_ends_it(start, diary):
    def run(state: Diary, x: int) -> None:
        raise LookupError(x)

    options: dict[str, Any] = {"state": diary.make, "finalizer": Diary.end, "start": start}
    failure = allcores.map(run, [5], errors="collect", **options).failures[0]
    assert diary.is_balanced()
    with pytest.raises(LookupError):
        allcores.replay(failure)
    assert len(diary.read("made")) == 2
    assert diary.is_balanced()


def test_what_was_made_of_another_state_is_not_recalled(tmp_path):
    journal = tmp_path / "journal"

    def run_with(state: Callable[[], int]) -> list[int]:
        return allcores.map(add, [1], state=state, resume=journal, on="serial")

    assert run_with(lambda: 10) == [11]
    with pytest.raises(allcores.JournalMismatch):
        run_with(lambda: 20)


# ------------------------------------------------------------------------------------------------------- failures


def test_a_state_that_cannot_be_made_ends_the_run_with_its_error(place):
    def connect() -> None:
        raise ConnectionError("no such host")

    with pytest.raises(ConnectionError, match="no such host") as caught:
        allcores.map(add, range(100), state=connect, workers=2, errors="collect", **place)
    assert "connect" in [entry.name for entry in caught.traceback] or "in connect" in str(caught.value.__cause__)


@pytest.mark.parametrize("role", ["state", "finalizer"])
def test_what_cannot_travel_is_refused_before_any_worker_starts(role):
    lock = threading.Lock()

    def use(*_: object) -> None:
        lock.acquire()

    with pytest.raises(allcores.UnpicklableError, match="lock"):
        allcores.map(lambda *_: 1, [1], **{role: use}, start="forkserver")


def test_a_captured_connection_is_refused_with_the_way_out(tmp_path):
    connection = sqlite3.connect(tmp_path / "data")
    with connection, pytest.raises(allcores.UnpicklableError, match=r"once in each worker by state="):
        allcores.map(lambda x: connection.execute("select ?", [x]), [1], start="forkserver")
    connection.close()


def test_a_captured_file_is_refused_with_the_way_out(tmp_path):
    with (
        (tmp_path / "data").open("w") as file,
        pytest.raises(allcores.UnpicklableError, match=r"once in each worker by state="),
    ):
        allcores.map(file.write, ["a"])


# ------------------------------------------------------------------------------------------------------- finalizers


def meet(folder: Path, place: dict[str, Any]) -> Callable[[Any, int], int]:
    """Give a function for two items that end when both have begun, so that both workers have a state by then."""
    if place.get("on") == "serial":
        return lambda _, x: x
    fifo = folder / "fifo"
    with suppress(FileExistsError):
        os.mkfifo(fifo)

    def run(_: Any, x: int) -> int:
        return x if (fifo.read_bytes() if x == 0 else fifo.write_bytes(b"x")) else -1

    return run


def run_two(diary: Diary, place: dict[str, Any]) -> None:
    function = meet(diary.folder, place)
    allcores.map(function, [0, 1], state=diary.make, finalizer=Diary.end, workers=2, batch=1, **place)


def test_each_worker_is_finalized_before_the_results_are_given(home, diary):
    run_two(diary, home)
    assert diary.is_balanced()


def test_warm_workers_are_finalized_for_each_run(diary):
    for runs in range(1, 4):
        run_two(diary, {"start": "forkserver"})
        made, ended = diary.read("made"), diary.read("ended")
        assert Counter(made) == Counter(ended)
        assert len(made) >= runs
    assert len(set(made)) < len(made)  # they are the same processes


def test_a_finalizer_needs_no_state(home, diary):
    allcores.map(abs, range(4), finalizer=diary.end, workers=1, **home)
    assert len(diary.read("ended")) == 1


def test_a_run_that_needs_no_worker_makes_and_ends_nothing(diary):
    assert allcores.map(lambda state, x: x, [], state=diary.make, finalizer=Diary.end) == []
    assert diary.read("made") == diary.read("ended")


def test_a_lazy_run_is_finalized_at_its_end(home, diary, tmp_path):
    function = meet(tmp_path, home)
    options: dict[str, Any] = {"state": diary.make, "finalizer": Diary.end, "workers": 2, "batch": 1}
    assert list(allcores.imap(function, iter([0, 1]), **options, **home)) == [0, 1]
    assert diary.is_balanced()


def test_idle_workers_of_a_lazy_run_that_is_left_are_finalized(start, diary):
    def run(state: Diary, x: int) -> int:
        return x

    results = allcores.imap(run, [1], state=diary.make, finalizer=Diary.end, start=start, workers=1)
    assert next(results) == 1
    results.close()
    assert diary.is_balanced()


def test_after_a_failure_idle_workers_are_finalized(start, diary, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def run(state: Diary, x: int) -> int:
        if x == 0:
            fifo.read_bytes()  # until the other worker has had its only item
            raise LookupError
        fifo.write_bytes(b"go on")
        return x

    with pytest.raises(LookupError):
        allcores.map(run, [0, 1], state=diary.make, finalizer=Diary.end, start=start, workers=2, batch=1)
    assert diary.read("ended")
    assert set(diary.read("ended")) <= set(diary.read("made"))


def test_a_pool_finalizes_at_its_close(start, diary):
    with allcores.Pool(2, state=diary.make, finalizer=Diary.end, start=start) as pool:
        assert pool.map(meet(diary.folder, {}), [0, 1], chunksize=1) == [0, 1]
        assert diary.read("ended") == []
        pool.close()
        pool.join()
        assert diary.is_balanced()


def test_an_executor_finalizes_at_its_shutdown(start, diary):
    with allcores.Executor(2, state=diary.make, finalizer=Diary.end, start=start) as executor:
        assert executor.submit(lambda state: 1).result() == 1
        assert diary.read("ended") == []
    assert diary.is_balanced()


def test_a_worker_that_is_killed_is_not_finalized(start, diary):
    def run(state: Diary, x: int) -> None:
        while True:
            signal.pause()

    results = allcores.map(
        run, [1], state=diary.make, finalizer=Diary.end, start=start, workers=1, timeout=0.2, errors="collect"
    )
    assert isinstance(results.failures[0].exception, allcores.ItemTimeout)
    assert diary.read("made")
    assert len(diary.read("ended")) < len(diary.read("made"))


def test_what_a_finalizer_raises_is_warned_of_and_changes_no_result(home):
    def fail(state: int) -> None:
        raise OSError("disk full")

    with pytest.warns(RuntimeWarning, match=r"the finalizer failed once in .*disk full.*results are not affected") as (
        warned
    ):
        assert allcores.map(add, [1, 2], state=lambda: 10, finalizer=fail, workers=1, **home) == [11, 12]
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert isinstance(warned[0].message.__cause__, OSError)  # type: ignore[union-attr]


def test_a_finalizer_that_ends_its_process_is_warned_of(start):
    with pytest.warns(RuntimeWarning, match="the worker's process has ended"):
        assert allcores.map(abs, [-1], finalizer=lambda: os._exit(3), start=start, workers=1) == [1]


def test_finalizers_that_fail_again_and_again_are_one_warning(start):
    def fail(state: object) -> None:
        raise OSError("disk full")

    with pytest.warns(RuntimeWarning, match="the finalizer failed 3 times, first in") as warned:
        allcores.map(lambda state, x: x, range(3), state=object, finalizer=fail, start=start, workers=1, recycle=1)
    assert len(warned) == 1


def test_what_a_finalizer_prints_is_seen(start, capfd):
    allcores.map(abs, [1], finalizer=lambda: print("farewell"), start=start, workers=1)
    assert capfd.readouterr().out == "farewell\n"


def test_a_finalizer_that_hangs_is_ended_in_time(monkeypatch, tmp_path):
    monkeypatch.setattr("allcores._worker.exit.SHUTDOWN_SECONDS", 0.2)  # forked workers have it, too
    monkeypatch.setattr("allcores._engines.processes.endings.SHUTDOWN_SECONDS", 0.2)
    gate = Gate(tmp_path)  # never opened
    with pytest.warns(RuntimeWarning, match="took longer than 0.2 seconds"):
        assert allcores.map(abs, [-1], finalizer=gate.enter, start="fork", workers=1) == [1]


def test_interrupting_the_run_still_raises_only_the_interrupt(diary):
    def items() -> Iterator[int]:
        yield 1
        os.kill(os.getpid(), signal.SIGINT)
        yield 2

    with pytest.raises(KeyboardInterrupt):
        allcores.map(lambda state, x: x, items(), state=diary.make, finalizer=Diary.end, start="fork", workers=1)
    assert set(diary.read("ended")) <= set(diary.read("made"))
