"""What happens when items, inputs, captures, results and workers fail."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores._worker.job import REPORT_SECONDS

pytestmark = pytest.mark.once


class Booby:
    """Pickles, and raises when it is unpickled."""

    def __reduce__(self) -> Any:
        return explode, ()


class Deadly:
    """Pickles, and kills the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


class Fatal:
    """Kills the process that pickles it."""

    def __reduce__(self) -> Any:
        os._exit(4)


def explode() -> None:
    raise ValueError("boom")


def reciprocal(x: int) -> float:
    return 1 / x


def inner(x: int) -> int:
    if x == 3:
        raise KeyError("three")
    return x


def outer(x: int) -> int:
    return inner(x)


def chained(x: int) -> int:
    try:
        return inner(x)
    except KeyError as error:
        raise RuntimeError("outer trouble") from error


# -------------------------------------------------------------------------------------------------- errors="raise"


def test_raises_the_original_exception_with_a_note(place):
    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        allcores.map(reciprocal, [4, 2, 0, 1], **place)
    note, next_steps = caught.value.__notes__
    assert next_steps.endswith("again, in the debugger: allcores.replay(error, debug=True)")
    assert "item 2 (0) failed on worker" in note
    assert f"on {os.uname().nodename})" in note


def test_the_traceback_shows_the_users_own_frames(place):
    with pytest.raises(KeyError) as caught:
        allcores.map(outer, range(5), **place)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames][-2:] == ["outer", "inner"]
    assert [frame.line for frame in frames][-2:] == ["return inner(x)", 'raise KeyError("three")']
    ours = [frame for frame in frames if Path(frame.filename).parent.name in ("allcores", "_engines")]
    assert len(ours) <= 2
    text = "".join(traceback.format_exception(caught.value))
    assert text.count("Traceback (most recent call last)") == 1


def test_the_chain_of_causes_survives(place):
    with pytest.raises(RuntimeError, match="outer trouble") as caught:
        allcores.map(chained, range(5), **place)
    cause = caught.value.__cause__
    assert isinstance(cause, KeyError)
    assert [frame.name for frame in traceback.extract_tb(cause.__traceback__)] == ["chained", "inner"]


def test_finished_results_are_reachable(place):
    with pytest.raises(ZeroDivisionError) as caught:
        allcores.map(reciprocal, [4, 2, 0, 1], batch=1, workers=1, **place)
    assert allcores.finished(caught.value).items() >= {0: 0.25, 1: 0.5}.items()  # the last one may be there, too


def test_finished_is_empty_for_any_other_exception():
    assert allcores.finished(ValueError()) == {}


def test_stops_at_once_whatever_the_others_are_busy_with(start, tmp_path):
    """The other worker would wait for ever; the test's own timeout is what it would run into."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def run(x: int) -> None:
        if x:
            raise ValueError("now")
        fifo.read_bytes()

    with pytest.raises(ValueError, match="now"):
        allcores.map(run, [0, 1], workers=2, start=start)


def test_the_rest_does_not_run_after_a_failure(tmp_path):
    def run(x: int) -> None:
        if x == 5:
            raise ValueError
        (tmp_path / str(x)).touch()

    with pytest.raises(ValueError):  # noqa: PT011
        allcores.map(run, range(100_000), workers=2, batch=1)
    assert len(list(tmp_path.iterdir())) < 1000


def test_lazy_results_before_the_failure_come_first(place):
    results = allcores.imap(reciprocal, [4, 2, 0, 1], batch=1, workers=1, **place)
    assert [next(results), next(results)] == [0.25, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_interrupted_lazy_run_still_has_what_was_finished_and_not_taken(monkeypatch):
    monkeypatch.setattr(allcores._run.lazy, "TURN_SECONDS", 0)

    def interrupted() -> Iterator[int]:
        yield from range(7)
        raise KeyboardInterrupt

    results = allcores.imap(lambda x: x * x, interrupted(), on="serial", batch=5, ahead=10)
    with pytest.raises(KeyboardInterrupt) as caught:
        next(results)
    assert allcores.finished(caught.value) == {x: x * x for x in range(5)}
    assert list(results) == []


def test_a_failed_lazy_run_is_over(place):
    results = allcores.imap(reciprocal, [0, 1], **place)
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []


# ------------------------------------------------------------------------------------------------ errors="collect"


def test_collects_failures_in_place(place):
    results = allcores.map(reciprocal, [4, 0, 2, 0], errors="collect", **place)
    assert [results[0], results[2]] == [0.25, 0.5]
    assert results.failures == [results[1], results[3]]
    failure = results[1]
    assert isinstance(failure, allcores.Failure)
    assert (failure.index, failure.item) == (1, 0)
    assert isinstance(failure.exception, ZeroDivisionError)
    assert "return 1 / x" in failure.traceback
    assert failure.worker.pid is not None
    assert repr(failure) == "<Failure of item 1 (0): ZeroDivisionError: division by zero>"
    assert results.report.failed == 2


def test_a_failure_can_be_pickled(place):
    results = allcores.map(reciprocal, [1, 0], errors="collect", **place)
    again = pickle.loads(pickle.dumps(results))
    assert (again[0], again[1].index, type(again[1].exception)) == (1.0, 1, ZeroDivisionError)
    assert again.report == results.report


def test_collects_lazily(place):
    results = list(allcores.imap(reciprocal, [1, 0, 2], errors="collect", **place))
    assert isinstance(results[1], allcores.Failure)
    assert [results[0], results[2]] == [1.0, 0.5]
    unordered = dict(allcores.imap_unordered(reciprocal, [1, 0, 2], errors="collect", **place))
    assert isinstance(unordered[1], allcores.Failure)
    assert [unordered[0], unordered[2]] == [1.0, 0.5]


def test_the_item_of_a_stream_is_in_its_failure(place):
    results = allcores.map(reciprocal, (x for x in [1, 0, 2]), errors="collect", **place)
    assert results.failures[0].item == 0


# ------------------------------------------------------------------------------------------------------ the input


def broken_input() -> Iterator[int]:
    yield from range(10)
    raise OSError("the disk is gone")


def test_an_input_that_raises_is_raised_after_what_came_before(place):
    results = allcores.imap(lambda x: x + 1, broken_input(), **place)
    assert [next(results) for _ in range(10)] == list(range(1, 11))
    with pytest.raises(OSError, match="the disk is gone") as caught:
        next(results)
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-1] == "broken_input"


def test_map_gives_what_came_before_an_input_that_raises(place):
    with pytest.raises(OSError, match="the disk is gone") as caught:
        allcores.map(lambda x: x + 1, broken_input(), **place)
    assert allcores.finished(caught.value) == {x: x + 1 for x in range(10)}


def test_what_is_not_iterable_is_refused():
    with pytest.raises(TypeError, match="input is not iterable: 42 is a int"):
        allcores.map(abs, 42)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="input 2 is not iterable: None is a NoneType"):
        allcores.map(pow, [1], None)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="dataset is missing"):
        allcores.map(abs)  # type: ignore[call-overload]


def test_what_is_not_callable_is_refused():
    with pytest.raises(TypeError, match="42 is not callable"):
        allcores.map(42, [1])  # type: ignore[call-overload]


def test_empty_input_starts_nobody(place):
    results = allcores.map(reciprocal, [], **place)
    assert (results, results.report.workers, results.report.items) == ([], 0, 0)
    assert list(allcores.imap(reciprocal, iter(()), **place)) == []


# ------------------------------------------------------------------------------------- what can't be pickled


@pytest.mark.parametrize("clean", ["forkserver", "spawn"])
def test_an_unpicklable_capture_is_named_before_any_worker_starts(clean, monkeypatch):
    from allcores._engines.processes.warm_set import WarmSet

    monkeypatch.setattr(WarmSet, "lease", lambda *_: pytest.fail("a worker was started"))
    tools, harmless = {"lock": [threading.Lock()]}, 5

    def helper(x: int) -> Any:
        return tools, x

    def run(x: int) -> Any:
        return helper(x), harmless

    with pytest.raises(allcores.UnpicklableError, match=r"variable .helper -> tools -> \['lock'\] -> \[0\].*, a lock,"):
        allcores.map(run, [1, 2], start=clean)
    with pytest.raises(allcores.UnpicklableError, match=r"initargs\[0\]"):
        allcores.map(abs, [1], start=clean, initializer=print, initargs=(tools,))


def test_an_unpicklable_capture_does_not_matter_under_fork():
    lock = threading.Lock()
    assert allcores.map(lambda x: (lock.acquire(), lock.release(), x)[-1], [1, 2], start="fork") == [1, 2]


def test_an_item_that_cannot_be_pickled_fails_alone(start):
    items = [1, threading.Lock(), 3]
    results = allcores.map(type, iter(items), start=start, errors="collect", batch=3)
    assert [results[0], results[2]] == [int, int]
    error = results.failures[0].exception
    assert isinstance(error, allcores.UnpicklableItem)
    assert "cannot pickle '_thread.lock' object" in str(error)


def test_an_item_that_cannot_be_unpickled_fails_alone(start):
    results = allcores.map(type, iter([1, Booby(), 3]), start=start, errors="collect", batch=3)
    assert [results[0], results[2]] == [int, int]
    error = results.failures[0].exception
    assert isinstance(error, allcores.UnpicklableItem)
    assert "ValueError: boom" in str(error)


def test_a_result_that_cannot_be_pickled_fails_alone(start):
    def run(x: int) -> Any:
        return threading.Lock() if x == 1 else x

    results = allcores.map(run, range(4), start=start, errors="collect", batch=4)
    assert [results[0], *results[2:]] == [0, 2, 3]
    error = results.failures[0].exception
    assert isinstance(error, allcores.UnpicklableResult)
    assert "a lock" in str(error)


def test_a_result_that_cannot_be_unpickled_fails_alone(start):
    def run(x: int) -> Any:
        return Booby() if x == 1 else x

    results = allcores.map(run, range(4), start=start, errors="collect", batch=4)
    assert [results[0], *results[2:]] == [0, 2, 3]
    assert isinstance(results.failures[0].exception, allcores.UnpicklableResult)
    assert "ValueError: boom" in str(results.failures[0].exception)


def test_a_result_too_deep_to_pickle_fails_alone(start):
    def run(x: int) -> Any:
        deep: list[Any] = []
        for _ in range(100_000 if x == 1 else 1):
            deep = [deep]
        return deep

    results = allcores.map(run, range(3), start=start, errors="collect", batch=3)
    assert [results[0], results[2]] == [[[]], [[]]]
    assert isinstance(results.failures[0].exception, allcores.UnpicklableResult)


def test_an_exception_whose_class_stays_fails_its_item_with_its_text(clean_start):
    def run(x: int) -> int:
        if x == 1:
            lonely = type("Lonely", (Exception,), {"lock": threading.Lock()})
            raise lonely("no such row")
        return x

    results = allcores.map(run, range(4), start=clean_start, errors="collect", batch=4)
    assert [results[0], *results[2:]] == [0, 2, 3]
    (failure,) = results.failures
    error = failure.exception
    assert isinstance(error, allcores.ItemError)
    assert error.type_name == "Lonely"
    assert str(error).startswith("Lonely: no such row (")
    assert "Traceback" not in str(error)
    assert ", in run\n" in error.remote_traceback
    assert error.remote_traceback == failure.traceback


def test_sys_exit_fails_its_item(place):
    def run(x: int) -> int:
        if x == 1:
            sys.exit("enough")
        return x

    results = allcores.map(run, range(4), errors="collect", **place)
    assert [results[0], *results[2:]] == [0, 2, 3]
    assert isinstance(results.failures[0].exception, SystemExit)
    with pytest.raises(SystemExit, match="enough"):
        allcores.map(run, range(4), **place)


# ------------------------------------------------------------------------------------------------- initializer


def test_an_initializer_that_raises_is_raised_once(place):
    def prepare(text: str) -> None:
        raise LookupError(text)

    with pytest.raises(LookupError, match="no model"):
        allcores.map(abs, range(10), initializer=prepare, initargs=("no model",), **place)


def test_the_initializer_runs_once_in_each_worker(start, tmp_path):
    def prepare(folder: Path) -> None:
        (folder / str(os.getpid())).touch(exist_ok=False)

    pids = allcores.map(
        lambda _: os.getpid(), range(50), workers=2, batch=1, initializer=prepare, initargs=(tmp_path,), start=start
    )
    assert {str(pid) for pid in pids} <= set(os.listdir(tmp_path))


def test_an_initializer_that_kills_its_worker_ends_the_run(start):
    with pytest.raises(allcores.WorkersUnavailable, match="ended itself with exit code 7"):
        allcores.map(abs, range(10), initializer=os._exit, initargs=(7,), start=start)


def test_an_initializer_killed_once_loses_nothing(start, tmp_path):
    def prepare() -> None:
        try:
            (tmp_path / "killed").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    assert allcores.map(abs, range(100), initializer=prepare, start=start) == list(range(100))


# ------------------------------------------------------------------------------------------------------- deaths


def die_by(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        faulthandler.disable()  # the test runner's: it would print every stack
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("how", "name"), [("exit", "exit code 3"), ("segfault", "SIGSEGV"), ("kill", "SIGKILL")])
def test_a_death_is_blamed_on_exactly_its_item(start, how, name):
    def run(x: int) -> int:
        if x == 17:
            die_by(how)
        return x

    results = allcores.map(run, range(100), start=start, errors="collect")
    assert [value for index, value in enumerate(results) if index != 17] == [x for x in range(100) if x != 17]
    (failure,) = results.failures
    assert failure.index == 17
    assert isinstance(failure.exception, allcores.WorkerDied)
    assert failure.exception.exit == name
    assert f"pid {failure.exception.pid}" in str(failure.exception)
    assert "item 17 (17)" in str(failure.exception)


@pytest.mark.parametrize("call", [allcores.imap, allcores.imap_unordered])
def test_a_death_in_a_lazy_run_is_blamed_too(start, call):
    def run(x: int) -> int:
        if x == 17:
            os._exit(0)
        return x

    results = list(call(run, iter(range(100)), start=start, errors="collect"))
    assert len(results) == 100
    assert isinstance(dict(enumerate(results))[17] if call is allcores.imap else dict(results)[17], allcores.Failure)


def test_a_death_ends_a_run_that_stops_at_failures(start):
    with pytest.raises(allcores.WorkerDied, match="item 3"):
        allcores.map(lambda x: x if x != 3 else os._exit(1), range(10), start=start)


def test_every_item_may_kill_its_worker(start):
    results = allcores.map(os._exit, range(6), start=start, errors="collect", workers=2)
    assert [type(result) for result in results] == [allcores.Failure] * 6
    assert [result.exception.exit for result in results.failures] == [f"exit code {x}" for x in range(6)]


def test_a_worker_that_dies_of_its_result_or_item_is_blamed_on_that_item(start):
    results = allcores.map(lambda x: Fatal() if x == 5 else x, range(20), start=start, errors="collect", batch=10)
    assert [failure.index for failure in results.failures] == [5]
    assert [x for x in results if not isinstance(x, allcores.Failure)] == [x for x in range(20) if x != 5]
    items = [Deadly() if x == 5 else x for x in range(20)]
    results = allcores.map(lambda x: x, iter(items), start=start, errors="collect", batch=10)
    assert [failure.index for failure in results.failures] == [5]


def test_what_was_reported_before_a_death_is_not_run_again(start, tmp_path):
    """A batch that runs long is reported in parts; only what its worker had not yet reported runs twice."""
    ran = tmp_path / "ran"
    reported = tmp_path / "reported"
    os.mkfifo(reported)

    def run(x: int) -> int:
        with ran.open("a") as file:
            file.write(f"{x} ")
        if x == 1:
            enough = time.monotonic() + 2 * REPORT_SECONDS  # what is finished is reported when this item ends
            while time.monotonic() < enough:
                pass
        if x == 3:
            reported.read_bytes()  # until the consumer has what was finished before
            os._exit(1)
        return x

    results = []
    for result in allcores.imap(run, range(6), workers=1, batch=6, start=start, errors="collect"):
        if not results:
            reported.write_bytes(b"go")
        results.append(result)
    assert [index for index, result in enumerate(results) if isinstance(result, allcores.Failure)] == [3]
    counts = [ran.read_text().split().count(str(x)) for x in range(6)]
    assert counts[:2] == [1, 1]
    assert counts[3:] == [1, 1, 1]


def test_a_worker_killed_from_outside_while_idle_is_replaced(start):
    """The consumer kills the worker that has just delivered; the run goes on without a failure."""
    results = allcores.imap(lambda _: os.getpid(), range(30), workers=1, batch=1, ahead=1, start=start)
    pids = []
    for pid in results:
        pids.append(pid)
        if len(pids) in (3, 7):
            os.kill(pid, signal.SIGKILL)
    assert len(pids) == 30
    assert len(set(pids)) == 3
