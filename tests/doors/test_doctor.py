"""What the doctor tells, and that it tells it of any program."""

from __future__ import annotations

import io
import sys

import pytest

import allcores


def told() -> dict[str, str]:
    """Give what it prints, ``{heading: lines}``."""
    out = io.StringIO()
    allcores.doctor(out)
    parts: dict[str, str] = {}
    heading = ""
    for line in out.getvalue().splitlines():
        heading = line[:16].strip() or heading
        parts[heading] = f"{parts.get(heading, '')}{line[17:]}\n"
    return parts


def test_it_tells_versions_cores_memory_start_threads_limits_and_what_is_installed():
    parts = told()
    assert [*parts] == [
        "allcores",
        "Python",
        "system",
        "cores",
        "memory",
        "start",
        "native threads",
        "devices",
        "limits",
        "engines",
        "installed",
    ]
    assert allcores.__version__ in parts["allcores"]
    assert "cloudpickle" in parts["allcores"]
    assert sys.executable in parts["Python"]
    assert "free of" in parts["memory"]
    assert "open files" in parts["limits"]
    assert "joblib" in parts["installed"]


def test_it_tells_every_bound_of_the_cores(monkeypatch):
    monkeypatch.setenv("ALLCORES_WORKERS", "1000")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2000")
    cores = told()["cores"]
    assert cores.startswith(f"{allcores.usable_cores()} usable, bounded by")
    assert "1000: ALLCORES_WORKERS=1000" in cores
    assert "2000: SLURM_CPUS_PER_TASK=2000" in cores


def test_it_tells_native_libraries_and_what_the_environment_says_of_them(monkeypatch):
    pytest.importorskip("numpy", reason="NumPy is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    threads = told()["native threads"]
    assert "threads" in threads
    assert "OMP_NUM_THREADS=3 in the environment" in threads


def test_a_program_that_can_start_nothing_is_told_why(monkeypatch):
    def fail() -> None:
        raise RuntimeError("no worker can be started")

    monkeypatch.setattr("allcores._doors.doctor.plan", fail)
    assert told()["start"] == "RuntimeError: no worker can be started\n"


def test_it_works_in_a_bare_program_and_prints_to_standard_output(run_python):
    done = run_python("import allcores; allcores.doctor()")
    assert done.stdout.startswith("allcores ")
    assert "no library with native threads is loaded" in done.stdout
