"""Things that are the same have the same digest in every process; things that differ don't."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import importlib
import json
import math
import operator
import pathlib
import pickle
import random
import re
import sys
import textwrap
import threading
import types
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allcores._journal.digest.digest import Classes, digest_function, digest_item
from allcores._journal.digest.undigestible import Undigestible

pytestmark = pytest.mark.once


class Point(NamedTuple):
    x: int
    y: int


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Job:
    name: str
    parts: list[int]


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    parts: tuple[int, ...]


class Plain:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Slotted:
    __slots__ = ("left", "right")


class Words(set[str]):
    pass


class Table(dict[str, int]):
    pass


class Length(float):
    pass


def module_function(x: int) -> int:
    return x


def slotted(left: Any, right: Any) -> Slotted:
    made = Slotted()
    made.left, made.right = left, right
    return made


def adder(offset: Any) -> Callable[[Any], Any]:
    return lambda x: x + offset


def circle(*values: Any) -> list[Any]:
    made: list[Any] = [*values]
    made.append(made)
    return made


def marked(content: str, mark: int) -> np.ndarray:
    """Give a structured array with `mark` in the gaps between its fields."""
    made = np.frombuffer(bytearray([mark] * 16), np.dtype([("a", "u1"), ("b", "i8")], align=True))
    made["a"], made["b"] = ord(content), 7
    return made


PICKLABLE: list[Any] = [
    *[None, False, True, 0, 1, -1, 255, 256, 10**5000, 0.0, -0.0, 1.0, math.inf, math.nan, 0j, 1 + 0j, 1j, ...],
    *["", "1", "a", "ab", "é", "e\u0301", "\ud800", "1" * 1000, "1" * 1001, "None;", "int 1;"],
    *[b"", b"1", b"a", bytearray(b"a"), bytearray(1000), bytes(1000)],
    *[(), [], {}, set(), frozenset(), collections.deque(), collections.OrderedDict(), collections.Counter(), range(0)],
    *[(1,), [1], {1}, frozenset({1}), {1: 1}, {1: True}, {True: 1}, {1: 1.0}, collections.deque([1]), range(1)],
    *[(None,), ((),), ([],), [()], [[]], [None], (1.0,), (True,), ("1",), (b"1",), ((1,),), [(1,)], ([1],)],
    *[(1, 2), (2, 1), [1, 2], [2, 1], {1, 2}, {1: 2}, {2: 1}, {(1, 2)}, {frozenset({1, 2})}, Point(1, 2), 1 + 2j],
    *[("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), ("a", ("b", "c")), (("a", "b"), "c"), {"ab": "c"}],
    *[[1, [2]], [[1], 2], [[1, 2]], [1, 2, []], [[], 1, 2], [[1], [2]], {1: {2: 3}}, {1: {2: 4}}, {2: {1: 3}}],
    *[{"a": 1, "b": 2}, {"a": 2, "b": 1}, Table(a=1), Table(a=2), {"a": 1}, [("a", 1)], {"a"}, Words("a")],
    *[collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1), collections.defaultdict(int, a=1)],
    *[collections.defaultdict(float, a=1), collections.Counter(a=1), collections.deque([1], 5), array.array("i", [1])],
    *[Length(1), decimal.Decimal(1), decimal.Decimal("1.0"), fractions.Fraction(1), fractions.Fraction(1, 3)],
    *[Colour.RED, Colour.BLUE, Access.READ, Access.WRITE, Access.READ | Access.WRITE, Access(0)],
    *[pathlib.Path("a"), pathlib.PurePosixPath("a"), pathlib.Path("a/b"), uuid.UUID(int=1), re.compile("a")],
    *[dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, fold=1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
    *[dt.timedelta(1), dt.time(1), re.compile("a", re.IGNORECASE), slice(1), types.SimpleNamespace(a=1)],
    *[Job("a", [1]), Job("a", [2]), Job("b", [1]), Frozen("a", (1,)), Frozen("b", (1,)), Plain(), Plain(a=1)],
    *[Plain(b=1), Plain(a=2), Plain(a=1, b=1), slotted(1, 2), slotted(2, 1), Slotted(), object(), ValueError("a")],
    *[int, float, str, Point, Job, Plain, type(None), module_function, digest_item, len, math.sqrt, str.upper],
    *["x".upper, "y".upper, Plain(a=1).__init__, functools.partial(len), functools.partial(len, ()), list[int]],
    *[circle(), circle(1), circle(2), [circle()], (circle(1),), circle(circle()), circle([circle()])],
    *[np.float64(1), np.float32(1), np.int64(1), np.int32(1), np.bool_(True), np.str_("a"), np.bytes_(b"a")],
    *[
        np.longdouble(1),
        np.clongdouble(1),
        np.datetime64("2024-01-01"),
        np.datetime64("2024-01-01", "s"),
        np.dtype("i4"),
    ],
    *[np.timedelta64(1, "s"), np.zeros(0), np.zeros((0, 1)), np.zeros((1, 0)), np.zeros(()), np.zeros(1), np.ones(1)],
    *[np.zeros(4), np.zeros((2, 2)), np.zeros((4, 1)), np.zeros(4, "f4"), np.zeros(4, "M8[s]")],
    *[np.array(["a"]), np.array(["a"], "U2"), np.array([b"a"]), np.array(["a"], object), np.array([1], object)],
    *[np.array([[1, 2], [3, 4]]), np.array([[1, 3], [2, 4]]), np.array(["", ""]), np.array([None, None])],
    *[np.array([[1, 2], [3, 4]]).view(np.matrix), np.zeros(3, "V0"), np.zeros(2, "i4,V2")],
    *[marked("a", 0), marked("b", 0), marked("a", 0)["b"], np.array([(1, 2)], "i4,i4"), np.array([(2, 1)], "i4,i4")],
    *[np.array([(1, "a")], "i4,O"), np.array([(1, "b")], "i4,O"), np.random.default_rng(1), np.random.default_rng(2)],
    *[np.longdouble([1]), np.nextafter(np.longdouble([1]), 2), np.sin, np.cos, np.sum, np.ndarray],
]

# Those that have no copies, or whose copies pickle makes in another way.
OTHERS: list[Any] = [
    *[memoryview(b"a"), memoryview(b"abcd"), memoryview(b"abcd").cast("H"), math, json, np.zeros(4, ">f8")],
    *[lambda x: x, lambda x: x + 1, lambda x: x + 2, lambda y: y, adder(1), adder(2), adder("1"), adder(Plain())],
    *[type("Cat", (), {})(), type("Dog", (), {})(), np.zeros(1, [("a", "i4")])],
    *[
        np.zeros(1, np.dtype((np.record, [("a", "i4")]))),
        np.zeros(2, [("a", "U0")])["a"],
        np.zeros(2, [("a", "S0")])["a"],
    ],
    *[np.ma.array([1, 2]), np.ma.array([1, 2], mask=[False, True])],
]


def test_what_differs_has_different_digests():
    met = collections.defaultdict(list)
    for thing in [*PICKLABLE, *OTHERS]:
        met[digest_item(thing)].append(thing)
    assert {len(digest) for digest in met} == {16}
    assert [things for things in met.values() if len(things) > 1] == []


def test_a_copy_has_the_same_digest():
    copies = [pickle.loads(pickle.dumps(thing)) for thing in PICKLABLE]
    assert [
        thing for thing, copy in zip(PICKLABLE, copies, strict=True) if digest_item(thing) != digest_item(copy)
    ] == []


text = "asd" + chr(102)  # not the object that a literal would be

SAME: dict[str, tuple[Any, Any]] = {
    "interned or not": (["asdf", "asdf"], ["asdf", text]),
    "the same object twice": ([part := [1, 2], part], [[1, 2], [1, 2]]),
    "a long object twice": ([longer := ["asdf" * 100], longer], [["asdf" * 100], ["asdf" * 100]]),
    "order of a dict": ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
    "order of a dict's subclass": (Table(a=1, b=2), Table(b=2, a=1)),
    "order of a default dict": (collections.defaultdict(int, a=1, b=2), collections.defaultdict(int, b=2, a=1)),
    "order of a counter": (collections.Counter("aabbb"), collections.Counter("bbbaa")),
    "order of a set": (set(range(0, 100_000, 1000)), set(range(99_000, -1, -1000))),
    "order of a set's subclass": (Words(map(str, range(100))), Words(map(str, reversed(range(100))))),
    "order of attributes": (Plain(a=1, b=2), Plain(b=2, a=1)),
    "a set that has shrunk": ({1, 2}, set(range(1000)) - set(range(3, 1000)) - {0}),
    "layout of an array": (np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(3, 2, order="F").T.copy("F")[:, :]),
    "a view with strides": (np.arange(10)[::2], np.array([0, 2, 4, 6, 8])),
    "a view turned round": (np.arange(5)[::-1], np.array([4, 3, 2, 1, 0])),
    "an array of one value": (np.broadcast_to(np.int64(3), (2, 2)), np.full((2, 2), 3)),
    "an array of objects": (np.array([[1, "a"], [None, "asdf"]], object), np.array([[1, None], ["a", text]], object).T),
    "what is between the fields": (marked("a", 0), marked("a", 255)),
    "what is behind a long double": (
        np.frombuffer(np.longdouble(1).tobytes()[:10] + bytes(6), np.longdouble),
        np.frombuffer(np.longdouble(1).tobytes()[:10] + bytes([255] * 6), np.longdouble),
    ),
    "an array read only": (np.frombuffer(b"abcd", "u1"), np.array([97, 98, 99, 100], "u1")),
    "a view of memory": (memoryview(b"abcdef")[::2], memoryview(b"ace")),
    "a cached function": (functools.lru_cache(module_function), functools.lru_cache(module_function)),
    "a function made again": (adder([1]), adder([1])),
    "equal circles": (circle(1, 2), circle(1, 2)),
}


@pytest.mark.parametrize("name", SAME)
def test_what_is_the_same_has_the_same_digest(name):
    one, other = SAME[name]
    assert digest_item(one) == digest_item(other)


# ------------------------------------------------------------------------------------------- in other processes

PROGRAM = """
import array, collections, dataclasses, datetime, decimal, enum, fractions, functools, math, pathlib, random, re, sys
import textwrap
import numpy as np
from allcores._journal.digest.digest import digest_function, digest_item

class Colour(enum.Enum):
    RED = "red"
    BLUE = frozenset({"navy", "sky", "teal"})

@dataclasses.dataclass
class Job:
    name: str
    tags: set
    colour: Colour = Colour.RED

    def describe(self):
        return self.name in {"a", "b", "c"} and helper(self.tags) and self.colour

class Node:
    def __init__(self, *others):
        self.others = [*others]

class Words(set):
    pass

WORDS = frozenset({"a", "b", "c"})
LIMIT = {"a", "b"}
PATTERN = re.compile("a|b")

@functools.cache
def helper(x):
    return x if x in {"x", "y", "z"} else other(x, WORDS, LIMIT, PATTERN, Colour.BLUE, math.pi)

def other(*values):
    class Local:
        \"\"\"A docstring.\"\"\"
        def method(self):
            self.first, self.second, self.third = values
            return helper(values), super().__str__()
    return [Local for value in values if value not in ("a", "b")] or random.random()

def adder(*offsets):
    return lambda x: (x, offsets, helper, Job)

node = Node()
node.others += [Node(node), Node(Node(node)), {"self": node}]
names = [str(number) for number in range(20)]
items = [
    None, True, 1, 2.5, 1j, "text", b"bytes", (1, "a"), [1, ["a"]], ..., range(3),
    set(names), frozenset(names), {frozenset(names): set(names)}, dict.fromkeys(set(names)), Words(names),
    {None, "a", 1.5, (1, "b"), b"c", frozenset({"d", "e"}), Colour.RED, int, len, helper, Job},
    collections.Counter(names), collections.OrderedDict(a=1), collections.defaultdict(set, a={"a", "b"}),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc), decimal.Decimal("1.1"), fractions.Fraction(1, 3),
    pathlib.Path("a/b"), Colour.BLUE, Job("a", {"x", "y"}), node, node.others, array.array("d", [1.5]),
    Colour, Job, Node, int, math.sqrt, textwrap.dedent, lambda x: x in {"a", "b"}, adder({"a", "b"}), helper,
    np.arange(5), np.arange(6).reshape(2, 3).T, np.float32(1), np.array([{"a", "b"}, "c"]), np.zeros(2, "i4,O"),
    np.array(["a", "b"]), np.longdouble(1) / 3, np.dtype("i4,f8"), np.random.default_rng(3), np.sin,
]
functions = [
    helper, other, adder(*names), adder({"a", "b", "c"}), Job, Job("a", {"x", "y"}).describe, Colour, Node, Words.add,
    functools.partial(other, {"a", "b"}, key=helper), lambda: None, textwrap.dedent, dataclasses.dataclass,
    math.sqrt, str.upper, np.sin, np.sum, np.linalg.norm, np.vectorize(other), functools.partial, random.randint,
]
functions.pop()  # a bound method of a generator that is seeded by chance
print([digest_item(item).hex() for item in items])
print([digest_function(function).hex() for function in functions])
"""


def test_every_process_gives_the_same_digests(run_python, monkeypatch):
    outputs = []
    for seed in ("0", "1", "4711"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        outputs.append(run_python(PROGRAM).stdout)
    assert outputs[0].count("'") > 100
    assert outputs == [outputs[0]] * 3


def test_numpy_is_not_imported(run_python):
    program = """
        import sys
        from allcores._journal.digest.digest import digest_function, digest_item
        digest_item([object(), int, print]), digest_function(lambda x: print(x))
        print("numpy" in sys.modules)
    """
    assert run_python(textwrap.dedent(program)).stdout == "False\n"


# -------------------------------------------------------------------------------------------------- any structure

numbers = st.booleans() | st.integers() | st.floats(allow_nan=False)
scalars = st.none() | numbers | st.text(max_size=5) | st.binary(max_size=5)
keys = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    sequences = st.lists(inner, max_size=4)
    return sequences | sequences.map(tuple) | st.sets(keys, max_size=4) | st.dictionaries(keys, inner, max_size=4)


structures = st.recursive(keys, containers, max_leaves=12)


def spelled_out(thing: Any) -> str:
    """Give a text that is equal for structures that are equal in values, types and order, where there is one."""
    if isinstance(thing, list | tuple):
        return f"{type(thing).__name__}({','.join(map(spelled_out, thing))})"
    if isinstance(thing, set | frozenset):
        return f"{type(thing).__name__}({','.join(sorted(map(spelled_out, thing)))})"
    if isinstance(thing, dict):
        return f"dict({','.join(sorted(f'{spelled_out(key)}:{spelled_out(value)}' for key, value in thing.items()))})"
    return repr(thing)


def shuffled(thing: Any, chance: random.Random) -> Any:
    """Give a copy that was put together in another order and shares nothing."""
    if isinstance(thing, list | tuple):
        return type(thing)(shuffled(part, chance) for part in thing)
    if isinstance(thing, set | frozenset):
        return type(thing)(shuffled(part, chance) for part in chance.sample([*thing], len(thing)))
    if isinstance(thing, dict):
        pairs = chance.sample([*thing.items()], len(thing))
        return {shuffled(key, chance): shuffled(value, chance) for key, value in pairs}
    return pickle.loads(pickle.dumps(thing))


@given(structures, structures)
def test_digests_are_equal_where_structures_are(one, other):
    is_same = spelled_out(one) == spelled_out(other)
    assert (digest_item(one) == digest_item(other)) is is_same


@given(structures, st.randoms(use_true_random=False))
def test_order_and_identity_do_not_count(thing, chance):
    assert digest_item(shuffled(thing, chance)) == digest_item(thing)


@given(st.lists(structures, min_size=2, max_size=4))
@settings(max_examples=50)
def test_how_things_are_grouped_counts(things):
    groupings = [things, [things], [things[0], things[1:]], [things[:1], *things[1:]], [things[:-1], things[-1]]]
    spellings = {spelled_out(grouping) for grouping in groupings}
    assert len({digest_item(grouping) for grouping in groupings}) == len(spellings)


# ------------------------------------------------------------------------------------------ circles, depth, sharing


class Person:
    def __init__(self, friends: Any) -> None:
        self.friends = friends


def acquainted(number: int, kind: type) -> list[Person]:
    """Give persons who are friends of each other and of themselves, in a ``list`` or a ``set``."""
    people = [Person(kind()) for _ in range(number)]
    for person in people:
        (person.friends.extend if kind is list else person.friends.update)(people)
    return people


def test_circles_come_to_an_end():
    first, second = acquainted(20, list), acquainted(20, list)
    assert digest_item(first[0]) == digest_item(second[0])
    assert digest_item(first[0]) != digest_item(acquainted(21, list)[0])


def test_circles_through_sets_do_not_depend_on_addresses():
    assert len({digest_item(acquainted(4, set)[0]) for _ in range(20)}) == 1


def test_circles_through_sets_are_given_up_if_there_are_too_many():
    with pytest.raises(Undigestible, match="Person refers to others"):
        digest_item(acquainted(30, set)[0])


def test_functions_in_a_set_have_no_order():
    def made() -> set[Any]:
        return {compiled(f"def f(): return {number}") for number in range(10)}

    sets = [made() for _ in range(10)]
    assert len({digest_item(functions) for functions in sets}) == 1
    assert len({digest_function(adder(functions)) for functions in sets}) == 1


def test_a_circle_through_a_set_of_functions_comes_to_an_end():
    found: set[Any] = set()
    found.add(adder(found))
    assert digest_function(adder(found)) == digest_function(adder(found))


def test_what_is_shared_many_times_is_looked_at_once():
    def doubled(times: int) -> Any:
        made: Any = ["a", "b"]
        for _ in range(times):
            made = [made, made]
        return made

    assert digest_item(doubled(100)) == digest_item(doubled(100))
    assert digest_item(doubled(100)) != digest_item(doubled(99))


def test_what_is_nested_too_deeply_is_undigestible():
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Undigestible, match="list is nested too deeply"):
        digest_item(deep)


# -------------------------------------------------------------------------------------------------- evil objects


def raising(name: str) -> Any:
    def method(self: Any, *arguments: Any) -> Any:
        raise ValueError(f"{name} was called")

    return method


class Untouchable:
    """Told by its content, though nothing but pickling works."""

    def __init__(self, content: Any) -> None:
        self.content = content

    __hash__ = None  # type: ignore[assignment]
    for _name in ("eq", "ne", "lt", "repr", "str", "bool", "len", "iter", "getitem", "call", "format", "int", "index"):
        locals()[f"__{_name}__"] = raising(_name)


class Fickle:
    """Its hash works until it is told to fail."""

    fails = False

    def __hash__(self) -> int:
        if Fickle.fails:
            raise ValueError("the hash was called")
        return 1

    def __eq__(self, other: object) -> bool:
        if Fickle.fails:
            raise ValueError("two were compared")
        return self is other


class HashlessMeta(type):
    __hash__ = raising("the type's hash")
    __eq__ = raising("the type's comparison")


def test_the_users_comparisons_hashes_and_texts_are_not_called(monkeypatch):
    assert digest_item([Untouchable(1)]) == digest_item([Untouchable(1)]) != digest_item([Untouchable(2)])
    things = [{Fickle(), Fickle()}, {Fickle(): 1}, frozenset({(Fickle(), 1)})]
    monkeypatch.setattr(Fickle, "fails", True)
    assert len({digest_item(thing) for thing in things}) == 3


def test_a_types_hash_is_not_called():
    made = HashlessMeta("Made", (), {})
    assert digest_item(made()) == digest_item([made()][0])
    assert digest_function(made)


class Wrong:
    def __init__(self, reduction: Any) -> None:
        self.reduction = reduction

    def __reduce_ex__(self, protocol: int) -> Any:
        return self.reduction


class Endless:
    def __reduce_ex__(self, protocol: int) -> Any:
        return Endless, (Endless(),)


class Closed:
    def __getattribute__(self, name: str) -> Any:
        raise OSError("closed")


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


class MutelyFailing:
    def __reduce_ex__(self, protocol: int) -> Any:
        raise Mute(self)


class NamelessMeta(type):
    @property
    def __module__(cls) -> str:
        raise OSError("no module")


class OddSet(set[int]):
    def __reduce_ex__(self, protocol: int) -> Any:
        return OddSet, (7,)


UNDIGESTIBLE: dict[str, Any] = {
    r"_thread\.lock .*cannot pickle": threading.Lock(),
    r"generator .*cannot pickle": (number for number in ()),
    r"_io\.TextIOWrapper .*cannot pickle": sys.__stdout__,
    r"Closed .*OSError: closed": Closed(),
    r"MutelyFailing .*Mute": MutelyFailing(),
    r"Endless is nested too deeply": Endless(),
    r"Wrong .*TypeError": Wrong(17),
    r"Wrong .*": Wrong((len, 17, None, 3)),
    r"frame .*cannot pickle": sys._getframe(),
    r"a mappingproxy .*cannot pickle": types.MappingProxyType({}),
    r"Undigested .*no module": NamelessMeta("Undigested", (), {})(),
}


@pytest.mark.parametrize("message", UNDIGESTIBLE)
def test_what_has_no_content_says_so(message):
    with pytest.raises(Undigestible, match=message):
        digest_item(UNDIGESTIBLE[message])


def test_the_text_names_what_is_inside():
    with pytest.raises(Undigestible, match=r"^a _thread\.RLock cannot be told by its content"):
        digest_item({"a": [Plain(lock=threading.RLock())]})


def test_a_failure_leaves_nothing_behind():
    classes: Classes = {}
    with pytest.raises(Undigestible):
        digest_item([Plain(a=1), threading.Lock()], classes)
    assert digest_item(Plain(a=1), classes) == digest_item(Plain(a=1))


def test_a_sets_subclass_pickles_as_it_likes():
    assert digest_item(OddSet({1})) == digest_item(OddSet({2}))


def test_what_it_raises_survives_pickling():
    assert str(pickle.loads(pickle.dumps(Undigestible("a text")))) == "a text"


# -------------------------------------------------------------------------------------------------- functions


def compiled(source: str, name: str = "home", file: str = "home.py") -> Any:
    """Run a module's source; give its ``f``."""
    module = types.ModuleType(name)
    exec(compile(textwrap.dedent(source), file, "exec"), vars(module))
    return module.f


def lines(*parts: str) -> str:
    return "\n".join(parts)


NO_CHANGE: dict[str, tuple[str, str]] = {
    "place": ("def f(x): return x", "\n\n\n# a comment\ndef f(x):\n    # another\n    return x"),
    "name": ("def f(x): return x", "def g(x): return x\nf = g"),
    "docstring": ("def f(x):\n  return None if x else 1", "def f(x):\n  'It says.'\n  return None if x else 1"),
    "docstring of a call": (
        "def f(x): return g(x)\ndef g(x): return x or None",
        "def g(x):\n  'It says.'\n  return x or None\ndef f(x): return g(x)",
    ),
    "docstring of a class": (
        "class f:\n  SIZE = 1\n  def g(self): return self.SIZE",
        "\nclass f:\n  'It says.'\n  SIZE = 1\n  def g(self):\n    'It says, too.'\n    return self.SIZE",
    ),
    "docstring of an inner class": (
        "def f():\n  class A:\n    SIZE = 1\n    def g(self): self.a, self.b = A, None\n  return A",
        "def f():\n  class A:\n\n    'It says.'\n    SIZE = 1\n    def g(self): self.a, self.b = A, None\n  return A",
    ),
    "what a list holds": ("CACHE = []\ndef f(x): return CACHE", "CACHE = [1]\ndef f(x): return CACHE"),
    "what nobody looks at": ("A = 1\ndef f(x): return x.A", "A = 2\ndef f(x): return x.A"),
    "a cache": ("def f(x): return x", "import functools\n@functools.cache\ndef f(x): return x"),
    "recursion": ("def f(x): return x and f(x - 1)", "\ndef f(x): return x and f(x - 1)"),
}


@pytest.mark.parametrize("case", NO_CHANGE)
def test_a_function_is_the_same_whatever_its(case):
    before, after = NO_CHANGE[case]
    assert digest_function(compiled(before)) == digest_function(compiled(after, file="elsewhere.py"))


CHANGES: dict[str, tuple[str, ...]] = {
    "operator": ("def f(x): return x + 1", "def f(x): return x - 1"),
    "constant": tuple(
        f"def f(x): return x, {value}"
        for value in ("1", "2", "1.0", "True", "'1'", "b'1'", "0.0", "-0.0", "None", "...")
    ),
    "constant tuple": ("def f(x): return x, (1, 2)", "def f(x): return x, (1, 2.0)"),
    "constant set": ("def f(x): return x in {1, 2}", "def f(x): return x in {1, 3}", "def f(x): return x in (1, 2)"),
    "argument": ("def f(x): return x", "def f(y): return y", "def f(*x): return x", "def f(**x): return x"),
    "kind of argument": ("def f(x, y): return x", "def f(x, /, y): return x", "def f(x, *, y): return x"),
    "default": ("def f(x=1): return x", "def f(x=2): return x", "def f(x): return x", "def f(x=1.0): return x"),
    "default of a keyword": ("def f(*, x=1): return x", "def f(*, x=2): return x", "def f(*, x): return x"),
    "attribute": ("def f(x): return x.a", "def f(x): return x.b"),
    "method or attribute": ("def f(x): return x.a()", "def f(x): return (x.a)(1)"),
    "local variable": ("def f():\n  a = 1\n  return a", "def f():\n  b = 1\n  return b"),
    "generator": ("def f(x): return x", "def f(x): yield x", "async def f(x): return x"),
    "handler": (
        "def f(x):\n  try: x()\n  except OSError: x(1)",
        "def f(x):\n  try: x()\n  except ValueError: x(1)",
        "def f(x):\n  x()\n  try: pass\n  except ValueError: x(1)",
    ),
    "what is inside": (
        "def f(x): return [y + 1 for y in x]",
        "def f(x): return [y + 2 for y in x]",
        "def f(x): return [lambda: y + 1 for y in x]",
        "def f(x): return [lambda: y + 2 for y in x]",
    ),
    "inner class": (
        "def f():\n  class A: SIZE = 1\n  return A",
        "def f():\n  class A: SIZE = 2\n  return A",
        "def f():\n  class A(dict): SIZE = 1\n  return A",
    ),
    "captured": tuple(
        lines("def make(a):", "  def f(x): return x, a", "  return f", f"f = make({value})")
        for value in ("1", "2", "[1]", "{'a': 1}", "make", "lambda: 1", "lambda: 2", "open", "object()", "(1,)")
    ),
    "captured twice": (
        "def g(a, b): return lambda: (a, b)\nf = g(1, 2)",
        "def g(a, b): return lambda: (a, b)\nf = g(2, 1)",
    ),
    "not captured yet": (
        "def g():\n  f = lambda: a\n  return f\n  a = 1\nf = g()",
        "def g(a): return lambda: a\nf = g(1)",
    ),
    "global name": ("def f(x): return a(x)", "def f(x): return b(x)"),
    "global constant": tuple(
        f"import re, enum, pathlib, datetime, decimal\nA = {value}\ndef f(x): return x, A"
        for value in (
            *(
                "1",
                "2",
                "1.0",
                "True",
                "None",
                "'1'",
                "b'1'",
                "1j",
                "(1, 2)",
                "(1, '2')",
                "frozenset({1})",
                "frozenset({2})",
            ),
            *("re.compile('a')", "re.compile('b')", "pathlib.Path('a')", "pathlib.Path('b')", "decimal.Decimal(1)"),
            *("datetime.date(1, 1, 1)", "datetime.date(1, 1, 2)", "range(3)", "range(4)", "[]", "{}", "(1, [])", "re"),
            *("enum.Enum('A', {'B': 1}).B", "enum.Enum('A', {'B': 2}).B", "enum.Enum('A', {'B': 1})"),
        )
    ),
    "numpy's constant": tuple(
        f"import numpy\nA = numpy.{value}\ndef f(x): return x, A" for value in ("float64(1)", "float64(2)", "zeros(1)")
    ),
    "global function": ("def f(x): return g(x)\ndef g(x): return x", "def f(x): return g(x)\ndef g(x): return -x"),
    "global of what is inside": (
        "def f(x): return [lambda: g(x)]\ndef g(x): return x",
        "def f(x): return [lambda: g(x)]\ndef g(x): return -x",
    ),
    "global of a global": tuple(
        lines("def f(x): return g(x)", "def g(x): return h(x)", f"def h(x): return {value}") for value in ("x", "-x")
    ),
    "two globals": (
        "def f(x): return g(h(x))\ndef g(x): return x\ndef h(x): return -x",
        "def f(x): return g(h(x))\ndef g(x): return -x\ndef h(x): return x",
    ),
    "global tuple of functions": (
        "STEPS = (lambda x: x, lambda x: -x)\ndef f(x): return STEPS",
        "STEPS = (lambda x: -x, lambda x: x)\ndef f(x): return STEPS",
    ),
    "in a circle": tuple(
        lines("def f(x): return g(x)", f"def g(x): return {value}, h(x)", "def h(x): return f(x)") for value in "12"
    ),
    "cached global": tuple(
        lines("import functools", "def f(x): return g(x)", "@functools.cache", f"def g(x): return {value}")
        for value in "12"
    ),
    "wrapped global": tuple(
        lines(
            "import functools",
            "def log(g):",
            "  @functools.wraps(g)",
            "  def logging(*x): return g(*x)",
            "  return logging",
            "def f(x): return g(x)",
            "@log",
            f"def g(x): return {value}",
        )
        for value in "12"
    ),
    "partial global": tuple(
        lines("import functools", "def f(x): return g(x)", "def h(*x): return x", f"g = functools.partial({value})")
        for value in ("h, 1", "h, 2", "h, a=1", "h, b=1", "h, 'a', 1", "f, 1")
    ),
    "global of another module": tuple(
        f"{imported}\ndef f(x): return a(x)"
        for imported in (
            *(
                "from math import sqrt as a",
                "from cmath import sqrt as a",
                "from math import sin as a",
                "import math as a",
            ),
            *(
                "import json as a",
                "from json import dumps as a",
                "from numpy import sin as a",
                "from numpy import cos as a",
            ),
            *("from random import random as a", "from random import gauss as a"),
        )
    ),
    "global class": tuple(
        lines("def f(x): return A(x)", "class B:", f"  def g(self): return {two}", f"class A{base}:", f"  {one}")
        for base, one, two in (
            *(
                ("", "SIZE = 1", 1),
                ("", "SIZE = 2", 1),
                ("(B)", "SIZE = 1", 1),
                ("(B)", "SIZE = 1", 2),
                ("", "pass", 1),
            ),
            *(("", "def g(self): return 1", 1), ("", "def g(self): return 2", 1), ("(list)", "SIZE = 1", 1)),
            *(("", "def __len__(self): return 1", 1), ("", "def __len__(self): return 2", 1)),
            *(("", "g = property(lambda self: 1)", 1), ("", "g = property(lambda self: 2)", 1)),
            *(("", "g = staticmethod(lambda: 1)", 1), ("", "g = classmethod(lambda: 1)", 1)),
        )
    ),
    "metaclass": tuple(
        lines("class M(type):", f"  def g(self): return {value}", "class f(metaclass=M): pass") for value in "12"
    ),
    "class of a global": tuple(
        lines("class A:", f"  def g(self): return {value}", "a = A()", "def f(x): return a.g(x)") for value in "12"
    ),
    "method of a global": tuple(
        lines("class A:", f"  def g(self): return {value}", "a = A().g", "def f(x): return a(x)") for value in "12"
    ),
    "enum": tuple(
        lines("import enum", "class A(enum.Enum):", f"  B = {value}", "def f(x): return A.B")
        for value in ("1", "2", "(1,)")
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_function_is_another_one_by_its(case):
    digests = {digest_function(compiled(source)): source for source in CHANGES[case]}
    assert [*digests.values()] == [*CHANGES[case]]
    again = [digest_function(compiled(f"\n# moved\n{source}")) for source in CHANGES[case]]
    assert again == [*digests]


class Model:
    def __init__(self, weight: Any) -> None:
        self.weight = weight

    def __call__(self, x: int) -> int:
        return self.scale(x)

    def scale(self, x: int) -> int:
        return self.weight * x

    @classmethod
    def of(cls, x: int) -> Model:
        return cls(x)


class OtherModel(Model):
    def scale(self, x: int) -> int:
        return self.weight + x


CALLABLES: list[Any] = [
    *[module_function, adder(1), adder(2), adder([1]), adder(np.zeros(2)), adder(np.ones(2)), adder(threading.Lock())],
    *[adder(threading.RLock()), adder(iter(())), adder(adder(1)), adder(adder(2)), adder(Model(1)), adder(Model(2))],
    *[
        adder(NamelessMeta("Nameless", (), {})()),
        adder(math),
        adder(json),
        adder(Model(threading.Lock())),
        adder([threading.Lock()]),
    ],
    *[Model(1).scale, Model(2).scale, OtherModel(1).scale, OtherModel(1).of, Model.of, Model.scale, Model(1).of(1)],
    *[Model(2), OtherModel(2), Model(threading.Lock()), OtherModel(threading.Lock()), Model(threading.Lock()).scale],
    *[functools.partial(module_function, 1), functools.partial(module_function, 2), functools.partial(Model(1).scale)],
    *[functools.partial(module_function, x=1), functools.partial(module_function, threading.Lock())],
    *[functools.partial(module_function, threading.Lock(), 1), functools.partial(module_function, threading.Lock(), 2)],
    *[functools.partial(adder(1)), functools.partial(adder(2)), functools.cache(adder([1, 2])), Model, OtherModel],
    *[math.sqrt, math.sin, str.upper, str.lower, "a".upper, "b".upper, len, int, float, print, np.sin, np.cos, np.sum],
    *[np.linalg.norm, np.vectorize(module_function), np.vectorize(adder(1)), operator.itemgetter(1), textwrap.dedent],
]


def test_every_kind_of_function_has_its_digest():
    met = collections.defaultdict(list)
    for function in CALLABLES:
        met[digest_function(function)].append(function)
    assert [functions for functions in met.values() if len(functions) > 1] == []


def test_a_method_is_another_one_if_what_it_calls_is():
    source = "class A:\n  def g(self): return self.h()\n  def h(self): return {}\nf = {}"
    for kind in ("A().g", "A.g", "A", "A()", "[A().g for A in [A]][0]"):
        digests = {digest_function(compiled(source.format(value, kind))) for value in "12"}
        assert len(digests) == (1 if kind == "A.g" else 2)


class TestImportable:
    """Functions and classes that a module holds."""

    @pytest.fixture
    def imported(self, tmp_path, monkeypatch) -> Callable[..., Any]:
        """Write a module's source and import it: ``imported("home", "def f(x): return x")``."""
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)

        def write(name: str, source: str) -> Any:
            (tmp_path / f"{name}.py").write_text(source)
            monkeypatch.delitem(sys.modules, name, raising=False)
            importlib.invalidate_caches()
            module = importlib.import_module(name)
            monkeypatch.setitem(sys.modules, name, module)
            return module

        return write

    def test_the_run_function_is_looked_at_by_its_code(self, imported):
        before = digest_function(imported("home", "def f(x): return g(x)\ndef g(x): return 1").f)
        assert digest_function(imported("home", "def f(x): return g(x)\ndef g(x): return 2").f) != before

    def test_those_of_other_modules_are_names(self, imported):
        imported("lib", "def g(x): return 1\nclass A:\n  def g(self): return 1")
        home = imported("home", "from lib import g, A\na = A()\ndef f(x): return g(x), A, a")
        before = digest_function(home.f)
        imported("lib", "def g(x): return 2\nclass A:\n  def g(self): return 2")
        home = imported("home", "from lib import g, A\na = A()\ndef f(x): return g(x), A, a")
        assert digest_function(home.f) == before

    def test_those_of_main_are_looked_at_from_everywhere(self, imported, monkeypatch):
        digests = set()
        for value in (1, 2):
            home = imported("home", "def f(x): return g(x)")
            home.g = compiled(f"def f(x): return {value}", "__main__")
            monkeypatch.setattr(sys.modules["__main__"], "f", home.g, raising=False)
            digests.add(digest_function(home.f))
        assert len(digests) == 2

    def test_what_wraps_a_function_of_home_does_not_hide_it(self, imported):
        imported("lib", "def wrap(g):\n  def wrapped(*x): return g(*x)\n  return wrapped")
        source = "from lib import wrap\n@wrap\ndef g(x): return {}\ndef f(x): return g(x)"
        before = digest_function(imported("home", source.format(1)).f)
        assert digest_function(imported("home", source.format(2)).f) != before

    def test_as_items_they_are_names(self, imported):
        home = imported("home", "def f(x): return 1\nclass A:\n  def g(self): return 1")
        before = [digest_item(thing) for thing in (home.f, home.A, home.A(), home.A().g)]
        home = imported("home", "def f(x): return 2\nclass A:\n  def g(self): return 2")
        assert [digest_item(thing) for thing in (home.f, home.A, home.A(), home.A().g)] == before

    def test_as_items_those_that_cannot_be_imported_are_code(self):
        source = "def f(x): return {0}\nclass A:\n  def g(self): return {0}\nh, f = f, lambda: (h, A, A())"
        before = [digest_item(thing) for thing in compiled(source.format(1))()]
        after = [digest_item(thing) for thing in compiled(source.format(2))()]
        assert [one == other for one, other in zip(before, after, strict=True)] == [False] * 3


def test_classes_are_looked_at_once_where_they_are_shared():
    local = type("Local", (), {"get": lambda self: 1})
    classes: Classes = {}
    assert digest_item(local(), classes) == digest_item(local(), classes) == digest_item(local())
    assert [kind for kind, _ in classes.values()] == [local]
    before = digest_item(local(), classes)
    local.get = lambda self: 2
    assert digest_item(local(), classes) == before != digest_item(local(), {})


def test_a_class_that_is_compiled_in_is_a_name():
    classes: Classes = {}
    assert digest_item([type(None), type(len), type(str.upper), type(module_function)], classes)
    assert classes == {}


def test_a_class_that_holds_its_own_instances_comes_to_an_end():
    source = "class A:\n  def g(self): return {}, A\nA.ORIGIN = A()\nA.ORIGIN.origin = A.ORIGIN\nf = A"
    one, same, other = (compiled(source.format(value)) for value in (1, 1, 2))
    assert digest_item(one.ORIGIN) == digest_item(same.ORIGIN) != digest_item(other.ORIGIN)
    assert digest_function(one) == digest_function(same) != digest_function(other)


def test_a_function_without_a_module_has_a_digest():
    names: dict[str, Any] = {}
    exec("def f(x): return g(x)\ndef g(x): return x", names)
    assert digest_function(names["f"]) == digest_function(compiled("def f(x): return g(x)\ndef g(x): return x"))


def test_a_proxy_that_stands_for_nothing_is_its_type():
    class Proxy:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("stands for nothing")

        __call__ = __getattr__

    function = compiled("def f(x): return proxy(x)")
    function.__globals__["proxy"] = Proxy()
    before = digest_function(function)
    function.__globals__["proxy"] = Proxy()
    assert digest_function(function) == before


def test_a_long_chain_of_functions_has_a_digest():
    def chain(end: str) -> str:
        links = [f"def g{number}(x): return g{number + 1}(x)" for number in range(1000)]
        return lines("def f(x): return g0(x)", *links, f"def g1000(x): return {end}")

    assert digest_function(compiled(chain("1"))) != digest_function(compiled(chain("2")))
