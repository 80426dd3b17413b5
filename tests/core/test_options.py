"""Options: what is allowed, and what those are told who write something else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allcores._core.options import ENGINES, ERRORS, START_METHODS, OptionKeywords, Options
from allcores._core.unknown_option import CALLED_OTHERWISE, NO_OPTIONS, OF_THE_FUNCTION

NUMBERS = ("1, 2, 3", "None")
WORKERS = (*NUMBERS, "-1 for all usable cores", "0.5", "'physical'")
NUMBERS_FROM_0 = ("0, 1, 2", "None")
SECONDS = ("seconds greater than 0", "None")
EXCEPTIONS = ("a type of exception", "a tuple of them")
AMOUNTS = ("bytes greater than 0", "'2GB'", "'512MiB'")

WRONG_TYPES: list[tuple[str, Any, tuple[str, ...]]] = [
    *[("workers", value, WORKERS) for value in ("4", True, [1], 1j, 2.0, 1.0, 0.0, -0.5, float("nan"))],
    *[(name, value, NUMBERS) for name in ("batch", "ahead", "threads") for value in (2.0, True, [1])],
    *[(name, "4", NUMBERS) for name in ("batch", "ahead")],
    *[("on", value, ENGINES) for value in (None, 3, ["threads"])],
    *[("start", value, START_METHODS) for value in (None, True)],
    *[("errors", value, ERRORS) for value in (None, False)],
    ("initializer", "prepare", ("a function", "None")),
    ("state", 3, ("a function without arguments", "None")),
    ("finalizer", "end", ("a function", "None")),
    *[("devices", value, ("'cuda'", "[0, 1]")) for value in (3, True, [1.0], [True], [None])],
    ("initargs", 3, ("tuple",)),
    ("initargs", None, ("tuple",)),
    ("progress", 3, ("None", "True", "False", "a description", "a callback")),
    *[(name, value, SECONDS) for name in ("timeout", "timeout_start") for value in ("5", True, [1], 1j)],
    *[(name, value, NUMBERS_FROM_0) for name in ("retries", "seed") for value in ("4", 2.0, True, [1])],
    *[("retry_on", value, EXCEPTIONS) for value in (None, "OSError", OSError(), int, [OSError], (OSError, int))],
    *[("memory", value, AMOUNTS) for value in (True, 2e9, b"2GB", ["2GB"])],
    *[("recycle", value, NUMBERS) for value in (True, 2.0, b"2GB", [1])],
    *[("log", value, ("the path of a folder", "None")) for value in (3, True, b"said", ["said"])],
    *[("resume", value, ("the path of a journal", "None")) for value in (3, True, b"run.journal", ["run.journal"])],
]

WRONG_VALUES: list[tuple[str, Any, tuple[str, ...]]] = [
    ("workers", 0, WORKERS),
    *[(name, value, NUMBERS) for name in ("batch", "ahead", "threads") for value in (0, -1)],
    ("threads", "all", ("'auto'",)),
    *[("devices", value, ("'cuda'", "[0, 1]")) for value in ("gpu", "0,1", [], [0, 0], [0, "0"], [-1], ["a,b"], [""])],
    ("on", "process", ENGINES),
    ("on", "", ENGINES),
    ("on", "http://scheduler", (*ENGINES, "a scheduler's address")),
    ("start", "Fork", START_METHODS),
    ("errors", "ignore", ERRORS),
    ("initargs", (1,), ("need an initializer",)),
    *[(n, value, SECONDS) for n in ("timeout", "timeout_start") for value in (0, -1.5, float("nan"), float("inf"))],
    *[(name, -1, NUMBERS_FROM_0) for name in ("retries", "seed")],
    *[(name, value, AMOUNTS) for name in ("memory", "recycle") for value in ("", "lots", "-1 GB", "0", "2 XB")],
    *[("memory", value, AMOUNTS) for value in (0, -1)],
    *[("recycle", value, NUMBERS) for value in (0, -1)],
]


def says(text: str, name: str, value: Any, allowed: tuple[str, ...]) -> bool:
    return f"{name}={value!r}" in text and all(choice in text for choice in allowed)


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG_TYPES)
def test_a_value_of_a_wrong_type_is_named_with_what_is_allowed(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    with pytest.raises(TypeError) as caught:
        Options.from_keywords({name: value})
    assert says(str(caught.value), name, value, allowed)


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG_VALUES)
def test_a_value_that_makes_no_sense_is_named_with_what_is_allowed(
    name: str, value: Any, allowed: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        Options.from_keywords({name: value})
    assert says(str(caught.value), name, value, allowed)


def test_every_option_has_a_value_that_is_rejected() -> None:
    assert {name for name, _, _ in WRONG_TYPES} == set(Options._fields)


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        *[("worker", "workers"), ("n_workers", "workers"), ("progres", "progress"), ("error", "errors")],
        *[("Batch", "batch"), ("n_jobs", "workers"), ("processes", "workers"), ("max_workers", "workers")],
        *[("njobs", "workers"), ("nproc", "workers"), ("chunksize", "batch"), ("maxtasksperchild", "recycle")],
        *[("backend", "on"), ("desc", "progress"), ("return_exceptions", "errors"), ("random_state", "seed")],
    ],
)
def test_an_unknown_option_is_told_the_name_that_was_likely_meant(name: str, likely: str) -> None:
    with pytest.raises(TypeError, match=f"unknown option {name}=3; did you mean '{likely}'?"):
        Options.from_keywords({name: 3})


def test_what_others_call_an_option_is_no_option_and_stands_for_one_alone() -> None:
    others = [other for names in CALLED_OTHERWISE.values() for other in names]
    assert len(set(others)) == len(others)
    assert set(CALLED_OTHERWISE) <= set(Options._fields)
    assert not {*others, *NO_OPTIONS, *OF_THE_FUNCTION} & set(Options._fields)
    assert not set(others) & {*NO_OPTIONS, *OF_THE_FUNCTION}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("scale", "functools.partial(fn, scale=…)"),
        ("kwargs", "functools.partial(fn, scale=2)"),
        ("unordered", "imap_unordered gives results as they finish"),
    ],
)
def test_what_is_no_option_anywhere_is_told_where_it_belongs(name: str, hint: str) -> None:
    with pytest.raises(TypeError, match=f"unknown option {name}=3") as caught:
        Options.from_keywords({name: 3})
    assert hint in str(caught.value)


def test_who_would_ignore_errors_is_told_of_successes() -> None:
    with pytest.raises(ValueError, match=r"allowed: 'raise', 'collect', whose results have \.successes"):
        Options(errors="ignore")  # type: ignore[arg-type]  # that is the point


def test_an_option_that_resembles_none_is_told_all_names() -> None:
    with pytest.raises(TypeError, match=r"unknown option xyzzy=3; .*allowed: ") as caught:
        Options.from_keywords({"xyzzy": 3})
    assert all(name in str(caught.value) for name in Options._fields)


def test_the_keywords_for_type_checkers_are_the_options_but_those_that_types_hang_on() -> None:
    assert {*OptionKeywords.__annotations__, "errors", "state"} == set(Options._fields)
    assert "errors" not in OptionKeywords.__annotations__


def test_the_choices_for_type_checkers_are_those_that_are_checked() -> None:
    allowed = {
        **dict.fromkeys(ENGINES, "on"),
        **dict.fromkeys(START_METHODS, "start"),
        **dict.fromkeys(ERRORS, "errors"),
    }
    for choice, name in allowed.items():
        assert getattr(Options.from_keywords({name: choice}), name) == choice


def test_the_defaults() -> None:
    options = Options()
    assert (options.on, options.start, options.errors) == ("processes", "auto", "raise")
    assert options.workers is options.batch is options.ahead is None
    assert options.initializer is options.progress is None
    assert options.initargs == ()
    assert options.timeout is options.memory is options.recycle is options.resume is options.seed is None
    assert options.retries == 0
    assert options.retry_on_types == (Exception,)


class LikeDask:
    """A client as Dask's is told from others: by its class's name, as nothing is imported for it."""


LikeDask.__module__, LikeDask.__name__ = "distributed.client", "Client"


@pytest.mark.parametrize(
    ("place", "engine"),
    [
        ("processes", "processes"),
        ("serial", "serial"),
        (ThreadPoolExecutor(1), "executor"),
        (ThreadPoolExecutor, "executor"),
        (lambda: ThreadPoolExecutor(1), "executor"),
        ("dask", "dask"),
        ("tcp://10.0.0.1:8786", "dask"),
        ("tls://scheduler:8786", "dask"),
        (LikeDask(), "dask"),
        ("ray", "ray"),
        ("ray://head:10001", "ray"),
        ("mpi", "executor"),
    ],
)
def test_what_is_given_says_which_engine_it_is(place: Any, engine: str) -> None:
    options = Options(on=place)
    assert options.on is place
    assert options.engine == engine


@pytest.mark.parametrize("value", [1, 10**9, np.int64(3)])
def test_any_whole_number_from_one_on_will_do(value: Any) -> None:
    options = Options(workers=value, batch=value, ahead=value)
    assert options.workers == options.batch == options.ahead == int(value)
    assert type(options.workers) is int


@pytest.mark.parametrize("value", [0, 1, 1 << 200, np.int64(3)])
def test_any_whole_number_from_zero_on_will_do_for_retries_and_seeds(value: Any) -> None:
    options = Options(retries=value, seed=value)
    assert options.retries == options.seed == int(value)
    assert type(options.retries) is type(options.seed) is int


def test_none_stands_for_no_retries() -> None:
    assert Options.from_keywords({"retries": None}).retries == 0


@pytest.mark.parametrize("value", [2, 0.5, np.float32(0.5), Decimal("0.5")])
def test_any_number_of_seconds_will_do(value: Any) -> None:
    timeout = Options(timeout=value).timeout
    assert timeout == float(value)
    assert type(timeout) is float


@pytest.mark.parametrize("types", [OSError, KeyboardInterrupt, (), (OSError,), (OSError, KeyError)])
def test_types_of_exceptions_are_one_or_several(types: Any) -> None:
    assert Options(retry_on=types).retry_on_types == (types if isinstance(types, tuple) else (types,))


@pytest.mark.parametrize("amount", ["2GB", 2_000_000_000, np.int64(2_000_000_000), "2000 MB"])
def test_memory_is_a_number_of_bytes_however_it_was_written(amount: Any) -> None:
    assert Options(memory=amount).memory == 2_000_000_000


@pytest.mark.parametrize("recycle", [1, 500, np.int64(500), "500MB", "1"])
def test_recycle_is_a_number_of_items_or_an_amount_of_memory(recycle: Any) -> None:
    assert Options(recycle=recycle).recycle == recycle
    assert type(Options(recycle=recycle).recycle) is (str if isinstance(recycle, str) else int)


def test_log_is_any_path(tmp_path: Path) -> None:
    assert Options(log=tmp_path).log == Options(log=str(tmp_path)).log == str(tmp_path)


def test_resume_is_any_path(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    assert Options(resume=journal).resume == Options(resume=str(journal)).resume == str(journal)


@pytest.mark.parametrize("arguments", [[1, 2], (1, 2), range(1, 3), iter([1, 2])])
def test_any_iterable_of_arguments_will_do(arguments: Any) -> None:
    assert Options(initializer=print, initargs=arguments).initargs == (1, 2)


@pytest.mark.parametrize("initializer", [print, partial(print, 1), int, None])
def test_anything_that_can_be_called_is_an_initializer(initializer: Any) -> None:
    assert Options(initializer=initializer).initializer is initializer


@pytest.mark.parametrize("progress", [None, True, False, "resizing", print])
def test_what_progress_may_be(progress: Any) -> None:
    assert Options(progress=progress).progress is progress


def test_options_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Options().workers = 3  # type: ignore[misc]  # that is the point


def test_options_are_shown_as_they_were_given() -> None:
    assert repr(Options()) == "Options()"
    assert repr(Options(workers=3, errors="collect")) == "Options(workers=3, errors='collect')"
