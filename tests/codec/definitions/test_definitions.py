"""Definitions that go by value are on arrival what they were."""

from __future__ import annotations

import collections
import enum
import gc
import importlib.util
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import allcores
from allcores._codec.definitions.definitions import reduce_class
from allcores._codec.pickling import decode, encode_by_value

pytestmark = pytest.mark.once


def travelled(thing: Any) -> Any:
    return decode([bytearray(frame) for frame in encode_by_value(thing)])


# --------------------------------------------------------------------------------------------------------------- code


def make_nested() -> Callable[[int], Any]:
    def outer(x: int, /, *, y: int = 2) -> Any:
        class Local:
            def method(self) -> Iterator[int]:
                return (x + y + z for z in range(3))

        return Local().method()

    return outer


def codes_within(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_within(constant)


def test_code_arrives_as_it_was():
    function = make_nested()
    arrived = travelled(function).__code__
    assert arrived == function.__code__
    assert {code.co_filename for code in codes_within(arrived)} == {__file__}
    assert len(list(codes_within(arrived))) == len(list(codes_within(function.__code__))) >= 4


def test_what_clean_workers_tell_of_code_names_its_file(clean_start: str):
    def warn(x: int) -> tuple[Any, ...]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("careful", stacklevel=1)
        try:
            return (1 / x,)
        except ZeroDivisionError as error:
            (entry,) = traceback.extract_tb(error.__traceback__)
            return caught[0].filename, entry.filename, entry.line

    assert allcores.map(warn, [0], start=clean_start) == [(__file__, __file__, "return (1 / x,)")]


# ------------------------------------------------------------------------------------------------------------- classes


class Base:
    """Counts what is derived from it."""

    __slots__ = ()
    labels: list[str] = []  # noqa: RUF012

    def __init_subclass__(cls, *, label: str) -> None:
        Base.labels.append(label)


class Meta(type):
    """Wants a keyword, counts its classes, and lets nobody change them."""

    names: list[str] = []  # noqa: RUF012

    def __new__(cls, name: str, bases: Any, names: Any, *, flavour: str) -> Any:
        Meta.names.append(name)
        return super().__new__(cls, name, bases, {**names, "flavour": flavour})

    def __init__(cls, name: str, bases: Any, names: Any, *, flavour: str) -> None:
        super().__init__(name, bases, names)

    def __setattr__(cls, name: str, value: object) -> None:
        raise AttributeError(name)

    def __call__(cls, *args: Any) -> Any:
        return super().__call__(*args)


class Named:
    """Counts how often it is named."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self.names.append(name)


def test_nothing_is_run_again_that_made_a_class(clean_start: str):
    class Local(Base, label="local"):
        named = Named()

    class Sweet(metaclass=Meta, flavour="sweet"):
        def of_this_class(self) -> Any:
            return __class__  # type: ignore[name-defined]

    def look(_: int) -> Any:
        found = Local.__mro__ == (Local, Base, object), type(Sweet) is Meta, Sweet().of_this_class() is Sweet
        return found, Base.labels, Meta.names, Local.named.names, Sweet.flavour, Local.__qualname__  # type: ignore[attr-defined]

    (seen,) = allcores.map(look, [0], start=clean_start)
    assert seen == look(0)
    assert seen[1:] == (["local"], Meta.names, ["named"], "sweet", Local.__qualname__)


def test_a_class_is_made_bare_though_its_bases_object():
    """As in another process, where no class of this identity is known."""

    class Local(Base, label="x"):
        __slots__ = ("__hidden", "x")

    before = list(Base.labels)
    make, (birth, members, _, _), state, *_, finish = reduce_class(Local, is_for_worker=False)
    copy = make(birth, members, "another", None)
    finish(copy, state)
    assert copy is not Local
    assert before == Base.labels
    assert vars(copy).keys() == vars(Local).keys()
    assert copy.__slots__ == Local.__slots__
    copy().x = 1
    with pytest.raises(AttributeError):
        copy().y = 1  # type: ignore[attr-defined]


def test_members_of_a_local_enumeration_are_themselves(start: str):
    class Coded(int, enum.Enum):
        def __new__(cls, number: int, label: str) -> Any:
            made = int.__new__(cls, 10 * number)
            made._value_ = number
            made.label = label  # type: ignore[attr-defined]
            return made

        A = 1, "one"
        B = 2, "two"
        ALIAS = 1, "one"  # noqa: PIE796 - it is one

        def other(self, default: Any = None) -> Any:
            return default

    def look(pair: tuple[Coded, list[Coded]]) -> Any:
        one, many = pair
        told = int(one), one.label, one.value, list(Coded.__members__)  # type: ignore[attr-defined]
        return one is Coded.A, many[1] is Coded.B, Coded(2) is many[1], Coded["ALIAS"] is one, told, one

    for seen in allcores.map(look, ((Coded.A, [Coded.A, Coded.B]) for _ in range(3)), start=start, batch=1):
        assert seen == (True, True, True, True, (10, "one", 1, ["A", "B", "ALIAS"]), Coded.A)
        assert seen[-1] is Coded.A


def test_items_of_a_local_class_are_of_the_very_class(start: str):
    class Task:
        made = 0

        def __init__(self) -> None:
            type(self).made += 1

    class Special(Task):
        pass

    def items() -> Iterator[Any]:
        for _ in range(20):
            yield Task(), Special()

    def look(pair: tuple[Task, Special]) -> Any:
        return type(pair[0]) is Task, type(pair[1]) is Special, isinstance(pair[1], Task), pair

    for *found, pair in allcores.map(look, items(), start=start, workers=2):
        assert found == [True, True, True]
        assert [type(one) for one in pair] == [Task, Special]
    with allcores.Pool(2, start=start) as pool:
        assert all(found == [True, True, True] for *found, _ in pool.imap(look, items()))


def test_a_class_that_takes_the_place_of_one_that_is_gone_is_not_taken_for_it(start: str):
    def make(n: int) -> Any:
        class Task:
            number = n

            def run(self) -> int:
                return n

        return Task()

    def items() -> Iterator[Any]:
        for n in range(20):
            yield make(n)
            gc.collect()

    before = make(-1)
    del before
    assert allcores.map(lambda task: (task.run(), task.number), items(), start=start, workers=2) == [
        (n, n) for n in range(20)
    ]


# ----------------------------------------------------------------------------------- what is found under no name

SOURCE = """
import enum
class P:
    __slots__ = ("x",)
    def __init__(self, x): self.x = x
    def __eq__(self, other): return type(self) is type(other) and self.x == other.x
class E(enum.Enum):
    A = 1
limit = 3
def f(x): return P(x + limit)
"""
Hall = collections.namedtuple("Room", "a b")  # noqa: PYI024
triple = lambda x: 3 * x  # noqa: E731


def run_without_a_name() -> Any:
    space: dict[str, Any] = {}
    exec(SOURCE, space)
    return types.SimpleNamespace(**{name: space[name] for name in "PEf"})


def make_a_module() -> Any:
    module = types.ModuleType("made_here")
    exec(SOURCE, vars(module))
    return module


def register_a_module() -> Any:
    module = make_a_module()
    sys.modules["made_here"] = module
    return module


def load_a_file(folder: Path) -> Any:
    """Give a module of a file that nobody finds by its name."""
    (folder / "plugin.py").write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("made_here", folder / "plugin.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["made_here"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("how", ["run", "made", "registered", "loaded", "gone"])
def test_what_cannot_be_imported_goes_by_value(how: str, start: str, tmp_path: Path):
    make = {"run": run_without_a_name, "made": make_a_module, "registered": register_a_module}
    module = make[how]() if how in make else load_a_file(tmp_path)
    if how == "gone":
        del sys.modules["made_here"]
    try:
        assert allcores.map(module.f, [1, 2], start=start) == [module.P(4), module.P(5)]

        def look(pair: Any) -> Any:
            return isinstance(pair[0], module.P), pair[0].x, pair[1] is module.E.A, pair

        (seen,) = allcores.map(look, iter([(module.P(1), module.E.A)]), start=start)
        assert seen == (True, 1, True, (module.P(1), module.E.A))
        with allcores.Executor(1, start=start) as executor:
            assert executor.submit(module.f, 3).result() == module.P(6)
    finally:
        sys.modules.pop("made_here", None)


def is_hall(thing: Any) -> bool:
    return type(thing) is Hall


def test_what_a_module_has_under_another_name_is_found_there(clean_start: str):
    assert allcores.map(is_hall, [Hall(1, 2)], start=clean_start) == [True]
    (seen,) = allcores.map(lambda f: f(1), [triple], start=clean_start)
    assert seen == 3
    assert travelled(triple) is triple
    assert travelled(Hall) is Hall
