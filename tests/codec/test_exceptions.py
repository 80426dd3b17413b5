"""Exceptions arrive as their own class, with their own text, arguments, attributes, notes, chain and traceback."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import joblib
import pytest
from exception_zoo import ZOO, Hollow, KeywordOnly, Reformatted, Swapped, fail, throw
from odd_objects import BadCall

import allcores
import allcores.joblib
from allcores._codec.anatomy import Likeness
from allcores._doors.joblib.kept import keeper

FIELDS = (  # what builtin exceptions keep outside of their attributes
    *("errno", "strerror", "filename", "filename2", "characters_written", "value", "code", "name", "path", "msg"),
    *("obj", "lineno", "offset", "text", "end_lineno", "end_offset", "print_file_and_line", "name_from"),
    *("encoding", "object", "start", "end", "reason", "message", "exceptions", "__suppress_context__"),
)


def raised_by(call: Any, argument: Any) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - it is compared in all that it has
        call(argument)
    frames = caught.value.__traceback__
    while frames is not None and frames.tb_frame.f_code is not call.__code__:
        frames = frames.tb_next
    return caught.value.with_traceback(frames)


def differences(one: Any, other: Any, seen: dict[int, Any] | None = None) -> Iterator[str]:
    """Tell in what two things differ, which are exceptions, or parts of them."""
    seen = {} if seen is None else seen
    if id(one) in seen or one is other:  # a module, for one, that leads to all that there is
        return
    seen[id(one)] = one  # which keeps it, or the number could be another's
    if type(one) is not type(other):
        yield f"{type(one)} is not {type(other)}"
    elif isinstance(one, BaseException):
        yield from differences_of_exceptions(one, other, seen)
    elif isinstance(one, list | tuple):
        yield from differences(dict(enumerate(one)), dict(enumerate(other)), seen)
    elif isinstance(one, dict):
        yield from () if list(one) == list(other) else [f"{list(one)} is not {list(other)}"]
        for key in one.keys() & other.keys():
            yield from (f"[{key!r}]: {text}" for text in differences(one[key], other[key], seen))
    elif type(one).__eq__ is object.__eq__:
        if hasattr(one, "__dict__"):
            yield from differences(vars(one), vars(other), seen)
    elif repr(one) != repr(other):
        yield f"{one!r} is not {other!r}"


def differences_of_exceptions(one: BaseException, other: BaseException, seen: dict[int, Any]) -> Iterator[str]:
    ours = {"__allcores_failure__", "__allcores_finished__"}
    slots = [name for kind in type(one).__mro__ for name in vars(kind).get("__slots__", ())]
    for name in ("args", *FIELDS, *(name for name in slots if not name.startswith("__"))):
        values = [getattr(error, name, "nothing") for error in (one, other)]
        yield from (f"{name}: {text}" for text in differences(*values, seen))
    attributes = [{name: value for name, value in vars(error).items() if name not in ours} for error in (one, other)]
    notes = [[note for note in each.pop("__notes__", []) if "allcores: " not in note] for each in attributes]
    yield from differences(notes[0], notes[1], seen)
    yield from differences(*attributes, seen)
    yield from differences(frames_of(one), frames_of(other), seen)
    for name in ("__cause__", "__context__"):
        yield from (f"{name}: {text}" for text in differences(getattr(one, name), getattr(other, name), seen))
    if last_lines(one) != last_lines(other):
        yield f"{last_lines(one)} is not {last_lines(other)}"


def frames_of(error: BaseException) -> list[tuple[Any, ...]]:
    frames = traceback.extract_tb(error.__traceback__)
    return [(f.filename, f.name, f.lineno, f.colno or 0, f.end_lineno, f.end_colno or 0, f.line) for f in frames]


def last_lines(error: BaseException) -> list[str]:
    """Give what a traceback ends with, without notes of ours."""
    return [line for line in traceback.format_exception_only(error) if "allcores: " not in line]


def test_every_exception_of_the_zoo_is_the_loops_own(start):
    results = allcores.map(fail, list(ZOO), start=start, errors="collect", workers=2)
    found = {}
    for name, result in zip(ZOO, results, strict=True):
        assert isinstance(result, allcores.Failure), name
        assert result.exception.__notes__[-1].startswith("allcores: item "), name
        assert result.traceback.count("Traceback (most recent call last)"), name
        found[name] = list(differences(raised_by(fail, name), result.exception))
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_an_exception_of_a_class_that_nobody_can_import_is_the_callers_own(start):
    class Local(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one + two)
            self.one = one

    names: dict[str, Any] = {}
    exec(
        "class Executed(Local):\n def __init__(self, *, x): super().__init__(x, 1); self.y = x",
        {"Local": Local, "__name__": "executed"},
        names,
    )
    raising = {"local": lambda: throw(Local(1, 2)), "executed": lambda: throw(names["Executed"](x=4))}
    results = allcores.map(lambda name: raising[name](), list(raising), start=start, errors="collect")
    assert [(type(one.exception), str(one.exception)) for one in results] == [(Local, "3"), (names["Executed"], "5")]
    assert vars(results[1].exception).items() >= {"one": 4, "y": 4}.items()


# ------------------------------------------------------------------------------------ what catches them, and where


def busy(number: int) -> int:
    if allcores.current_item().tries == 1:
        raise KeywordOnly(wait=number)
    return number


def missing(number: int) -> int:
    return number if number != 3 else throw(Swapped(404, "not found"))


def caught_by(call: Callable[[], Any]) -> Swapped:
    try:
        call()
    except Swapped as error:
        return error
    raise AssertionError("nothing was raised")


def run_joblib() -> None:
    with joblib.parallel_config("allcores", n_jobs=2):
        joblib.Parallel()(joblib.delayed(missing)(number) for number in range(5))


def test_every_door_raises_the_users_own_exception(start):
    numbers = range(5)
    with allcores.Pool(2, start=start) as pool, allcores.Executor(2, start=start) as executor:
        calls: dict[str, Callable[[], Any]] = {
            "map": lambda: allcores.map(missing, numbers, start=start),
            "imap": lambda: list(allcores.imap(missing, numbers, start=start)),
            "amap": lambda: asyncio.run(allcores.amap(missing, numbers)),
            "Pool.map": lambda: pool.map(missing, numbers),
            "Pool.imap": lambda: list(pool.imap(missing, numbers)),
            "Pool.apply": lambda: pool.apply(missing, (3,)),
            "Executor.map": lambda: list(executor.map(missing, numbers)),
            "Future": lambda: executor.submit(missing, 3).result(),
            "joblib": run_joblib,
        }
        for name, call in calls.items():
            error = caught_by(call)
            assert (str(error), error.args, error.code) == ("not found (code 404)", ("not found",), 404), name
    keeper.close()
    assert allcores.map(busy, range(3), retries=1, retry_on=KeywordOnly, start=start) == [0, 1, 2]


def collect_inside(_: int) -> Any:
    return allcores.map(fail, ["swapped", "keyword only"], errors="collect", on="serial")


def test_failures_that_are_results_or_are_pickled_have_the_users_own_exception(start):
    (inner,) = allcores.map(collect_inside, [1], start=start)
    for failures in (inner, pickle.loads(pickle.dumps(inner)), copy.deepcopy(inner)):
        assert [str(failure.exception) for failure in failures] == ["not found (code 404)", "3"]
        assert [type(failure.exception) for failure in failures] == [Swapped, KeywordOnly]
        assert [frame.name for frame in traceback.extract_tb(failures[0].exception.__traceback__)][-1] == "throw"
        assert failures[0].traceback.endswith(": not found (code 404)\n")


# ------------------------------------------------------------------------------------------ what cannot travel of them


class Holding(Exception):
    def __init__(self, thing: Any, text: str) -> None:
        super().__init__(text, thing)
        self.thing, self.text, self.near = thing, text, [Reformatted("near", 1)]

    def __str__(self) -> str:
        return f"{self.text} of {self.thing.kind}"


class Connection:
    kind: str

    def __init__(self) -> None:
        self.kind, self.lock = "a connection", threading.Lock()

    def __repr__(self) -> str:
        return "<Connection to there>"


def hold(what: str) -> NoReturn:
    things: dict[str, Callable[[], Any]] = {
        "connection": Connection,
        "booby trap": lambda: BadCall(kind=ValueError),
        "file": lambda: open("/dev/null"),  # noqa: SIM115 - it is not to be closed here
    }
    thing = things[what]()
    thing = thing if hasattr(thing, "kind") else SimpleNamespace(kind=what, thing=thing)
    error = Holding(thing, "trouble")
    raise error from Holding(thing, "earlier")


def test_what_cannot_travel_of_an_exception_is_replaced_and_told(start):
    results = allcores.map(hold, ["connection", "booby trap"], start=start, errors="collect")
    connection, trap = (result.exception for result in results)
    assert (type(connection), type(trap)) == (Holding, Holding)
    assert str(connection) == "trouble of a connection"
    assert repr(connection.thing) == "<Connection to there>"
    assert connection.thing is connection.args[1]
    assert (connection.text, str(connection.near[0]), connection.near[0].line) == ("trouble", "near:1", 1)
    assert type(connection.__cause__) is Holding
    assert str(connection.__cause__) == "earlier of a connection"
    notes = connection.__notes__
    assert ["args[1] stayed behind" in notes[0], "the attribute 'thing' stayed behind" in notes[1]] == [True, True]
    assert "cannot pickle '_thread.lock' object" in notes[0]
    assert [len(notes), notes[2].startswith("allcores: item 0 ")] == [3, True]
    assert (trap.text, trap.near[0].line) == ("trouble", 1)
    assert "the attribute 'thing' stayed behind (ValueError: no unpickling)" in trap.__notes__[1]


def test_a_large_object_that_lacks_an_attribute_stays_behind(start):
    large = {"x": bytes(2 << 20)}
    failure = allcores.map(lambda _: large.atribute, [1], start=start, errors="collect")[0]  # type: ignore[attr-defined]
    assert (failure.exception.name, type(failure.exception.obj)) == ("atribute", Likeness)
    assert dir(failure.exception.obj) == dir(large)
    assert len(failure.exception.__notes__) == 1


def test_what_the_driver_was_handling_comes_last_in_the_chain_and_once(place):
    def trouble(_: int) -> None:
        try:
            throw(KeyError("inner"))
        except KeyError:
            throw(Swapped(1, "outer"))

    handled = LookupError("handled")
    try:
        raise handled
    except LookupError:
        error = caught_by(lambda: allcores.map(trouble, [1], **place))
    assert isinstance(error.__context__, KeyError)
    assert error.__context__.__context__ is handled
    assert handled.__context__ is None


def hollow_input() -> Iterator[int]:
    yield 1
    raise Hollow("x")


async def hollow_stream() -> AsyncIterator[int]:
    yield 1
    raise Hollow("x")


async def iterate_over_hollow_stream(start: str) -> list[int]:
    return [result async for result in allcores.aimap(abs, hollow_stream(), start=start)]


@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_what_the_input_raises_is_raised_though_it_is_false(start):
    with allcores.Pool(2, start=start) as pool, allcores.Executor(2, start=start) as executor:
        for call in (
            lambda: allcores.map(abs, hollow_input(), start=start),
            lambda: list(allcores.imap(abs, hollow_input(), start=start)),
            lambda: pool.map(abs, hollow_input()),
            lambda: list(pool.imap(abs, hollow_input())),
            lambda: list(pool.imap(abs, hollow_input(), ahead=1)),
            lambda: list(executor.map(abs, hollow_input())),
            lambda: asyncio.run(allcores.amap(abs, hollow_input(), start=start)),
            lambda: asyncio.run(iterate_over_hollow_stream(start)),
        ):
            with pytest.raises(Hollow):
                call()
