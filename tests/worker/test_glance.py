"""A glance says of most functions that they lead to no generator, and never of one that does."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from allcores._worker.glance import LARGE, leads_nowhere

OFFSET, TABLE, ARRAY = 3, {"a": [1, (2.0, "b")]}, np.zeros(3)
GENERATOR = np.random.default_rng(0)


def add(x: int) -> int:
    return x + OFFSET


def count_down(x: int) -> int:
    return count_down(x - 1) if x else add(x)


def sum_up(x: int) -> float:
    return sum(TABLE["a"][0] + math.sqrt(y) + float(np.sin(ARRAY).sum()) for y in range(x))


def closing_over(data: Any) -> Callable[[int], Any]:
    return lambda x: data


def late() -> Callable[[int], Any]:
    def run(x: int) -> Any:
        return unset

    if TABLE is None:
        unset = 1
    return run


class Thing:
    generator = GENERATOR


def has_attribute(x: int) -> int:
    return x


has_attribute.own = GENERATOR  # type: ignore[attr-defined]

NOTHING = [abs, int, math.sqrt, add, count_down, sum_up, np.mean, late(), lambda x: [add(y) for y in x]]
NOTHING.append(lambda x, offset=(1, {"b": OFFSET}): (x, offset))
NOTHING.append(closing_over([Thing()] * LARGE))
MAYBE: list[Callable[..., Any]] = [
    GENERATOR.random,
    Thing,
    random.random,
    functools.partial(add),
    has_attribute,
    lambda x: GENERATOR.random(),
    lambda x: lambda y: GENERATOR,
    lambda x, own=({"a": [GENERATOR]},): own,
    lambda x, *, own=GENERATOR: own,
    closing_over(GENERATOR),
]


@pytest.mark.parametrize("function", NOTHING)
def test_most_functions_lead_nowhere(function):
    assert leads_nowhere(function)


@pytest.mark.parametrize("function", MAYBE)
def test_who_may_lead_to_a_generator_is_looked_at(function):
    assert not leads_nowhere(function)


def test_a_run_that_captures_data_need_not_look_closer(run_python):
    done = run_python("""
import sys
import numpy as np
import allcores

def run(array):
    return allcores.map(lambda at: array[at] + np.ones(1), range(4), workers=2, start="fork")

assert len(run(np.arange(4))) == 4
print([name for name in ("captured", "streams") if f"allcores._worker.{name}" in sys.modules])
""")
    assert done.stdout == "[]\n"
