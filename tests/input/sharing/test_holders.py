"""What is known of types: which may hide something, and whose they are."""

from __future__ import annotations

import collections
import json
import math
import struct
import sys
import threading
from types import ModuleType

import pytest

from allcores._input.sharing import holders
from allcores._input.sharing.holders import Nature, is_library, is_opaque, nature_of, pickles_itself

pytestmark = pytest.mark.once


class Slotted:
    __slots__ = ("__weakref__", "a", "b")


class Everything(dict[str, int]):
    pass


class Decided:
    def __getstate__(self) -> None:
        return None


@pytest.mark.parametrize("kind", [Slotted, Everything, type("List", (list,), {})])
def test_types_written_in_python_hide_nothing(kind):
    assert not holders._hides_something(kind)
    assert nature_of(kind) == Nature()


@pytest.mark.parametrize("thing", [iter([]), iter({}.items()), struct.Struct("q"), collections.deque(), {}.keys(), len])
def test_what_the_interpreter_has_itself_is_known(thing):
    assert nature_of(type(thing)) == Nature()


@pytest.mark.parametrize("thing", [1, "a", None, b"", math, ModuleType("m"), range(3), sys._getframe()])
def test_what_leads_nowhere_needs_no_look(thing):
    assert nature_of(type(thing)) is None


def test_types_of_extension_modules_are_suspect_also_if_their_names_have_no_module(monkeypatch):
    monkeypatch.setattr(holders, "TRANSPARENT", holders.TRANSPARENT - {"_struct"})

    class Of(struct.Struct):
        pass

    assert holders._hides_something(Of)
    assert nature_of(Of) == Nature(is_suspect=True)
    environment = type("Environment", (), {"__module__": "builtins"})
    assert not holders._is_known(environment)


def test_who_has_a_say_in_pickling():
    assert pickles_itself(Decided)
    assert pickles_itself(type("Below", (Decided,), {}))
    assert not pickles_itself(Slotted)
    assert not pickles_itself(collections.deque)  # where what it leads to travels


def test_one_of_its_type_tells_whether_it_is_opaque():
    assert is_opaque(threading.Lock())
    assert not is_opaque(Everything())


def test_libraries_are_those_of_python_and_those_that_are_installed():
    assert is_library(json.JSONDecoder)
    assert is_library(vars(json))
    assert is_library(vars(pytest))
    assert is_library(vars(sys))
    assert is_library(vars(holders))
    assert not is_library(Slotted)
    assert not is_library(globals())
    assert not is_library({})
