"""Whatever items, results and exceptions are like, each ends in its value or in an error that names it.

No run hangs, no driver dies, and no item is hurt by its neighbours: most tests put many odd things and good ones into
one run and look at what became of each.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import odd_exceptions
import odd_objects
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_exceptions import ERRORS, fail
from odd_objects import BAD, GOOD, cook, is_bad, judge, make

import allcores
from allcores._codec.exceptions import decode_exception, encode_exception
from allcores._objects.asking import give_field, set_field
from allcores._objects.short_repr import short_repr
from allcores._objects.tracebacks import format_traceback

FIXED = settings(derandomize=True, database=None, deadline=None)
PLACES = ({"start": "fork"}, {"start": "forkserver"}, {"on": "threads"}, {"on": "serial"})


@pytest.fixture(params=["fork", "forkserver"])
def start(request: pytest.FixtureRequest) -> str:
    """The ways of starting processes, less the slowest of two that differ in nothing that matters here."""
    return str(request.param)


@pytest.fixture(params=PLACES, ids=lambda place: "".join(place.values()))
def place(request: pytest.FixtureRequest) -> dict[str, str]:
    """Places to run in, in some of which nothing travels."""
    return dict(request.param)


def collect(function: Callable[..., Any], items: Iterable[Any], call: Any = allcores.map, **options: Any) -> list[Any]:
    """Give the outcomes in order, whichever entry point is called."""
    outcomes = list(call(function, items, errors="collect", workers=2, **options))
    return [outcome for _, outcome in sorted(outcomes, key=index_of)] if call is allcores.imap_unordered else outcomes


def index_of(pair: tuple[int, Any]) -> int:
    return pair[0]


def same(thing: Any) -> Any:
    return thing


def between_numbers(names: Iterable[str]) -> list[str | int]:
    """Have each odd one stand between two good ones."""
    return [one for number, name in enumerate(names) for one in (number, name)] + [-1]


def raised_by(function: Callable[..., Any], *arguments: Any, **options: Any) -> BaseException | None:
    """Give what it raises; pytest's own way asks an exception questions, and some of these do not answer."""
    try:
        function(*arguments, **options)
    except BaseException as error:
        return error
    return None


def is_failure(outcome: Any, index: int, error: type[BaseException]) -> bool:
    """Whether it is the failure of this item, and says so."""
    return (
        type(outcome) is allcores.Failure
        and outcome.index == index
        and type(outcome.exception) is error
        and repr(outcome).startswith(f"<Failure of item {index} (")
        and f"item {index} (" in outcome.exception.__notes__[0]
    )


# ------------------------------------------------------------------------------------------------ items and results


def surprises(names: list[Any], verdicts: list[Any], error: type[BaseException]) -> dict[Any, Any]:
    """Give what did not end as it must: a number as itself, a good thing found good, a bad one as its failure."""

    def is_right(index: int, name: Any, verdict: Any) -> bool:
        if isinstance(name, int):
            return type(verdict) is int and verdict == name
        return verdict is True if name in GOOD else is_failure(verdict, index, error)

    pairs = enumerate(zip(names, verdicts, strict=True))
    return {name: verdict for index, (name, verdict) in pairs if not is_right(index, name, verdict)}


@pytest.mark.parametrize("call", [allcores.map, allcores.imap_unordered])
def test_every_odd_result_arrives_or_fails_alone(start, call):
    names = between_numbers([*BAD, *GOOD])
    pairs = zip(names, collect(make, names, call, start=start, batch=7), strict=True)
    verdicts = [end if type(end) is allcores.Failure else judge((name, end)) for name, end in pairs]
    assert surprises(names, verdicts, allcores.UnpicklableResult) == {}


@pytest.mark.parametrize("on", ["threads", "serial"])
def test_where_nothing_travels_every_odd_thing_arrives(on):
    names = [*BAD, *GOOD]
    things = [make(name) for name in names]
    results = allcores.map(same, things, on=on, workers=2)
    assert [name for name, thing, result in zip(names, things, results, strict=True) if result is not thing] == []


RUNS = [("fork", allcores.imap), ("forkserver", allcores.map), ("spawn", allcores.map)]


@pytest.mark.parametrize(("start", "call"), RUNS)
def test_every_odd_item_arrives_or_fails_alone(start, call):
    names = between_numbers([*BAD, *GOOD])
    verdicts = collect(judge, ((name, make(name)) for name in names), call, start=start, batch=7)
    assert surprises(names, verdicts, allcores.UnpicklableItem) == {}


@pytest.mark.parametrize("name", [*BAD][::5])
def test_what_cannot_travel_ends_a_run_that_stops_at_failures(name):
    options = {"start": "fork", "workers": 1, "batch": 1}
    with pytest.raises(allcores.UnpicklableResult) as result:
        allcores.map(make, [3, name], **options)
    with pytest.raises(allcores.UnpicklableItem) as item:
        allcores.map(type, iter([3, make(name)]), **options)
    assert "item 1 (" in result.value.__notes__[0]
    assert "item 1 (" in item.value.__notes__[0]
    assert (allcores.finished(result.value)[0], allcores.finished(item.value)[0]) == (3, int)


def test_what_is_just_too_deep_fails_alone(start):
    """In a batch it lies a little deeper than by itself."""
    deepest = odd_objects.deepest_that_pickles()
    depths = [deepest + more for more in range(-30, 5)]
    sent = collect(odd_objects.depth_of, map(odd_objects.nested, depths), start=start, batch=5)
    returned = [
        odd_objects.depth_of(outcome) if isinstance(outcome, list) else outcome
        for outcome in collect(odd_objects.nested, depths, start=start, batch=5)
    ]
    for outcomes, error in ((sent, allcores.UnpicklableItem), (returned, allcores.UnpicklableResult)):
        pairs = enumerate(zip(depths, outcomes, strict=True))
        assert [depth for at, (depth, end) in pairs if end != depth and not is_failure(end, at, error)] == []
        assert outcomes[0] == depths[0]


def test_what_raises_when_it_is_deleted_arrives(start, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    assert [type(outcome) for outcome in collect(odd_objects.BadDel, range(10), start=start)] == [
        odd_objects.BadDel
    ] * 10


def test_items_without_a_telling_repr_are_named_all_the_same(place):
    outcomes = collect(odd_exceptions.refuse, [make() for make in odd_objects.UNTOLD.values()], **place)
    for index, (name, outcome) in enumerate(zip(odd_objects.UNTOLD, outcomes, strict=True)):
        assert is_failure(outcome, index, type(outcome.exception)), name
        (note,) = outcome.exception.__notes__
        assert len(note) < 250, name
        assert "\n" not in note, name


def test_a_namesake_of_a_builtin_type_is_named_as_it_wants():
    assert short_repr([odd_objects.Namesake()]) == "[a namesake]"


WORST = [
    "BadReduce of SystemExit",
    "BadCall of KeyboardInterrupt",
    "BadSetstate of GeneratorExit",
    "its class raises",
    "too deep",
    "a lock",
]
RECIPES = st.recursive(
    st.sampled_from([*odd_objects.LEAVES, *odd_objects.LEAVES, *WORST]),
    lambda parts: st.tuples(st.sampled_from(["list", "tuple", "dict", "object"]), st.lists(parts, max_size=4)),
    max_leaves=6,
)


@pytest.mark.parametrize("start", ["fork", "forkserver"])
@settings(FIXED, max_examples=12)
@given(recipes=st.lists(RECIPES, min_size=1, max_size=15), batch=st.integers(1, 15))
def test_whatever_things_are_made_of_they_arrive_or_fail_alone(start, recipes, batch):
    def ends_right(index: int, outcome: Any, error: type[BaseException]) -> bool:
        recipe = recipes[index]
        return is_failure(outcome, index, error) if is_bad(recipe) else bool(outcome == cook(recipe))

    results = collect(cook, recipes, start=start, batch=batch)
    items = collect(same, map(cook, recipes), start=start, batch=batch)
    for outcomes, error in ((results, allcores.UnpicklableResult), (items, allcores.UnpicklableItem)):
        assert [ends_right(index, outcome, error) for index, outcome in enumerate(outcomes)] == [True] * len(recipes)


# ------------------------------------------------------------------------------------------------------ exceptions


def is_as_raised(name: str, error: BaseException, place: dict[str, str]) -> bool:
    if name == "of a local class":
        return type(error).__name__ == "Local"
    return type(error) is (ERRORS[name][1] if "start" in place else type(raised_by(fail, name)))


def names_its_item(error: BaseException, index: int) -> bool:
    notes = give_field(error, "__dict__").get("__notes__")
    return type(notes) is not list or any(f"item {index} (" in str(note) for note in notes[-2:])


def test_every_odd_exception_fails_its_own_item(place):
    names = between_numbers(ERRORS)
    outcomes = collect(fail, names, batch=7, **place)
    assert outcomes[::2] == names[::2]
    for index, (name, failure) in enumerate(zip(ERRORS, outcomes[1::2], strict=True)):
        assert repr(failure).startswith(f"<Failure of item {2 * index + 1} ("), name
        assert is_as_raised(name, failure.exception, place), name
        assert names_its_item(failure.exception, failure.index), name
        assert "odd_exceptions.py" in failure.traceback, name


@pytest.mark.parametrize("place", [{"start": "fork"}, {"on": "threads"}, {"on": "serial"}])
def test_every_odd_exception_ends_a_run_that_stops_at_failures(place):
    for name in ERRORS:
        error = raised_by(allcores.map, fail, [3, name, 4], batch=1, workers=1, **place)
        assert error is not None
        assert is_as_raised(name, error, place), name
        assert names_its_item(error, 1), name
        assert allcores.finished(error)[0] == 3, name


def test_an_end_of_iteration_that_an_item_raises_is_not_the_end_of_the_results():
    with pytest.raises(RuntimeError, match="an item raised StopIteration"):
        list(allcores.imap(fail, ["an end of iteration"], start="fork"))


@pytest.mark.parametrize("batch", [None, 1])
def test_an_exception_that_is_kept_and_raised_again_fails_each_item_by_itself(start, batch):
    outcomes = collect(odd_exceptions.throw_kept, range(300), start=start, batch=batch)
    assert len({id(outcome.exception) for outcome in outcomes}) == 300
    assert [names_its_item(outcome.exception, index) for index, outcome in enumerate(outcomes)] == [True] * 300
    assert {outcome.traceback.count(", in throw_kept\n") for outcome in outcomes} == {1}


@pytest.mark.parametrize("place", PLACES[:3])
def test_an_interrupt_that_an_item_raises_itself_is_its_failure(place):
    outcomes = collect(odd_exceptions.interrupt_at_one, range(3), **place)
    assert outcomes[::2] == [0, 2]
    assert is_failure(outcomes[1], 1, odd_exceptions.Interrupt)


# ------------------------------------------------------------------------------ chains, circles and groups, on the way


def travelled(error: BaseException | None) -> Any:
    """Give what the driver makes of an exception that a worker caught."""
    assert error is not None
    return decode_exception(pickle.loads(pickle.dumps(encode_exception(error)))).exception


def thrown(error: BaseException) -> BaseException:
    """Give the exception with a traceback."""
    assert raised_by(odd_exceptions.throw, error) is error
    return error


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_a_chain_keeps_its_links(link):
    error = travelled(raised_by(odd_exceptions.throw_chain, 2000, link))
    numbers = []
    while error is not None:
        numbers.append(error.args[0])
        error = getattr(error, link)
    assert numbers == list(range(1999, -1, -1))


def test_a_circle_stays_one():
    error = travelled(raised_by(odd_exceptions.throw_circle))
    assert error.__cause__.__context__ is error
    assert (error.__suppress_context__, error.__cause__.__suppress_context__) == (True, False)


def test_a_link_that_cannot_travel_leaves_the_others_alone():
    stays = odd_exceptions.Stays("no pickle")
    innermost, outermost = KeyError("innermost"), ValueError("outermost")
    raised_by(odd_exceptions.throw_from, stays, thrown(innermost))
    error = travelled(raised_by(odd_exceptions.throw_from, outermost, stays))
    stand_in = error.__cause__
    assert repr(error) == "ValueError('outermost')"
    assert (type(stand_in).__name__, str(stand_in)) == ("StaysHere", "no pickle")
    assert ", in throw_from\n" in "".join(traceback.format_tb(stand_in.__traceback__))
    assert repr(stand_in.__cause__) == "KeyError('innermost')"


def test_the_members_of_a_group_keep_their_tracebacks():
    inner = ExceptionGroup("inner", [thrown(KeyError("a")), thrown(odd_exceptions.Frozen(3))])
    member = thrown(ValueError("b"))
    member.__cause__ = thrown(OSError(2, "gone", "file"))
    error = travelled(thrown(ExceptionGroup("outer", [inner, member, odd_exceptions.Stays("no pickle")])))
    text = format_traceback(error)
    assert text.count("    raise error\n") == 5
    assert "FileNotFoundError: [Errno 2] gone: 'file'" in text
    assert repr(error.exceptions[0].exceptions) == "(KeyError('a'), Frozen(code=3))"
    assert (type(error.exceptions[2]).__name__, str(error.exceptions[2])) == ("StaysHere", "no pickle")


def test_a_member_of_two_groups_arrives_once():
    shared = ValueError("shared")
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [shared]), shared])
    error = travelled(raised_by(odd_exceptions.throw_from, group, shared))
    assert error.exceptions[0].exceptions[0] is error.exceptions[1] is error.__cause__


# Of each exception: its kind, and which of the others are its cause, its context, and its members if it is a group.
LINKS = st.tuples(
    st.sampled_from(["plain", "frozen", "stays", "group"]),
    st.integers(0, 5) | st.none(),
    st.integers(0, 5) | st.none(),
    st.lists(st.integers(0, 5), min_size=1, max_size=3),
)


def tangle(links: list[Any]) -> BaseException:
    """Make exceptions that are linked as told, where a group's members are among those after it; give the first."""
    errors: list[BaseException] = []  # the last one first
    for at in reversed(range(len(links))):
        kind, _, _, members = links[at]
        errors.append(exception_of(kind, at, [errors[member % len(errors)] for member in members if errors]))
    errors.reverse()
    for error, (_, cause, context, _) in zip(errors, links, strict=True):
        for name, other in (("__cause__", cause), ("__context__", context)):
            set_field(error, name, None if other is None else errors[other % len(errors)])
    return errors[0]


def exception_of(kind: str, at: int, members: list[BaseException]) -> BaseException:
    if kind == "group" and members:
        return BaseExceptionGroup(str(at), members)
    return {"frozen": odd_exceptions.Frozen, "stays": odd_exceptions.Stays}.get(kind, ValueError)(at)


def shape(error: BaseException) -> list[Any]:
    """Describe an exception with all that it is linked to, such that equal ones have equal descriptions."""
    found, places, described = [error], {id(error): 0}, []
    for one in found:  # grows while it is walked
        others = [give_field(one, "__cause__"), give_field(one, "__context__"), *getattr(one, "exceptions", ())]
        for other in others:
            if other is not None and id(other) not in places:
                places[id(other)] = len(found)
                found.append(other)
        kind = getattr(one, "type_name", type(one).__name__)
        described.append((kind, [None if other is None else places[id(other)] for other in others]))
    return described


@FIXED
@given(st.lists(LINKS, min_size=1, max_size=6))
def test_linked_exceptions_arrive_linked_as_they_were(links):
    error = tangle(links)
    assert shape(travelled(error)) == shape(error)


# -------------------------------------------------------------------------------------- overflowing stacks, and Ctrl-C


def test_a_stack_that_overflows_in_c_is_its_items_failure(start):
    outcomes = collect(overflow, [0, "hash", 2, "pickle", 4], start=start, batch=5)
    assert outcomes[::2] == [0, 2, 4]
    kinds = (allcores.WorkerDied, allcores.UnpicklableResult, RecursionError)  # as the interpreter sees it coming
    assert all(isinstance(outcome.exception, kinds) for outcome in outcomes[1::2])


def overflow(how: str | int) -> Any:
    if isinstance(how, int):
        return how
    faulthandler.disable()  # the test runner's: it would print every stack
    sys.setrecursionlimit(1 << 30)
    thing: Any = ()
    for _ in range(1 << 18):
        thing = (thing,)
    return hash(thing) if how == "hash" else thing


class Struck:
    """Something from outside strikes, once, where a driver pickles or unpickles it."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> Any:
        strike_once(*self.parts)
        return strike_once, self.parts


def struck(parts: tuple[Any, ...]) -> Struck:
    return Struck(*parts)


def strike_once(mark: Path, driver: int, number: int) -> None:
    if os.getpid() == driver and not mark.exists():
        mark.touch()
        os.kill(driver, number)


@pytest.fixture
def fatal_signals() -> Iterator[dict[int, type[BaseException]]]:
    """Signals whose handlers end the program, and what with."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: lambda *_: sys.exit("terminated")}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_while_things_travel_is_no_items_failure(start, fatal_signals, tmp_path):
    """What an object raises by itself it raises again; what a signal's handler raises is not raised again."""
    for number, error in fatal_signals.items():
        item, result = ((tmp_path / f"{way} {number}", os.getpid(), number) for way in ("item", "result"))
        with pytest.raises(error):
            collect(same, iter([Struck(*item)]), start=start)
        with pytest.raises(error):
            collect(struck, [result], start=start)
        assert item[0].exists()
        assert result[0].exists()


# ------------------------------------------------------------------------------------- functions and their modules

READ_IN_VAIN = ("BadCall", "BadSetstate", "unpickling", "its attributes")  # what pickles, and does not unpickle


@pytest.mark.parametrize("name", [name for name in BAD if not name.startswith(READ_IN_VAIN)])
def test_a_function_that_captures_what_cannot_be_pickled_is_refused(name, monkeypatch):
    from allcores._engines.processes.warm_set import WarmSet

    monkeypatch.setattr(WarmSet, "lease", lambda *_: pytest.fail("a worker was started"))
    captured = make(name)
    with pytest.raises(allcores.UnpicklableError, match="variable 'captured") as caught:
        allcores.map(lambda _: captured, [1], start="forkserver")
    assert len(str(caught.value)) < 500


PROGRAM = """
import allcores, dataclasses, threading

class Silent:
    def __getattr__(self, name):
        raise ValueError(name)

class Meta(type):
    def __eq__(cls, other):  # and so no hash
        raise ValueError("no comparing")

class Odd(metaclass=Meta):
    pass

@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int
    def __reduce__(self):
        return Frozen, (self.code,)

class Point:
    def __init__(self, name):
        self.name = name

class Large(Point):
    pass

def make_class():
    class Shape(Point):
        pass
    return Shape

Shape = make_class()

def run(point):
    if point.name == "Odd":
        raise Frozen(1)
    return Shape(point.name.upper())

silent = Silent()
points = [Point("silent"), Point("Odd"), Point("Point")]
for start in ("fork", "forkserver"):
    for items in (points, iter(points)):
        first, failure, last = allcores.map(run, items, errors="collect", start=start)
        print(type(first) is type(last) is Shape, first.name, last.name, failure.exception, failure.exception.__notes__)
    items = iter([threading.Lock(), Large("x" * 100_000)])  # so large that it travels beside the batch's own pickle
    print(len(allcores.map(run, items, errors="collect", start=start, batch=2)[1].name))
"""


def test_odd_things_in_main_hurt_nobody(run_python):
    lines = run_python(PROGRAM).stdout.splitlines()
    assert [line[:29] for line in lines] == [*["True SILENT POINT 1 ['allcore"] * 2, "100000"] * 2
