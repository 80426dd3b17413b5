"""Runs that share a machine's cores: who counts, and that the dead do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from allcores._system.cores import SHARE_VARIABLE, meeting_place
from allcores._system.neighbours import Neighbours

HOLD = """
import sys
from allcores._system.neighbours import Neighbours
neighbours = Neighbours({folder!r})
print("here", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def neighbour(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another program with a run in this folder."""
    program = HOLD.format(folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process
        process.kill()


def test_each_run_counts_until_it_is_over(tmp_path: Path) -> None:
    first = Neighbours(str(tmp_path))
    second = Neighbours(str(tmp_path))
    assert first.count() == second.count() == 2
    second.close()
    assert first.count() == 1
    first.close()
    assert list(tmp_path.iterdir()) == []


def test_runs_of_other_programs_count_until_they_are_killed(tmp_path: Path, neighbour: subprocess.Popen[str]) -> None:
    here = Neighbours(str(tmp_path))
    assert here.count() == 2
    neighbour.send_signal(signal.SIGKILL)
    neighbour.wait(20)
    assert here.count() == 1
    here.close()
    assert list(tmp_path.iterdir()) == [], "what a killed one has left is removed"


def test_they_meet_where_only_this_user_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for value in ("", "0"):
        monkeypatch.setenv(SHARE_VARIABLE, value)
        assert meeting_place() is None
    monkeypatch.setenv(SHARE_VARIABLE, "1")
    folder = meeting_place()
    assert folder == str(tmp_path / f"allcores-{os.getuid()}")
    assert os.stat(folder).st_mode & 0o777 == 0o700
    os.rmdir(folder)
    Path(folder).write_text("in the way")
    with pytest.raises(PermissionError, match="not a folder of yours"):
        meeting_place()
