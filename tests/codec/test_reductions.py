"""What pickle would call by a name, or make again in another way, arrives as what it was."""

from __future__ import annotations

import functools
import multiprocessing.reduction  # noqa: F401 - it has reducers of its own, which call methods by their names
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allcores
from allcores._codec.pickling import decode, encode

pytestmark = pytest.mark.once

Method = Callable[[Any], Any]


def travelled(thing: Any) -> Any:
    return decode([bytearray(frame) for frame in encode(thing)])


def undecorated(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, x: Any) -> Any:
        return "decorated", function(self, x)

    return call


class Machine:
    def __init__(self, n: int) -> None:
        self.n = n

    def plain(self, x: Any) -> Any:
        return "plain", self.n, x

    def __private(self, x: Any) -> Any:
        return "private", self.n, x

    @undecorated
    def decorated(self, x: Any) -> Any:
        return self.n, x

    alias = plain
    by_lambda = lambda self, x: ("lambda", self.n, x)  # noqa: E731

    @classmethod
    def of_class(cls, x: Any) -> Any:
        return cls.__name__, x

    @classmethod
    def __of_class(cls, x: Any) -> Any:
        return "private", cls.__name__, x

    @staticmethod
    def __of_nobody(x: Any) -> Any:
        return "nobody's", x

    def methods(self) -> list[Method]:
        own = [self.plain, self.__private, self.decorated, self.alias, self.by_lambda]
        return [*own, self.of_class, self.__of_class, self.__of_nobody, type(self).of_class]


class Derived(Machine):
    def plain(self, x: Any) -> Any:
        return "derived", super().plain(x)

    def __private(self, x: Any) -> Any:
        return "private of the derived", x

    def above(self) -> list[Method]:
        return [super().plain, self.__private]


class Answering:
    """Has a method for every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda _: name

    def real(self, x: Any) -> Any:
        return "real", x


class Counting(list[int]):
    def count(self, value: int) -> int:
        return -1

    def above(self) -> Method:
        return super().count


def shadowed() -> Method:
    machine = Machine(1)
    method = machine.plain
    machine.plain = None  # type: ignore[method-assign, assignment]
    return method


def of_a_local_class() -> list[Method]:
    class Local(Derived):
        def __private(self, x: Any) -> Any:
            return "private of the local", self.n, x

        @functools.wraps(Machine.plain)
        def wrapped(self, x: Any) -> Any:
            return "wrapped", x

        def local_methods(self) -> list[Method]:
            return [self.__private, self.wrapped]

    local = Local(5)
    return [*local.methods(), *local.above(), *local.local_methods()]


METHODS: list[Method] = [
    *(*Machine(3).methods(), *Derived(4).methods(), *Derived(4).above(), *of_a_local_class()),
    *(Answering().real, shadowed(), Counting([1, 1]).above(), Counting([1, 1]).count),
    *([1, 2, 1].count, {1: "one"}.get, (5).__add__, dict.fromkeys([1]).get, functools.partial(max, 0)),
]


@pytest.mark.parametrize("how", ["map", "submit", "apply"])
def test_every_method_is_the_one_that_runs(how: str, clean_start: str):
    expected = [method(1) for method in METHODS]
    if how == "map":
        assert [allcores.map(method, [1], start=clean_start)[0] for method in METHODS] == expected
    elif how == "submit":
        with allcores.Executor(1, start=clean_start) as executor:
            assert [executor.submit(method, 1).result() for method in METHODS] == expected
    else:
        with allcores.Pool(1, start=clean_start) as pool:
            assert [pool.apply(method, (1,)) for method in METHODS] == expected


def test_methods_are_items_and_results(start: str):
    expected = [method(1) for method in METHODS]
    seen = allcores.map(lambda method: (method(1), method), iter(METHODS), start=start)
    assert [result for result, _ in seen] == expected
    assert [method(1) for _, method in seen] == expected
    owners = [type(getattr(method, "__self__", None)) for method in METHODS]
    assert [type(getattr(method, "__self__", None)) for _, method in seen] == owners


def test_methods_of_main(run_python: Any, clean_start: str):
    run_python(f"""
import allcores
class Job:
    seen = []
    def __work(self, x): Job.seen.append(x); return len(Job.seen), x
    def go(self): return allcores.map(self.__work, [1, 2], start={clean_start!r}, workers=1)
    def calls(self): return [self.__work, self.other]
    other = lambda self, x: -x
assert Job().go() == [(1, 1), (2, 2)]
with allcores.Executor(1, start={clean_start!r}) as executor:
    assert executor.submit(Job()._Job__work, 3).result() == (1, 3)
    assert [executor.submit(call, 4).result() for call in Job().calls()] == [(2, 4), -4]
""")


def test_a_private_method_lives_in_its_module():
    """It is no copy, with globals of its own."""
    method = Machine(1).methods()[1]
    assert travelled(method).__func__ is method.__func__  # type: ignore[attr-defined]


def test_what_a_class_says_of_its_pickling_is_heeded():
    class Number:
        def __reduce__(self) -> Any:
            return int, (7,)

    class Text(str):
        __slots__ = ()

        def __reduce_ex__(self, protocol: Any) -> Any:
            return str, ("told",)

    assert travelled([Number(), Text("x")]) == [7, "told"]


class Told(Exception):
    """Says itself how it is pickled."""

    def __reduce__(self) -> Any:
        return Told, ("told",)


class Restored(Exception):
    def __setstate__(self, state: Any) -> None:
        self.restored = True


def test_exceptions_that_say_how_they_are_pickled_are_asked():
    assert travelled(Told("x")).args == ("told",)
    error = Restored("x")
    error.number = 1  # type: ignore[attr-defined]
    assert travelled(error).restored


def test_large_times_travel_beside_the_pickle():
    times = np.arange(100_000).astype("M8[s]")
    assert sum(memoryview(frame).nbytes for frame in encode(times)[:1]) < 1000
    assert np.array_equal(travelled(times), times)


def test_views_that_nobody_can_make_again_are_refused(run_python: Any):
    run_python("""
import ctypes, pickle
from allcores._codec.pickling import encode
class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double)]
try:
    encode(memoryview((Pair * 2)()))
except pickle.PicklingError as error:
    assert "a view of the format" in str(error)
else:
    raise SystemExit("it went")
""")


def test_arrays_can_be_written_to_or_not_as_before(start: str):
    """Small ones and large ones, packed ones, and parts of others."""

    def make(x: int, size: int, is_writeable: bool) -> Any:  # noqa: FBT001
        array = np.full(size, x)
        array.flags.writeable = is_writeable
        return array

    def pair(x: int) -> list[Any]:
        size = 3 if x < 400 else 20_000
        array = make(x, size, bool(x % 3))
        return [array, array.reshape(1, -1), array[::2]]

    xs = [*range(200), *range(400, 410)]
    flags = [[array.flags.writeable for array in pair(x)] for x in xs]
    seen = allcores.map(lambda p: ([array.flags.writeable for array in p], p), (pair(x) for x in xs), start=start)
    assert [told for told, _ in seen] == flags
    assert [[array.flags.writeable for array in arrays] for _, arrays in seen] == flags
    fixed = allcores.map(lambda x: make(x, 3, is_writeable=False), range(200), start=start, batch=100)
    assert not any(array.flags.writeable for array in fixed)
