"""Every kind of function and class works in every place, and every kind of dataset means what it means in a loop."""

from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import functools
import itertools
import math
import operator
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import allcores

Case = tuple[Callable[[Any], Any], Iterable[Any]]


def increment(x: int) -> int:
    return x + 1


@dataclasses.dataclass
class Scale:
    """A callable instance, with methods of every kind."""

    factor: int

    def __call__(self, x: int) -> int:
        return self.factor * x

    def shift(self, x: int) -> int:
        return x + self.factor

    @classmethod
    def double(cls, x: int) -> int:
        return cls(2)(x)

    @staticmethod
    def half(x: int) -> float:
        return x / 2


def closure() -> Callable[[int], int]:
    offset = 10
    return lambda x: x + offset


def nested_closure() -> Callable[[int], int]:
    offset = 10

    def outer(x: int) -> int:
        def inner(y: int) -> int:
            return x * y + offset

        return inner(3)

    return outer


def recursive() -> Callable[[int], int]:
    def factorial(n: int) -> int:
        return 1 if n < 2 else n * factorial(n - 1)

    return factorial


def cached() -> Callable[[int], int]:
    @functools.cache
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    return fibonacci


def decorated() -> Callable[[int], int]:
    def doubled(fn: Callable[[int], int]) -> Callable[[int], int]:
        @functools.wraps(fn)
        def call(x: int) -> int:
            return 2 * fn(x)

        return call

    return doubled(lambda x: x + 1)


def callable_instance() -> Callable[[int], int]:
    class Power:
        def __init__(self, exponent: int) -> None:
            self.exponent = exponent

        def __call__(self, x: int) -> int:
            return int(x**self.exponent)

    return Power(3)


FUNCTIONS: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "function": lambda: increment,
    "lambda": lambda: lambda x: x * x,
    "closure": closure,
    "nested closure": nested_closure,
    "recursive": recursive,
    "cached": cached,
    "decorated": decorated,
    "partial": lambda: functools.partial(pow, 2),
    "partial of a lambda": lambda: functools.partial(lambda base, x: base - x, 100),
    "bound method": lambda: Scale(3).shift,
    "classmethod": lambda: Scale.double,
    "staticmethod": lambda: Scale.half,
    "callable instance": lambda: Scale(4),
    "local callable instance": callable_instance,
    "class": lambda: Scale,
    "builtin": lambda: math.sqrt,
    "builtin type": lambda: float,
    "method of a builtin": lambda: [5, 3, 5].count,
    "slot of a builtin": lambda: int.__neg__,
    "operator": lambda: operator.methodcaller("bit_length"),
    "numpy function": lambda: np.exp2,
    "default argument": lambda: lambda x, y=7: x + y,
    "keyword-only argument": lambda: lambda x, *, y=7: x + y,
}


def test_any_kind_of_function_does(place: dict[str, Any]):
    for kind, make in FUNCTIONS.items():  # in one test, so that clean workers are started once
        function = make()
        results = allcores.map(function, range(9), workers=2, **place)
        assert results == [function(x) for x in range(9)], kind


def test_a_function_of_a_module_that_only_the_caller_can_find(
    place: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "hidden_module.py").write_text("def triple(x):\n    return 3 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import hidden_module

    assert allcores.map(hidden_module.triple, range(4), workers=2, **place) == [0, 3, 6, 9]


# ------------------------------------------------------------------------------------------ functions of __main__


def run_in_main(place: dict[str, Any], program: str) -> str:
    """Give a program that has the options of a place, and that says that it came to its end."""
    return f"import allcores\noptions = {place!r} | {{'workers': 2}}\n{textwrap.dedent(program)}\nprint('done')\n"


def test_functions_of_a_script(run_python, place: dict[str, Any]):
    program = """
        import functools
        from math import sqrt

        factor = 3
        table = {"a": 1}

        def triple(x):
            return factor * x

        def through_another(x):
            return triple(x) + table["a"]

        def through_an_import(x):
            return sqrt(x)

        def factorial(n):
            return 1 if n < 2 else n * factorial(n - 1)

        def is_even(n):
            return n == 0 or is_odd(n - 1)

        def is_odd(n):
            return n != 0 and is_even(n - 1)

        @functools.lru_cache(maxsize=100)
        def fibonacci(n):
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

        @functools.cache
        def cached(n):
            return -n

        def twice(fn):
            @functools.wraps(fn)
            def call(x):
                return fn(fn(x))
            return call

        @twice
        def decorated(x):
            return x + 1

        @functools.singledispatch
        def dispatched(x):
            return "something"

        @dispatched.register
        def _(x: int):
            return "an int"

        def make_adder(n):
            def add(x):
                return x + n + factor
            return add

        class Shift:
            step = 5

            def __init__(self, by):
                self.by = by

            def __call__(self, x):
                return x + self.by

            def method(self, x):
                return x - self.by

            @classmethod
            def of_class(cls, x):
                return x * cls.step

            @staticmethod
            def of_nobody(x):
                return x // 2

            @functools.lru_cache(maxsize=None)
            def cached_method(self, x):
                return x + 2 * self.by

        functions = [
            triple, through_another, through_an_import, factorial, is_even, fibonacci, cached, decorated,
            dispatched, make_adder(4), lambda x: triple(x) - 1, functools.partial(lambda a, b: a - b, 10),
            Shift(2), Shift(2).method, Shift.of_class, Shift.of_nobody, Shift(3).cached_method,
            functools.partial(Shift.of_class),
        ]
        for function in functions:
            results = allcores.map(function, range(8), **options)
            assert results == [function(x) for x in range(8)], (function, results)
        """
    assert run_python(run_in_main(place, program)).stdout == "done\n"


def test_a_changed_definition_is_the_one_that_runs(run_python, place: dict[str, Any]):
    program = """
        class Point:
            colour = "red"

        def work(x):
            return factor * x

        for factor in (2, 3):
            assert allcores.map(work, range(3), **options) == [0, factor, 2 * factor]

        def paint(point):
            return point.colour, type(point)()

        assert [colour for colour, _ in allcores.map(paint, [Point()], **options)] == ["red"]

        class Point:
            colour = "blue"

        (colour, point), = allcores.map(paint, [Point()], **options)
        assert colour == point.colour == "blue"
        assert type(point) is Point
        """
    assert run_python(run_in_main(place, program)).stdout == "done\n"


# -------------------------------------------------------------------------------------------- classes of __main__


def test_what_comes_back_is_of_the_script_s_own_classes(run_python, place: dict[str, Any]):
    program = """
        import abc, collections, dataclasses, enum, functools, typing

        class Plain:
            def __init__(self, x=1):
                self.x = x
            def __eq__(self, other):
                return type(self) is type(other) and vars(self) == vars(other)
            __hash__ = None

        class Derived(Plain):
            pass

        class Slotted:
            __slots__ = ("x",)
            def __init__(self):
                self.x = 1
            def __eq__(self, other):
                return type(self) is type(other) and self.x == other.x
            __hash__ = None

        class Outer:
            class Inner(Plain):
                pass

        @dataclasses.dataclass
        class Data:
            x: int = 1
            more: list[int] = dataclasses.field(default_factory=list)

        @dataclasses.dataclass(frozen=True, slots=True)
        class FrozenData:
            x: int = 1

        class Colour(enum.Enum):
            RED = 1
            BLUE = "b"
            def shout(self):
                return self.name + "!"

        class Permission(enum.Flag):
            READ = enum.auto()
            WRITE = enum.auto()

        class Number(enum.IntEnum):
            ONE = 1

        Pair = collections.namedtuple("Pair", "left right")
        Alias = collections.namedtuple("OtherName", "left right")

        class Typed(typing.NamedTuple):
            x: int = 1

        class Text(str):
            pass

        class Listing(list):
            pass

        class Mapping(dict):
            pass

        class Abstract(abc.ABC):
            @abc.abstractmethod
            def area(self): ...

        class Square(Abstract):
            def area(self):
                return 1
            def __eq__(self, other):
                return type(self) is type(other)
            __hash__ = None

        T = typing.TypeVar("T")

        class Box(Plain, typing.Generic[T]):
            pass

        class Meta(type):
            pass

        class WithMeta(Plain, metaclass=Meta):
            pass

        class Lazy(Plain):
            @functools.cached_property
            def double(self):
                return 2 * self.x

        class Reduced(Plain):
            def __reduce__(self):
                return rebuild, (self.x,)

        def rebuild(x):
            return Reduced(x)

        class Error(Exception):
            def __eq__(self, other):
                return type(self) is type(other) and self.args == other.args
            __hash__ = None

        def make():
            class Local(Plain):
                pass
            return Local()

        samples = [
            Plain(), Derived(), Slotted(), Outer.Inner(), Data(), FrozenData(), Colour.RED, Colour.BLUE,
            Permission.READ | Permission.WRITE, Number.ONE, Pair(1, 2), Alias(1, 2), Typed(), Text("a"),
            Listing([1]), Mapping(a=1), Square(), Box(), WithMeta(), Lazy(), Reduced(), Error("a", 1), make(),
        ]

        def is_own(result, sample):
            return type(result) is type(sample) and result == sample

        for sample in samples:
            # As item and result; as a capture and a result; nested; as a class that is called.
            results = allcores.map(lambda item: item, [sample, sample], **options)
            assert all(is_own(result, sample) for result in results), ("item", sample, results)
            results = allcores.map(lambda _: sample, range(2), **options)
            assert all(is_own(result, sample) for result in results), ("capture", sample, results)
            results = allcores.map(lambda item: [{"key": (item[0], sample)}], [[sample]], **options)
            assert all(is_own(result, sample) for result in results[0][0]["key"]), ("nested", sample, results)

        for cls in (Plain, Derived, Outer.Inner, Data, FrozenData, Typed, Box, WithMeta, type(make())):
            results = allcores.map(cls, range(3), **options)
            assert [type(result) for result in results] == [cls] * 3, (cls, results)
            assert [result.x for result in results] == [0, 1, 2]

        for cls in (Colour, Number):
            assert allcores.map(cls, [1], **options)[0] is cls(1)
        assert allcores.map(Colour.shout, Colour, **options) == ["RED!", "BLUE!"]
        assert allcores.map(lambda box: box.double, [Lazy(2)], **options) == [4]
        assert allcores.map(lambda item: type(item), [Plain(), make()], **options)[0] is Plain
        assert allcores.map(lambda item: isinstance(item, Plain), [Plain(), Derived()], **options) == [True, True]
        """
    assert run_python(run_in_main(place, program)).stdout == "done\n"


def test_exceptions_of_a_script_are_caught_by_its_own_classes(run_python, place: dict[str, Any]):
    program = """
        class Sad(Exception):
            pass

        class Sadder(Sad):
            def __init__(self, message, weight):
                super().__init__(message, weight)
                self.weight = weight

        def fail(x):
            raise Sadder("so sad", x)

        def chain(x):
            try:
                fail(x)
            except Sad as error:
                raise ValueError("because of it") from error

        try:
            allcores.map(fail, [7], **options)
        except Sad as error:
            assert type(error) is Sadder
            assert error.weight == 7
        else:
            raise AssertionError

        try:
            allcores.map(chain, [7], **options)
        except ValueError as error:
            assert type(error.__cause__) is Sadder
        else:
            raise AssertionError

        failure, = allcores.map(fail, [7], errors="collect", **options)
        assert type(failure.exception) is Sadder
        """
    assert run_python(run_in_main(place, program)).stdout == "done\n"


def test_local_classes_come_back_as_themselves(place: dict[str, Any]):
    @dataclasses.dataclass
    class Local:
        x: int

    class Sad(Exception):
        pass

    def fail(x: int) -> None:
        raise Sad(x)

    results = allcores.map(Local, range(3), workers=2, **place)
    assert results == [Local(0), Local(1), Local(2)]
    assert allcores.map(lambda item: [item], results, workers=2, **place) == [[item] for item in results]
    with pytest.raises(Sad):
        allcores.map(fail, range(3), workers=2, **place)


@pytest.mark.parametrize("collects_classes", [True, False])
def test_classes_that_a_forked_worker_makes_are_told_from_those_it_has_inherited(collects_classes, monkeypatch):
    """On a free-threaded Python by their addresses, as its garbage collector knows nothing of classes."""
    monkeypatch.setattr("allcores._codec.definitions.classes.COLLECTS_CLASSES", collects_classes)
    if not collects_classes:
        monkeypatch.setattr("allcores._codec.definitions.classes.gc.get_objects", list)

    class Local:
        pass

    def make(name: str) -> tuple[type, type]:
        return Local, type(name, (Local,), {})

    for (local, made), name in zip(allcores.map(make, "abc", workers=2, start="fork"), "abc", strict=True):
        assert local is Local
        assert (made.__name__, made.__bases__) == (name, (Local,))


def test_a_run_leaves_the_caller_s_classes_as_they_are(run_python, place: dict[str, Any]):
    program = """
        greeting = "hello"

        def make():
            class Local:
                registry = []
                def greet(self):
                    return greeting
            return Local

        class Plain:
            registry = []
            def greet(self):
                return greeting

        for cls in (make(), Plain):
            greeting = "hello"
            before = dict(vars(cls))
            made = allcores.map(lambda _: (cls(), lambda: cls), range(2), **options)
            assert {type(one) for one, _ in made} == {cls}
            assert dict(vars(cls)) == before
            greeting = "good night"
            assert cls().greet() == made[0][0].greet() == "good night"
        """
    assert run_python(run_in_main(place, program)).stdout == "done\n"


# ---------------------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("count", [5, 1 << 17])
def test_arrays_are_equal_and_writable(count: int, place: dict[str, Any]):
    def work(values: np.ndarray) -> tuple[np.ndarray, bool]:
        return values + 1, values.flags.writeable

    items = [np.arange(count, dtype=float) + at for at in range(4)]
    results = allcores.map(work, items, workers=2, **place)
    for item, (result, was_writable) in zip(items, results, strict=True):
        np.testing.assert_array_equal(result, item + 1)
        assert was_writable
        assert type(result) is np.ndarray
        result[:] = 0
        assert not result.any()


@pytest.mark.parametrize("count", [5, 1 << 17])
def test_what_a_worker_process_writes_does_not_reach_the_caller(count: int, start: str):
    def wipe(values: np.ndarray) -> bool:
        values[:] = 0
        return bool(values.any())

    captured = np.ones(count)
    items = [np.ones(count) for _ in range(3)]
    matrix = np.ones((3, count))
    for dataset in (items, matrix, iter(items)):
        assert allcores.map(wipe, dataset, workers=2, start=start) == [False] * 3
    assert allcores.map(lambda _: wipe(captured), range(3), workers=2, start=start) == [False] * 3
    assert all(item.all() for item in (*items, *matrix, captured))


def test_arrays_of_all_layouts(place: dict[str, Any]):
    square = np.arange(64.0 * 1024).reshape(256, 256)
    items = [
        square,
        square.T,
        square[::2, ::3],
        np.asfortranarray(square),
        np.zeros((0, 3)),
        np.array(5),
        np.array(["a", None, {"b": 1}], dtype=object),
        np.array([(1, 2.5)], dtype=[("left", "i4"), ("right", "f8")]),
        square.astype(">f4"),
        np.ma.masked_less(square, 9),
    ]
    results = allcores.map(lambda item: item, items, workers=2, **place)
    for item, result in zip(items, results, strict=True):
        assert type(result) is type(item)
        assert result.dtype == item.dtype
        np.testing.assert_array_equal(result, item)


# -------------------------------------------------------------------------------------------------------- datasets


class OldSequence:
    """Iterable by the old protocol alone, without a length."""

    def __getitem__(self, index: int) -> str:
        return "old"[index]


class OddList(list[int]):
    """A list whose iteration means something else than its slices."""

    def __iter__(self) -> Iterator[int]:
        return reversed(self)


DATASETS: dict[str, Callable[[], Iterable[Any]]] = {
    "empty list": list,
    "list": lambda: [3, 1, 2],
    "tuple": lambda: (3, 1, 2),
    "string": lambda: "héllo",
    "bytes": lambda: b"hello",
    "bytearray": lambda: bytearray(b"hello"),
    "memoryview": lambda: memoryview(b"hello"),
    "range": lambda: range(10, 0, -3),
    "array": lambda: np.linspace(0, 1, 7),
    "matrix": lambda: np.arange(6).reshape(3, 2),
    "transposed matrix": lambda: np.arange(6).reshape(3, 2).T,
    "structured array": lambda: np.array([(1, 2.5), (3, 4.5)], dtype=[("left", "i4"), ("right", "f8")]),
    "masked array": lambda: np.ma.masked_less(np.arange(5), 2),
    "array.array": lambda: array.array("i", [3, 1, 2]),
    "dict": lambda: {"b": 1, "a": 2},
    "keys": {"b": 1, "a": 2}.keys,
    "values": {"b": 1, "a": 2}.values,
    "dict items": {"b": 1, "a": 2}.items,
    "counter": lambda: collections.Counter("hello"),
    "set": lambda: {3, 1, 2},
    "frozenset": lambda: frozenset("hello"),
    "deque": lambda: collections.deque([3, 1, 2], maxlen=2),
    "generator": lambda: (x * x for x in range(5)),
    "empty generator": lambda: (x for x in ()),
    "iterator": lambda: iter([3, 1, 2]),
    "zip": lambda: zip("ab", [1, 2], strict=True),
    "enumerate": lambda: enumerate("ab"),
    "builtin map": lambda: map(str.upper, "ab"),
    "islice": lambda: itertools.islice(itertools.count(), 4),
    "old sequence": OldSequence,
    "odd list": lambda: OddList([3, 1, 2]),
    "file": lambda: Path(__file__).read_text().splitlines()[:3],
}


def test_any_iterable_means_what_it_means_in_a_loop(place: dict[str, Any]):
    for kind, make in DATASETS.items():
        assert allcores.map(repr, make(), workers=2, **place) == [repr(item) for item in make()], kind


def test_an_open_file_is_a_dataset_of_lines(tmp_path: Path, place: dict[str, Any]):
    path = tmp_path / "lines.txt"
    path.write_text("a\nb\n\nc")
    with path.open() as file:
        assert allcores.map(str.strip, file, workers=2, **place) == ["a", "b", "", "c"]


def test_a_dataset_is_iterated_once_and_in_the_caller_s_thread(place: dict[str, Any]):
    import threading

    seen = []

    def items() -> Iterator[int]:
        for x in range(20):
            seen.append((x, threading.current_thread()))
            yield x

    assert allcores.map(operator.neg, items(), workers=2, **place) == [-x for x in range(20)]
    assert seen == [(x, threading.main_thread()) for x in range(20)]


SIDE_BY_SIDE: dict[str, Callable[[], tuple[Iterable[Any], ...]]] = {
    "lists": lambda: ([1, 2, 3], [4, 5, 6]),
    "the first is the shortest": lambda: ([1], [4, 5, 6]),
    "the last is the shortest": lambda: ([1, 2, 3], range(10), [5]),
    "one is empty": lambda: ([1, 2, 3], []),
    "an endless one": lambda: (itertools.count(), [4, 5, 6]),
    "a generator and a string": lambda: ((x for x in range(2)), "abc"),
    "a matrix and a dict": lambda: (np.arange(6).reshape(3, 2), {"a": 1, "b": 2}),
}


def test_several_iterables_are_taken_side_by_side(place: dict[str, Any]):
    def work(*arguments: Any) -> str:
        return repr(arguments)

    for kind, make in SIDE_BY_SIDE.items():
        assert allcores.map(work, *make(), workers=2, **place) == list(map(work, *make())), kind


@pytest.mark.parametrize("read", [list, iter])
def test_starmap_spreads_items(read: Callable[[list[Any]], Iterable[Any]], place: dict[str, Any]):
    def work(*arguments: Any) -> tuple[Any, ...]:
        return arguments

    for items in [[(2, 5), (3, 2)], [[2, 5], "34", range(2)], [], [()]]:
        assert allcores.starmap(work, read(items), workers=2, **place) == list(itertools.starmap(work, items))


def test_the_results_are_a_list(place: dict[str, Any]):
    results = allcores.map(increment, range(3), workers=2, **place)
    assert isinstance(results, list)
    assert results == [1, 2, 3]
    assert results.failures == []
    assert results.report.items == 3


# ---------------------------------------------------------------------------------------- functions whose calls defer


async def awaited(x: int) -> int:
    return x


async def yields_awaited(x: int) -> Any:
    yield x


def yields(x: int) -> Iterator[int]:
    yield x


class Deferring:
    """A callable instance, whose calls and methods are awaited."""

    async def __call__(self, x: int) -> int:
        return x

    async def method(self, x: int) -> int:
        return x

    @staticmethod
    async def static(x: int) -> int:
        return x

    @classmethod
    async def of_class(cls, x: int) -> int:
        return x


class Yielding:
    """A callable instance, whose calls are asked for values."""

    def __call__(self, x: int) -> Iterator[int]:
        yield x


@types.coroutine
def awaited_generator(x: int) -> Any:
    yield x


ASYNC: dict[str, Callable[..., Any]] = {
    "function": awaited,
    "partial of a partial": functools.partial(functools.partial(awaited)),
    "bound method": Deferring().method,
    "static method": Deferring.static,
    "method of a class": Deferring().of_class,
    "instance": Deferring(),
    "cached": functools.cache(awaited),
    "of a generator": awaited_generator,
}
GENERATORS: dict[str, Callable[..., Any]] = {
    "function": yields,
    "lambda": lambda x: (yield x),
    "partial": functools.partial(yields),
    "instance": Yielding(),
    "async": yields_awaited,
}


@functools.wraps(awaited)
def awaits(x: int) -> int:
    return asyncio.run(awaited(x))


def refusal(way_in: Callable[[], Any]) -> str:
    """Say with what words a call is refused."""
    with pytest.raises(TypeError) as caught:
        way_in()
    return str(caught.value)


def test_an_async_function_is_refused_everywhere(place: dict[str, Any]):
    untouched = iter(pytest.fail, None)
    for kind, function in ASYNC.items():
        text = refusal(functools.partial(allcores.map, function, untouched, **place))
        assert "is async: a call of it does nothing" in text, kind
        assert "give lambda x: asyncio.run(fn(x))" in text, kind
    assert allcores.map(awaits, [1, 2], workers=2, **place) == [1, 2]


def test_a_generator_function_is_refused_where_a_generator_would_travel(home: dict[str, Any]):
    for kind, function in GENERATORS.items():
        if "on" in home:
            values = allcores.map(function, [1], **home)
            assert [type(value) for value in values] == [type(function(1))], kind
        else:
            text = refusal(functools.partial(allcores.map, function, [1], **home))
            assert "a call of it does nothing until it is asked for values" in text, kind


@pytest.mark.parametrize("function", [awaited, yields])
def test_every_way_in_refuses_functions_whose_calls_defer(function: Callable[..., Any]):
    async def amap() -> None:
        await allcores.amap(function, [1])

    async def aimap() -> None:
        async for _ in allcores.aimap(function, [1]):
            pass

    with allcores.Pool(1) as pool, allcores.Executor(1) as executor:
        ways: list[Callable[[], Any]] = [
            lambda: allcores.starmap(function, [(1,)]),
            lambda: allcores.imap(function, [1]),
            lambda: allcores.imap_unordered(function, [1]),
            lambda: asyncio.run(amap()),
            lambda: asyncio.run(aimap()),
            lambda: pool.apply(function, (1,)),
            lambda: pool.apply_async(function, (1,)),
            lambda: pool.map(function, [1]),
            lambda: pool.starmap(function, [(1,)]),
            lambda: pool.imap(function, [1]),
            lambda: pool.imap_unordered(function, [1]),
            lambda: executor.submit(function, 1),
            lambda: executor.map(function, [1]),
            lambda: allcores.map(abs, [1], initializer=function, initargs=(1,)),
            lambda: allcores.Executor(1, initializer=function, initargs=(1,)),
        ]
        for at, way_in in enumerate(ways):
            assert "a call of it does nothing until" in refusal(way_in), at


def test_a_thread_gives_a_call_s_coroutine_to_who_can_await_it():
    with allcores.Executor(1, on="threads") as executor:
        assert asyncio.run(executor.submit(awaited, 1).result()) == 1
        assert "is async" in refusal(lambda: executor.map(awaited, [1]))


def test_a_plain_function_that_gives_what_cannot_travel_is_told_what_to_do(start: str, capfd: Any):
    functions = {"asyncio.run": lambda x: (awaited(x),)[0], "list": lambda x: (each for each in [x])}
    for advice, function in functions.items():
        with pytest.raises(allcores.UnpicklableResult, match=rf"give lambda x: {advice}\(fn\(x\)\)"):
            allcores.map(function, [1], start=start)
    assert capfd.readouterr().err == ""  # no worker says that something was never awaited
