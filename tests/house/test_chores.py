"""`make test` runs the tests on every Python, whatever one of them says, and tells which have failed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(shutil.which("make") is None, reason="the program make is missing"),
]

ROOT = Path(__file__).parents[2]

# Stands for the Python of an environment.
PYTHON = """#!/bin/sh
case $1 in
    -c) echo 3.11 ;;
    --version) echo Python of the test ;;
    -m) echo "arguments: $*"; echo "=== closing line of {name} ==="; exit {code} ;;
esac
"""


def check(folder: Path, codes: dict[str, int]) -> subprocess.CompletedProcess[str]:
    """Do what has to pass before a change lands, in a project whose Pythons end the tests with these exit codes."""
    for name in ("Makefile", ".ci", "tools"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    (folder / "pyproject.toml").touch()
    (folder / "tools" / "pythons.sh").write_text("#!/bin/sh\necho 3.11 python\necho 3.12 python\necho 3.13 python\n")
    makefile = folder / "Makefile"
    makefile.write_text(makefile.read_text().replace("lint: .venv/.development", "lint:\n\nleft-out:"))
    for name, code in codes.items():
        python = folder / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON.format(name=name, code=code))
        python.chmod(0o700)
        for stamp in (".created", ".runtime", ".development", ".installed"):
            (folder / name / stamp).touch()
    return subprocess.run(
        [".ci/run"],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},  # the tests themselves may run under make, which sets more
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_python_that_fails_does_not_keep_the_others_from_being_tested(tmp_path):
    done = check(tmp_path, {".venv": 0, ".venv-3.12": 1, ".venv-3.13": 0})
    assert done.returncode != 0
    for name in (".venv", ".venv-3.12", ".venv-3.13"):
        assert f"in {name}\n" in done.stdout
        assert f"=== closing line of {name} ===" in done.stdout
    arguments = ["--half=1", "--half=2", "--brief", "--brief"]
    assert sorted(re.findall("arguments: -m pytest (.*)", done.stdout)) == sorted(arguments)
    assert "\n=== failed: test-3.12\n" in done.stdout
    assert done.stdout.endswith("\n=== closing line of .venv-3.12 ===\n")


def test_a_closing_line_of_the_tests_closes_the_log(tmp_path):
    done = check(tmp_path, {".venv": 0, ".venv-3.12": 0, ".venv-3.13": 0})
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("=== closing line of .venv")
    assert "failed" not in done.stdout
