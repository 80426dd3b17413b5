"""What a pickle names of the user's modules is found in its bytes."""

from __future__ import annotations

import pickle
import sys
import types

import pytest

from allcores._codec import mentions
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known
from allcores._codec.mentions import SHORT_STRING, definitions_named_in

LONG = "a" * (SHORT_STRING + 1)
SOURCE = f"""
class Outer:
    class Inner: pass
def inner(): pass
def inner_too(): pass
def {LONG}(): pass
"""


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A program's ``__main__``, in the place of the test's."""
    module = types.ModuleType("__main__")
    exec(SOURCE, vars(module))
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def names_in(data: bytes, program: types.ModuleType) -> set[str]:
    found = definitions_named_in([data], Known(vars(program)), Inspection())
    return {thing.__qualname__ for thing in found} - {LONG}


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_name_is_found_and_not_one_that_begins_alike(program: types.ModuleType, protocol: int) -> None:
    assert names_in(pickle.dumps(program.inner_too, protocol), program) == {"inner_too"}
    assert names_in(pickle.dumps([program.inner, program.Outer], protocol), program) == {"inner", "Outer"}


def test_the_class_around_one_is_found(program: types.ModuleType) -> None:
    assert names_in(pickle.dumps(program.Outer.Inner, 5), program) == {"Outer"}


def test_a_pickle_of_an_old_protocol_within_another_is_searched_too(program: types.ModuleType) -> None:
    assert "inner" in names_in(pickle.dumps(pickle.dumps(program.inner, 2), 5), program)


def test_a_name_too_long_to_be_looked_for_always_counts(program: types.ModuleType) -> None:
    found = definitions_named_in([pickle.dumps(program.inner, 5)], Known(vars(program)), Inspection())
    assert {thing.__qualname__ for thing in found} == {"inner", LONG}


def test_what_names_nothing_of_the_program_is_not_searched(program: types.ModuleType) -> None:
    assert names_in(pickle.dumps([len, 1, "inner"], 5), program) == set()


def test_a_module_within_a_longer_string_is_not_named(
    monkeypatch: pytest.MonkeyPatch, program: types.ModuleType
) -> None:
    for name in ("odd", "odd.even"):
        module = types.ModuleType(name)
        exec("def meet(): pass", vars(module))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(mentions, "user_modules", lambda: ("odd", "odd.even"))
    data = pickle.dumps(["at odds", "meet", sys.modules["odd.even"].meet], 5)
    found = definitions_named_in([data], Known(vars(program)), Inspection())
    assert found == [sys.modules["odd.even"].meet]
