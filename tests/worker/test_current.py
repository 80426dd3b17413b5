"""An item knows its index, its try and its random numbers, wherever it runs; and it can be run again here."""

from __future__ import annotations

import os
import pickle
import random
import threading
from typing import Any

import numpy as np
import pytest

import allcores

pytestmark = pytest.mark.once

QUICK: dict[str, dict[str, str]] = {"fork": {"start": "fork"}, "threads": {"on": "threads"}, "serial": {"on": "serial"}}
DRAWS = [float(np.random.default_rng(np.random.SeedSequence(7, spawn_key=(x,))).random()) for x in range(12)]


@pytest.fixture(params=QUICK)
def quick_place(request: pytest.FixtureRequest) -> dict[str, str]:
    """Options for places that start without importing anything; the others run the same code."""
    return QUICK[request.param]


def draw(x: int) -> float:
    return float(allcores.rng().random())


def draw_globally(x: int) -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), random.gauss(0, 1)  # noqa: NPY002 - the global one is meant


def global_state() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 - as above
    return random.getstate(), name, keys.tobytes(), *rest


# -------------------------------------------------------------------------------------------------------- current_item


def test_an_item_knows_its_index_in_whatever_batch_it_runs(place):
    for batch in (None, 5):
        indices = allcores.map(lambda x: allcores.current_item().index, "abcdefghijkl", workers=2, batch=batch, **place)
        assert indices == list(range(12))


def test_an_item_among_many_tiny_ones_knows_its_index(quick_place):
    indices = allcores.map(lambda x: allcores.current_item().index, range(2_000), workers=2, **quick_place)
    assert indices == list(range(2_000))


def test_an_item_knows_its_try(quick_place):
    def run(x: int) -> tuple[int, int]:
        item = allcores.current_item()
        if item.tries < x:
            raise OSError
        return item.index, item.tries

    results = allcores.map(run, [1, 2, 1, 3], workers=2, batch=2, retries=2, **quick_place)
    assert results == [(0, 1), (1, 2), (2, 1), (3, 3)]


def test_a_failed_item_does_not_shift_the_ones_after_it(quick_place):
    def run(x: int) -> int:
        if x % 3 == 0:
            raise ValueError
        return allcores.current_item().index

    results = allcores.map(run, range(10), workers=2, batch=5, errors="collect", **quick_place)
    assert [x for x in results if not isinstance(x, allcores.Failure)] == [1, 2, 4, 5, 7, 8]


def test_outside_of_items_there_is_none():
    message = r"allcores.current_item\(\) is for use inside an item, and none runs"
    with pytest.raises(RuntimeError, match=message):
        allcores.current_item()
    allcores.map(draw, range(3), on="serial")
    with pytest.raises(RuntimeError, match=message):
        allcores.current_item()


def test_an_initializer_is_no_item(quick_place):
    with pytest.raises(RuntimeError, match="none runs here"):
        allcores.map(draw, range(3), workers=1, initializer=allcores.current_item, **quick_place)


def test_a_thread_of_an_items_own_is_not_in_the_item():
    def run(x: int) -> list[str]:
        said: list[str] = []

        def ask() -> None:
            try:
                allcores.current_item()
            except RuntimeError as error:
                said.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        return said

    assert "none runs here" in allcores.map(run, [0], on="serial")[0][0]


@pytest.mark.parametrize("inner", ["serial", "threads"])
def test_after_a_run_inside_an_item_the_item_is_itself_again(quick_place, inner):
    def index(x: int) -> int:
        return allcores.current_item().index

    def run(x: int) -> Any:
        before, first = allcores.current_item(), allcores.rng()
        inside = allcores.map(index, range(3), on=inner, workers=2)
        return before == allcores.current_item(), first is allcores.rng(), inside, before.index

    results = allcores.map(run, range(4), workers=2, batch=2, **quick_place)
    assert results == [(True, True, [0, 1, 2], x) for x in range(4)]


# ----------------------------------------------------------------------------------------------------------------- rng


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 3}, {"workers": 2, "batch": 5}], ids=str)
def test_an_items_stream_hangs_on_the_seed_and_its_index_alone(quick_place, options):
    assert allcores.map(draw, range(12), seed=7, **options, **quick_place) == DRAWS
    assert allcores.map(draw, iter(range(12)), seed=7, **options, **quick_place) == DRAWS
    assert list(allcores.imap(draw, range(12), seed=7, **options, **quick_place)) == DRAWS


def test_clean_workers_draw_the_same():
    def run(x: int) -> tuple[float, tuple[float, ...]]:
        if x == 5 and allcores.current_item().tries == 1:
            os._exit(1)
        return draw(x), draw_globally(x)

    options = {"workers": 2, "batch": 4, "retries": 1}
    drawn = allcores.map(run, range(12), seed=7, start="forkserver", **options)
    assert drawn == allcores.map(lambda x: (draw(x), draw_globally(x)), range(12), seed=7, on="serial")
    assert [own for own, _ in drawn] == DRAWS


def test_streams_differ_between_items_and_between_seeds():
    others = allcores.map(draw, range(12), seed=8, on="serial")
    assert len({*DRAWS, *others}) == 24


def test_an_item_that_is_tried_again_has_the_same_stream(quick_place):
    def run(x: int) -> float:
        drawn = draw(x)
        if allcores.current_item().tries <= x % 3:
            raise OSError(drawn)
        return drawn

    assert allcores.map(run, range(12), workers=2, batch=4, seed=7, retries=2, **quick_place) == DRAWS


def test_an_item_that_asks_again_goes_on_with_its_stream(quick_place):
    def run(x: int) -> tuple[bool, list[float]]:
        return allcores.rng() is allcores.rng(), [float(allcores.rng().random()) for _ in range(3)]

    for x, (is_same, drawn) in enumerate(allcores.map(run, range(4), workers=2, batch=2, seed=7, **quick_place)):
        expected = np.random.default_rng(np.random.SeedSequence(7, spawn_key=(x,))).random(3)
        assert (is_same, drawn) == (True, list(expected))


def test_outside_of_items_each_call_gives_a_fresh_generator():
    first, second = allcores.rng(), allcores.rng()
    assert first is not second
    assert len({draw(0) for _ in range(8)}) == 8
    allcores.map(draw, range(3), seed=7, on="serial")
    assert draw(0) not in DRAWS


def test_runs_without_a_seed_differ(quick_place):
    first, second = (allcores.map(draw, range(6), workers=2, **quick_place) for _ in range(2))
    assert len({*first, *second}) == 12


# --------------------------------------------------------------------------------------------------- global generators


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2, "batch": 5}], ids=str)
def test_with_a_seed_the_global_generators_are_each_items_own(options):
    drawn = allcores.map(draw_globally, range(12), seed=7, start="fork", **options)
    assert drawn == allcores.map(draw_globally, range(12), seed=7, on="serial")
    assert len({number for numbers in drawn for number in numbers}) == 36
    assert drawn != allcores.map(draw_globally, range(12), seed=8, start="fork", **options)


def test_an_item_that_is_the_first_to_use_numpy_finds_it_seeded_and_leaves_the_callers_own_unseeded(run_python):
    done = run_python("""
import sys
import allcores

def draw(x):
    import numpy as np
    return np.random.random(), np.random.random()

print("numpy" in sys.modules)
forked = allcores.map(draw, range(4), workers=2, seed=3, start="fork")
serial = allcores.map(draw, range(4), seed=3, on="serial")
print(forked == serial)

import numpy as np
left = np.random.get_state()[1].tobytes()
print(left in allcores.map(lambda x: (draw(x), np.random.get_state()[1].tobytes())[1], range(4), seed=3, on="serial"))
""")
    assert done.stdout == "False\nTrue\nFalse\n"


@pytest.mark.parametrize("options", [{"on": "serial", "seed": 7}, {"on": "threads", "seed": 7}, {"seed": 7}], ids=str)
def test_the_callers_own_generators_stay_where_they_were(options):
    before = global_state()
    allcores.map(abs, range(12), workers=2, **options)
    assert global_state() == before


def test_the_callers_own_generators_stay_where_they_were_between_the_results_of_a_lazy_run():
    before = global_state()
    with allcores.imap(draw_globally, range(12), on="serial", seed=7, batch=1) as results:
        for _ in results:
            assert global_state() == before


def test_without_a_seed_an_item_in_the_callers_thread_uses_the_callers_generators():
    random.seed(1)
    expected = random.Random(1).random()
    assert allcores.map(lambda x: random.random(), [0], on="serial") == [expected]


# -------------------------------------------------------------------------------------------------------------- replay


def fail_after_drawing(x: int) -> float:
    raise ValueError(x, draw(x), *draw_globally(x))


def test_a_failure_is_run_again_here(quick_place):
    here, ran = os.getpid(), []

    def run(x: int) -> int:
        if os.getpid() == here:
            ran.append((x, allcores.current_item().index))
        return 10 // x

    results = allcores.map(run, [5, 0, 2, 0], workers=2, errors="collect", **quick_place)
    ran.clear()
    for failure in results.failures:
        with pytest.raises(ZeroDivisionError):
            allcores.replay(failure)
    assert ran == [(0, 1), (0, 3)]


def test_the_exception_that_was_raised_for_an_item_is_as_good_as_its_failure(quick_place):
    with pytest.raises(ZeroDivisionError) as caught:
        allcores.map(lambda x: 10 // x, [5, 2, 0], workers=2, **quick_place)
    with pytest.raises(ZeroDivisionError) as again:
        allcores.replay(caught.value)
    assert again.value is not caught.value
    with pytest.raises(ZeroDivisionError) as caught:
        list(allcores.imap(lambda x: 10 // x, [5, 2, 0], workers=2, **quick_place))
    with pytest.raises(ZeroDivisionError):
        allcores.replay(caught.value)


def test_what_does_not_fail_again_gives_its_value_and_tells_of_one_more_try(quick_place):
    here = os.getpid()

    def run(a: int, b: int) -> tuple[int, int]:
        if os.getpid() != here or allcores.current_item().tries < 3:
            raise OSError
        return a + b, allcores.current_item().tries

    results = allcores.map(run, [1, 2], [10, 20], workers=2, retries=1, errors="collect", **quick_place)
    assert [allcores.replay(failure) for failure in results.failures] == [(11, 3), (22, 3)]


@pytest.mark.parametrize("seed", [7, None])
def test_a_replayed_item_has_the_random_numbers_that_it_had(seed):
    results = allcores.map(fail_after_drawing, range(4), start="fork", workers=2, errors="collect", seed=seed)
    before = global_state()
    for failure in results.failures:
        with pytest.raises(ValueError, match=r"\(.*\)") as caught:
            allcores.replay(failure)
        had, has = failure.exception.args, caught.value.args
        assert has[:2] == had[:2]
        assert (has[2:] == had[2:]) == (seed is not None)
    assert global_state() == before


def test_the_initializer_is_called_before(quick_place):
    here, prepared = os.getpid(), []

    def prepare(what: str) -> None:
        if os.getpid() == here:
            prepared.append(what)

    results = allcores.map(
        int, ["x"], workers=1, initializer=prepare, initargs=("ready",), errors="collect", **quick_place
    )
    prepared.clear()
    with pytest.raises(ValueError, match="invalid literal"):
        allcores.replay(results.failures[0])
    assert prepared == ["ready"]


def test_a_run_inside_of_a_replayed_item_leaves_it_itself():
    def run(x: int) -> Any:
        if allcores.current_item().tries == 1:
            raise OSError
        inside = allcores.map(lambda y: allcores.current_item().index, range(2), on="serial")
        return inside, allcores.current_item().index

    failure = allcores.map(run, range(4), on="serial", errors="collect").failures[3]
    assert allcores.replay(failure) == ([0, 1], 3)
    with pytest.raises(RuntimeError, match="none runs here"):
        allcores.current_item()


DEBUGGED = """
import io
import sys
import allcores

def process(item, offset=3):
    shifted = item + offset
    return 10 // (shifted - 5)

def process_pair(item, offset):
    return process(item, offset)

sys.stdin = io.StringIO({commands!r})
if {is_star}:
    failures = allcores.map(process_pair, [1, 2], [3, 3], on="serial", errors="collect", seed={seed}).failures
else:
    failures = allcores.map(process, [1, 2], on="serial", errors="collect", seed={seed}).failures
try:
    allcores.replay(failures[0], debug=True)
except ZeroDivisionError as error:
    print("raised:", error)
"""


@pytest.mark.parametrize(("is_star", "seed"), [(False, None), (True, 7)])
def test_with_debug_pdb_stops_before_the_functions_first_line(run_python, is_star, seed):
    commands = "print('item', item, offset)\nwhere\ncontinue\n"
    output = run_python(DEBUGGED.format(commands=commands, is_star=is_star, seed=seed)).stdout
    place = ("process_pair()", "return process(item, offset)") if is_star else ("process()", "shifted = item + offset")
    stopped, rest = output.split("item 2 3\n")
    assert stopped.count("(Pdb)") == 1, "it stopped nowhere before"
    assert "{}\n-> {}\n".format(*place) in stopped
    assert rest.endswith(("raised: integer division or modulo by zero\n", "raised: division by zero\n"))  # since 3.14


def test_a_pickled_failure_says_that_it_has_left_its_process(quick_place):
    failure = allcores.map(int, ["x"], workers=1, errors="collect", **quick_place).failures[0]
    travelled = pickle.loads(pickle.dumps(failure))
    assert travelled.index == 0
    with pytest.raises(ValueError, match="has left the process that it happened in; take it from") as caught:
        allcores.replay(travelled)
    assert "<Failure of item 0 ('x')" in str(caught.value)


def test_an_exception_that_was_raised_for_no_item_cannot_be_replayed():
    with pytest.raises(ValueError, match=r"OSError\('elsewhere'\) is not the failure of an item"):
        allcores.replay(OSError("elsewhere"))


def test_a_pickled_exception_is_no_longer_that_of_an_item():
    with pytest.raises(ZeroDivisionError) as caught:
        allcores.map(lambda x: 1 // x, [0], on="serial")
    with pytest.raises(ValueError, match="is not the failure of an item"):
        allcores.replay(pickle.loads(pickle.dumps(caught.value)))
