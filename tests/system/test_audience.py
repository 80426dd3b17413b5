"""Whether a person watches: at a terminal or in a notebook, and not where there is no stream."""

from __future__ import annotations

import io
import os
import pty
import sys
import types

import pytest

from allcores._system.audience import is_terminal, is_watched


def test_only_a_terminal_is_one():
    ours, theirs = pty.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as stream:
        assert is_terminal(stream)
    assert not is_terminal(stream)  # it is closed
    assert not is_terminal(io.StringIO())
    assert not is_terminal(None)


def test_a_notebook_is_watched(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert not is_watched()
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    assert is_watched()
