"""What a thing is, is found without asking it, or what made its type."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest

from allcores._core.kinds import is_dask_client, is_executor, qualified_name, runs_in_threads, type_name


class Mute(type):
    """Makes types that say nothing of themselves."""

    def __getattribute__(cls, name: str) -> Any:
        raise ValueError(f"no {name}")


class Thing(metaclass=Mute):
    pass


class Elsewhere(Executor, metaclass=type("MuteABC", (Mute, type(Executor)), {})):
    pass


def test_an_executor_is_known_whatever_its_metaclass_says() -> None:
    assert is_executor(Elsewhere())
    assert not is_executor(Thing())
    assert not is_executor(Elsewhere), "it makes them"


@pytest.mark.parametrize("thing", [Thing(), Elsewhere(), None, 1, "tcp://"])
def test_what_is_none_is_none(thing: object) -> None:
    assert not is_dask_client(thing)
    assert not runs_in_threads(thing)


def test_threads_are_known_by_the_executor_and_by_its_class() -> None:
    assert runs_in_threads(ThreadPoolExecutor)
    with ThreadPoolExecutor(1) as executor:
        assert runs_in_threads(executor)


def test_a_type_that_hides_its_name_is_named() -> None:
    assert (type_name(Thing()), qualified_name(Thing())) == ("Thing", "Thing")
