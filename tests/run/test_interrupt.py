"""Ctrl-C: one KeyboardInterrupt, one traceback, no process left, whenever it comes and however often."""

from __future__ import annotations

import ast
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from allcores._system.interrupts import hold_interrupts, let_interrupts_in

pytestmark = pytest.mark.once

PROMPT_SECONDS = 2.0  # within which the prompt is back

Driver = subprocess.Popen[str]
Found = tuple[dict[int, int], dict[int, int]]

PROGRAM = """
import os, pickle, re, signal, sys, time
import allcores

signal.signal(signal.SIGINT, signal.default_int_handler)  # the test itself may run where Ctrl-C is ignored

{definitions}

def take(i, x):
    taken[i] = x
    if len(taken) == 20:
        os.write(1, b"waiting\\n")

taken = {{}}
try:
    {call}
except KeyboardInterrupt as error:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what follows is Python's own, and comes to harm by another one
    print((taken, allcores.finished(error)), flush=True)
    raise
"""

OPTIONS = "workers=2, start={start!r}, batch=1, {more}"
CALLS = {
    "map": f"allcores.map(work, {{items}}, {OPTIONS})",
    "imap": f"for x in allcores.imap(work, {{items}}, {OPTIONS}): take(len(taken), x)",
    "imap_unordered": f"for i, x in allcores.imap_unordered(work, {{items}}, {OPTIONS}): take(i, x)",
}
ALL_BUSY = {"map": "busy", "imap": "waiting", "imap_unordered": "waiting"}  # what is said when only that is left
SLEEP = "time.sleep(1000)"
COMPUTE = "re.match('(a+)+$', 'a' * 60 + 'b')"  # in C code that holds the interpreter's lock

WORK = """
def work(x):
    if x >= 20:
        os.write(1, b"busy\\n")
        {busy}
    return x
"""


def program(definitions: str, call: str, start: str, items: str = "range(1000)", more: str = "") -> str:
    return PROGRAM.format(definitions=definitions, call=CALLS[call].format(start=start, items=items, more=more))


# ------------------------------------------------------------------------------------------------------------- once

CASES = {
    "map, sleeping": ("map", "range(1000)", SLEEP),
    "map of a stream, computing": ("map", "iter(range(1000))", COMPUTE),
    "imap, computing": ("imap", "range(1000)", COMPUTE),
    "imap_unordered of a stream, sleeping": ("imap_unordered", "iter(range(1000))", SLEEP),
}


@pytest.mark.parametrize("case", CASES)
def test_ctrl_c_raises_once_and_leaves_no_process(start, case, tmp_path, outliving):
    call, items, busy = CASES[case]
    source = program(WORK.format(busy=busy), call, start, items)
    taken, finished = _interrupted_once(source, tmp_path, outliving, when=ALL_BUSY[call])
    assert set(taken) == (set() if call == "map" else set(range(20)))
    assert call != "map" or len(finished) > 10
    assert taken.keys().isdisjoint(finished)
    assert set(finished) <= set(range(20))
    assert all(i == x for i, x in (taken | finished).items())


BLOCKING_INPUT = """
def items():
    yield from range(10)
    os.write(1, b"busy\\n")
    {block}

def work(x):
    if x == 4:
        re.match('(a+)+$', 'a' * 60 + 'b')
    return x
"""


@pytest.mark.parametrize(("call", "block"), [("map", SLEEP), ("imap", "sys.stdin.read()")], ids=["sleeping", "reading"])
def test_ctrl_c_while_the_input_blocks(start, call, block, tmp_path, outliving):
    definitions = BLOCKING_INPUT.format(block=block)
    taken, finished = _interrupted_once(program(definitions, call, start, "items()"), tmp_path, outliving)
    assert taken.keys().isdisjoint(finished)
    assert set(taken | finished) <= set(range(10)) - {4}
    assert all(i == x for i, x in (taken | finished).items())


STARTING = f"""
def work(x):
    return x

def prepare():
    os.write(1, b"busy\\n")
    {COMPUTE}
"""


def test_ctrl_c_while_the_workers_are_being_prepared(start, tmp_path, outliving):
    source = program(STARTING, "map", start, more="initializer=prepare")
    assert _interrupted_once(source, tmp_path, outliving) == ({}, {})


LARGE = """
class Large:
    def __reduce__(self):
        os.write(1, b"busy\\n")
        return len_of, (pickle.PickleBuffer(bytes(50 << 20)),)

def len_of(buffer):
    return memoryview(buffer).nbytes

def work(x):
    return Large() if x >= 4 else x
"""


@pytest.mark.parametrize("call", ["map", "imap"])
def test_ctrl_c_while_large_results_are_on_their_way(start, call, tmp_path, outliving):
    taken, finished = _interrupted_once(program(LARGE, call, start), tmp_path, outliving)
    assert taken.keys().isdisjoint(finished)
    assert all(x == (i if i < 4 else 50 << 20) for i, x in (taken | finished).items())


# ------------------------------------------------------------------------------------------------------------ twice


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_twice_ends_at_once(start, call, tmp_path, outliving):
    moment = random.Random(f"{start} {call}").uniform(0, 0.020)
    source = program(WORK.format(busy=COMPUTE), call, start)
    code, _, err, family = _interrupt(source, tmp_path, when=ALL_BUSY[call], again_after=moment)
    assert outliving(family) == set()
    assert code == -signal.SIGINT
    assert _unexpected(err) == []


LEAVING = """
import signal, sys
import allcores
from allcores._engines.processes import fork_server

signal.signal(signal.SIGINT, signal.default_int_handler)
fork_server.SHUTDOWN_SECONDS = 0.3
allcores.map(abs, range(10), workers=1, start="forkserver")
print("idle", flush=True)
sys.stdin.read(1)
"""


def test_ctrl_c_while_the_interpreter_ends(tmp_path, outliving):
    with _running(LEAVING, tmp_path) as driver:
        assert _line(driver) == "idle"
        fork_server, worker = psutil.Process(driver.pid).children(recursive=True)
        fork_server.suspend()  # so that it is waited for
        _say(driver, "g")
        assert outliving([worker.pid]) == set()
        driver.send_signal(signal.SIGINT)
        assert driver.communicate(timeout=PROMPT_SECONDS) == ("", "")
    assert outliving([fork_server.pid]) == set()


# ---------------------------------------------------------------------------------------------------- at any moment

ROUNDS = """
import itertools, os, signal, sys, threading
import allcores
from allcores._engines.processes.warm_set import warm_set

start, beside = sys.argv[1:]
if beside == "a thread":  # which the system may choose for a signal that the main thread holds back
    threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.signal(signal.SIGINT, signal.default_int_handler)

def square(x):
    return x * x

def run(kind, options, taken):
    while True:
        taken.clear()
        if kind == "map":
            allcores.map(square, range(500), **options)
        elif kind == "imap":
            for x in allcores.imap(square, range(500), **options):
                taken[len(taken)] = x
        else:
            for i, x in allcores.imap_unordered(square, iter(range(500)), **options):
                taken[i] = x

def wait_for_the_test():
    answer = bytearray(1)  # filled even if an interrupt follows at once
    while not answer[0]:
        try:
            os.readv(0, [answer])
        except KeyboardInterrupt:
            continue
    return bytes(answer)

def run_until_interrupted(kind, options, taken):
    try:
        try:
            print("running", flush=True)
            run(kind, options, taken)
        except KeyboardInterrupt as error:
            wait_for_the_test()
            return error
    except KeyboardInterrupt as error:
        wait_for_the_test()
        return error

def is_right():
    squares, options = [x * x for x in range(500)], {"workers": 2, "start": start}
    streamed = sorted(x for _, x in allcores.imap_unordered(square, iter(range(500)), **options))
    lazy = list(allcores.imap(square, range(500), **options))
    return allcores.map(square, range(500), **options) == lazy == streamed == squares

assert is_right()  # everything is imported now: an import that is interrupted is no concern of this test
# An initializer keeps clean workers from being kept, so that interrupts meet workers that start, too.
kinds = itertools.product(["map", "imap", "imap_unordered"], [{}, {"initializer": dict}])
for number, (kind, more) in enumerate(itertools.cycle(kinds)):
    if number % 3 == 0:
        warm_set.close()  # ... and a fork server that starts
    taken = {}
    error = run_until_interrupted(kind, {"workers": 2, "start": start} | more, taken)
    finished = allcores.finished(error)
    assert taken.keys().isdisjoint(finished), (taken, finished)
    assert all(x == i * i for i, x in (taken | finished).items()), (taken, finished)
    del error
    print("interrupted", flush=True)
    if wait_for_the_test() == b"q":
        break
assert is_right()
"""

STARTS_BESIDE = [
    ("fork", "nothing"),
    ("forkserver", "nothing"),
    ("forkserver", "a thread"),
    ("spawn", "nothing"),
    ("spawn", "a thread"),
]


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize(("start", "beside"), STARTS_BESIDE)
def test_ctrl_c_at_any_moment(start, beside, again, tmp_path):
    chance = random.Random(f"{start} {beside} {again}")
    with _running(ROUNDS, tmp_path, start, beside) as driver:
        for more in [True] * 5 + [False]:
            assert _line(driver) == "running"
            for _ in range(1 + again):
                time.sleep(chance.uniform(0, 0.020))  # that the moment is any is what this is about
                os.killpg(driver.pid, signal.SIGINT)
            _say(driver, "s")
            assert _line(driver) == "interrupted"
            children = psutil.Process(driver.pid).children(recursive=True)
            assert len(children) <= (0 if start == "fork" else 3), (
                children
            )  # a fork server, and two workers that are idle
            _say(driver, "g" if more else "q")
        out, err = driver.communicate(timeout=PROMPT_SECONDS)
    assert (out, driver.returncode) == ("", 0)
    assert [line for line in _unexpected(err) if not IN_FINALIZER.fullmatch(line)] == []


# --------------------------------------------------------------------------------------------------------- programs


def _interrupted_once(
    source: str, folder: Path, outliving: Callable[[set[int]], set[int]], when: str = "busy"
) -> Found:
    """Interrupt the program once, and see that it ends as it should; give what it had taken and finished."""
    code, out, err, family = _interrupt(source, folder, when)
    assert outliving(family) == set()
    assert code == -signal.SIGINT
    assert err.count("Traceback (most recent call last)") == 1
    assert _unexpected(err) == []
    found: Found = ast.literal_eval(out.splitlines()[-1])
    return found


def _interrupt(
    source: str, folder: Path, when: str, again_after: float | None = None
) -> tuple[int, str, str, set[int]]:
    """Run the program as a terminal would, in a process group of its own, and interrupt the group.

    Args:
        source: the program.
        folder: where to put it.
        when: what the program says when it is time.
        again_after: how many seconds later to interrupt it again, if at all.

    Returns:
        The exit code, what it printed, and the process ids of what it had started.
    """
    with _running(source, folder) as driver:
        while _line(driver) != when:
            pass
        family = {process.pid for process in psutil.Process(driver.pid).children(recursive=True)}
        os.killpg(driver.pid, signal.SIGINT)
        if again_after is not None:
            time.sleep(again_after)
            os.killpg(driver.pid, signal.SIGINT)
        out, err = driver.communicate(timeout=PROMPT_SECONDS)
    return driver.returncode, out, err, family


@contextmanager
def _running(source: str, folder: Path, *arguments: str) -> Iterator[Driver]:
    """Run a program in a process group of its own, of which nothing is left at the end."""
    script = folder / "program.py"
    script.write_text(textwrap.dedent(source))
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as driver:
        try:
            yield driver
        finally:
            with suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)


def _line(driver: Driver) -> str:
    assert driver.stdout is not None
    line = driver.stdout.readline().rstrip("\n")
    assert line, driver.communicate()[1]  # it has ended too early
    return line


def _say(driver: Driver, text: str) -> None:
    assert driver.stdin is not None
    with suppress(BrokenPipeError):  # it has ended; the next line that is expected tells why
        driver.stdin.write(text)
        driver.stdin.flush()


EXPECTED = re.compile(
    r"|  .*|Traceback \(most recent call last\):|KeyboardInterrupt|allcores: .* finished.*: allcores.finished.error."
    r"|During handling of the above exception, another exception occurred:"
)


# An interrupt that comes as a forgotten iterator's finalizer is called, which is Python's own code.
IN_FINALIZER = re.compile(r"Exception ignored in: <finalize object .*>|KeyboardInterrupt: ")


def _unexpected(err: str) -> list[str]:
    """Give the lines that tracebacks of interrupts do not have."""
    return [line for line in err.splitlines() if not EXPECTED.fullmatch(line)]


# ------------------------------------------------------------------------------------------------------ other signals


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """What handlers of two signals have heard: the first of them adds, and the second raises StopIteration, too."""
    heard: list[int] = []

    def hear(signum: int, _: object) -> None:
        heard.append(signum)

    def hear_and_raise(signum: int, _: object) -> None:
        heard.append(signum)
        raise StopIteration

    before = [signal.signal(signal.SIGUSR1, hear), signal.signal(signal.SIGUSR2, hear_and_raise)]
    yield heard
    signal.signal(signal.SIGUSR1, before[0])
    signal.signal(signal.SIGUSR2, before[1])


def test_handlers_of_other_signals_are_held_back_alike(heard):
    with hold_interrupts():
        signal.raise_signal(signal.SIGUSR1)
        assert heard == []
        with let_interrupts_in():
            assert heard == [signal.SIGUSR1]
            signal.raise_signal(signal.SIGUSR1)
            assert len(heard) == 2
        signal.raise_signal(signal.SIGUSR1)
        assert len(heard) == 2
    assert len(heard) == 3


def test_whatever_a_handler_raises_each_is_back_in_its_place(heard):
    handlers = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)]
    with pytest.raises(StopIteration), hold_interrupts():
        signal.raise_signal(signal.SIGUSR2)
    assert heard == [signal.SIGUSR2]
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)] == handlers
