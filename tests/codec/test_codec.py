"""A single call of a function that its worker has is pickled plainly: nothing is searched for what it might name."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from allcores._codec import codec
from allcores._codec.codec import Encoded, encode_items
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known


def add(one: int, other: int = 1) -> int:
    return one + other


def encode_call(function: Callable[..., Any], known: Known, *args: Any) -> Encoded:
    """Encode a call, and note down what the worker was told by that."""
    encoded = encode_items(((function, args, {}),), known, Inspection())
    known.contents |= encoded.unsure
    return encoded


@pytest.fixture
def unsearched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a pickle was searched")

    monkeypatch.setattr(codec, "definitions_named_in", refuse)


@pytest.mark.usefixtures("unsearched")
@pytest.mark.parametrize("function", [types.new_class, pytest.importorskip], ids=["standard", "installed"])
def test_a_call_of_an_installed_function_is_plain(function: Callable[..., Any]) -> None:
    assert encode_call(function, Known(), "C", 3).unsure == {}


def test_a_call_of_the_users_function_is_plain_once_it_was_compared(request: pytest.FixtureRequest) -> None:
    known = Known()
    assert encode_call(add, known, 3).unsure.keys() == {(__name__, "add")}
    request.getfixturevalue("unsearched")
    assert encode_call(add, known, 3).unsure == {}


def test_a_change_of_a_function_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known()
    encode_call(add, known, 3)
    monkeypatch.setattr(add, "__defaults__", (2,))
    assert encode_call(add, known, 3).unsure.keys() == {(__name__, "add")}


def test_a_function_that_its_worker_cannot_import_goes_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("made_at_run_time")
    exec("def double(x): return 2 * x", vars(module))
    monkeypatch.setitem(sys.modules, "made_at_run_time", module)
    (frame,) = encode_call(vars(module)["double"], Known(), 3).frames
    assert b"cloudpickle" in bytes(frame)
