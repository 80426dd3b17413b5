"""Clean workers stay warm between runs and leave when idle; no worker outlives its driver; importing costs nothing."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import allcores
from allcores._transport.channel import Channel

pytestmark = [pytest.mark.once, pytest.mark.starts]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A place for two processes to meet: each waits in `meet` until the other is there."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


def meet(gate: Path, flags: int) -> int:
    os.close(os.open(gate, flags))
    return os.getpid()


def pids_of_two(gate: Path, start: str) -> set[int]:
    """Give the process ids of two workers that are alive at the same time."""
    pids = set(allcores.map(meet, [gate] * 2, [os.O_RDONLY, os.O_WRONLY], workers=2, start=start))
    assert len(pids) == 2
    return pids


def pid_of_one(start: str, **options: Any) -> int:
    (pid,) = allcores.map(lambda _: os.getpid(), [None], start=start, **options)
    return pid


# ------------------------------------------------------------------------------------------------------------- warm


def test_clean_workers_are_kept_for_the_next_run(gate: Path, clean_start: str):
    pids = pids_of_two(gate, clean_start)
    assert pids_of_two(gate, clean_start) == pids
    assert pid_of_one(clean_start) in pids


def test_forked_workers_end_with_their_run(gate: Path):
    pids_of_two(gate, "fork")
    assert psutil.Process().children() == []


def test_workers_of_one_way_of_starting_do_not_serve_the_other(clean_start: str):
    other = {"forkserver": "spawn", "spawn": "forkserver"}[clean_start]
    assert pid_of_one(clean_start) != pid_of_one(other)


def test_workers_of_a_lazy_run_are_kept(clean_start: str):
    pid = pid_of_one(clean_start)
    with allcores.imap(lambda _: os.getpid(), iter(range(9)), workers=1, start=clean_start) as pids:
        assert set(pids) == {pid}
    assert pid_of_one(clean_start) == pid


def test_a_failed_item_does_not_cost_the_worker(clean_start: str):
    pid = pid_of_one(clean_start)
    with pytest.raises(ZeroDivisionError):
        allcores.map(lambda x: 1 / x, [0], start=clean_start)
    assert pid_of_one(clean_start) == pid


def test_a_worker_that_ended_in_the_meantime_is_replaced(clean_start: str, outliving: Any):
    pid = pid_of_one(clean_start)
    psutil.Process(pid).kill()
    assert outliving([pid]) == set()
    assert pid_of_one(clean_start) != pid


def test_workers_whose_fork_server_has_ended_are_replaced(clean_start: str, outliving: Any):
    pid = pid_of_one(clean_start)
    (fork_server,) = psutil.Process().children()
    fork_server.kill()
    assert outliving([pid]) == set()
    assert pid_of_one(clean_start) != pid


def test_workers_with_an_initializer_are_not_kept(clean_start: str, outliving: Any):
    pid = pid_of_one(clean_start, initializer=dict)
    assert outliving([pid]) == set()
    assert pid_of_one(clean_start, initializer=dict) != pid


def test_a_warm_worker_does_not_serve_a_run_with_an_initializer_twice(clean_start: str):
    def prepare() -> None:
        import builtins

        builtins.prepared = True  # type: ignore[attr-defined]

    def is_prepared(_: object) -> bool:
        import builtins

        return hasattr(builtins, "prepared")

    for expected, options in [(False, {}), (True, {"initializer": prepare}), (False, {})]:
        assert allcores.map(is_prepared, [None], start=clean_start, **options) == [expected]


def test_a_warm_worker_forgets_the_last_run(clean_start: str, gate: Path):
    """What a run's function captured must not be kept alive by the workers that wait."""

    def work(kept: Any) -> int:
        import weakref

        weakref.finalize(kept, meet, gate, os.O_WRONLY)
        return os.getpid()

    class Kept:
        pass

    kept = Kept()
    pid = pid_of_one(clean_start)
    assert allcores.map(lambda _: work(kept), [None], start=clean_start) == [pid]
    meet(gate, os.O_RDONLY)
    assert pid_of_one(clean_start) == pid


FORGOTTEN_AMID = """
import gc, os, signal, allcores
from allcores._engines.processes.warm_set import warm_set

def meet(flags):
    os.open("gate", flags)
    if flags == os.O_WRONLY:
        signal.pause()

def collecting(find):
    def found():
        gc.collect()
        return find()
    return found

gc.disable()
os.mkfifo("gate")
results = allcores.imap(meet, [os.O_RDONLY, os.O_WRONLY], workers=2, batch=1, start="forkserver")
assert next(results) is None
cycle = [results]
cycle.append(cycle)
del results, cycle
warm_set._find_fork_server = collecting(warm_set._find_fork_server)
assert allcores.map(abs, range(4), workers=3, start="forkserver") == [0, 1, 2, 3]
"""


def test_a_run_that_is_forgotten_amid_a_lease_gives_its_idle_worker_back(run_python: Any) -> None:
    run_python(FORGOTTEN_AMID)


AMID_A_START = """
import gc, allcores
from allcores._engines.processes import warm_set as module

class Runs:
    def __del__(self):
        assert allcores.map(abs, [-1], workers=1, start="forkserver") == [1]

class Slow(module.ForkServerProcess):
    def __init__(self):
        global runs
        super().__init__()
        runs = None

module.ForkServerProcess, started = Slow, module.ForkServerProcess
runs = Runs()
assert allcores.map(abs, range(4), workers=2, start="forkserver") == [0, 1, 2, 3]
"""


def test_a_run_within_the_start_of_the_fork_server_leaves_only_one(run_python: Any) -> None:
    run_python(AMID_A_START)


# ------------------------------------------------------------------------------------------------------------- idle


@pytest.fixture
def short_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have idle workers leave soon."""
    monkeypatch.setattr("allcores._engines.processes.fork_server.IDLE_SECONDS", 0.15)


def test_idle_workers_leave_and_so_does_their_fork_server(
    short_idle: None, gate: Path, clean_start: str, outliving: Any
):
    pids = pids_of_two(gate, clean_start)
    (fork_server,) = psutil.Process().children()
    assert outliving(pids | {fork_server.pid}) == set()
    assert pid_of_one(clean_start) not in pids


def test_a_worker_of_an_open_run_is_not_idle(short_idle: None, clean_start: str, outliving: Any):
    with allcores.imap(lambda _: os.getpid(), iter(range(100)), workers=1, ahead=1, start=clean_start) as pids:
        pid = next(pids)
        # It waits for longer than a worker that began to wait later, and left.
        other = pid_of_one(clean_start)
        assert other != pid
        assert outliving([other]) == set()
        assert set(pids) == {pid}


def test_the_last_moment_of_an_idle_worker_is_no_trouble(short_idle: None, clean_start: str):
    # Each run comes at another moment around the one when the workers of the last are about to leave.
    for milliseconds in (128, 136, 144, 152):
        select.select([], [], [], milliseconds / 1000)  # that time goes by is what this is about
        assert allcores.map(abs, range(4), workers=2, start=clean_start) == [0, 1, 2, 3]


# ------------------------------------------------------------------------------------------------------- the driver

PRINT_PIDS = """
import os, sys, time
import allcores

def work(gate, flags):
    os.close(os.open(gate, flags))
    return os.getpid()

os.mkfifo("gate")
pids = allcores.map(work, ["gate"] * 2, [os.O_RDONLY, os.O_WRONLY], workers=2, start=sys.argv[1])
print(*pids, flush=True)
"""


@contextlib.contextmanager
def running(folder: Path, program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program, and kill it at the end if it still runs."""
    script = folder / "driver.py"
    script.write_text(textwrap.dedent(program))
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(script), *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_pids(process: subprocess.Popen[str], count: int = 2) -> set[int]:
    """Read process ids from what a program prints, over one or several lines."""
    assert process.stdout is not None
    pids: set[int] = set()
    while len(pids) < count:
        line = process.stdout.readline()
        assert line, "the program ended too early"
        pids.update(map(int, line.split()))
    return pids


def test_no_worker_outlives_the_interpreter(start: str, tmp_path: Path, outliving: Any):
    with running(tmp_path, PRINT_PIDS, start) as driver:
        pids = read_pids(driver)
        assert driver.wait() == 0
        assert outliving(pids) == set()


def test_idle_workers_do_not_outlive_a_driver_that_is_killed(clean_start: str, tmp_path: Path, outliving: Any):
    with running(tmp_path, PRINT_PIDS + "sys.stdin.read()", clean_start) as driver:
        pids = read_pids(driver)
        assert all(map(psutil.pid_exists, pids))
        driver.kill()
        assert outliving(pids) == set()


DOINGS = {
    "waits": "sys.stdin.close() or time.sleep(1000)",
    "holds the interpreter's lock": "re.match(r'(a+)+$', 'a' * 64 + 'b')",
}
DRIVERS = {
    "main thread": "drive()",
    "another thread": "thread = threading.Thread(target=drive); thread.start(); thread.join()",
    "lazy": "next(allcores.imap_unordered(work, iter(range(2)), workers=2, start=sys.argv[1]))",
}


@pytest.mark.parametrize("doing", DOINGS)
@pytest.mark.parametrize("driven_by", DRIVERS)
def test_busy_workers_do_not_outlive_a_driver_that_is_killed(
    doing: str, driven_by: str, start: str, tmp_path: Path, outliving: Any
):
    program = f"""
        import os, re, sys, threading, time, warnings
        import allcores

        warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)  # asked for, from a thread

        def work(x):
            os.write(1, b"%d\\n" % os.getpid())
            {DOINGS[doing]}

        def drive():
            allcores.map(work, range(2), workers=2, start=sys.argv[1])

        {DRIVERS[driven_by]}
    """
    with running(tmp_path, program, start) as driver:
        pids = read_pids(driver)
        driver.kill()
        assert outliving(pids) == set()


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_a_child_that_the_user_forked_keeps_no_worker_alive(end: str, start: str, tmp_path: Path, outliving: Any):
    program = """
        if os.fork() == 0:
            os.write(1, b"%d\\n" % os.getpid())
            sys.stdin.read()  # until the test lets it go
            os._exit(0)
        sys.stdin.close()
        if sys.argv[2] == "kill":
            os.kill(os.getpid(), 9)
    """
    with running(tmp_path, PRINT_PIDS + textwrap.dedent(program), start, end) as driver:
        *pids, child = sorted(read_pids(driver, 3))
        driver.wait()
        assert outliving(pids) == set()
        assert psutil.pid_exists(child)
        assert driver.stdin is not None
        driver.stdin.close()
        assert outliving([child]) == set()


def test_a_child_that_the_user_forked_does_not_disturb(run_python, start: str):
    program = f"""
        import os
        import allcores

        def pids():
            return allcores.map(lambda x: os.getpid(), range(5), workers=1, start={start!r})

        before = pids()
        child = os.fork()
        if child == 0:
            assert pids()[0] != before[0]  # workers of its own
            raise SystemExit
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        after = pids()
        assert (after == before) is ({start!r} != "fork")
        print("done")
    """
    done = run_python(textwrap.dedent(program))
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_a_child_forked_in_the_middle_of_a_run_does_not_disturb(run_python, start: str):
    program = f"""
        import os
        import allcores

        with allcores.imap(abs, iter(range(50)), workers=2, start={start!r}) as results:
            first = next(results)
            child = os.fork()
            if child == 0:
                assert allcores.map(abs, [-1], start={start!r}) == [1]
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert [first, *results] == list(range(50))
        print("done")
    """
    done = run_python(textwrap.dedent(program))
    assert (done.stdout, done.stderr) == ("done\n", "")


# ------------------------------------------------------------------------------------------------------------- cost

HEAVY = {
    *("numpy", "tqdm", "multiprocessing", "cloudpickle", "asyncio", "concurrent.futures", "psutil"),
    *("ctypes", "dataclasses", "inspect", "random", "resource", "subprocess", "typing", "allcores._worker.glance"),
}


def test_importing_allcores_costs_nothing(run_python):
    program = f"""
        import sys
        before = set(sys.modules)
        import allcores
        print(sorted((set(sys.modules) - before) & {HEAVY!r}))
    """
    assert run_python(textwrap.dedent(program)).stdout == "[]\n"


def test_a_forked_run_imports_nothing_that_it_does_not_need(run_python):
    program = f"""
        import sys
        import allcores

        def imported(x):
            return sorted({HEAVY!r} & set(sys.modules))

        assert allcores.map(imported, range(3), workers=2, start="fork") == [imported(0)] * 3
        print(imported(0))
    """
    assert run_python(textwrap.dedent(program)).stdout == "[]\n"


def test_a_worker_that_takes_no_more_messages_is_ended_when_it_is_given_back(clean_start, monkeypatch):
    """It cannot be told to forget, so it cannot be kept; the run must not trip over its being closed."""
    monkeypatch.setattr(Channel, "has_unsent", property(lambda self: True))
    assert allcores.map(abs, range(10), start=clean_start, workers=1) == list(range(10))
    assert psutil.Process().children(recursive=False)[0].children() == []
