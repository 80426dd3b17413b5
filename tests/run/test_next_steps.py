"""An error that ends a run says what was finished and what can be done next; who comes from elsewhere gets hints."""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import allcores

AGAIN = "again, in the debugger: allcores.replay(error, debug=True)"


def fail_at(bad: int, number: int) -> int:
    if number == bad:
        raise ValueError("bad")
    return number


def notes(error: BaseException) -> list[str]:
    return [str(note) for note in getattr(error, "__notes__", [])]


# ------------------------------------------------------------------------------------------------------ what was done


def test_an_error_says_how_many_items_were_finished_and_gives_as_many(place):
    with pytest.raises(ValueError, match="bad") as caught:
        allcores.map(functools.partial(fail_at, 70), range(100), **place)
    count = len(allcores.finished(caught.value))
    assert count >= 1
    assert notes(caught.value)[1:] == [f"allcores: {count} of 100 finished: allcores.finished(error); {AGAIN}"]


def test_where_nothing_was_finished_there_is_nothing_to_have():
    with pytest.raises(ValueError, match="bad") as caught:
        allcores.map(functools.partial(fail_at, 0), [0], on="serial")
    assert notes(caught.value)[1:] == [f"allcores: {AGAIN}"]


def test_the_total_of_a_stream_is_not_known():
    with pytest.raises(ValueError, match="bad") as caught:
        allcores.map(functools.partial(fail_at, 2), itertools.count(), on="serial", batch=1)
    assert notes(caught.value)[1:] == [f"allcores: 2 finished: allcores.finished(error); {AGAIN}"]


def test_a_lazy_run_speaks_of_what_was_not_taken():
    with pytest.raises(ValueError, match="bad") as caught:
        list(allcores.imap(functools.partial(fail_at, 2), range(5), on="serial", batch=1))
    assert notes(caught.value)[1:] == [f"allcores: 2 of 5 finished, those not taken: allcores.finished(error); {AGAIN}"]


def test_what_is_no_item_s_fault_cannot_be_run_again():
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone") as caught:
        allcores.map(abs, broken(), on="serial")
    assert notes(caught.value) == ["allcores: 1 finished: allcores.finished(error)"]


def test_ctrl_c_says_it_too_and_once():
    def numbers() -> Iterator[int]:
        yield from range(3)
        signal.raise_signal(signal.SIGINT)
        yield 3

    with pytest.raises(KeyboardInterrupt) as caught:
        allcores.map(abs, numbers(), on="serial", batch=1)
    count = len(allcores.finished(caught.value))
    assert notes(caught.value) == [f"allcores: {count} finished: allcores.finished(error)"]


def test_a_failure_that_is_collected_and_one_of_a_pool_say_nothing_of_the_kind():
    (failure,) = allcores.map(int, ["x"], errors="collect", on="serial").failures
    assert len(notes(failure.exception)) == 1
    with allcores.Pool(1, on="threads") as pool, pytest.raises(ValueError, match="invalid literal") as caught:
        pool.map(int, ["x"])
    assert len(notes(caught.value)) == 1


# --------------------------------------------------------------------------------------------- items that exit


def exit_at_two(number: int) -> int:
    if number == 2:
        sys.exit(7)
    return number


@pytest.mark.parametrize(
    ("leave", "told"), [(lambda _: sys.exit(7), "sys.exit(7)"), (lambda _: sys.exit(), "sys.exit()")]
)
def test_an_item_that_exits_is_named(place, leave, told):
    with pytest.warns(RuntimeWarning) as warned, pytest.raises(SystemExit):
        allcores.map(leave, ["a"], **place)
    assert str(warned[0].message) == f"item 0 ('a') called {told}, which ends the run"
    assert warned[0].filename == __file__


def test_who_takes_warnings_for_errors_gets_the_exit():
    with pytest.raises(SystemExit):
        allcores.map(exit_at_two, range(4), on="serial")


# -------------------------------------------------------------------------------------- for who comes from elsewhere


def call_with_one(pair: Any) -> int:
    return add(pair)  # type: ignore[call-arg]  # that is the point


def add(a: int, b: int) -> int:
    return a + b


def test_tuples_for_a_function_of_two_arguments_are_starmaps(place):
    for items in [[(1, 2)], zip([1], [2], strict=True), [[1, 2]]]:
        with pytest.raises(TypeError, match="missing 1 required") as caught:
            allcores.map(add, items, **place)
        assert notes(caught.value)[0].endswith("; starmap calls fn(*item), with the 2 parts of it")


@pytest.mark.parametrize(
    ("function", "items"),
    [
        (add, [1]),  # it is no tuple
        (call_with_one, [(1, 2)]),  # the function's own mistake
        (lambda pair: pair.missing, [(1, 2)]),
    ],
)
def test_other_mistakes_are_not(function, items):
    with pytest.raises((TypeError, AttributeError)) as caught:
        allcores.map(function, items, on="serial")
    assert "starmap" not in notes(caught.value)[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((abs(-3), [1]), r"3 is not callable; give the function itself, fn and not fn\(x\)"),
        ((None, [1]), "None is not callable; give the function itself"),
        (([1, 2], abs), r"\[1, 2\] is not callable; the function comes before the dataset"),
        ((list(range(10_000)), abs), r"\[0, 1, .{,80}\] is not callable"),
        ((abs,), "the dataset is missing"),
    ],
)
def test_arguments_that_are_not_function_and_dataset_are_told_what_is_wrong(arguments: Any, told: str):
    with pytest.raises(TypeError, match=told):
        allcores.map(*arguments)


class Holder:
    def __init__(self, runner: Any) -> None:
        self.runner = runner

    def work(self, number: int) -> Any:
        return self.runner, number


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: allcores.Pool(1, on="threads"), "an allcores.Pool"),
        (lambda: allcores.Executor(1, on="threads"), "an allcores.Executor"),
        (lambda: concurrent.futures.ThreadPoolExecutor(1), "a ThreadPoolExecutor"),
    ],
)
def test_a_pool_that_a_function_captures_is_named_as_what_it_is(make, name):
    with make() as runner:
        with pytest.raises(allcores.UnpicklableError) as caught:
            allcores.map(Holder(runner).work, [1], start="forkserver")
        assert f"variable 'self -> runner', {name}, cannot be pickled" in str(caught.value)
        assert "leave the pool out of it" in str(caught.value)


def test_a_lock_is_named_as_ever():
    lock = threading.Lock()
    with pytest.raises(allcores.UnpicklableError, match="variable 'lock', a lock, cannot be pickled"):
        allcores.map(lambda _: lock, [1], start="forkserver")


def test_classes_of_errors_are_held_by_the_package_though_nobody_has_asked_for_them(run_python):
    """Else they would be taken for local classes, and travel by value."""
    done = run_python("""
import allcores
from allcores._codec.definitions.classes import _is_local
from allcores._codec.definitions.definitions import is_importable
from allcores._core.errors import ItemError, ItemTimeout
assert not {"ItemError", "ItemTimeout"} & set(vars(allcores))
print(_is_local(ItemTimeout), is_importable(ItemError))
""")
    assert done.stdout == "False True\n"


def test_classes_of_errors_arrive_as_themselves(place):
    kinds = [allcores.WorkerDied, allcores.ItemTimeout]
    assert allcores.map(lambda kind: (kind, kind is allcores.WorkerDied), kinds, **place) == [
        (allcores.WorkerDied, True),
        (allcores.ItemTimeout, False),
    ]
