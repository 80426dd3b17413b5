"""Functions of the caller's ``__main__`` live in the worker's, where it is shared."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

HEADING = """
import sys
sys.path.append({folder!r})
from played_worker import PlayedWorker
how = {how!r}
"""

Run = Callable[..., None]


@pytest.fixture(params=["forked", "clean"])
def run_driver(request, run_python) -> Run:
    """Run a program that makes workers of one kind or the other: ``PlayedWorker(how)``."""

    def run(program: str, how: str = "script") -> None:
        heading = HEADING.format(folder=str(Path(__file__).parents[1]), how=request.param)
        done = run_python(f"{heading}{textwrap.dedent(program)}\nprint('done')\n", how=how)
        assert done.stdout == "done\n", done.stderr

    return run


def test_what_an_initializer_sets_is_there_for_what_comes_later(run_driver: Run):
    run_driver("""
        counter = None

        def init(value):
            global counter
            counter = value

        def helper(x):
            return 100 * x

        def work(x):
            return counter + x + helper(x)

        worker = PlayedWorker(how)
        worker.call(init, 5)
        for _ in range(2):
            assert worker.map(work, [1, 2]) == [106, 207]
            assert worker.map(lambda x: counter + x, [1]) == [6]

        def made_later(x):
            return work(x) - counter

        assert worker.map(made_later, [1]) == [101]
        worker.call(init, 7)
        assert worker.map(made_later, [1]) == [101]
        assert worker.map(work, [1]) == [108]
        assert counter is None
        """)


def test_a_function_sets_what_the_next_one_sees(run_driver: Run):
    run_driver("""
        seen = []
        total = 0

        def add(x):
            global total
            total += x
            seen.append(x)

        worker = PlayedWorker(how)
        worker.map(add, [1, 2])
        worker.map(add, [3])
        assert worker.map(lambda _: (total, seen), [0]) == [(6, [1, 2, 3])]
        assert (total, seen) == (0, [])
        """)


def test_a_global_that_is_none_is_there(run_driver: Run):
    run_driver("""
        worker = PlayedWorker(how)
        nothing = None
        assert worker.map(lambda _: nothing, [0]) == [None]
        """)


def test_a_redefined_function_is_the_one_that_runs(run_driver: Run):
    run_driver("""
        def helper(x):
            return x

        def work(x):
            return helper(x)

        worker = PlayedWorker(how)
        assert worker.map(work, [1]) == [1]

        def helper(x):
            return -x

        assert worker.map(work, [1]) == [-1]
        old = work

        def work(x):
            return "new"

        assert worker.map(old, [1]) == [-1]
        assert worker.map(work, [1]) == ["new"]
        assert worker.map(lambda x: (old(x), work(x)), [1]) == [(-1, "new")]
        """)


def test_a_global_that_the_driver_has_changed_is_sent_anew(run_driver: Run):
    run_driver("""
        import functools

        factor = 1
        offset = 0

        def scale(x):
            return factor * x

        def through_another(x):
            return scale(x)

        def decorated_by(fn):
            @functools.wraps(fn)
            def call(x):
                return fn(x)
            return call

        @decorated_by
        def decorated(x):
            return factor * x

        @functools.lru_cache(maxsize=0)
        def cached(x):
            return factor * x

        class Scale:
            def __call__(self, x):
                return factor * x
            @staticmethod
            def of_nobody(x):
                return factor * x
            @property
            def factor(self):
                return factor

        class Derived(Scale):
            pass

        instance = Derived()
        bound = instance.__call__
        partial = functools.partial(scale)

        functions = [
            scale, through_another, decorated, cached, Scale(), Derived(), Scale.of_nobody, instance, bound, partial,
            lambda x: scale(x), lambda x: decorated(x), lambda x: cached(x), lambda x: Derived()(x),
            lambda x: instance(x), lambda x: bound(x), lambda x: partial(x), lambda x: instance.factor * x,
        ]
        worker = PlayedWorker(how)
        for factor in (1, 2, 3):
            for function in functions:
                assert worker.map(function, [5]) == [5 * factor], (function, factor)
            factor += 10
            for function in reversed(functions):
                assert worker.map(function, [5]) == [5 * factor], (function, factor)
        """)


def test_what_has_been_sent_is_not_sent_again(run_driver: Run):
    run_driver("""
        table = list(range(100_000, 200_000))

        class Large:
            numbers = list(range(100_000, 200_000))

        def work(x):
            return table[x] + Large.numbers[x]

        worker = PlayedWorker(how)
        for _ in range(2):
            assert worker.map(work, [0]) == [200_000]
            assert worker.map(lambda x: work(x) + table[x], [0]) == [300_000]
            assert worker.map(lambda x: x.numbers[0], [Large()]) == [100_000]
        assert sum(size > 10_000 for size in worker.sizes) == (0 if how == "forked" else 1)
        """)


def test_functions_that_call_each_other(run_driver: Run):
    run_driver("""
        import functools

        worker = PlayedWorker(how) if how == "clean" else None

        def factorial(n):
            return 1 if n < 2 else n * factorial(n - 1)

        def is_even(n):
            return n == 0 or is_odd(n - 1)

        def is_odd(n):
            return n != 0 and is_even(n - 1)

        @functools.lru_cache(maxsize=None)
        def fibonacci(n):
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

        @functools.singledispatch
        def dispatched(x):
            return "something"

        @dispatched.register
        def _(x: int):
            return "a number" + str(factorial(x))

        worker = worker or PlayedWorker(how)
        for _ in range(2):
            for function in (factorial, is_even, is_odd, fibonacci, dispatched, lambda x: is_even(x) + fibonacci(x)):
                assert worker.map(function, range(5)) == [function(x) for x in range(5)], function
        """)


def test_functions_made_in_functions(run_driver: Run):
    run_driver("""
        factor = 2

        def make(n):
            def outer(x):
                def inner(y):
                    class Local:
                        value = factor
                    return Local.value * y + n
                return inner(x)
            return outer

        worker = PlayedWorker(how)
        function = make(1)
        assert worker.map(function, [1, 2]) == [3, 5]
        factor = 3
        assert worker.map(function, [1, 2]) == [4, 7]
        assert worker.map(make(2), [1]) == [5]
        """)


def test_a_cache_lasts(run_driver: Run):
    run_driver("""
        import functools

        @functools.cache
        def compute(x):
            calls.append(x)
            return x

        calls = []
        worker = PlayedWorker(how)
        assert worker.map(compute, [1]) == [1]
        assert worker.map(compute, [1, 2]) == [1, 2]
        assert worker.map(lambda x: (compute(x), calls), [1]) == [(1, [1, 2])]
        """)


def test_what_comes_back_is_of_the_driver_s_own_classes(run_driver: Run):
    run_driver("""
        import copy, dataclasses, enum

        worker = PlayedWorker(how)
        scale = None

        def init():
            global scale
            scale = 10

        @dataclasses.dataclass
        class Point:
            x: int
            def scaled(self):
                return Point(scale * self.x)

        class Outer:
            class Inner:
                pass

        class Colour(enum.Enum):
            RED = 1

        def make_local():
            class Local:
                pass
            return Local

        Local = make_local()
        samples = [Point(1), Outer.Inner(), Colour.RED, Local()]
        copies = [copy.copy(sample) for sample in samples]  # or the first pickling would add to the classes
        before = [dict(vars(type(sample))) for sample in samples]
        for worker in (worker, PlayedWorker(how)):
            worker.call(init)
            for _ in range(2):
                for sample in samples:
                    cls = type(sample)
                    result, = worker.map(lambda _: sample, [0])
                    assert type(result) is cls
                    result, = worker.map(lambda x: x, [sample])
                    assert type(result) is cls
                    result, = worker.map(lambda _: cls, [0])
                    assert result is cls
                    assert worker.map(lambda x: isinstance(x, cls) and isinstance(sample, cls), [sample]) == [True]
                assert worker.map(Point, [3]) == [Point(3)]
                assert worker.map(Point.scaled, [Point(3)]) == [Point(30)]
                assert worker.map(lambda x: isinstance(x, Outer.Inner), [Outer.Inner()]) == [True]
                inner = Outer.Inner()
                assert worker.map(lambda x: isinstance(inner, Outer.Inner), [0]) == [True]
        assert [dict(vars(type(sample))) for sample in samples] == before
        """)


def test_a_redefined_class_is_the_one_that_is_used(run_driver: Run):
    run_driver("""
        class Point:
            colour = "red"

        worker = PlayedWorker(how)
        for colour in ("red", "blue"):
            class Point:
                pass
            Point.colour = colour

            assert worker.map(lambda point: point.colour, [Point()]) == [colour]
            (made, ), = worker.map(lambda point: [Point()], [0])
            assert type(made) is Point
            assert worker.map(lambda point: isinstance(point, Point), [Point()]) == [True]
        """)


def test_an_alias_does_not_rename_a_class(run_driver: Run):
    run_driver("""
        class Point:
            pass

        Alias = Point
        worker = PlayedWorker(how)
        worker.map(lambda _: (Alias(), Point()), [0])
        worker.map(lambda f: f(0), [lambda _: Alias()])
        Alias = dict
        assert [type(one) for one in worker.map(lambda _: Point(), [0])] == [Point]
        """)


def test_globals_that_cannot_be_pickled_stay_behind(run_driver: Run):
    run_driver("""
        import threading

        worker = PlayedWorker(how)
        lock = threading.Lock()
        other_lock = threading.Lock()
        number = 5

        class Locked:
            lock = threading.Lock()

        def init():
            global lock
            lock = threading.RLock()

        def helper(x):
            with lock:
                return x + number

        def work(x):
            return helper(x)

        def work_without(x):
            return other_lock

        def use_class(x):
            return Locked

        worker.call(init)
        for _ in range(2):
            assert worker.map(work, [1]) == [6]
            assert worker.map(lambda x: x(1), [work, helper, lambda x: helper(x)]) == [6, 6, 6]
        for function in (work_without, use_class):
            try:
                worker.map(function, [1])
            except NameError:
                pass
            else:
                raise AssertionError
        assert "lock" not in worker.known and "Locked" not in worker.known
        """)


def test_nothing_is_known_of_what_could_not_be_pickled(run_driver: Run):
    run_driver("""
        import threading

        worker = PlayedWorker(how)
        number = 1

        def make():
            lock = threading.Lock()
            return lambda x: (lock, helper(x))

        def helper(x):
            return x + number

        before = dict(worker.known)
        try:
            worker.bring(make())
        except TypeError:
            assert worker.known == before
        else:
            raise AssertionError
        assert worker.map(helper, [1]) == [2]
        """)


def test_functions_are_items(run_driver: Run):
    run_driver("""
        import functools

        worker = PlayedWorker(how)
        counter = None
        offset = 1

        def init(value):
            global counter
            counter = value

        def work(x):
            return counter + offset + x

        def make(n):
            return lambda x: work(x) + n

        @functools.cache
        def cached(x):
            return work(x)

        worker.call(init, 10)
        assert worker.map(lambda f: f(0), [work]) == [11]
        assert worker.map(lambda f: f(0), [make(5), cached, lambda x: offset]) == [16, 11, 1]
        offset = 2
        assert worker.map(lambda f: f(0), [work]) == [12]
        offset = 3
        assert worker.map(lambda f: f(0), [make(5), lambda x: offset, work]) == [18, 3, 13]

        def work(x):
            return "new"

        assert worker.map(lambda f: f(0), [work]) == ["new"]
        """)


def test_an_item_that_cannot_be_pickled_is_no_trouble_to_others(run_driver: Run):
    run_driver("""
        import threading
        from allcores._codec.codec import encode_items

        worker = PlayedWorker(how)
        number = 1

        class Data:
            def get(self):
                return number

        from allcores._codec.definitions.contents import Inspection

        encoded = encode_items([threading.Lock(), Data(), lambda: number], worker.known, Inspection())
        assert {"Data", "number"} <= set(encoded.definitions)
        """)


def test_all_definitions_are_found_that_items_name(run_driver: Run):
    """Whichever begin with others' names, are named with a dot, or in a pickle of an old protocol within."""
    run_driver("""
        import pickle
        from allcores._codec.codec import encode_items

        class P: pass
        class Po: pass
        class Point: pass
        class Outer:
            class Inner: pass
        class Older: pass
        class Old: pass
        class Within:
            def __reduce__(self):
                return pickle.loads, (pickle.dumps(Older, 2),)

        from allcores._codec.definitions.contents import Inspection
        from allcores._codec.definitions.globals import Known

        def named(*items, known=()):
            return set(encode_items(list(items), Known(known), Inspection()).definitions)

        assert named(P()) == {"P"}
        assert named(Po()) == {"Po"}
        assert named(Point(), P()) == {"Point", "P"}
        assert named(Outer.Inner()) == {"Outer"}
        assert {"Older"} <= named(Within())
        assert named("P", "Po", "__main__") == {"P", "Po"}  # a few too many
        assert named(P(), Po(), known={"P": P}) == {"Po"}
        assert named("P", "Po", 1.5) == set()
        long = "N" * 300
        globals()[long] = type(long, (), {})
        assert named(P(), globals()[long]()) == {"P", long}
        """)


def test_what_unpickling_calls_finds_its_globals(run_driver: Run):
    run_driver("""
        worker = PlayedWorker(how)

        class Reduced:
            def __init__(self, x):
                self.x = x
            def __reduce__(self):
                return rebuild, (self.x,)

        def rebuild(x):
            return Reduced(x + offset)

        offset = 0
        sample = Reduced(1)
        for offset in (0, 0, 5):
            assert worker.map(lambda _: (rebuild, offset, sample.x)[2], [0])[0] in (1, 1 + offset)
            assert worker.map(lambda item: item.x, [Reduced(1)]) == [1 + offset]
            assert worker.map(Reduced(2).__class__, [1])[0].x == 1 + offset
        """)


def test_relative_imports_of_a_program_that_is_a_module(run_driver: Run, tmp_path: Path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "sibling.py").write_text("number = 3")
    program = """
        worker = PlayedWorker(how)

        def work(x):
            from .sibling import number
            return number * x

        for _ in range(2):
            assert worker.map(work, [2]) == [6]
        """
    run_driver(program, how="module")


def test_the_worker_keeps_its_own_builtins_and_name(run_driver: Run):
    run_driver("""
        worker = PlayedWorker(how)

        def look(_):
            return type(__builtins__).__name__, __name__, __builtins__.abs(-1)

        for _ in range(2):
            assert worker.map(look, [0]) == [("module", "__main__", 1)]
            assert worker.map(lambda x: look(x), [0]) == [("module", "__main__", 1)]
        """)
