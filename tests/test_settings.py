"""Settings of the interpreter and of libraries are in a worker as they were where the items were handed in."""

from __future__ import annotations

import calendar
import csv
import decimal
import gc
import importlib
import locale
import logging
import multiprocessing
import os
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import allcores
from allcores._settings.setting import UNKNOWN
from allcores._settings.snapshot import SETTINGS, find_settings

pytestmark = pytest.mark.starts

BY_TITLE = {setting.title: setting for setting in SETTINGS}


@pytest.fixture(autouse=True)
def put_back() -> Iterator[Callable[[], None]]:
    """Have this process as it was, after the test and whenever it asks for that."""
    zone = os.environ.get("TZ")
    loaded = [(setting, setting.read()) for setting in SETTINGS if setting.is_loaded]

    def undo() -> None:
        for setting, value in loaded:
            if setting.read() != value:
                setting.write(value)
        os.environ.pop("TZ", None)
        if zone is not None:
            os.environ["TZ"] = zone

    yield undo
    undo()


class Example:
    """A setting: how to make it another one, how to see that, and how it looks then."""

    def __init__(self, make: Callable[[], object], look: Callable[[], object], looks: object) -> None:
        self.make = make
        self.look = look
        self.looks = looks


def set_zone(name: str) -> None:
    os.environ["TZ"] = name
    time.tzset()


def has_error_filter() -> bool:
    return any(action == "error" and kind is BytesWarning for action, _, kind, _, _ in warnings.filters)


def make_decimal() -> None:
    decimal.getcontext().prec = 50
    decimal.getcontext().traps[decimal.Inexact] = True
    decimal.DefaultContext.rounding = decimal.ROUND_UP


def look_at_decimal() -> object:
    context = decimal.getcontext()
    return context.prec, context.traps[decimal.Inexact], decimal.DefaultContext.rounding


def make_levels() -> None:
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("allcores.example").setLevel(5)
    logging.disable(3)


def look_at_levels() -> object:
    return logging.root.level, logging.getLogger("allcores.example").level, logging.root.manager.disable


def make_errors() -> None:
    np.seterr(all="raise")
    np.setbufsize(16 * 100)
    np.seterrcall(print)


# {title: example}
EXAMPLES = {
    "recursion limit": Example(lambda: sys.setrecursionlimit(2345), sys.getrecursionlimit, 2345),
    "digits of integers in texts": Example(lambda: sys.set_int_max_str_digits(999), sys.get_int_max_str_digits, 999),
    "no bytecode is written": Example(
        lambda: setattr(sys, "dont_write_bytecode", not sys.flags.dont_write_bytecode),
        lambda: sys.dont_write_bytecode,
        not sys.flags.dont_write_bytecode,
    ),
    "folder of bytecode": Example(
        lambda: setattr(sys, "pycache_prefix", "/nowhere"), lambda: sys.pycache_prefix, "/nowhere"
    ),
    "traceback limit": Example(
        lambda: setattr(sys, "tracebacklimit", 7), lambda: getattr(sys, "tracebacklimit", None), 7
    ),
    "switch interval": Example(lambda: sys.setswitchinterval(0.5), sys.getswitchinterval, 0.5),
    "thresholds of garbage collection": Example(lambda: gc.set_threshold(999, 9, 9), gc.get_threshold, (999, 9, 9)),
    "garbage collection is on": Example(gc.disable, gc.isenabled, looks=False),
    "time zone": Example(
        lambda: set_zone("Asia/Tokyo"), lambda: (time.tzname, time.localtime(0).tm_hour), (("JST", "JST"), 9)
    ),
    "locale": Example(
        lambda: locale.setlocale(locale.LC_NUMERIC, "C.UTF-8"), lambda: locale.setlocale(locale.LC_NUMERIC), "C.UTF-8"
    ),
    "decimal context": Example(make_decimal, look_at_decimal, (50, True, decimal.ROUND_UP)),
    "logging levels": Example(make_levels, look_at_levels, (logging.ERROR, 5, 3)),
    "field limit of csv": Example(lambda: csv.field_size_limit(99), csv.field_size_limit, 99),
    "default timeout of sockets": Example(lambda: socket.setdefaulttimeout(7), socket.getdefaulttimeout, 7.0),
    "first day of the week": Example(lambda: calendar.setfirstweekday(6), calendar.firstweekday, 6),
    "folder of temporary files": Example(
        lambda: setattr(tempfile, "tempdir", "/nowhere"), lambda: tempfile.tempdir, "/nowhere"
    ),
    "start method of multiprocessing": Example(
        lambda: multiprocessing.set_start_method("spawn", force=True),
        lambda: multiprocessing.get_start_method(allow_none=True),
        "spawn",
    ),
    "warning filters": Example(lambda: warnings.simplefilter("error", BytesWarning), has_error_filter, looks=True),
    "NumPy error state": Example(
        make_errors, lambda: (np.geterr()["over"], np.getbufsize(), np.geterrcall()), ("raise", 1600, print)
    ),
    "NumPy print options": Example(
        lambda: np.set_printoptions(precision=2, formatter={"int": lambda number: f"<{number}>"}),
        lambda: str(np.array([1])) + str(np.array([0.123])),
        "[<1>][0.12]",
    ),
}


# Libraries that take long to import, and what takes more than to look.
ELSEWHERE = {
    *("SciPy special errors", "pandas options", "matplotlib rcParams", "scikit-learn configuration", "xarray options"),
    *("mpmath precision", "gmpy2 context", "jax configuration", "PyTorch defaults", "PyTorch gradients"),
    "context variables",
}


def look_at_all(_: object = None) -> dict[str, object]:
    return {title: example.look() for title, example in EXAMPLES.items()}


def make_all() -> None:
    for example in EXAMPLES.values():
        example.make()


CHANGED = {title: example.looks for title, example in EXAMPLES.items()}


def pid_and_looks(_: object = None) -> tuple[int, dict[str, object]]:
    return os.getpid(), look_at_all()


# ------------------------------------------------------------------------------------------------- the whole table


def test_every_setting_has_an_example() -> None:
    assert {*EXAMPLES, *ELSEWHERE} == set(BY_TITLE)
    assert len(BY_TITLE) == len(SETTINGS)
    usual = look_at_all()
    assert [title for title in EXAMPLES if usual[title] == CHANGED[title]] == []


def test_a_run_has_the_settings_of_its_caller_and_leaves_none_to_the_next(
    clean_start: str, put_back: Callable[[], None]
) -> None:
    usual = look_at_all()
    ((first, looks),) = allcores.map(pid_and_looks, [None], start=clean_start, workers=1)
    assert looks == usual
    make_all()
    assert look_at_all() == CHANGED
    ((second, looks),) = allcores.map(pid_and_looks, [None], start=clean_start, workers=1)
    assert looks == CHANGED
    put_back()
    ((third, looks),) = allcores.map(pid_and_looks, [None], start=clean_start, workers=1)
    assert looks == usual
    assert first == second == third, "the settings were put back in the same worker"


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_each_call_of_a_pool_has_the_settings_of_the_moment(start: str, put_back: Callable[[], None]) -> None:
    usual = look_at_all()
    with allcores.Pool(1, start=start) as pool, allcores.Executor(1, start=start) as executor:
        for _ in range(2):
            assert pool.map(look_at_all, [None]) == [usual]
            assert executor.submit(look_at_all).result() == usual
            make_all()
            assert pool.map(look_at_all, [None]) == [CHANGED]
            results = executor.map(look_at_all, [None] * 3, buffersize=1)
            future = executor.submit(look_at_all)
            put_back()
            assert future.result() == CHANGED
            assert list(results) == [CHANGED] * 3
