"""Settings of the interpreter and of libraries are in a worker as they were where the items were handed in."""

from __future__ import annotations

import asyncio
import calendar
import csv
import decimal
import gc
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
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytest

import allcores
from allcores._settings.snapshot import SETTINGS

START = "forkserver"  # where spawn would tell nothing new

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


EXAMPLES = {
    "recursion limit": Example(lambda: sys.setrecursionlimit(2345), sys.getrecursionlimit, 2345),
    "digits of integers in texts": Example(lambda: sys.set_int_max_str_digits(999), sys.get_int_max_str_digits, 999),
    "no bytecode is written": Example(
        lambda: setattr(sys, "dont_write_bytecode", not sys.flags.dont_write_bytecode),
        lambda: sys.dont_write_bytecode,
        not sys.flags.dont_write_bytecode,
    ),
    "folder of bytecode": Example(
        lambda: setattr(sys, "pycache_prefix", "/dev/null"), lambda: sys.pycache_prefix, "/dev/null"
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
    "NumPy error state": Example(make_errors, lambda: (np.geterr()["over"], np.getbufsize()), ("raise", 1600)),
    "NumPy error callback": Example(lambda: np.seterrcall(print), np.geterrcall, print),
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


@pytest.mark.starts
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


@pytest.mark.starts
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


# ---------------------------------------------------------------------------------------------------- libraries

LIBRARIES = """
import sys
import allcores, matplotlib.style, pandas, scipy.special, sklearn, xarray

def look(_):
    import matplotlib, pandas, scipy.special, sklearn, xarray
    return (
        str(pandas.DataFrame({"a": [1 / 3]})),
        pandas.get_option("display.max_rows"),
        sklearn.get_config()["transform_output"],
        xarray.get_options()["display_width"],
        matplotlib.rcParams["axes.grid"],
        matplotlib.rcParams["axes.prop_cycle"],
        scipy.special.geterr()["singular"],
    )

def make():
    pandas.set_option("display.max_rows", 7)
    pandas.set_option("display.float_format", lambda number: f"<{number:.1f}>")
    sklearn.set_config(transform_output="pandas")
    xarray.set_options(display_width=33)
    matplotlib.style.use("ggplot")
    scipy.special.seterr(singular="raise")

usual = look(None)
with allcores.Pool(1, start="forkserver") as pool:
    assert pool.map(lambda _: sorted({"pandas", "matplotlib", "numpy"} & set(sys.modules)), [0]) == [[]]
    make()
    changed = look(None)
    assert all(one != other for one, other in zip(usual, changed, strict=True))
    assert pool.map(look, [0]) == [changed]
    pandas.reset_option("display.max_rows")
    pandas.reset_option("display.float_format")
    sklearn.set_config(transform_output="default")
    xarray.set_options(display_width=80)
    matplotlib.rcdefaults()
    scipy.special.seterr(singular="ignore")
    usual = look(None)
    assert pool.map(look, [0]) == [usual]
    make()
    assert pool.map(look, [0]) == [changed]
"""


@pytest.mark.once
def test_settings_of_libraries_that_the_item_is_the_first_to_import(run_python: Any) -> None:
    run_python(LIBRARIES, warnings="ignore", timeout=55)


PYTORCH = """
# Stands for PyTorch, which takes a minute to install: it has the functions that its documentation tells of.
import threading

class Here(threading.local):
    gradients = True

_defaults = {"dtype": "float32", "deterministic": False, "warns": False, "precision": "highest"}
_here = Here()
get_default_dtype = lambda: _defaults["dtype"]
are_deterministic_algorithms_enabled = lambda: _defaults["deterministic"]
is_deterministic_algorithms_warn_only_enabled = lambda: _defaults["warns"]
get_float32_matmul_precision = lambda: _defaults["precision"]
is_grad_enabled = lambda: _here.gradients
def set_default_dtype(dtype): _defaults["dtype"] = dtype
def use_deterministic_algorithms(mode, *, warn_only=False): _defaults.update(deterministic=mode, warns=warn_only)
def set_float32_matmul_precision(precision): _defaults["precision"] = precision
def set_grad_enabled(mode): _here.gradients = mode
"""

WITH_PYTORCH = """
import asyncio
import allcores, torch

def look(_):
    return torch._defaults, torch.is_grad_enabled()

async def main(**place):
    return await allcores.amap(look, [0], **place)

usual = look(0)
assert allcores.map(look, [0], start="forkserver") == [usual]
torch.set_default_dtype("float64")
torch.use_deterministic_algorithms(True, warn_only=True)
torch.set_float32_matmul_precision("high")
for on in ("threads", "serial"):
    with allcores.Pool(1, on=on) as pool:
        assert pool.map(look, [0]) == [look(0)]
        torch.set_grad_enabled(False)
        changed = dict(dtype="float64", deterministic=True, warns=True, precision="high"), False
        assert look(0) == changed
        assert pool.map(look, [0]) == allcores.map(look, [0], on=on) == asyncio.run(main(on=on)) == [changed]
        assert allcores.map(look, [0], start="forkserver") == asyncio.run(main(start="forkserver")) == [changed]
        torch.set_grad_enabled(True)
        assert pool.map(look, [0]) == [look(0)] == [(changed[0], True)]
"""


@pytest.mark.once
def test_a_library_of_which_each_thread_has_settings_of_its_own(run_python: Any, tmp_path: Any) -> None:
    (tmp_path / "torch.py").write_text(PYTORCH)
    run_python(WITH_PYTORCH, warnings="ignore")


# ---------------------------------------------------------------------------------------------- in a run's course


def precision(_: object = None) -> int:
    return decimal.getcontext().prec


def divide(number: float) -> object:
    try:
        return float(np.float64(1) / np.float64(number))
    except FloatingPointError:
        return "raised"


def test_what_an_initializer_sets_lasts_until_the_caller_sets_it(start: str) -> None:
    def prepare() -> None:
        decimal.getcontext().prec = 33
        np.seterr(all="raise")

    with allcores.Pool(1, prepare, start=start) as pool:
        assert pool.map(precision, [0]) == [33]
        with np.errstate(all="ignore"):
            assert pool.map(precision, [0]) == [33]
            assert pool.map(divide, [0]) == [float("inf")]
        with decimal.localcontext(prec=44):
            assert pool.map(precision, [0]) == [44]
        assert pool.map(precision, [0]) == [28], "as the caller has it"


def test_a_worker_that_takes_the_place_of_a_dead_one_has_the_same_settings(clean_start: str) -> None:
    def look(number: int) -> int:
        return os._exit(1) if number == 1 else decimal.getcontext().prec  # type: ignore[func-returns-value]

    with allcores.Pool(1, start=clean_start) as pool:
        with decimal.localcontext(prec=44):
            results = pool.map_async(look, range(4), chunksize=1, error_callback=lambda _: None)
            with pytest.raises(allcores.WorkerDied):
                results.get()
            assert pool.map(precision, [0]) == [44]
        assert pool.map(precision, [0]) == [28]


def test_a_lazy_run_has_the_settings_of_when_it_began(start: str) -> None:
    def look(number: int) -> int:
        return os._exit(1) if number == 1 else decimal.getcontext().prec  # type: ignore[func-returns-value]

    results = allcores.imap(look, range(4), start=start, workers=1, batch=1, ahead=1, errors="collect")
    with decimal.localcontext(prec=44):
        seen = [next(results)]
    with decimal.localcontext(prec=55):
        seen += results
    assert [one for one in seen if isinstance(one, int)] == [44] * 3, "in the worker that came later, too"


def test_a_run_within_a_run_has_the_settings_too(clean_start: str) -> None:
    def inner(_: object) -> list[int]:
        with decimal.localcontext(prec=decimal.getcontext().prec + 1):
            return allcores.map(precision, [0], start=clean_start, workers=1)

    with decimal.localcontext(prec=44):
        assert allcores.map(inner, [0], start=clean_start, workers=1) == [[45]]


def test_each_thread_has_the_settings_of_its_own(clean_start: str) -> None:
    seen: dict[int, int] = {}
    with allcores.Executor(2, start=clean_start) as executor:

        def submit(digits: int) -> None:
            decimal.getcontext().prec = digits
            np.seterr(all="raise" if digits % 2 else "ignore")
            for _ in range(5):
                future, other = executor.submit(precision), executor.submit(divide, 0)
                assert (future.result(), other.result()) == (digits, "raised" if digits % 2 else float("inf"))
            seen[digits] = digits

        threads = [threading.Thread(target=submit, args=(digits,)) for digits in (31, 32, 33)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(seen) == [31, 32, 33]


# ---------------------------------------------------------------------------------- what is of the caller's __main__

OF_MAIN = """
import warnings
import allcores, numpy as np

class Careful(UserWarning):
    pass

class Log:
    def __init__(self): self.lines = []
    def __call__(self, error, flag): self.lines.append(error)

def warn(_):
    try:
        warnings.warn("!", Careful)
    except Careful:
        return "raised"
    return "warned"

def log(_):
    np.float64(1) / np.float64(0)
    return np.geterrcall().lines

warnings.simplefilter("ignore")
with allcores.Pool(1, start={start!r}) as pool:
    assert pool.map(warn, [0]) == allcores.map(warn, [0], start={start!r}) == ["warned"]
    warnings.simplefilter("error", Careful)
    np.seterr(divide="call")
    np.seterrcall(Log())
    assert pool.map(warn, [0]) == allcores.map(warn, [0], start={start!r}) == ["raised"]
    assert pool.map(log, [0]) == allcores.map(log, [0], start={start!r}) == [["divide by zero"]]
    np.seterrcall(Log())

    def local():
        class Local(UserWarning):
            pass
        warnings.simplefilter("error", Local)
        def warn(_):
            try:
                warnings.warn("!", Local)
            except Local:
                return "raised"
        return warn
    assert pool.map(local(), [0]) == allcores.map(local(), [0], start={start!r}) == ["raised"]
"""


def test_classes_and_functions_of_the_callers_main(start: str, run_python: Any) -> None:
    run_python(OF_MAIN.format(start=start), warnings="ignore")


# ---------------------------------------------------------------------------------------- modules and what they set

NOISY = """
import decimal, sys, warnings
import numpy as np
warnings.warn("an old thing is used", DeprecationWarning)  # must not raise in a worker if it did not here
warnings.simplefilter("always", ResourceWarning)
warnings.simplefilter("ignore", UserWarning)
np.seterr(all="raise")
decimal.getcontext().prec = 3

class Noise(UserWarning):
    pass

def look(_):
    return decimal.getcontext().prec, np.geterr()["over"]
"""

IMPORTING = """
import decimal, sys, warnings
import allcores, numpy as np, noisy

np.seterr(all="ignore")
decimal.getcontext().prec = 44
warnings.simplefilter("error")

def look(_):
    import noisy
    try:
        warnings.warn("!", noisy.Noise)
    except noisy.Noise:
        return noisy.look(0)

with allcores.Pool(1, start={start!r}) as pool:
    assert pool.map(abs, [1]) == [1]
    assert pool.map(noisy.look, [0]) == allcores.map(noisy.look, [0], start={start!r}) == [(44, "ignore")]
assert allcores.map(look, [0], start={start!r}) == [(44, "ignore")]
"""


def test_what_a_module_sets_that_the_caller_has_imported_long_ago_is_over(
    clean_start: str, run_python: Any, tmp_path: Any
) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    run_python(IMPORTING.format(start=clean_start), warnings="ignore")


@pytest.mark.once
def test_no_module_is_imported_that_is_only_listed_where_warnings_are_exceptions(
    run_python: Any, tmp_path: Any
) -> None:
    (tmp_path / "bystander.py").write_text("def meet(): pass")
    run_python(
        """
import sys, allcores, bystander

def look(word):
    return word, "meet", [name for name in sys.modules if name.startswith("bystan")]

found = allcores.map(look, ["meet"], start="forkserver")
assert found == [("meet", "meet", [])], found
"""
    )


@pytest.mark.once
def test_nothing_is_imported_for_a_setting(run_python: Any) -> None:
    """What a caller has loaded, a worker need not; and what a filter names need not be loaded either."""
    run_python(
        """
import decimal, logging, sys, warnings
import allcores, numpy as np
np.seterr(all="raise")
decimal.getcontext().prec = 3
logging.getLogger().setLevel(10)
warnings.simplefilter("error", np.exceptions.RankWarning)

def look(_):
    import sys
    loaded = sorted({"numpy", "decimal"} & set(sys.modules))
    import warnings
    import numpy
    try:
        warnings.warn("!", numpy.exceptions.RankWarning)
    except numpy.exceptions.RankWarning:
        return loaded, numpy.geterr()["over"]

assert allcores.map(look, [0], start="forkserver") == [([], "raise")]
""",
        warnings="ignore",
    )


# -------------------------------------------------------------------------------------------------------- threads

LEVEL: ContextVar[object] = ContextVar("LEVEL", default="none")


def in_context(_: object = None) -> object:
    return decimal.getcontext().prec, np.geterr()["over"], LEVEL.get()


@pytest.mark.parametrize("on", ["threads", "serial"])
def test_threads_run_items_in_the_context_of_who_hands_them_in(on: str) -> None:
    usual = (28, "warn", "none")
    with allcores.Pool(2, on=on) as pool, allcores.Executor(2, on=on) as executor:
        for _ in range(2):
            assert pool.map(in_context, [0]) == [usual]
            token = LEVEL.set("high")
            with decimal.localcontext(prec=44), np.errstate(all="raise"):
                future = executor.submit(in_context)
                lazy = allcores.imap(in_context, [0], on=on)
                changed = (44, "raise", "high")
                assert allcores.map(in_context, range(3), on=on, workers=2) == [changed] * 3
                assert pool.map(in_context, range(3)) == [changed] * 3
                assert pool.apply(in_context) == changed
            LEVEL.reset(token)
            assert future.result() == changed
            assert list(lazy) == [usual], "as it is when the results are asked for"


def test_threads_do_not_share_a_decimal_context() -> None:
    def spoil(_: object) -> int:
        decimal.getcontext().prec = 5
        return 0

    with allcores.Pool(1, on="threads") as pool:
        pool.map(spoil, [0])
        assert pool.map(precision, [0]) == [28]
    allcores.map(spoil, [0], on="threads")
    assert decimal.getcontext().prec == 28


@pytest.mark.parametrize("on", ["threads", "serial"])
def test_what_an_initializer_sets_in_a_threads_context_lasts(on: str) -> None:
    def prepare() -> None:
        LEVEL.set("prepared")
        decimal.getcontext().prec = 33

    with allcores.Pool(1, prepare, on=on) as pool:
        assert pool.map(in_context, [0]) == [(33, "warn", "prepared")]
        with np.errstate(all="raise"):
            assert pool.map(in_context, [0]) == [(33, "raise", "prepared")]
        with decimal.localcontext(prec=44):
            assert pool.map(in_context, [0]) == [(44, "warn", "prepared")]


def test_an_event_loops_task_has_its_own_settings(place: dict[str, str]) -> None:
    async def main() -> list[object]:
        decimal.setcontext(decimal.Context(prec=44))
        return await allcores.amap(precision, [0], **place)  # type: ignore[arg-type]

    assert asyncio.run(main()) == [44]
    assert precision() == 28


# ----------------------------------------------------------------------------------------------- context variables


def test_context_variables_that_a_module_holds(start: str) -> None:
    look = lambda _: in_context()  # noqa: E731 - its module is not imported for it
    unpicklable: ContextVar[object] = ContextVar("unpicklable")
    unpicklable.set(threading.Lock())
    value = ["high"]
    with allcores.Pool(1, start=start) as pool:
        assert pool.map(in_context, [0]) == [(28, "warn", "none")]
        token = LEVEL.set(value)
        assert pool.map(in_context, [0]) == [(28, "warn", ["high"])]
        value.append("higher")
        assert pool.map(look, [0]) == allcores.map(look, [0], start=start) == [(28, "warn", ["high", "higher"])]
        LEVEL.reset(token)
        assert pool.map(in_context, [0]) == allcores.map(look, [0], start=start) == [(28, "warn", "none")]


# ------------------------------------------------------------------------------------------------------- the process


def test_what_is_of_the_process(clean_start: str) -> None:
    def look(_: object) -> tuple[int, int]:
        mask = os.umask(0)
        os.umask(mask)
        return mask, threading.stack_size()

    mask, size = os.umask(0o027), threading.stack_size(1 << 20)
    try:
        assert allcores.map(look, [0], start=clean_start) == [(0o027, 1 << 20)]
        assert threading.stack_size(1 << 20) == 1 << 20, "it was not lost when it was read"
    finally:
        os.umask(mask)
        threading.stack_size(size)
    assert allcores.map(look, [0], start=clean_start) == [(mask, 0)]


RELATIVE = """
import os, sys, threading
import allcores
sys.path.insert(0, "lib")
os.makedirs("lib", exist_ok=True)
os.makedirs("other/lib", exist_ok=True)
for folder, where in (("lib", "here"), ("other/lib", "there"), (".", "top"), ("other", "other")):
    for name in ("early", "late", "latest"):
        with open(f"{folder}/{name}_{folder.count('lib')}.py", "w") as file:
            file.write(f"where = {where!r}")

import early_1

def look(i):
    os.chdir("other" if i == 0 else ".")
    import late_0, late_1
    return early_1.where, late_0.where, late_1.where

for start in ("forkserver", "spawn"):
    found = allcores.map(look, [0, 1], workers=1, start=start)
    assert found == [("here", "top", "here")] * 2, found

os.chdir("other")

def look_again(_):
    import latest_0, latest_1
    return latest_0.where, latest_1.where

for start in ("forkserver", "spawn"):
    found = allcores.map(look_again, [0], workers=1, start=start)
    assert found == [("other", "there")], found
print("done")
"""


@pytest.mark.once
@pytest.mark.parametrize("how", ["-c", "stdin"])
def test_relative_entries_of_the_path_mean_what_they_mean_to_the_caller(how: str, run_python: Any) -> None:
    assert run_python(RELATIVE, how=how).stdout == "done\n"


@pytest.mark.once
def test_workers_live_whatever_the_default_timeout_of_sockets(run_python: Any) -> None:
    run_python(
        """
import socket, threading
import allcores
socket.setdefaulttimeout(0.05)
wait = lambda x: threading.Event().wait(0.1) or x  # that time goes by is what this is about
for start in ("fork", "forkserver", "spawn"):
    with allcores.Pool(1, start=start) as pool:
        assert pool.map(wait, [1, 2]) == [1, 2]
        wait(0)
        assert pool.map(abs, [-1]) == [1]
""",
        warnings="ignore",
    )
