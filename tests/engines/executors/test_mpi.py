"""Ranks of an MPI job as workers, where mpi4py and an mpiexec are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

import allcores

pytestmark = pytest.mark.once

Run = Callable[[str], subprocess.CompletedProcess[str]]


def test_who_has_no_mpi4py_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    for workers in (None, 2):
        with pytest.raises(ImportError, match=r"pip install 'allcores\[mpi\]'"):
            allcores.map(abs, range(3), on="mpi", workers=workers)


@pytest.fixture
def mpiexec() -> str:
    """Where it is."""
    if find_spec("mpi4py") is None:
        pytest.skip("not installed: mpi4py")
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        pytest.skip("not installed: mpiexec")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    if "HYDRA" not in version:  # others call their options otherwise, and refuse root
        pytest.skip("not installed: MPICH's mpiexec")
    return found


@pytest.fixture
def run_in_ranks(mpiexec: str, tmp_path: Path) -> Run:
    """Run a program as the first of three ranks, on loopback."""

    def run(program: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "program.py"
        lines = "".join(f"    {line}\n" for line in program.splitlines())
        is_whole = "__main__" in program
        path.write_text(program if is_whole else f"import allcores\nif __name__ == '__main__':\n{lines}")
        command = [mpiexec, "-iface", "lo", "-n", "3", sys.executable, "-m", "mpi4py.futures", str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=50, cwd=tmp_path, check=False)

    return run


def test_a_program_that_is_no_such_job_is_told_how_to_start(mpiexec: str) -> None:
    program = "import allcores\ntry:\n    allcores.map(abs, [1], on='mpi')\nexcept RuntimeError as e:\n    print(e)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)
    said = "on='mpi' is for a program that was started so: mpiexec -n 3 python -m mpi4py.futures program.py\n"
    assert done.stdout == said


def test_all_ranks_but_the_first_work_by_either_name(run_in_ranks: Run) -> None:
    program = """
import os
from mpi4py.futures import MPIPoolExecutor
scale = 3
with MPIPoolExecutor() as executor:
    for place in ("mpi", executor, "mpi"):
        found = allcores.map(lambda x: (scale * x, os.getpid()), range(500), on=place)
        assert [x for x, _ in found] == [3 * x for x in range(500)]
        assert os.getpid() not in {pid for _, pid in found}
        assert found.report.plan.workers == 2
print(str(allcores.plan(on="mpi")).splitlines()[0])
"""
    done = run_in_ranks(program)
    assert done.returncode == 0, done.stderr
    said = "2 on executor: ranks of the MPI job but the first; the death of one ends the job, and resume= goes on\n"
    assert done.stdout == said


def test_the_promises_of_executors_are_kept_but_those_about_deaths(run_in_ranks: Run) -> None:
    program = """
from allcores.testing import PROMISES
for promise in PROMISES:
    if "deaths" not in promise.name:
        verdict = promise.verdict(on="mpi", workers=2)
        if verdict != "kept":
            print(promise.name, verdict.partition(":")[0])
"""
    done = run_in_ranks(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["timeout refused", "recycle refused", "finalizer refused"]


def test_a_rank_that_dies_ends_the_job_and_the_same_line_goes_on(run_in_ranks: Run, tmp_path: Path) -> None:
    program = """
import os, signal, time

def work(x):
    with open("ran", "a") as file:
        file.write(f"{x}\\n")
    if x == 30 and not os.path.exists("died"):
        while not os.path.exists("journal") or allcores.Journal("journal").finished < 20:
            time.sleep(0.01)  # whoever records is another rank
        open("died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x

results = allcores.map(work, range(60), on="mpi", resume="journal", batch=1)
assert results == [x * x for x in range(60)]
print(results.report.recalled)
"""
    first = run_in_ranks(program)
    assert first.returncode != 0
    assert (tmp_path / "died").exists()
    before = len((tmp_path / "ran").read_text().split())
    second = run_in_ranks(program)
    assert second.returncode == 0, second.stderr
    recalled = int(second.stdout)
    assert recalled >= 20
    assert len((tmp_path / "ran").read_text().split()) - before == 60 - recalled
    assert os.path.getsize(tmp_path / "journal") > 0


def test_the_program_of_the_documentation_runs(run_in_ranks: Run) -> None:
    section = (Path(__file__).parents[3] / "docs" / "engines.md").read_text().partition("\n## MPI\n")[2]
    program = section.partition("```py\n")[2].partition("```")[0]
    assert 'on="mpi"' in program
    done = run_in_ranks(program)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
