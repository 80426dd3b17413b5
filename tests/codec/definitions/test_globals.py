"""What functions lead to by name, and that workers which are kept see it as it is when they are called."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import NOTHING_LACKING, Known, find_lacking

CHANGED_IN_PLACE = """
import joblib, numpy as np
import allcores, allcores.joblib

rates, steps, array, nested = {"k": 1}, [1], np.zeros(1000), {"a": {"b": [1]}}

class Model:
    rate, table = 1, {"x": 1}
    def run(self):
        return self.rate, self.table["x"]

class Derived(Model):
    pass

model = Model()
model.weight = 1

def with_default(i, d=[1]):
    return len(d)

def decorate(function):
    state = {"n": 1}
    def wrapper(i):
        return function(i), state["n"]
    wrapper.state = state
    return wrapper

@decorate
def decorated(i):
    return i

def work(i):
    values = rates["k"], len(steps), Model.rate, float(array.sum()), nested["a"]["b"][-1], model.weight
    return *values, model.run(), Derived().run(), with_default(i), decorated(i), work.note

work.note = 1

def run2(self):
    return "other", self.rate

changes = [
    lambda: rates.update(k=2),
    lambda: steps.append(1),
    lambda: setattr(Model, "rate", 5),
    lambda: Model.table.update(x=7),
    lambda: array.__setitem__(3, 9),
    lambda: nested["a"]["b"].append(4),
    lambda: setattr(model, "weight", 8),
    lambda: setattr(Model, "run", lambda self: ("new", self.rate)),
    lambda: with_default.__defaults__[0].append(2),
    lambda: decorated.state.update(n=3),
    lambda: setattr(work, "note", 2),
    lambda: setattr(Derived, "rate", 11),
    lambda: setattr(Model, "run", run2),
    lambda: globals().update(rates={"k": 10}),
    lambda: delattr(Derived, "rate"),
]

def check(what):
    items = range(3)
    expected = [work(i) for i in items]
    got = {
        "joblib": joblib.Parallel()(joblib.delayed(work)(i) for i in items),
        "map": pool.map(work, items),
        "apply": [pool.apply(work, (i,)) for i in items],
        "imap": list(pool.imap(work, iter(items))),
        "forked map": forked.map(work, items),
        "submit": [executor.submit(work, i).result() for i in items],
        "executor map": list(executor.map(work, items)),
    }
    for how, results in got.items():
        assert results == expected, (what, how, results, expected)

with (
    joblib.parallel_config("allcores", n_jobs=2),
    allcores.Pool(2) as pool,
    allcores.Pool(2, start="fork") as forked,
    allcores.Executor(2) as executor,
):
    check("at first")
    for number, change in enumerate(changes):
        change()
        check(number)
"""


def test_workers_that_are_kept_see_what_was_changed_in_place(run_python):
    pytest.importorskip("joblib", reason="joblib is not installed")
    pytest.importorskip("numpy", reason="NumPy is not installed")
    run_python(CHANGED_IN_PLACE, timeout=50)


@pytest.mark.once
def test_an_initializers_variables_last_until_the_callers_change(run_python):
    run_python("""
import allcores

counter = {"n": 0}
model = None

def load():
    global model
    model = "loaded"
    counter["n"] += 1

def work(x):
    return model, counter["n"]

for start in ("forkserver", "fork"):
    with allcores.Pool(2, load, start=start) as pool:
        assert set(pool.map(work, range(20))) == {("loaded", 1)}
        assert pool.apply(work, (1,)) == ("loaded", 1)
        counter["other"] = 1
        assert set(pool.map(work, range(20))) == {("loaded", 0)}
        model = "the caller's"
        assert set(pool.map(work, range(20))) == {("the caller's", 0)}
        model = None
    with allcores.Executor(2, initializer=load, start=start) as executor:
        assert executor.submit(work, 1).result()[0] == "loaded"
    counter = {"n": 0}
    model = None
""")


# ------------------------------------------------------------------------------------------------ without workers


@pytest.fixture
def main(monkeypatch):
    """A `__main__` to define things in."""
    import types

    module = types.ModuleType("__main__")
    del module.__package__  # which every function leads to, for the sake of relative imports
    monkeypatch.setitem(sys.modules, "__main__", module)

    def define(source: str) -> types.ModuleType:
        exec(source, vars(module))
        return module

    return define


def test_what_is_known_is_not_lacking_until_it_changes(main):
    module = main("table = {}\nnumber = 5\ndef helper(x): return table, number\ndef work(x): return helper(x)")
    known = Known()
    lacking = find_lacking(module.work, known, Inspection())
    assert set(lacking.values) == {"work", "helper", "table", "number"}
    known.learn(lacking.values, Inspection())
    assert find_lacking(module.work, known, Inspection()) is NOTHING_LACKING
    module.table["a"] = 1
    assert find_lacking(module.work, known, Inspection()).values == {"table": {"a": 1}}
    assert find_lacking(module.work, known, Inspection(is_only=True)) is NOTHING_LACKING
    module.number = 6
    assert set(find_lacking(module.work, known, Inspection()).values) == {"table", "number"}


def test_words_in_texts_count_where_code_looks_names_up(main):
    module = main("""
limit = unused = 1
def evaluated(): return eval("limit + 1")
def queried(frame): return frame.query("x > @limit")
def told(): return "limit"
""")

    def found(function):
        return set(find_lacking(function, Known(), Inspection()).values) - {function.__name__}

    assert found(module.evaluated) == found(module.queried) == {"limit"}
    assert found(module.told) == set()


def test_what_it_leads_to_is_not_kept_alive(main):
    module = main("""
class Large: pass
held = [Large()]
def make(large): return lambda: (large, held, Large)
work = make(Large())
""")
    large, held, work = (weakref.ref(one) for one in (module.work()[0], module.held[0], module.work))
    find_lacking(module.work, Known(), Inspection())
    del module.work, module.held
    gc.collect()
    assert large() is None
    assert held() is None
    assert work() is None


def test_what_was_met_is_met_anew_when_it_leads_elsewhere(main):
    module = main("""
first, second = 1, 2
class Kind:
    def run(self): return first
def helper(): return first
def work(): return helper(), Kind
""")

    def found():
        return {"first", "second"} & set(find_lacking(module.work, Known(), Inspection()).values)

    assert found() == {"first"}
    exec("def helper(): return second", vars(module))
    assert found() == {"first", "second"}
    exec("Kind.run = lambda self: 0", vars(module))
    assert found() == {"second"}
