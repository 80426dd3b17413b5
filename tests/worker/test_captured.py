"""Generators that a function leads to: with a seed each item's own; else different in each worker, which is said."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gate import Meeting

import allcores
from allcores._worker.job import find_captured

pytestmark = pytest.mark.once

MADE: dict[str, Callable[[], Any]] = {
    "Generator": lambda: np.random.default_rng(0),
    "Philox": lambda: np.random.Generator(np.random.Philox(0)),
    "RandomState": lambda: np.random.RandomState(0),
    "RandomState of PCG64": lambda: np.random.RandomState(np.random.PCG64(0)),
    "Random": lambda: random.Random(0),
}
PLACES: tuple[dict[str, Any], ...] = (
    {"start": "fork", "workers": 1},
    {"start": "fork", "workers": 2, "batch": 3},
    {"start": "forkserver", "workers": 2, "batch": 5},
)


class Simulation:
    shared = random.Random(1)

    def __init__(self, generator: Any) -> None:
        self.generators = {"own": [generator]}

    def draw(self, x: int) -> tuple[float, float]:
        return take(x, self.generators["own"][0])

    def draw_shared(self, x: int) -> tuple[float, float]:
        return self._draw_shared(), self._draw_shared()

    def _draw_shared(self) -> float:
        return self.shared.random() + draw_globally(0)[0]


class Model:
    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def draw(self, x: int) -> float:
        return self.generator.random()


GENERATOR = np.random.default_rng(0)


def draw_globally(x: int) -> tuple[float, float]:
    return take(x, GENERATOR)


def draw_by_import(x: int) -> tuple[float, float]:
    import test_captured

    return take(x, test_captured.GENERATOR)


class Drawing(Simulation):
    @property
    def drawn(self) -> tuple[float, float]:
        return self.draw(0)

    def __call__(self, x: int) -> tuple[float, float]:
        return self.drawn


def take(x: int, generator: Any) -> tuple[float, float]:
    normal = generator.gauss(0, 1) if isinstance(generator, random.Random) else generator.normal()
    return float(generator.random()), float(normal)


def closing_over(generator: Any) -> Callable[[int], Any]:
    return lambda x: take(x, generator)


def having_default(generator: Any) -> Callable[[int], Any]:
    def run(x: int, generator: Any = generator) -> Any:
        return take(x, generator)

    return run


def having_method(generator: Any) -> Callable[[int], Any]:
    draw = generator.random
    return lambda x: (float(draw()), float(draw()))


def having_namespace(space: SimpleNamespace) -> Callable[[int], Any]:
    return lambda x: take(x, space.generator)


WAYS: dict[str, Callable[[Any], Callable[[int], Any]]] = {
    "closure": closing_over,
    "default": having_default,
    "partial": lambda generator: partial(take, generator=generator),
    "attribute": lambda generator: Simulation(generator).draw,
    "method": having_method,
    "callable": Drawing,
    "namespace": lambda generator: having_namespace(SimpleNamespace(generator=generator)),
    "global": lambda _: draw_globally,
    "import": lambda _: draw_by_import,
    "class": lambda generator: Simulation(generator).draw_shared,
}


def state_of(generator: Any) -> str:
    if isinstance(generator, random.Random):
        return str(generator.getstate())
    if isinstance(generator, np.random.RandomState):
        return str(generator.get_state(legacy=False))
    return str((generator.bit_generator.state, generator.bit_generator.seed_seq))


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("way", WAYS)
def test_with_a_seed_each_item_has_its_own_stream_and_the_caller_theirs(made, way):
    generator = MADE[made]()
    run, before = WAYS[way](generator), state_of(generator)
    serial = allcores.map(run, range(12), seed=7, on="serial")
    assert state_of(generator) == before
    assert len({number for numbers in serial for number in numbers}) == 24
    assert allcores.map(run, range(12), seed=8, on="serial") != serial
    for place in PLACES[:2]:
        assert allcores.map(run, range(12), seed=7, **place) == serial


@pytest.mark.parametrize("way", WAYS)
def test_clean_workers_draw_the_same(way):
    run = WAYS[way](np.random.default_rng(0))
    assert allcores.map(run, range(12), seed=7, **PLACES[2]) == allcores.map(run, range(12), seed=7, on="serial")


HELPER = """
import random
GENERATOR, LATE = random.Random(0), None
"""


def test_in_a_module_that_a_clean_worker_does_not_have_yet_too(run_python, tmp_path):
    (tmp_path / "helper.py").write_text(HELPER)
    done = run_python("""
import random
import allcores
import helper
helper.LATE = random.Random(1)

def run(x):
    import helper
    return helper.GENERATOR.random(), helper.LATE.random()

serial = allcores.map(run, range(6), seed=7, on="serial")
print(len({number for numbers in serial for number in numbers}))
print(allcores.map(run, range(6), seed=7, workers=2, batch=2, start="forkserver") == serial)
""")
    assert done.stdout == "12\nTrue\n"


def test_two_generators_have_two_streams():
    first, second = np.random.default_rng(0), np.random.default_rng(0)
    drawn = allcores.map(lambda _: (first.random(), second.random()), range(4), seed=7, on="serial")
    assert len({number for numbers in drawn for number in numbers}) == 8


def test_generators_that_are_spawned_are_the_items_own():
    generator = np.random.default_rng(0)

    def run(_: int) -> float:
        return float(generator.spawn(1)[0].random())

    serial = allcores.map(run, range(6), seed=7, on="serial")
    assert allcores.map(run, range(6), seed=7, start="fork", workers=2, batch=2) == serial
    assert len(set(serial)) == 6


@pytest.mark.parametrize(
    ("made", "start"),
    [("Generator", "fork"), ("RandomState", "fork"), ("Random", "fork"), ("Generator", "forkserver")],
)
def test_without_a_seed_no_two_workers_draw_the_same(made, start, tmp_path):
    run, meeting = closing_over(MADE[made]()), Meeting(tmp_path)

    def meet_and_run(x: int) -> Any:
        meeting.attend(x)
        return os.getpid(), run(x)[0]

    with pytest.warns(UserWarning, match="one of its own, begun anew by chance"):
        drawn = allcores.map(meet_and_run, range(8), start=start, workers=2, batch=1)
    assert len({pid for pid, _ in drawn}) == 2
    assert len({number for _, number in drawn}) == 8


def test_without_a_seed_serial_is_the_loop_itself():
    fresh = MADE["Generator"]()
    assert allcores.map(closing_over(MADE["Generator"]()), range(4), on="serial") == [take(x, fresh) for x in range(4)]


def test_a_replayed_item_draws_what_it_drew():
    generator = np.random.default_rng(0)

    def fail(x: int) -> None:
        raise ValueError(x, float(generator.random()))

    failure = allcores.map(fail, range(4), seed=7, start="fork", workers=2, errors="collect").failures[2]
    before = state_of(generator)
    with pytest.raises(ValueError, match="2") as caught:
        allcores.replay(failure)
    assert caught.value.args == failure.exception.args
    assert state_of(generator) == before


@pytest.mark.parametrize("wrap", [cache, staticmethod, partial, lambda function: [{"a": function}].copy])
def test_what_is_wrapped_is_found(wrap):
    assert list(find_captured(wrap(draw_globally)).values()) == [GENERATOR]


@pytest.mark.parametrize("function", [abs, take, lambda x: random.random() + x, random.randint, random.SystemRandom])
def test_generators_of_libraries_are_no_captures(function):
    assert find_captured(function) is None


def test_what_cannot_be_looked_at_has_none():
    class Evasive:
        def __getattr__(self, name: str) -> Any:
            raise SystemExit

    thing = Evasive()
    assert find_captured(lambda x: thing) is None


def test_a_generator_of_the_system_has_no_state():
    generator = random.SystemRandom()
    drawn = allcores.map(lambda _: generator.random(), range(4), seed=7, on="serial")
    assert len(set(drawn)) == 4


# ----------------------------------------------------------------------------------------------------- what is said


def warnings_of(call: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert {(each.category, each.filename) for each in caught} <= {(UserWarning, __file__)}
    return [str(each.message) for each in caught]


def test_a_run_in_processes_without_a_seed_says_it_once():
    run = Model(np.random.default_rng(0)).draw
    (said,) = warnings_of(lambda: allcores.map(run, range(8), workers=2, batch=1, start="fork"))
    assert "'self -> generator', a numpy.random.Generator, of which each worker has one of its own" in said
    assert "yours does not move" in said
    assert all(advice in said for advice in ("seed=", "allcores.rng()"))


@pytest.mark.parametrize("options", [{"on": "serial"}, {"on": "threads"}, {"start": "fork", "seed": 7}], ids=str)
def test_nothing_is_said_where_generators_are_shared_or_seeded(options):
    run = closing_over(np.random.default_rng(0))
    assert warnings_of(lambda: allcores.map(run, range(4), workers=2, **options)) == []


def test_a_lazy_run_says_it_where_its_results_are_taken():
    results = allcores.imap(draw_globally, range(4), workers=2, start="fork")
    (said,) = warnings_of(lambda: list(results))
    assert "'GENERATOR'" in said


def test_nothing_is_said_of_what_only_has_the_same_name():
    class Thing:
        GENERATOR = 3

    thing = Thing()
    assert warnings_of(lambda: allcores.map(lambda x: thing.GENERATOR, range(4), start="fork")) == []


def test_when_warnings_are_errors_nothing_has_run(tmp_path):
    def run(x: int) -> float:
        (tmp_path / str(x)).touch()
        return GENERATOR.random()

    journal = tmp_path / "run.journal"
    with pytest.raises(UserWarning, match="'GENERATOR'"):
        allcores.map(run, range(4), start="fork", resume=journal)
    assert [*tmp_path.iterdir()] == [journal]
    with pytest.warns(UserWarning, match="'GENERATOR'"):
        assert len(allcores.map(run, range(4), start="fork", resume=journal)) == 4


def begin(number: int) -> None:
    global GENERATOR  # noqa: PLW0603 - as initializers do
    GENERATOR = np.random.default_rng(number)


def test_an_initializer_that_begins_it_is_heeded(start):
    options = {"workers": 1, "initializer": begin, "initargs": (5,), "start": start}
    expected = [take(x, generator) for generator in [np.random.default_rng(5)] for x in range(3)]
    assert allcores.map(draw_globally, range(3), **options) == expected
    with allcores.Pool(1, begin, (5,), start=start) as pool:
        assert pool.map(draw_globally, range(3)) == expected


# ------------------------------------------------------------------------------------------- pools and executors


def test_a_pools_workers_draw_different_numbers_in_maps_and_it_says_so_once(start, tmp_path):
    meeting = Meeting(tmp_path)

    def run(x: int) -> float:
        meeting.attend(x)
        return draw_globally(x)[0]

    drawn: list[float] = []
    with allcores.Pool(2, start=start) as pool:
        (said,) = warnings_of(lambda: [drawn.extend(pool.map(run, range(8), 1)) for _ in range(2)])
    assert "'draw_globally -> GENERATOR'" in said
    assert len(set(drawn)) == 16


def test_calls_take_what_they_lead_to_along_as_it_is(start):
    generator = np.random.default_rng(0)
    run = Simulation(generator).draw
    expected = take(0, np.random.default_rng(0))
    with allcores.Executor(2, start=start) as executor:
        assert warnings_of(lambda: executor.submit(run, 0).result()) == []
        assert executor.submit(run, 0).result() == executor.submit(take, 0, generator).result() == expected


@pytest.mark.parametrize("options", [{"start": "fork"}, {"start": "forkserver"}, {"on": "serial"}], ids=str)
def test_with_a_seed_a_call_draws_what_an_item_does(options):
    generator = np.random.default_rng(0)
    run, before = Simulation(generator).draw, state_of(generator)
    expected = allcores.map(run, range(4), seed=7, on="serial")
    with allcores.Pool(1, seed=7, **options) as pool:
        assert [pool.apply(run, (x,)) for x in range(2)] == expected[:2]
        assert pool.map(run, range(2, 4)) == expected[2:]
    assert state_of(generator) == before


# --------------------------------------------------------------------------------------- tried again, and resumed


def test_an_item_that_is_tried_again_or_resumed_draws_the_same(tmp_path):
    generator, marks = np.random.default_rng(0), tmp_path / "marks"
    marks.mkdir()

    def run(x: int) -> float:
        drawn = float(generator.random())
        if x % 3 == 2 and not (marks / str(x)).exists():
            (marks / str(x)).touch()
            os._exit(1)
        if x % 3 == 1 and allcores.current_item().tries == 1:
            raise OSError
        return drawn

    options: dict[str, Any] = {"workers": 2, "batch": 2, "start": "fork", "seed": 7, "resume": tmp_path / "run.journal"}
    first = allcores.map(run, range(6), errors="collect", retry_on=OSError, retries=1, **options)
    assert sorted(failure.index for failure in first.failures) in ([], [2, 5])
    again = allcores.map(run, range(6), retries=1, **options)
    assert again == allcores.map(lambda _: float(generator.random()), range(6), seed=7, on="serial")
