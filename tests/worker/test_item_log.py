"""What items print, warn of and log, each in a file of its own."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import allcores
from allcores import Failure, WorkerDied

pytestmark = pytest.mark.once


def read(folder: Path) -> dict[int, str]:
    """Give what is in each file, by item."""
    return {int(file.stem): file.read_text() for file in folder.iterdir()}


def say_everything(x: int) -> int:
    print("printed", x)
    print("to standard error", x, file=sys.stderr)
    warnings.warn(f"warned of {x}", UserWarning, stacklevel=1)
    logging.getLogger("mine").error("logged %d", x)
    os.write(1, b"written %d\n" % x)
    ctypes.CDLL(None).printf(b"by C %d\n", ctypes.c_int(x))
    subprocess.run(["echo", "by a program", str(x)], check=True)
    return x


SAID = ("printed {}\n", "to standard error {}\n", "warned of {}\n", "written {}\n", "by C {}\n", "by a program {}\n")


def test_each_item_has_its_own_file_with_all_that_it_says(start, tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        results = allcores.map(say_everything, range(12), workers=2, start=start, log=tmp_path / "said")
    assert results == list(range(12))
    files = read(tmp_path / "said")
    assert sorted(files) == list(range(12))
    for index, text in files.items():
        assert [text.count(line.format(index)) for line in SAID] == [1] * len(SAID)
        assert text.count(f"ERROR mine: logged {index}\n") == 1
        assert len(text.splitlines()) == 8  # the warning brings its own line of source
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("batch", [1, 10])
def test_an_item_that_says_nothing_has_no_file_not_even_an_earlier_runs(tmp_path, batch):
    (tmp_path / "000003.log").write_text("from an earlier run")
    allcores.map(lambda x: x % 4 or print(x), range(10), workers=2, batch=batch, log=str(tmp_path))
    assert read(tmp_path) == {0: "0\n", 4: "4\n", 8: "8\n"}


def test_lines_stand_in_the_order_in_which_they_were_written(tmp_path):
    def alternate(x: int) -> None:
        for count in range(3):
            print("out", count)
            print("err", count, file=sys.stderr)
        print("no newline", end="")

    allcores.map(alternate, [0], workers=1, log=tmp_path)
    lines = [f"{stream} {count}" for count in range(3) for stream in ("out", "err")]
    assert read(tmp_path)[0] == "\n".join([*lines, "no newline"])


def test_a_failure_carries_the_last_lines(start, tmp_path):
    def fail(x: int) -> int:
        print("about to divide", x)
        return 1 // x

    results = allcores.map(fail, [1, 0, 2], workers=2, start=start, errors="collect", log=tmp_path)
    (failure,) = results.failures
    assert failure.output == "about to divide 0\n"
    assert pickle.loads(pickle.dumps(failure)).output == failure.output


def test_what_a_worker_said_before_it_died_is_there(start, tmp_path):
    def die(x: int) -> int:
        print("last words of", x)
        if x == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    results = allcores.map(die, range(3), workers=2, start=start, errors="collect", log=tmp_path)
    assert isinstance(results[1], Failure)
    assert isinstance(results[1].exception, WorkerDied)
    assert results[1].output == "last words of 1\n"
    assert read(tmp_path)[1] == "last words of 1\n"


def test_a_later_try_goes_on_in_the_file(tmp_path):
    def fail_once(x: int) -> int:
        tries = allcores.current_item().tries
        print("try", tries)
        return 1 // (tries - 1)

    assert allcores.map(fail_once, [5], workers=1, retries=1, log=tmp_path) == [1]
    assert read(tmp_path) == {0: "try 1\ntry 2\n"}


def test_however_much_an_item_says_its_failure_carries_little_and_no_memory_is_used(tmp_path):
    def shout(x: int) -> None:
        line = "x" * 99
        for _ in range(10_000):
            print(*[line] * 100, sep="\n")
        print("the end")
        raise ValueError

    results = allcores.map(shout, [0], workers=1, errors="collect", memory="150MB", log=tmp_path)
    (failure,) = results.failures
    assert isinstance(failure.exception, ValueError)
    assert failure.output.endswith("x\nthe end\n")
    assert len(failure.output) <= 4096
    assert set(map(len, failure.output.splitlines())) == {99, len("the end")}
    assert (tmp_path / "000000.log").stat().st_size == 10_000 * 100 * 100 + 8


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger with a handler of its own, which writes to standard error."""
    logger, handler = logging.getLogger("mine"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(process)s told of %(item)s: %(message)s"))
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def test_records_are_there_and_with_the_callers_handlers(tmp_path, start, logger, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(logger.handlers[0], "stream", stream)
    allcores.map(lambda x: logging.getLogger("mine").error("record"), range(2), workers=1, start=start, log=tmp_path)
    assert [text.partition(" ERROR ")[2] for _, text in sorted(read(tmp_path).items())] == 2 * ["mine: record\n"]
    assert [line.partition(" ")[2] for line in sorted(stream.getvalue().splitlines())] == [
        "told of 0: record",
        "told of 1: record",
    ]


def test_a_record_that_a_workers_own_handler_shows_is_there_once(tmp_path, start):
    def set_up() -> None:
        logging.root.handlers[:] = []
        stream = open(2, "w", closefd=False)  # noqa: SIM115 - for as long as the worker lives
        logging.basicConfig(stream=stream, format="mine: %(message)s")

    allcores.map(
        lambda x: logging.getLogger("other").error("record %d", x),
        range(2),
        workers=1,
        start=start,
        initializer=set_up,
        log=tmp_path,
    )
    assert read(tmp_path) == {0: "mine: record 0\n", 1: "mine: record 1\n"}


def test_what_a_workers_own_handler_shows_the_caller_is_there_too(tmp_path, start):
    def set_up() -> None:
        logging.root.handlers[:] = [logging.StreamHandler()]

    with contextlib.redirect_stderr(io.StringIO()) as err:
        allcores.map(
            lambda x: logging.getLogger("other").error("record"),
            [0],
            workers=1,
            start=start,
            initializer=set_up,
            log=tmp_path,
        )
    assert err.getvalue() == "record\n"
    assert read(tmp_path)[0].endswith(" ERROR other: record\n")


def test_records_are_shown_by_the_callers_levels(tmp_path, start):
    def log(x: int) -> None:
        logging.getLogger("loud").debug("debug %d", x)
        logging.getLogger("quiet").debug("debug %d", x)

    logger = logging.getLogger("loud")
    logger.setLevel(logging.DEBUG)
    try:
        allcores.map(log, [0], workers=1, start=start, log=tmp_path)
    finally:
        logger.setLevel(logging.NOTSET)
    assert read(tmp_path)[0].endswith(" DEBUG loud: debug 0\n")
    assert read(tmp_path)[0].count("\n") == 1


def test_prints_go_there_whatever_stands_for_standard_output(tmp_path, capfd):
    stream = io.StringIO()
    held = print
    with contextlib.redirect_stdout(stream):
        allcores.map(lambda x: held(x) or held(x, file=sys.__stdout__), [7], workers=1, start="fork", log=tmp_path)
    assert read(tmp_path) == {0: "7\n7\n"}
    assert (stream.getvalue(), capfd.readouterr().out) == ("", "")


def test_the_workers_own_output_is_back_between_items(tmp_path, capfd):
    def tell(x: int) -> None:
        print("item", x)

    allcores.map(tell, [0], workers=1, log=tmp_path, finalizer=lambda: print("finalizer"), start="fork")
    assert capfd.readouterr().out == "finalizer\n"
    assert read(tmp_path) == {0: "item 0\n"}


def test_a_lazy_run_has_files_too(tmp_path):
    with allcores.imap(print, range(4), workers=2, log=tmp_path) as results:
        assert list(results) == [None] * 4
    assert read(tmp_path) == {index: f"{index}\n" for index in range(4)}


def test_the_folder_is_where_the_caller_was(tmp_path, monkeypatch, start):
    monkeypatch.chdir(tmp_path)

    def move(x: int) -> None:
        os.chdir("/")
        print(x)

    allcores.map(move, range(3), workers=1, start=start, log="a/b")
    assert len(read(tmp_path / "a" / "b")) == 3


def test_a_folder_that_cannot_be_made_is_said_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        allcores.map(print, [1], log=tmp_path / "file")


def test_serially_items_print_as_ever(tmp_path, capsys):
    allcores.map(print, [1], on="serial", log=tmp_path / "none")
    assert capsys.readouterr().out == "1\n"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("on", "why"), [("threads", "threads share one"), (ThreadPoolExecutor, "are not ours")])
def test_who_shares_an_output_is_refused_by_name(on, why):
    with pytest.raises(ValueError, match=rf"log='said' needs workers with an output of their own, .*{why}; use on="):
        allcores.map(print, [1], on=on, log="said")


def test_pools_and_executors_which_number_no_items_refuse_it():
    for door in (allcores.Pool, allcores.Executor):
        with pytest.raises(ValueError, match="log='said' is for a run over one dataset"):
            door(log="said")
