"""Who watches sees how the run stands; nobody is told what is not asked for, and no display can end the run."""

from __future__ import annotations

import multiprocessing
import os
import pty
import re
import subprocess
import sys
import termios
import textwrap
from typing import Any

import pytest
from tqdm import tqdm

import allcores
from allcores._run import progress as module
from allcores._run.progress import make_progress


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


# ----------------------------------------------------------------------------------------------------- who has a bar


@pytest.fixture
def watched(monkeypatch):
    """As if standard error were a terminal."""
    monkeypatch.setattr(module, "is_watched", lambda: True)


def has_bar(*, is_lazy: bool = False, wanted: Any = None) -> bool:
    return make_progress(wanted, 10, is_lazy=is_lazy) is not None


def test_a_bar_is_for_who_watches_and_not_for_who_takes_results_one_by_one(watched):
    assert has_bar()
    assert not has_bar(wanted=False)
    assert not has_bar(is_lazy=True)
    assert has_bar(is_lazy=True, wanted=True)


def test_nobody_watches_nothing_shows(capsys):
    assert not has_bar()
    allcores.map(abs, range(100))
    allcores.map(abs, range(100), progress=False)
    assert capsys.readouterr().err == ""


def test_items_have_no_bars(watched, place):
    assert allcores.map(lambda _: has_bar(wanted=True), [1], **place) == [False]


def test_children_of_multiprocessing_have_bars_if_they_ask_for_them(watched):
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send((has_bar(), has_bar(wanted=True))))
    child.start()
    assert receiver.recv() == (False, True)
    child.join()
    receiver.close()
    sender.close()


@pytest.mark.parametrize("wanted", [None, True, "absolute values"])
def test_a_program_can_do_without_bars(watched, monkeypatch, wanted):
    monkeypatch.setenv("ALLCORES_PROGRESS", "0")
    assert not has_bar(wanted=wanted)
    assert has_bar(wanted=print)
    monkeypatch.delenv("ALLCORES_PROGRESS")
    allcores.show_progress(False)
    try:
        assert not has_bar(wanted=wanted)
        assert has_bar(wanted=print)
    finally:
        allcores.show_progress(True)
    assert has_bar(wanted=wanted)


def test_the_switch_is_on_or_off():
    with pytest.raises(TypeError, match=r"show_progress\('no'\).*allowed: True, False"):
        allcores.show_progress("no")  # type: ignore[arg-type]  # that is the point


def test_there_is_no_bar_beside_one_of_tqdm(watched, monkeypatch, capsys):
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # it would leave a thread
    allcores.map(abs, tqdm(range(100), desc="theirs"))
    shown = capsys.readouterr().err
    assert "theirs: 100%" in shown
    assert "worker" not in shown
    allcores.map(abs, range(100))
    assert "worker" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------- on a terminal


def on_terminal(source: str, **variables: str) -> str:
    """Run a program whose output and errors go to one terminal; give what is written there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command, environment = [sys.executable, "-c", textwrap.dedent(source)], {**os.environ, **variables}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the terminal's other side is closed
            break
    os.close(ours)
    assert process.wait(timeout=40) == 0, shown
    return shown.decode().replace("\r\n", "\n")


def seen(shown: str) -> list[str]:
    """Give the lines that stand on the terminal in the end."""
    lines = []
    for line in shown.split("\n"):
        seen = ""
        for part in line.split("\r"):
            seen = part + seen[len(part) :]
        lines.append(seen.rstrip())
    return lines


@pytest.mark.parametrize(("patience", "is_shown"), [(0.0, True), (1000.0, False)])
def test_a_bar_shows_when_the_run_lasts(patience, is_shown):
    shown = on_terminal(f"""
        import allcores, allcores._run.progress as progress
        progress.PATIENCE_SECONDS = {patience}
        print(allcores.map(abs, range(100)) == list(range(100)))
    """)
    assert seen(shown)[-2:] == ["True", ""]
    assert ("100/100" in shown) is is_shown


def test_the_environment_turns_it_off():
    assert on_terminal("import allcores; allcores.map(abs, [1], progress=True)", ALLCORES_PROGRESS="0") == ""


def test_a_bar_shows_though_nothing_has_finished():
    """The item waits until the bar has come."""
    shown = on_terminal("""
        import os, allcores, allcores._run.bar as bar
        reader, writer = os.pipe()
        class Bar(bar.Bar):
            def show(self, standing):
                super().show(standing)
                os.write(writer, b"x")
        bar.Bar = Bar
        allcores.map(lambda _: os.read(reader, 1), [0], on="threads")
    """)
    assert re.search(r"0%.* 0/1 \[00:01<\?, \?item/s, (1 worker|starting)\]", shown)
    assert re.search(r"100%.* 1/1 .*, 1 worker\]", seen(shown)[0])


def test_what_others_print_stands_above_the_bar():
    shown = on_terminal("""
        import logging, sys, allcores, allcores._run.bar as bar
        bar.DRAW_SECONDS = 0.0  # it is there whenever somebody prints
        logging.basicConfig(format="log %(message)s")
        def numbers():
            for number in range(5):
                print("print", number, "of 5")
                logging.warning(number)
                print("er", end="", file=sys.stderr)
                print("ror", number, file=sys.stderr)
                yield number
        write = sys.stdout.write
        allcores.map(abs, numbers(), workers=1, batch=1, progress="bar")
        assert sys.stdout.write == write
        print("the end")
    """)
    assert shown.count("bar: ") > 5
    *lines, bar, end, nothing = seen(shown)
    assert lines == [f"{text}" for n in range(5) for text in (f"print {n} of 5", f"log {n}", f"error {n}")]
    assert bar.startswith("bar: 5item")
    assert (end, nothing) == ("the end", "")


def test_a_line_that_is_not_ended_is_not_overwritten():
    shown = on_terminal("""
        import allcores, allcores._run.bar as bar
        bar.DRAW_SECONDS = 0.0
        def numbers():
            for number in range(3):
                yield number
                print(number, end="", flush=True)
        allcores.map(abs, numbers(), workers=1, batch=1, progress=True)
    """)
    assert seen(shown)[0] == "012"
    assert seen(shown)[1].startswith("3item")


def test_a_process_that_was_forked_beside_a_bar_writes_as_if_there_were_none():
    shown = on_terminal("""
        import os, allcores, allcores._run.bar as bar
        bar.DRAW_SECONDS = 0.0
        def tell(done):
            if done == 2 and not os.fork():
                print("child", flush=True)
                os._exit(0)
            return done
        def numbers():
            for number in range(4):
                yield tell(number)
                if number == 2:
                    os.wait()
        allcores.map(abs, numbers(), workers=1, batch=1, progress=True)
    """)
    assert "child" in shown


# ---------------------------------------------------------------------------------------------------------- the bar


def test_time_and_speed_are_those_of_the_run(capsys):
    from allcores._run.bar import Bar
    from allcores._run.standing import Standing

    bar = Bar(100, None, seconds=10.0)
    bar._bar._time = lambda: bar._bar.start_t + 10.0  # it stands still
    bar.show(Standing(seconds=10.0, settled=60, recalled=40, failed=3, workers=4))
    bar.close()
    shown = capsys.readouterr().err.rpartition("\r")[2]
    assert re.search(r" 60%.* 60/100 \[00:10<00:20, +2\.00item/s, 4 workers, 3 failed\]", shown)


def test_a_file_is_not_filled_with_bars(capsys, monkeypatch):
    from allcores._run import bar as drawing
    from allcores._run.standing import Standing

    monkeypatch.setattr(drawing, "DRAW_SECONDS", 0.0)
    bar = drawing.Bar(100, None, seconds=10.0)
    for settled in range(100):
        bar.show(Standing(seconds=10.0, settled=settled, recalled=0, failed=0, workers=1))
    bar.close()
    assert capsys.readouterr().err.count("/100") == 2  # the first, and the last


def test_the_end_of_a_run_that_took_less_than_making_the_bar_is_drawn(capsys):
    from allcores._run.bar import Bar
    from allcores._run.standing import Standing

    bar = Bar(100, None, seconds=0.0)
    for settled in (0, 100):
        bar.show(Standing(seconds=0.0, settled=settled, recalled=0, failed=0, workers=1))
    bar.close()
    assert " 100/100 " in capsys.readouterr().err
