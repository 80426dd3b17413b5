"""Workers run what the caller has of its own modules and of `__main__`, whatever they have imported themselves."""

from __future__ import annotations

import pytest

from allcores._codec.definitions.comparison import find_missing

HEAD = """
    import functools, importlib, os, sys
    import allcores

    START = {start!r}
    sys.path.insert(0, os.getcwd())
    sys.dont_write_bytecode = True

    def write(name, text):
        with open(name, "w") as file:
            file.write(text)
        importlib.invalidate_caches()

    def agree(what, pool, executor, cases):
        for function, items in cases:
            expected = [function(item) for item in items]
            got = {{
                "map": allcores.map(function, items, start=START, workers=2),
                "pool": pool.map(function, items),
                "imap": list(pool.imap(function, iter(items))),
                "submit": [executor.submit(function, item).result() for item in items],
            }}
            for how, results in got.items():
                assert results == expected, (what, how, function, results, expected)
"""

HELPER = """
import functools

RATE = 1
TABLE = {"a": 1}

class Model:
    scale = 1
    def __init__(self, x):
        self.x = x
    def run(self, y):
        return self.x * self.scale + y, "old"
    @property
    def name(self):
        return "old"

def inner(x):
    return "old"

def work(x):
    return inner(x), RATE, TABLE["a"]

@functools.lru_cache
def cached(x):
    return "old"

def make():
    return lambda x: inner(x)

made = make()

def lazily(x):
    import second
    return second.work(x)
"""


@pytest.fixture
def program(run_python):
    """Run a program that has a helper of its own, and other means to compare with the loop."""

    def run(source: str, start: str) -> None:
        import textwrap

        head = textwrap.dedent(HEAD).format(start=start) + f"HELPER = {HELPER!r}\n"
        run_python(head + textwrap.dedent(source), timeout=50)

    return run


def test_modules_are_as_the_caller_has_them(program, start):
    program(
        """
        write("helper.py", HELPER)
        write("second.py", "def work(x): return 'old'")
        os.mkdir("parts")
        write("parts/__init__.py", "")
        write("parts/deep.py", "V = 1\\ndef work(x): return 'old', V")
        write("parts/user.py", "def work(x):\\n    from .deep import work as deep\\n    return deep(x)")
        import helper, second, parts.deep, parts.user
        from helper import inner as early

        def by_module(x):
            return helper.work(x), helper.cached(x), helper.made(x), helper.lazily(x), parts.deep.work(x), early(x)

        def by_item(model):
            return model.run(1), model.name, model.scale

        def nested(models):
            return [model.run(1) for model in models["all"]]

        def cases():
            model = helper.Model(2)
            functions = by_module, helper.work, functools.partial(helper.work), parts.user.work
            return [*((one, [1, 2]) for one in functions), (by_item, [model]), (nested, [{"all": [model]}])]

        with allcores.Pool(2, start=START) as pool, allcores.Executor(2, start=START) as executor:
            def check(what):
                agree(what, pool, executor, cases())

            check("as imported")
            helper.RATE = 7
            helper.TABLE["a"] = 8
            check("variables")
            helper.inner = lambda x: "patched"
            helper.Model.scale = 5
            helper.Model.run = lambda self, y: "patched"
            check("patched")
            write("helper.py", HELPER.replace("old", "new"))
            importlib.reload(helper)
            check("reloaded")
            write("second.py", "def work(x): return 'new'")
            write("parts/deep.py", "V = 2\\ndef work(x): return 'new', V")
            importlib.reload(second), importlib.reload(parts.deep)
            check("others reloaded")
            write("helper.py", HELPER.replace("old", "not loaded"))
            write("second.py", "def work(x): return 'not loaded'")
            check("edited")

        with allcores.Pool(2, start=START) as pool, allcores.Executor(2, start=START) as executor:
            check("edited, and new workers")
            del sys.modules["helper"]
            import helper
            check("imported again")
        """,
        start,
    )


KINDS = """
import abc, collections, dataclasses, enum, threading, typing

lock = threading.Lock()
REGISTRY = {}

def register(function):
    REGISTRY[function.__name__] = function
    return function

@register
def one(x):
    return "old"

class Base:
    def run(self): return "old"

class Derived(Base):
    def run(self): return super().run() + " derived, old"

@dataclasses.dataclass
class Data:
    x: int = 1
    def run(self): return self.x, "old"

class Colour(enum.Enum):
    RED = 1
    def run(self): return "old"

class Abstract(abc.ABC):
    @abc.abstractmethod
    def run(self): ...

class Concrete(Abstract):
    def run(self): return "old"

class Pair(typing.NamedTuple):
    a: int
    def run(self): return "old"

class Slotted:
    __slots__ = ("v",)
    def run(self): return "old"

class Meta(type):
    def run(cls): return "old"

class Made(metaclass=Meta):
    pass

class Outer:
    class Inner:
        @staticmethod
        def run(): return "old"

class Locked:  # of which one attribute cannot travel
    lock = threading.Lock()
    def run(self): return "old"

def work(x):
    things = Derived(), Data(2), Colour.RED, Concrete(), Pair(1), Slotted(), Made, Outer.Inner, Locked()
    with lock:
        return [*(thing.run() for thing in things), REGISTRY["one"](x), Colour(1) is Colour.RED]

def rebuilt(x):
    return Data(x), Colour.RED, Pair(x), Slotted
"""


def test_definitions_of_all_kinds_are_brought_up_to_date(program, start):
    program(
        f"""
        KINDS = {KINDS!r}
        write("kinds.py", KINDS)
        import kinds

        def by_item(thing):
            return thing.run()

        def check(what):
            items = [kinds.Colour.RED, kinds.Slotted(), kinds.Pair(3), kinds.Concrete(), kinds.Data()]
            agree(what, pool, executor, [(kinds.work, [1]), (kinds.rebuilt, [1]), (by_item, items)])

        with allcores.Pool(2, start=START) as pool, allcores.Executor(2, start=START) as executor:
            check("as imported")
            write("kinds.py", KINDS.replace("old", "new"))
            importlib.reload(kinds)
            check("reloaded")
            kinds.REGISTRY["one"] = lambda x: "patched"
            kinds.Base.run = lambda self: "patched"
            del kinds.Concrete.run
            kinds.Abstract.run, kinds.Concrete.__abstractmethods__ = (lambda self: "inherited"), frozenset()
            check("patched")
        """,
        start,
    )


def test_what_an_initializer_sets_in_a_module_lasts(program, start):
    program(
        """
        write("helper.py", "MODEL = None\\nRATE = 1\\ndef load(x):\\n    global MODEL\\n    MODEL = x\\n"
            "def work(x): return MODEL, RATE")
        import helper

        with allcores.Pool(2, helper.load, ("loaded",), start=START) as pool:
            assert pool.map(helper.work, [1, 2]) == [("loaded", 1)] * 2
            helper.RATE = 2
            assert pool.map(helper.work, [1, 2]) == [("loaded", 2)] * 2
            helper.MODEL = "the caller's"  # it has changed since
            assert pool.map(helper.work, [1, 2]) == [("the caller's", 2)] * 2
        helper.MODEL = None
        with allcores.Executor(2, initializer=helper.load, initargs=("loaded",), start=START) as executor:
            assert executor.submit(helper.work, 1).result() == ("loaded", 2)
        """,
        start,
    )


def test_names_are_found_that_only_appear_when_code_runs(program, start):
    program(
        """
        import threading

        limit, names, lock = 3, {"a": 1}, threading.Lock()
        name = "lim" + "it"

        def helper():
            return len(names)

        def evaluated(x):
            return eval(name) + x

        def evaluated_twice(x):
            return eval(name) + eval("len(" + "names)") + x

        def looked_up(x):
            return globals()["hel" + "per"]() + x

        def imported(x):
            import __main__
            return getattr(__main__, "lim" + "it") + x

        def imported_from(x):
            from __main__ import limit as found
            return found + x

        def present(x):
            space = sys.modules["__main__"].__dict__
            return "limit" in space, space.get("limit")

        def caught(x):
            try:
                return {}["limit" + "less"]
            except KeyError:
                return hasattr(sys.modules["__main__"], "limit" + "less")

        cases = [evaluated, evaluated_twice, looked_up, imported, imported_from, present, caught]
        with allcores.Pool(2, start=START) as pool, allcores.Executor(2, start=START) as executor:
            agree("names", pool, executor, [(function, [1, 2]) for function in cases])

            def failing(x):
                if x == 0:
                    return undefined
                return {}["no_such_key"] if x == 1 else eval("lo" + "ck") and None

            for collected in (allcores.map(failing, [0, 1, 2], errors="collect", start=START),):
                if START == "fork":  # which has the lock
                    assert collected[2] is None
                    kinds = [NameError, KeyError]
                else:
                    kinds = [NameError, KeyError, allcores.UnpicklableError]
                    assert "'lock'" in str(collected[2].exception) and "pickle" in str(collected[2].exception)
                assert [type(failure.exception) for failure in collected.failures] == kinds
        """,
        start,
    )


@pytest.mark.once
def test_a_global_that_cannot_travel_is_named(run_python):
    run_python("""
import threading
import allcores

lock = threading.Lock()

class Guarded:
    def work(self, x):
        with lock:
            return x

def work(x):
    with lock:
        return x

def name_of(call):
    try:
        call()
    except allcores.UnpicklableError as error:
        return str(error)
    raise AssertionError

with allcores.Pool(2) as pool, allcores.Executor(2) as executor:
    for call in (
        lambda: allcores.map(work, [1], start="forkserver"),
        lambda: pool.map(work, [1]),
        lambda: pool.apply(work, (1,)),
        lambda: pool.map(Guarded().work, [1]),
        lambda: list(pool.imap(work, iter([1]))),
        lambda: executor.submit(work, 1).result(),
        lambda: list(executor.map(work, [1])),
    ):
        assert "'lock'" in name_of(call) and "pickle" in name_of(call)
    """)


def test_the_next_run_finds_nothing_of_the_last_ones_main(run_python, clean_start):
    run_python(f"""
import os
import allcores

def remember(x):
    global memory
    memory = x
    return os.getpid()

first = set(allcores.map(remember, range(20), start={clean_start!r}, workers=1))
del remember

def recall(x):
    return os.getpid(), "memory" in globals(), "sys" in globals()

assert set(allcores.map(recall, range(20), start={clean_start!r}, workers=1)) == {{(first.pop(), False, False)}}
    """)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (NameError("name 'limit' is not defined", name="limit"), "limit"),
        (NameError("local variable 'limit' is not defined"), "limit"),
        (KeyError("limit"), "limit"),
        (KeyError("no identifier"), None),
        (KeyError(1), None),
        (KeyError("a", "b"), None),
        (NameError(), None),
        (ValueError("name 'limit' is not defined"), None),
        (KeyError("find_missing"), "find_missing"),
        (KeyError("__name__"), None),
    ],
)
def test_the_name_that_was_missed(error, name):
    assert find_missing(error) == name
    outer = LookupError()
    outer.__cause__ = error
    assert find_missing(outer) == name


def test_a_chain_of_errors_that_bites_its_tail_has_an_end():
    first, second = ValueError(), ValueError()
    first.__context__, second.__context__ = second, first
    assert find_missing(first) is None
