"""Classes that cannot be imported are registered before a fork, however many there are that can."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

from allcores._codec.definitions import classes
from allcores._codec.definitions.classes import register_local_classes, registered_name


def test_a_class_that_is_made_between_two_forks_is_registered() -> None:
    register_local_classes()

    class Later:
        pass

    assert registered_name(Later) is None
    register_local_classes()
    assert registered_name(Later) is not None


@pytest.mark.parametrize("generation", [0, 1, 2])
def test_the_garbage_collector_hides_no_class(generation: int) -> None:
    register_local_classes()

    class Later:
        pass

    gc.collect(generation)
    register_local_classes()
    assert registered_name(Later) is not None


def test_a_class_that_was_frozen_is_registered() -> None:
    register_local_classes()

    class Later:
        pass

    gc.freeze()
    try:
        register_local_classes()
    finally:
        gc.unfreeze()
    assert registered_name(Later) is not None


@pytest.mark.skipif(not classes.HAS_GENERATIONS, reason="the collector of this Python has no generations")
def test_between_two_forks_only_young_classes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    register_local_classes()
    monkeypatch.setattr(classes, "_all_classes", pytest.fail)

    class Later:
        pass

    register_local_classes()
    assert registered_name(Later) is not None


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that can be imported, and has a class."""
    (tmp_path / "shop.py").write_text("class Item: pass")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("shop")
    del sys.modules["shop"]


def test_a_class_that_can_be_imported_is_not_registered(shop: ModuleType) -> None:
    for _ in range(2):
        register_local_classes()
        assert registered_name(shop.Item) is None


def test_a_class_that_answers_nothing_is_not_asked() -> None:
    class Mute(type):
        def __getattribute__(cls, name: str) -> NoReturn:
            raise ValueError(f"no {name}")

    class Silent(metaclass=Mute):
        pass

    register_local_classes()
    assert registered_name(Silent) is not None


def test_a_class_at_the_address_of_one_that_is_gone_is_looked_at_anew(shop: ModuleType) -> None:
    for _ in range(20):
        register_local_classes()
        importlib.reload(shop)
        del shop.Item  # with the class that was registered as importable

        class Local:
            pass

        register_local_classes()
        assert registered_name(Local) is not None
        importlib.reload(shop)
