"""The progress bar counts finished items, and can neither block nor break the run."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from typing import Any

import pytest

import allcores


def test_a_callback_hears_of_every_item_once(place):
    heard: list[tuple[int, int | None]] = []
    allcores.map(abs, range(1000), progress=lambda *said: heard.append(said), **place)
    counts = [count for count, _ in heard]
    assert counts == sorted(set(counts))
    assert heard[-1] == (1000, 1000)


def test_failures_count_as_finished(place):
    heard: list[int] = []
    allcores.map(lambda x: 1 // x, [0, 1, 0], errors="collect", progress=lambda done, _: heard.append(done), **place)
    assert heard[-1] == 3


def test_the_total_of_a_stream_is_unknown():
    heard: list[Any] = []
    list(allcores.imap(abs, iter(range(10)), progress=lambda *said: heard.append(said)))
    assert heard[-1] == (10, None)


def test_a_callback_that_raises_is_dropped_with_a_warning():
    calls = []

    def tell(done: int, total: int | None) -> None:
        calls.append(done)
        raise ValueError("no")

    with pytest.warns(RuntimeWarning, match="progress is no longer shown: ValueError: no"):
        assert allcores.map(abs, range(1000), progress=tell) == list(range(1000))
    assert len(calls) == 1


def test_true_shows_a_bar_and_a_description_names_it(capsys):
    allcores.map(abs, range(100), progress=True)
    assert "100/100" in capsys.readouterr().err
    allcores.map(abs, range(100), progress="absolute values")
    shown = capsys.readouterr().err
    assert "absolute values: 100%" in shown
    assert "100/100" in shown


def test_nobody_watches_nothing_shows(capsys):
    allcores.map(abs, range(100))
    allcores.map(abs, range(100), progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("patience", "is_shown"), [(0.0, True), (1000.0, False)])
def test_on_a_terminal_a_bar_shows_when_the_run_lasts(patience, is_shown):
    source = (
        "import allcores, allcores._run.progress as progress\n"
        f"progress.PATIENCE_SECONDS = {patience}\n"
        "print(allcores.map(abs, range(100)) == list(range(100)))\n"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    done = subprocess.run([sys.executable, "-c", source], stdout=subprocess.PIPE, stderr=theirs, check=True, timeout=40)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the terminal's other side is closed
            break
    os.close(ours)
    assert done.stdout == b"True\n"
    assert bool(re.search(rb"100/100", shown)) is is_shown
