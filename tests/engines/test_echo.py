"""What items print, log and warn of is said by the caller's own streams, handlers and hooks."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

import allcores

pytestmark = pytest.mark.once


def tell(x: int) -> int:
    print("printed", x)
    print("to standard error", x, file=sys.stderr)
    return x


def printed(**options: object) -> tuple[list[str], list[str]]:
    """Give the lines that the caller's own streams have."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        assert allcores.map(tell, range(20), workers=2, **options) == list(range(20))
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def _texts_in(lines: list[str]) -> list[str]:
    return re.findall(r"[a-z ]+\d+?(?=[a-z]|$)", "\n".join(lines), re.MULTILINE)


def test_prints_reach_the_callers_streams_by_whole_lines(home):
    out, err = printed(**home)
    if home == {"on": "threads"}:  # print writes a line and its end apart, and threads share the stream
        out, err = _texts_in(out), _texts_in(err)
    assert sorted(out) == sorted(f"printed {x}" for x in range(20))
    assert sorted(err) == sorted(f"to standard error {x}" for x in range(20))


def test_a_lazy_runs_prints_come_before_the_results(start):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for x in allcores.imap(tell, range(10), workers=2, start=start):
            assert f"printed {x}\n" in out.getvalue()


@pytest.mark.parametrize("door", ["Pool", "Executor"])
def test_so_do_those_of_pools_and_executors(door, start):
    with contextlib.redirect_stdout(io.StringIO()) as out, getattr(allcores, door)(2, start=start) as workers:
        assert list(workers.map(tell, range(10))) == list(range(10))
    assert sorted(out.getvalue().splitlines()) == sorted(f"printed {x}" for x in range(10))


def test_what_an_item_prints_without_an_end_of_line_stays_as_it_is(start):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        allcores.map(lambda x: print(".", end="", flush=True), range(10), workers=2, start=start)
    assert out.getvalue() == 10 * "."


def test_initializer_and_finalizer_are_heard_too(start):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        allcores.map(
            tell, [0], workers=1, start=start, initializer=print, initargs=["begun"], finalizer=lambda: print("ended")
        )
    assert out.getvalue() == "begun\nprinted 0\nended\n"


def test_a_worker_that_dies_has_been_heard(start):
    def die(x: int) -> None:
        print("last words")
        os._exit(1)

    with contextlib.redirect_stdout(io.StringIO()) as out:
        allcores.map(die, [0], workers=1, start=start, errors="collect")
    assert out.getvalue() == "last words\n"


def test_threads_and_child_processes_of_items_may_print(start, capfd):
    def print_elsewhere(x: int) -> None:
        thread = threading.Thread(target=print, args=("in a thread", x))
        thread.start()
        thread.join()
        pid = os.fork()
        if pid == 0:
            print("in a child", x)
            os._exit(0)
        os.waitpid(pid, 0)

    with contextlib.redirect_stdout(io.StringIO()) as out:
        allcores.map(print_elsewhere, [0, 1, 2, 3], workers=2, start=start)
    assert sorted(out.getvalue().splitlines()) == [f"in a thread {x}" for x in range(4)]
    assert sorted(capfd.readouterr().out.splitlines()) == [f"in a child {x}" for x in range(4)]


def test_bytes_may_be_written(start):
    def write(x: int) -> None:
        sys.stdout.buffer.write("é\n".encode())

    with contextlib.redirect_stdout(io.StringIO()) as out:
        allcores.map(write, range(4), workers=2, start=start)
    assert out.getvalue() == 4 * "é\n"


def test_however_much_an_item_prints_takes_no_memory(start):
    class Counting(io.StringIO):
        count = 0

        def write(self, text: str) -> int:
            self.count += len(text)
            return len(text)

    def shout(x: int) -> None:
        for _ in range(100):
            print(1_000_000 * "x")

    with contextlib.redirect_stdout(Counting()) as out:
        allcores.map(shout, [0], workers=1, start=start, memory="200MB")
    assert out.count == 100 * 1_000_001


def test_warm_workers_say_nothing_of_an_earlier_caller(clean_start, capfd):
    printed(start=clean_start)
    with open(1, "w", closefd=False) as stream, contextlib.redirect_stdout(stream):
        allcores.map(tell, [7], workers=1, start=clean_start)
    assert capfd.readouterr().out == "printed 7\n"


# ------------------------------------------------------------------------------------------------------ logging


class Keeping(logging.Handler):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Keeping]:
    """A handler of a logger of its own, which shows more than others."""
    logger, handler = logging.getLogger("told"), Keeping()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def log(x: int) -> None:
    logger = logging.getLogger("told.of")
    logger.debug("below the level")
    logger.info("item %d", x, extra={"mine": x, "other": object()})
    try:
        int(f"no {x}")
    except ValueError:
        logger.exception("failed")


def test_records_reach_the_callers_handlers_with_process_and_item(start, kept):
    allcores.map(log, range(10), workers=2, start=start)
    told = [record for record in kept.records if record.levelname == "INFO"]
    assert sorted((record.getMessage(), record.item, record.mine) for record in told) == [
        (f"item {x}", x, x) for x in range(10)
    ]
    failed = [record for record in kept.records if record.levelname == "ERROR"]
    assert len(told) + len(failed) == len(kept.records) == 20
    assert {record.item for record in failed if f"'no {record.item}'" in record.exc_text} == set(range(10))
    assert os.getpid() not in {record.process for record in kept.records}


def test_pools_log_too(start, kept):
    with allcores.Pool(2, start=start) as pool:
        pool.map(log, range(5))
    assert len(kept.records) == 10


def test_a_handler_that_raises_ends_no_run(start, kept):
    def fail(record: logging.LogRecord) -> None:
        raise OSError

    kept.emit = fail
    assert allcores.map(log, range(3), workers=2, start=start) == [None] * 3


# ----------------------------------------------------------------------------------------------------- warnings


def warn(x: int) -> None:
    warnings.warn("of this", RuntimeWarning, stacklevel=1)


def test_a_warning_is_shown_once_and_not_by_each_worker(start):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        allcores.map(warn, range(20), workers=2, batch=1, start=start)
    assert [(str(each.message), each.category, each.filename) for each in shown] == [
        ("of this", RuntimeWarning, __file__)
    ]


def test_a_category_of_the_workers_own_is_named(clean_start):
    def warn_so(x: int) -> None:
        warnings.warn("of this", type("OwnWarning", (UserWarning,), {}), stacklevel=1)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        allcores.map(warn_so, [0], workers=1, start=clean_start)
    assert [str(each.message) for each in shown] == ["OwnWarning: of this"]


def test_an_item_may_catch_its_own(start):
    def catch(x: int) -> int:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn(x)
        return len(caught)

    with warnings.catch_warnings(record=True) as shown:
        assert allcores.map(catch, range(4), workers=2, start=start) == [1] * 4
    assert shown == []
