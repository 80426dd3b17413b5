"""allcores works wherever Python does: scripts, prompts, notebooks, threads, event loops, its own workers."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import shutil
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores._engines.processes.warm_set import warm_set

pytestmark = [pytest.mark.once, pytest.mark.starts]

START_METHODS = ("auto", "fork", "forkserver", "spawn")


@pytest.fixture(params=START_METHODS)
def any_start(request: pytest.FixtureRequest) -> str:
    """Each value of the option `start`."""
    return str(request.param)


# ------------------------------------------------------------------------------------------------- ways to run Python

# Without a guard, and such that it can be typed in.
PROGRAM = """
import allcores

class Point:
    def __init__(self, x):
        self.x = x

def double(point):
    return Point(2 * point.x)

points = allcores.map(double, [Point(x) for x in range(5)], workers=2, start={start!r})

print("points:", [point.x for point in points], {{type(point) for point in points}} == {{Point}})

shift = 10

def add(x):
    return x + shift

print("sums:", allcores.map(lambda x: add(x), range(3), workers=2, start={start!r}))

shift = 20

print("sums:", allcores.map(lambda x: add(x), range(3), workers=2, start={start!r}))
"""
PRINTED = ["points: [0, 2, 4, 6, 8] True", "sums: [10, 11, 12]", "sums: [20, 21, 22]"]


@pytest.mark.parametrize("how", ["script", "module", "-c", "stdin"])
def test_a_program_without_a_guard(how: str, any_start: str, run_python: Any):
    done = run_python(PROGRAM.format(start=any_start), how=how)
    assert done.stdout.splitlines() == PRINTED
    assert done.stderr == ""


def test_an_interactive_prompt(any_start: str, run_python: Any):
    transcript = run_python(PROGRAM.format(start=any_start), how="repl").stdout
    assert [line for line in transcript.splitlines() if line in PRINTED] == PRINTED
    assert "Traceback" not in transcript


def test_a_module_next_to_the_script(any_start: str, tmp_path: Path, run_python: Any):
    (tmp_path / "neighbour.py").write_text("def triple(x):\n    return 3 * x\n")
    program = f"""
import allcores, neighbour
print(allcores.map(neighbour.triple, range(3), start={any_start!r}))
print(allcores.map(lambda x: neighbour.triple(x), range(3), start={any_start!r}))
"""
    assert run_python(program).stdout == "[0, 3, 6]\n[0, 3, 6]\n"


def test_a_module_of_a_package_with_relative_imports(any_start: str, tmp_path: Path, run_python: Any):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sibling.py").write_text("def triple(x):\n    return 3 * x\n")
    program = f"""
import allcores
from . import sibling

def at_once(x):
    return sibling.triple(x)

def when_called(x):
    from .sibling import triple
    return triple(x)

print(allcores.map(at_once, range(3), start={any_start!r}))
print(allcores.map(when_called, range(3), start={any_start!r}))
"""
    assert run_python(program, how="module").stdout == "[0, 3, 6]\n[0, 3, 6]\n"


NOTEBOOK = """
import json
import nbformat
from nbclient import NotebookClient

notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
NotebookClient(notebook, kernel_name="python3", timeout=30).execute()
texts = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
print(json.dumps(texts))
"""


def run_cells(run_python: Any, *cells: str) -> list[str]:
    """Give what each cell of a notebook prints."""
    sources = [textwrap.dedent(cell) for cell in cells]
    done = run_python(f"sources = {sources!r}\n{NOTEBOOK}", warnings="default")
    texts: list[str] = json.loads(done.stdout.splitlines()[-1])
    return texts


def test_a_notebook(run_python: Any):
    cells = [
        """
        import os
        import allcores

        class Point:
            def __init__(self, x):
                self.x = x

        def double(point):
            return Point(2 * point.x)
        """,
        """
        plan = allcores.plan()
        print(plan.start, "|", plan.start_reason)
        """,
        """
        _ = allcores.map(lambda x: print(f"printed: {x}"), range(3), workers=1)
        """,
        *(
            f"""
            points = allcores.map(double, [Point(x) for x in range(3)], workers=2, start={start!r})
            print([point.x for point in points], {{type(point) for point in points}} == {{Point}})
            print(allcores.map(lambda x: double(Point(x)).x, range(3), workers=2, start={start!r}))
            """
            for start in ("auto", "forkserver", "spawn")
        ),
        """
        def double(point):
            return Point(20 * point.x)

        print(allcores.map(lambda x: double(Point(x)).x, range(3), workers=2))
        """,
        """
        print(list(allcores.imap(lambda x: x * x, iter(range(4)), workers=2)))
        """,
    ]
    texts = run_cells(run_python, *cells)
    # What a worker prints is shown by a thread of the kernel: soon, and perhaps below a later cell.
    printed = re.findall(r"printed: \d\n", "".join(texts))
    assert sorted(printed) == ["printed: 0\n", "printed: 1\n", "printed: 2\n"]
    _, plan, _, *worked, redefined, lazy = [re.sub(r"printed: \d\n", "", text) for text in texts]
    assert plan.startswith("forkserver | a fork would not be safe: ")
    assert plan.endswith(" Python threads are running\n")
    assert worked == ["[0, 2, 4] True\n[0, 2, 4]\n"] * 3
    assert redefined == "[0, 20, 40]\n"
    assert lazy == "[0, 1, 4, 9]\n"


# ----------------------------------------------------------------------------------------- threads and event loops


def test_a_thread(place: dict[str, Any]):
    with ThreadPoolExecutor(1) as thread:
        run = thread.submit(allcores.map, lambda x: x * x, range(20), workers=2, **place)
        assert run.result() == [x * x for x in range(20)]


def test_a_process_with_threads_is_not_forked():
    with ThreadPoolExecutor(1) as thread:
        plan = thread.submit(allcores.plan).result()
    assert plan.start == "forkserver"
    assert "2 Python threads are running" in plan.start_reason


def test_several_threads_at_once(place: dict[str, Any]):
    together = threading.Barrier(4)

    def run(offset: int) -> list[list[int]]:
        together.wait()
        return [
            allcores.map(lambda x: x + offset, dataset, workers=2, **place)
            for dataset in (range(30), iter(range(30)), [1, 2])
        ]

    with ThreadPoolExecutor(4) as threads:
        for offset, results in enumerate(threads.map(run, range(4))):
            assert results == [list(range(offset, offset + 30))] * 2 + [[offset + 1, offset + 2]]


def test_a_running_event_loop(place: dict[str, Any]):
    async def main() -> tuple[list[int], list[int]]:
        task = asyncio.create_task(asyncio.sleep(0, "the loop goes on"))
        mapped = allcores.map(lambda x: x * x, range(9), workers=2, **place)
        lazily = list(allcores.imap(lambda x: x * x, range(9), workers=2, **place))
        assert await task == "the loop goes on"
        return mapped, lazily

    assert asyncio.run(main()) == ([x * x for x in range(9)],) * 2


def test_an_item_may_run_an_event_loop(place: dict[str, Any]):
    def work(x: int) -> int:
        return asyncio.run(asyncio.sleep(0, x * x))

    async def main() -> list[int]:
        return allcores.map(work, range(4), workers=2, **place)

    assert allcores.map(work, range(4), workers=2, **place) == [0, 1, 4, 9]
    if place != {"on": "serial"}:  # Python forbids a loop inside a loop of the same thread
        assert asyncio.run(main()) == [0, 1, 4, 9]


# ------------------------------------------------------------------------------------------------------------- nested


INNER_PLACES = [{"start": "fork"}, {"start": "forkserver"}, {"start": "spawn"}, {"on": "threads"}, {"on": "serial"}]


def test_nested_runs(start: str, outliving: Any):
    def outer(place: dict[str, Any]) -> tuple[list[int], list[int]]:
        squares = allcores.map(lambda x: x * x, range(5), workers=2, **place)
        return squares, allcores.map(lambda _: os.getpid(), range(4), workers=2, **place)

    results = allcores.map(outer, INNER_PLACES, workers=2, start=start)
    assert [squares for squares, _ in results] == [[x * x for x in range(5)]] * len(INNER_PLACES)
    warm_set.close()
    assert outliving({pid for _, pids in results for pid in pids}) == set()


def test_a_nested_run_takes_only_its_share_of_the_cores(place: dict[str, Any]):
    usable = allcores.plan().workers
    for workers in (1, 2, 64):
        share = usable if place == {"on": "serial"} else max(1, usable // workers)
        plans = allcores.map(lambda _: allcores.plan(), range(2), workers=workers, **place)
        assert [plan.workers for plan in plans] == [share] * 2
        assert allcores.plan().workers == usable


def test_workers_tell_other_programs_their_share(start: str):
    share = max(1, allcores.plan().workers // 2)
    told = allcores.map(lambda _: os.environ["ALLCORES_WORKERS"], range(2), workers=2, start=start)
    assert told == [str(share)] * 2
    assert "ALLCORES_WORKERS" not in os.environ


def test_the_environment_bounds_the_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALLCORES_WORKERS", "1")
    assert allcores.plan().workers == 1
    assert "ALLCORES_WORKERS=1" in allcores.plan().workers_reason


# ----------------------------------------------------------------------------------------- next to multiprocessing


def test_a_pool_of_multiprocessing_next_to_it(place: dict[str, Any]):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(abs, [-1, 2]) == [1, 2]
        assert allcores.map(lambda x: x * x, range(9), workers=2, **place) == [x * x for x in range(9)]
        assert pool.map(abs, [-3, 4]) == [3, 4]
        assert allcores.plan().start == "forkserver"
        pool.close()
        pool.join()


def square_all(start: str) -> list[int]:
    return list(allcores.map(lambda x: x * x, range(9), workers=2, start=start))


def test_inside_a_worker_of_multiprocessing(start: str):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(square_all, [start]) == [x * x for x in range(9)]
        pool.close()
        pool.join()


# ------------------------------------------------------------------------------------------------------- surroundings


def test_workers_see_what_has_changed_since_the_last_run(start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def look(_: object) -> tuple[int, str, str | None, str | None, bool, list[str]]:
        try:
            import late_module  # type: ignore[import-not-found]

            found = late_module.found
        except ImportError:
            found = False
        news, old = os.environ.get("ALLCORES_TEST_NEW"), os.environ.get("ALLCORES_TEST_OLD")
        return os.getpid(), os.getcwd(), news, old, found, sys.argv

    monkeypatch.setenv("ALLCORES_TEST_OLD", "old")
    ((pid, folder, *before, arguments),) = allcores.map(look, [None], start=start)
    assert (folder, *before, arguments) == (os.getcwd(), None, "old", False, sys.argv)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALLCORES_TEST_NEW", "new")
    monkeypatch.delenv("ALLCORES_TEST_OLD")
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "late_module.py").write_text("found = True")
    monkeypatch.syspath_prepend(modules)
    monkeypatch.setattr(sys, "argv", ["other", "arguments"])
    ((new_pid, folder, *after, arguments),) = allcores.map(look, [None], start=start)
    assert (folder, *after, arguments) == (str(tmp_path), "new", None, True, ["other", "arguments"])
    assert (new_pid == pid) is (start != "fork")


def test_a_folder_that_was_removed_since_the_last_run(start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    passing = tmp_path / "passing"
    passing.mkdir()
    monkeypatch.chdir(passing)
    assert allcores.map(lambda _: os.getcwd(), [None], start=start) == [str(passing)]
    shutil.rmtree(passing)
    assert allcores.map(abs, [-1], start=start) == [1]  # there is no current folder at all
    monkeypatch.chdir(tmp_path)
    assert allcores.map(lambda _: os.getcwd(), [None], start=start) == [str(tmp_path)]


def test_what_a_worker_changes_does_not_reach_the_caller(start: str, tmp_path: Path):
    def change(_: object) -> None:
        os.chdir(tmp_path)
        os.environ["ALLCORES_TEST_NEW"] = "new"
        sys.path.clear()

    before = os.getcwd(), dict(os.environ), list(sys.path)
    allcores.map(change, [None], workers=1, start=start)
    assert (os.getcwd(), dict(os.environ), list(sys.path)) == before
    looks = allcores.map(lambda _: (os.getcwd(), "ALLCORES_TEST_NEW" in os.environ), [None], workers=1, start=start)
    assert looks == [(before[0], False)]


@pytest.mark.once
@pytest.mark.parametrize("seed", [None, "77"])
def test_all_clean_workers_of_a_program_have_the_same_hashes(
    seed: str | None, run_python: Any, monkeypatch: pytest.MonkeyPatch
):
    """Or the order of a set in a result would hang on the worker."""
    if seed is None:
        monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    else:
        monkeypatch.setenv("PYTHONHASHSEED", seed)
    program = f"""
        import os
        import allcores
        from allcores._engines.processes.warm_set import warm_set

        def look(_):
            return hash("text"), os.environ.get("PYTHONHASHSEED")

        def look_from_inside(_):
            return allcores.map(look, [None], start="spawn")[0]

        looks = []
        for start in ("spawn", "forkserver"):
            looks += allcores.map(look, range(4), batch=1, workers=2, start=start)
            looks += allcores.map(look_from_inside, [None], start=start)
        warm_set.close()  # as when workers have been idle for long
        looks += allcores.map(look, [None], start="spawn") + allcores.map(look, [None], start="forkserver")
        if {seed!r}:
            looks.append(look(None))
        assert len(set(looks)) == 1, looks
        assert looks[0][1] == {seed!r}
    """
    run_python(textwrap.dedent(program))


# ----------------------------------------------------------------------------------------------- input and output


def test_workers_have_an_empty_standard_input(run_python: Any, any_start: str):
    program = f"""
import os, subprocess, sys
import allcores

def read(_):
    child = subprocess.run(["cat"], stdout=subprocess.PIPE, check=True)
    return sys.stdin.read(), os.read(0, 10), child.stdout

print(allcores.map(read, range(2), workers=2, start={any_start!r}))
print("the script goes on")
"""
    program += "# filler, so that the script does not fit into one read\n" * 400 + "print('to its end')\n"
    nothing = ("", b"", b"")
    expected = f"{[nothing] * 2}\nthe script goes on\nto its end\n"
    assert run_python(program, how="stdin").stdout == expected


def test_whoever_asks_for_an_answer_in_a_worker_is_told_where_to_get_one(
    start: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    def ask(how: str) -> Any:
        import code
        import pdb  # noqa: T100 - is what this is about

        if how == "breakpoint":
            breakpoint()  # noqa: T100
        elif how == "pdb":
            pdb.Pdb().set_trace()  # as pdb.set_trace(), in whose place pytest puts its own
        elif how == "console":
            code.interact()
        else:
            return input("? ")
        return how

    monkeypatch.setattr(sys, "breakpointhook", sys.__breakpointhook__)  # pytest has one of its own
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    results = allcores.map(ask, ["breakpoint", "pdb", "console", "input"], start=start, workers=1, errors="collect")
    kinds = [RuntimeError, RuntimeError, RuntimeError, EOFError]
    assert [type(failure.exception) for failure in results.failures] == kinds
    for failure in results.failures:
        assert "no standard input; use on='serial'" in str(failure.exception)
        assert "allcores.replay(failure, debug=True)" in str(failure.exception)
    assert "(Pdb)" not in capfd.readouterr().out

    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    assert allcores.map(ask, ["breakpoint"], start=start) == ["breakpoint"]
    (tmp_path / "remote_debugger.py").write_text("import sys\ndef stop(): sys.remote = 'was called'")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONBREAKPOINT", "remote_debugger.stop")
    assert allcores.map(lambda how: (ask(how), sys.remote), ["breakpoint"], start=start) == [
        ("breakpoint", "was called")
    ]


def test_what_the_user_has_put_in_the_place_of_a_question_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("builtins.input", lambda: "yes")
    monkeypatch.setattr(sys, "breakpointhook", lambda: "looked")
    assert allcores.map(lambda _: (input(), breakpoint()), [None], start="fork") == [("yes", "looked")]  # noqa: T100


def test_what_is_printed_appears_once(run_python: Any, any_start: str):
    program = f"""
import sys
import allcores

sys.stdout.write("unflushed output,")
sys.stderr.write("unflushed error,")

def work(x):
    print(f"out {{x}}")
    print(f"err {{x}}", file=sys.stderr)
    sys.stdout.write("unfinished,")

allcores.map(work, range(20), workers=2, start={any_start!r})
print("after")
"""
    done = run_python(program)
    for stream, name in ((done.stdout, "out"), (done.stderr, "err")):
        for x in range(20):
            assert stream.count(f"{name} {x}\n") == 1
    assert done.stdout.count("unflushed output,") == done.stderr.count("unflushed error,") == 1
    assert done.stdout.count("unfinished,") == 20
    assert done.stdout.endswith("after\n")


def test_what_an_initializer_prints_appears(run_python: Any, any_start: str):
    program = f"""
import allcores

def prepare():
    print("prepared")

allcores.map(abs, [1], initializer=prepare, start={any_start!r})
"""
    assert run_python(program).stdout == "prepared\n"


def test_output_that_nobody_can_take_is_no_trouble(run_python: Any, any_start: str):
    program = f"""
import os, sys
import allcores

sys.stdout.flush()
results = []
for stream in (None, open(os.devnull, "w")):
    if stream is not None:
        stream.close()
    kept, sys.stdout = sys.stdout, stream
    results.append(allcores.map(abs, range(4), workers=2, start={any_start!r}))
    sys.stdout = kept
print(results)
"""
    assert run_python(program).stdout == f"{[[0, 1, 2, 3]] * 2}\n"
