"""A program that PyInstaller has made runs as it did before, and once."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

import allcores

pytestmark = pytest.mark.once

PACKAGE = Path(allcores.__file__).parent

PROGRAM = """
import os, sys, traceback
import allcores

def work(x):
    if x == 3:
        raise ValueError("three")
    return x, os.getppid()

def shown(begin):
    try:
        begin()
    except ValueError as error:
        return [frame.name for frame in traceback.extract_tb(error.__traceback__)], str(error)

if __name__ == "__main__":
    with open(sys.argv[1], "a") as trace:
        trace.write("started\\n")
    for start in ("auto", "fork", "forkserver", "spawn"):
        results = allcores.map(work, range(3), start=start)
        assert [x for x, _ in results] == [0, 1, 2]
        is_forked = start in ("auto", "fork")
        assert {parent == os.getpid() for _, parent in results} == {is_forked}
    for door in (allcores.Pool, allcores.Executor):
        with door(2) as made:
            assert [x for x, _ in made.map(work, range(3))] == [0, 1, 2]
    frames, text = shown(lambda: allcores.map(work, range(4)))
    assert (frames, text) == (["shown", "<lambda>", "map", "work"], "three"), frames
    frames, text = shown(lambda: allcores.map(work, range(3), workers=0))
    assert frames == ["shown", "<lambda>", "map"], frames
    print("done")
"""


def run(command: list[str], trace: Path, **environment: str) -> None:
    command = [*command, str(trace)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=os.environ | environment, check=False
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    assert trace.read_text() == "started\n"


@pytest.mark.timeout(300)  # it is no short work to put a program together
def test_a_frozen_program_starts_workers_in_every_way(tmp_path):
    pytest.importorskip("PyInstaller", reason="PyInstaller is not installed: pip install pyinstaller")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    hooks = f"--additional-hooks-dir={PACKAGE / '_pyinstaller'}"  # which it finds itself where allcores is installed
    options = ["--log-level=ERROR", f"--paths={PACKAGE.parent}", hooks]
    options += [f"--exclude-module={name}" for name in ("numpy", "pandas", "IPython", "tkinter", "setuptools")]
    options += [f"--{name}path={tmp_path / name}" for name in ("dist", "work", "spec")]
    subprocess.run([sys.executable, "-m", "PyInstaller", *options, program], cwd=tmp_path, check=True, timeout=280)
    run([str(tmp_path / "dist" / "program" / "program")], tmp_path / "trace")


def test_code_may_name_other_files_than_it_is_in(tmp_path):
    """As that of a frozen program does."""
    for source in PACKAGE.rglob("*.py"):
        name = source.relative_to(PACKAGE.parent)
        compiled = (tmp_path / name).with_suffix(".pyc")
        compiled.parent.mkdir(parents=True, exist_ok=True)
        py_compile.compile(str(source), str(compiled), str(name), doraise=True)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    run([sys.executable, str(program)], tmp_path / "trace", PYTHONPATH=str(tmp_path))
