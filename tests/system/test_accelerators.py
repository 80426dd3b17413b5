"""Accelerators are found by what stands in the environment, or by what the driver shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from allcores._system import accelerators
from allcores._system.accelerators import find_devices


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("0,1", ("0", "1")),
        (" 2 , 0 ", ("2", "0")),
        ("", ()),
        ("-1", ()),
        ("1,-1,2", ("1",)),
        ("NoDevFiles", ()),
        ("GPU-8932f937-d72c,MIG-GPU-5/1/0", ("GPU-8932f937-d72c", "MIG-GPU-5/1/0")),
    ],
)
def test_what_the_environment_says(said: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert find_devices() == found


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(accelerators, "CARDS", str(tmp_path / "gpus"))
    monkeypatch.setattr(accelerators, "NODES", str(tmp_path / "dev"))
    return tmp_path


def test_what_the_driver_shows(machine: Path) -> None:
    for name in ("0000:07:00.0", "0000:0f:00.0"):
        (machine / "gpus" / name).mkdir(parents=True)
    assert find_devices() == ("0", "1")


def test_what_a_container_shows(machine: Path) -> None:
    (machine / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm", "null"):
        (machine / "dev" / name).touch()
    assert find_devices() == ("0", "1", "2")


def test_where_there_is_none(machine: Path) -> None:
    assert find_devices() == ()
