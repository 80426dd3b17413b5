"""Whatever comes out of an entry point shows the caller's line, at most one frame of ours, and the user's own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

import allcores
from allcores._objects.entry import one_frame, rethrow

OURS = str(Path(allcores.__file__).parent) + os.sep


def fail(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def broken_input() -> Iterator[int]:
    yield 1
    raise OSError("the disk is gone")


def interrupted_input() -> Iterator[int]:
    yield 1
    signal.raise_signal(signal.SIGINT)
    raise AssertionError


def no_model() -> NoReturn:
    raise LookupError("no model")


def with_lock() -> Callable[[int], Any]:
    lock = threading.Lock()
    return lambda number: (lock, number)


async def iterate(*arguments: Any, **options: Any) -> None:
    async for _ in allcores.aimap(*arguments, **options):
        pass


def shown(call: Callable[[], Any]) -> tuple[BaseException, list[str], int]:
    """Call what raises; give the error, the names of the frames below the call, and how many of them are ours."""
    try:
        call()
    except BaseException as error:
        text = "".join(traceback.format_exception(error))
        assert "During handling" not in text, text
        frames = traceback.extract_tb(error.__traceback__)[1:]
        ours = sum(frame.filename.startswith(OURS) for frame in frames)
        return error, [frame.name for frame in frames if "asyncio" not in frame.filename], ours
    raise AssertionError("nothing was raised")


Case = tuple[Callable[[], Any], type[BaseException], list[str]]


def cases_of_runs(place: dict[str, Any], damaged: Path) -> dict[str, Case]:
    """Give what to call, what it raises, and the frames that are shown."""
    numbers = range(5)
    damaged.write_text("no journal")
    return {
        "map": (lambda: allcores.map(fail, numbers, **place), ValueError, ["map", "fail"]),
        "starmap": (lambda: allcores.starmap(fail, [(3,)], **place), ValueError, ["starmap", "fail"]),
        "imap": (lambda: list(allcores.imap(fail, numbers, **place)), ValueError, ["chunks", "fail"]),
        "unordered": (lambda: list(allcores.imap_unordered(fail, [3], **place)), ValueError, ["chunks", "fail"]),
        "amap": (lambda: asyncio.run(allcores.amap(fail, numbers, **place)), ValueError, ["amap", "fail"]),
        "aimap": (lambda: asyncio.run(iterate(fail, [3], **place)), ValueError, ["iterate", "__anext__", "fail"]),
        "input": (lambda: allcores.map(fail, broken_input(), **place), OSError, ["map", "broken_input"]),
        "input of imap": (
            lambda: list(allcores.imap(fail, broken_input(), **place)), OSError, ["chunks", "broken_input"],
        ),
        "input of amap": (
            lambda: asyncio.run(allcores.amap(fail, broken_input(), **place)), OSError, ["amap", "broken_input"],
        ),
        "input in C": (lambda: allcores.map(fail, map(int, "1x"), **place), ValueError, ["map"]),
        "function in C": (lambda: allcores.map(int, ["x"], **place), ValueError, ["map"]),
        "initializer": (
            lambda: allcores.map(fail, [1], initializer=no_model, **place), LookupError, ["map", "no_model"],
        ),
        "interrupt": (
            lambda: allcores.map(fail, interrupted_input(), **place), KeyboardInterrupt, ["map", "interrupted_input"],
        ),
        "options": (lambda: allcores.map(fail, numbers, workers=0, **place), ValueError, ["map"]),
        "options of imap": (lambda: allcores.imap(fail, numbers, retry_on=3, **place), TypeError, ["imap"]),
        "options of amap": (
            lambda: asyncio.run(allcores.amap(fail, [1], memory="x", **place)), ValueError, ["amap"],
        ),
        "no function": (lambda: allcores.map(3, numbers, **place), TypeError, ["map"]),  # type: ignore[call-overload]
        "no input": (lambda: allcores.map(fail, 3, **place), TypeError, ["map"]),  # type: ignore[call-overload]
        "journal": (lambda: allcores.map(fail, [1], resume=damaged, **place), allcores.JournalDamaged, ["map"]),
    }  # fmt: skip


def check(cases: dict[str, Case]) -> None:
    for name, (call, kind, names) in cases.items():
        error, frames, ours = shown(call)
        assert (type(error), frames) == (kind, ["<lambda>", *names]), name
        assert ours <= 1, name


def test_a_run_shows_one_frame(place, tmp_path):
    check(cases_of_runs(place, tmp_path / "damaged"))


@pytest.mark.parametrize("place", [{"start": "forkserver"}, {"on": "threads"}])
def test_a_door_shows_one_frame(place):
    numbers, closed = range(5), allcores.Pool(1, **place)
    closed.terminate()
    with allcores.Pool(2, **place) as pool, allcores.Executor(2, **place) as executor:
        future = executor.submit(fail, 3)
        shut = allcores.Executor(1, **place)
        shut.shutdown()
        cases: dict[str, Case] = {
            "map": (lambda: pool.map(fail, numbers), ValueError, ["map", "fail"]),
            "starmap": (lambda: pool.starmap(fail, [(3,)]), ValueError, ["starmap", "fail"]),
            "apply": (lambda: pool.apply(fail, (3,)), ValueError, ["apply", "fail"]),
            "get": (lambda: pool.apply_async(fail, (3,)).get(), ValueError, ["get", "fail"]),
            "too late": (lambda: pool.apply_async(time.sleep, (1,)).get(0), multiprocessing.TimeoutError, ["get"]),
            "imap": (lambda: list(pool.imap(fail, numbers)), ValueError, ["__next__", "fail"]),
            "next": (lambda: pool.imap_unordered(fail, [3]).next(), ValueError, ["next", "fail"]),
            "input": (lambda: pool.map(fail, broken_input()), OSError, ["map", "broken_input"]),
            "input in C": (lambda: pool.map(fail, map(int, "x")), ValueError, ["map"]),
            "input of imap": (lambda: list(pool.imap(fail, broken_input())), OSError, ["__next__", "broken_input"]),
            "chunksize": (lambda: pool.map(fail, numbers, chunksize=-1), ValueError, ["map"]),
            "closed": (lambda: closed.map(fail, numbers), ValueError, ["map"]),
            "options": (lambda: allcores.Pool(2, memory="x"), ValueError, ["__init__"]),
            "Executor": (lambda: list(executor.map(fail, numbers)), ValueError, ["results", "fail"]),
            "Executor's input": (lambda: executor.map(fail, broken_input()), OSError, ["map", "broken_input"]),
            "Executor's chunksize": (lambda: executor.map(fail, [1], chunksize=-1), ValueError, ["map"]),
            "Executor's options": (lambda: allcores.Executor(2, memory="x"), ValueError, ["__init__"]),
            "submit": (lambda: shut.submit(fail, 1), RuntimeError, ["submit"]),
            "future": (lambda: future.result(60), ValueError, ["result", "fail"]),
            "future again": (lambda: future.result(60), ValueError, ["result", "fail"]),
        }
        check(cases)


def test_errors_of_ours_show_one_frame():
    failure = allcores.map(fail, [3], errors="collect", on="serial").failures[0]
    check(
        {
            "plan": (lambda: allcores.plan(start="x"), ValueError, ["plan"]),
            "Journal": (lambda: allcores.Journal("/no/such/file"), FileNotFoundError, ["__init__"]),
            "damaged": (lambda: allcores.Journal(__file__), allcores.JournalDamaged, ["__init__"]),
            "replay": (lambda: allcores.replay(failure), ValueError, ["replay", "fail"]),
            "replay of another": (lambda: allcores.replay(ValueError()), ValueError, ["replay"]),
            "capture": (
                lambda: allcores.map(with_lock(), [1, 2], start="forkserver"), allcores.UnpicklableError, ["map"],
            ),
            "death": (lambda: allcores.map(os._exit, [3], start="fork"), allcores.WorkerDied, ["map"]),
            "no worker": (
                lambda: allcores.map(fail, [1], initializer=os._exit, initargs=(3,)),
                allcores.WorkersUnavailable, ["map"],
            ),
        }
    )  # fmt: skip


def interrupt(pid: int) -> None:
    os.kill(pid, signal.SIGINT)
    time.sleep(60)  # until it is killed


def test_ctrl_c_shows_one_frame(start):
    pids = [os.getpid()]
    for call, name in (
        (lambda: allcores.map(interrupt, pids, start=start), "map"),
        (lambda: list(allcores.imap(interrupt, pids, start=start)), "chunks"),
    ):
        error, frames, ours = shown(call)
        assert (type(error), frames, ours) == (KeyboardInterrupt, ["<lambda>", name], 1)


# -------------------------------------------------------------------------------------------------- bugs of our own


ENTRY = """
def entry():
    with one_frame:
        step()

def step():
    STATEMENT

def deeper(thing):
    return thing.nothing
"""


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("deeper(None)", ["entry", "step", "deeper"]),
        ("raise InternalError('odd')", ["entry", "step"]),
        ("assert not 1", ["entry", "step"]),
        ("[][1]", ["entry", "step"]),
        ("raise ValueError('by design')", ["entry"]),
        ("fail(3)", ["entry", "fail"]),
        ("rethrow(ValueError('handed over'), None)", ["entry"]),
    ],
)
def test_frames_of_bugs_are_not_cut(statement, names):
    space: dict[str, Any] = {
        "one_frame": one_frame, "rethrow": rethrow, "InternalError": allcores.InternalError, "fail": fail,
    }  # fmt: skip
    exec(compile(ENTRY.replace("STATEMENT", statement), OURS + "_made_up.py", "exec"), space)
    _, frames, _ = shown(space["entry"])
    assert frames == names


def test_what_was_caught_inside_is_not_in_the_chain_and_what_the_caller_handles_is():
    handled = KeyError("handled")
    try:
        raise handled
    except KeyError:
        with pytest.raises(ValueError, match="memory=") as caught:
            allcores.map(fail, [1], memory="x")
    assert caught.value.__context__ is handled
