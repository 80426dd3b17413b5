"""What a run says while it waits for others' workers, and when it gives up."""

from __future__ import annotations

import pytest

from allcores._core.errors import WorkersUnavailable
from allcores._core.messages import EngineLost
from allcores._run.standstill import SAY_SECONDS, Standstill


def test_who_need_not_wait_hears_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    standstill = Standstill(1.0, is_told=True)
    assert standstill.look(None, 0.0) == []
    assert standstill.due is None
    assert standstill.look(None, 99.0) == []
    assert capsys.readouterr().err == ""


def test_a_wait_that_lasts_is_told_once_and_a_new_one_again(capsys: pytest.CaptureFixture[str]) -> None:
    standstill = Standstill(None, is_told=True)
    for began in (10.0, 50.0):
        assert standstill.look("workers", began) == []
        assert standstill.due == began + SAY_SECONDS
        assert capsys.readouterr().err == ""
        for later in (0.0, 1.0, 2.0):
            assert standstill.look("workers", began + SAY_SECONDS + later) == []
        assert standstill.due is None
        assert capsys.readouterr().err == "allcores: waiting for workers\n"
        assert standstill.look(None, began + 20) == []


def test_a_wait_of_which_nobody_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    standstill = Standstill(None, is_told=False)
    standstill.look("workers", 0.0)
    assert standstill.due is None
    assert standstill.look("workers", 99.0) == []
    assert capsys.readouterr().err == ""


def test_who_was_told_when_to_gives_up_then() -> None:
    standstill = Standstill(2.5, is_told=False)
    assert standstill.look("workers", 1.0) == []
    assert standstill.due == 3.5
    assert standstill.look("workers", 3.4) == []
    (arrival,) = standstill.look("workers", 3.5)
    assert arrival.event == EngineLost()
    assert isinstance(arrival.cause, WorkersUnavailable)
    assert str(arrival.cause) == "waited 2.5 seconds (timeout_start) for workers"


def test_no_standard_error_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    standstill = Standstill(None, is_told=True)
    for now in (0.0, SAY_SECONDS):
        assert standstill.look("workers", now) == []
