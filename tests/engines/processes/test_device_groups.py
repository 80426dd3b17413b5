"""Each worker sees the accelerators that are its own, before it imports anything."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import allcores
from tests.gate import Gate

pytestmark = pytest.mark.once

VARIABLE = "CUDA_VISIBLE_DEVICES"


def see(_: object) -> tuple[int, str]:
    return os.getpid(), os.environ[VARIABLE]


def meet(folder: Path) -> Any:
    """Give a function for two items that end when both have begun, which are then in two workers."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)

    def run(x: int) -> str:
        fifo.read_bytes() if x == 0 else fifo.write_bytes(b"x")
        return os.environ[VARIABLE]

    return run


def test_each_worker_has_one_of_its_own(clean_start, tmp_path):
    assert set(allcores.map(meet(tmp_path), [0, 1], devices=[3, 5], start=clean_start, batch=1)) == {"3", "5"}


def test_fewer_workers_have_several(tmp_path):
    found = allcores.map(meet(tmp_path), [0, 1], devices=[0, 1, 2, 3], workers=2, batch=1)
    assert set(found) == {"0,1", "2,3"}


def test_all_that_this_process_may_use(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "7,2")
    assert set(allcores.map(meet(tmp_path), [0, 1], devices="cuda", batch=1)) == {"7", "2"}
    assert os.environ[VARIABLE] == "7,2"


def test_an_initializer_and_a_state_see_them_and_so_does_a_module_when_it_is_imported(monkeypatch, tmp_path):
    (tmp_path / "looks_at_devices.py").write_text(f"import os\nSEEN = os.environ.get({VARIABLE!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    import looks_at_devices  # type: ignore[import-not-found]

    assert looks_at_devices.SEEN != "4"

    def look() -> str:
        return os.environ[VARIABLE]

    def run(seen: str, _: int) -> tuple[str, str]:
        import importlib

        return seen, importlib.reload(looks_at_devices).SEEN

    assert allcores.map(run, [1], devices=[4], state=look) == [("4", "4")]


def test_a_run_gets_no_worker_that_may_have_taken_hold_of_other_devices():
    warm = {pid for pid, _ in allcores.map(lambda _: (os.getpid(), 0), range(4), start="forkserver", workers=2)}
    first = allcores.map(see, range(4), devices=[0])
    second = allcores.map(see, range(4), devices=[1])
    assert {seen for _, seen in first} == {"0"}
    assert {seen for _, seen in second} == {"1"}
    pids = [warm, {pid for pid, _ in first}, {pid for pid, _ in second}]
    assert len(set().union(*pids)) == sum(map(len, pids))
    assert allcores.map(lambda _: os.environ.get(VARIABLE), [1], start="forkserver") == [os.environ.get(VARIABLE)]


def test_a_worker_that_dies_leaves_its_devices_to_the_next(tmp_path):
    """The other has not ended by then, so what is free is what the dead one had."""
    gate = Gate(tmp_path)

    def run(x: int) -> str:
        if x == 0:
            gate.enter()
        elif x == 1:
            gate.await_entry()
            os.kill(os.getpid(), signal.SIGKILL)
        elif x == 2:
            gate.open()
        return os.environ[VARIABLE]

    found = allcores.map(run, range(3), devices=[8, 9], batch=1, errors="collect")
    assert [failure.index for failure in found.failures] == [1]
    assert {found[0], found[2]} == {"8", "9"}


def test_recycled_ones_leave_them_likewise():
    found = allcores.map(see, range(12), devices=[0, 1], recycle=2, batch=1)
    assert len(dict(found)) >= 6
    assert set(Counter(seen for _, seen in found)) <= {"0", "1"}


def test_a_pool_has_them_too(tmp_path):
    with allcores.Pool(devices=[1, 6]) as pool:
        assert set(pool.map(meet(tmp_path), [0, 1], chunksize=1)) == {"1", "6"}


def test_runs_within_runs_divide_what_they_have():
    def run(_: int) -> list[str]:
        return sorted(set(allcores.map(lambda _: os.environ[VARIABLE], range(2), devices="cuda", workers=1)))

    assert allcores.map(run, [1], devices=[2, 3], workers=1) == [["2,3"]]


def test_serial_leaves_the_environment_alone(monkeypatch):
    monkeypatch.setenv(VARIABLE, "0,1")
    assert allcores.map(lambda _: os.environ[VARIABLE], [1], devices=[0], on="serial") == ["0,1"]
