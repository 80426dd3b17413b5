"""What things consist of: the same while they are the same, another when they have changed, alike in two processes."""

from __future__ import annotations

import enum
import functools
import subprocess
import sys
import threading

import numpy as np
import pytest

from allcores._codec.definitions.contents import Inspection


class Plain:
    rate = 1
    table = {"a": 1}  # noqa: RUF012 - it is what is changed

    def run(self):
        return self.rate

    @staticmethod
    def stand():
        return 1

    @property
    def name(self):
        return "a"


class Colour(enum.Enum):
    RED = 1


def function(x, d=(1,), *, k=None):
    return x, d, k


def make(state):
    def inner():
        return state

    return inner


def contents(thing, **options):
    return Inspection().contents(thing, **options)


def change_attribute(thing):
    thing.attribute = [1]


CHANGES = {
    "list": (lambda: [1], lambda thing: thing.append(2)),
    "dict": (lambda: {"a": [1]}, lambda thing: thing["a"].append(2)),
    "array": (lambda: np.zeros(100_000), lambda thing: thing.__setitem__(70_000, 1)),
    "strided": (lambda: np.zeros((300, 300))[::2, ::-1], lambda thing: thing.__setitem__((3, 3), 1)),
    "instance": (Plain, change_attribute),
    "closure": (lambda: make([1]), lambda thing: thing().append(2)),
    "function attribute": (lambda: make(1), change_attribute),
    "default": (lambda: lambda x=[1]: x, lambda thing: thing().append(2)),
    "code": (lambda: make(1), lambda thing: setattr(thing, "__code__", make(2).__code__.replace(co_firstlineno=1))),
    "cached": (lambda: functools.cache(make([1])), lambda thing: thing.__wrapped__().append(2)),
    "partial": (lambda: functools.partial(function, [1]), lambda thing: thing.args[0].append(2)),
    "method": (lambda: Plain().run, lambda thing: change_attribute(thing.__self__)),
    "class attribute": (lambda: type("Made", (Plain,), {"a": 1}), lambda thing: setattr(thing, "a", 2)),
    "class dict": (lambda: type("Made", (Plain,), {"a": {}}), lambda thing: thing.a.update(b=1)),
    "class method": (lambda: type("Made", (Plain,), {}), lambda thing: setattr(thing, "run", function)),
}


@pytest.mark.once
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_shows(name):
    make_thing, change = CHANGES[name]
    thing = make_thing()
    inspection = Inspection()
    before = inspection.contents(thing)
    assert before is not None
    assert contents(thing) == before
    change(thing)
    assert contents(thing) != before
    assert inspection.contents(thing) is before  # it looks only once


def test_what_python_notes_down_is_no_change():
    class Noted:
        pass

    before = contents(Noted)
    Noted().__reduce_ex__(4)  # notes down the slots that there are
    assert "__slotnames__" in vars(Noted)
    assert contents(Noted) == before


def test_what_cannot_be_told_is_not():
    assert contents(threading.Lock()) is None
    assert contents([threading.Lock()]) is None
    assert contents([1] * 1000, largest=100) is None
    assert contents(np.zeros(1000), largest=100) is None
    assert contents(np.zeros(10), largest=10_000) is not None


def test_things_that_hold_themselves_have_an_end():
    def recursive():
        return recursive

    class Kind:
        pass

    Kind.itself = Kind
    thing = []
    thing.append(thing)
    assert None not in {contents(recursive), contents(Kind), contents(thing)}


@pytest.mark.once
def test_another_process_sees_the_same(tmp_path):
    """Whatever hashes are there, whether the module was compiled just now or long ago."""
    (tmp_path / "made.py").write_text("""
import functools
TABLE = {"one": 1, "two": [1.5, None, "three"]}
KINDS = ("a", "b")
class Kind:
    table = {"x": 1}
    def run(self, x, d=("a", "b"), *, k=TABLE):
        return x in {"a", "b", "c"}, [y for y in x]
    class Inner:
        name = "inner"
@functools.lru_cache
def work(x):
    return lambda: (x, 1.5, b"bytes", frozenset(("p", "q", "r")))
plain = work.__wrapped__
""")
    program = """
import made, pickle, sys
from allcores._codec.definitions.contents import Inspection
names = [name for name in vars(made) if not name.startswith("__") and name != "functools"]
print(pickle.dumps([(name, Inspection().contents(getattr(made, name))) for name in names], 0))
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(["", *sys.path])},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
    assert "None" not in outputs.pop()


def test_of_random_generators_no_two_processes_have_the_same_and_their_type_tells_all():
    first, second, other = np.random.default_rng(0), np.random.default_rng(1), np.random.RandomState(0)
    assert contents(first) == contents(second) != contents(other)
    assert contents(first) is not None
