"""Settings of the interpreter and of the standard library, but for the filters of warnings."""

from __future__ import annotations

import _locale  # the module that everybody knows takes a moment to import
import gc
import os
import sys
import time
from operator import is_

from allcores._hints import Any
from allcores._settings.setting import UNKNOWN, Setting, attribute, remembering

__all__ = ["ROWS"]

# Where Python is older or newer, the thresholds travel whatever they are.
THRESHOLDS = {(3, 11): (700, 10, 10), (3, 12): (700, 10, 10), (3, 13): (2000, 10, 10)}

# ----------------------------------------------------------------------------------------------------------- decimal

# Precision, rounding, the least and the greatest exponent, capitals, clamp and the names of the traps; twice: of here,
# and of threads to come.
_PLAIN = (28, "ROUND_HALF_EVEN", -999999, 999999, 1, 0, ("InvalidOperation", "DivisionByZero", "Overflow"))
_FLAGS = 6  # where among these a context has what has happened so far, which is no setting


def _look_at_decimal() -> Any:
    decimal = sys.modules["decimal"]
    here, to_come = decimal.getcontext().__reduce__()[1], decimal.DefaultContext.__reduce__()[1]
    return here[:_FLAGS], here[_FLAGS + 1], to_come[:_FLAGS], to_come[_FLAGS + 1]


def _describe_decimal(seen: Any) -> Any:
    here, traps_here, to_come, traps_to_come = seen
    return (*here, _names(traps_here)), (*to_come, _names(traps_to_come))


def _names(traps: Any) -> tuple[str, ...]:
    return tuple(trap.__name__ for trap in traps)


_read_decimal = remembering(_look_at_decimal, _describe_decimal)


def _write_decimal(value: Any) -> None:
    decimal = sys.modules["decimal"]
    (here, to_come), now = value, _read_decimal()
    if here != now[0]:
        decimal.setcontext(_make_context(decimal, here))
    if to_come != now[1]:
        made = _make_context(decimal, to_come)
        for name in ("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "traps"):
            setattr(decimal.DefaultContext, name, getattr(made, name))


def _make_context(decimal: Any, value: Any) -> Any:
    *numbers, traps = value
    return decimal.Context(*numbers, [], [getattr(decimal, name) for name in traps])


# ----------------------------------------------------------------------------------------------------------- logging

_ROOT = ""  # the name by which the root logger is called here
_UNTOUCHED = "allcores: no level has been set since"


def _levels() -> Any:
    """Give all levels that are set, unless none has been since this was asked last.

    Whoever sets a level has every logger forget which levels are enabled; so what we leave in the root's memory of that
    is gone. To ask hundreds of loggers takes longer than all other settings together.
    """
    root = sys.modules["logging"].root
    memory = getattr(root, "_cache", None)
    if memory is None:
        return _ask_loggers(root)
    seen = memory.get(_UNTOUCHED)
    if seen is None:
        seen = memory[_UNTOUCHED] = _ask_loggers(root)
    return seen


def _ask_loggers(root: Any) -> Any:
    loggers = list(root.manager.loggerDict.items())
    levels = {name: level for name, logger in loggers if (level := getattr(logger, "level", 0))}
    return root.manager.disable, {_ROOT: root.level} | levels


def _write_levels(value: Any) -> None:
    logging = sys.modules["logging"]
    disabled, levels = value
    before_disabled, before = _ask_loggers(logging.root)
    if disabled != before_disabled:
        logging.disable(disabled)
    for name in before.keys() - levels.keys():
        logging.getLogger(name).setLevel(logging.NOTSET)
    for name, level in levels.items():
        if before.get(name) != level:
            logging.getLogger(name or None).setLevel(level)


# -------------------------------------------------------------------------------------------------- time and place


def _describe_zone(names: Any) -> Any:
    return os.environ.get("TZ"), names, time.timezone, time.altzone, time.daylight


# `tzset` makes a new tuple each time, and whoever sets TZ without calling it changes nothing.
_read_zone = remembering(lambda: time.tzname, _describe_zone, is_same=is_)


def _write_zone(value: Any) -> None:
    """Have the time zone that was in force there, which is not what TZ says if it was set and nobody called `tzset`."""
    if not hasattr(time, "tzset"):
        return
    wanted, now = value[0], os.environ.get("TZ")
    for candidate in dict.fromkeys((wanted, now, None)):
        _set_zone(candidate)
        if _read_zone()[1:] == value[1:]:
            break
    else:
        _set_zone(wanted)
    _name_zone(now)


def _set_zone(name: str | None) -> None:
    _name_zone(name)
    time.tzset()


def _name_zone(name: str | None) -> None:
    if name is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = name


def _read_locale() -> Any:
    return _locale.setlocale(_locale.LC_ALL)


def _write_locale(value: Any) -> None:
    _locale.setlocale(_locale.LC_ALL, value)


def _is_of_a_place(value: Any) -> bool:
    """Whether more than the letters' encoding is of a language."""
    parts = value.split(";")
    names = {part.partition("=")[2] or part for part in parts if not part.startswith("LC_CTYPE=")}
    return not names <= {"C"}


# ------------------------------------------------------------------------------------------------------------- others


def _write_field_limit(value: Any) -> None:
    sys.modules["_csv"].field_size_limit(value)


def _read_field_limit() -> Any:
    return sys.modules["_csv"].field_size_limit()


def _set_collecting(value: Any) -> None:
    (gc.enable if value else gc.disable)()


def _read_timeout() -> Any:
    return sys.modules["_socket"].getdefaulttimeout()


def _write_timeout(value: Any) -> None:
    sys.modules["_socket"].setdefaulttimeout(value)


def _read_first_day() -> Any:
    return int(sys.modules["calendar"].firstweekday())


def _write_first_day(value: Any) -> None:
    sys.modules["calendar"].setfirstweekday(value)


def _read_start_method() -> Any:
    return sys.modules["multiprocessing"].get_start_method(allow_none=True)


def _write_start_method(value: Any) -> None:
    if _read_start_method() != value:
        sys.modules["multiprocessing"].set_start_method(value, force=True)


ROWS = (
    Setting("recursion limit", "sys", sys.getrecursionlimit, sys.setrecursionlimit, 1000, is_early=True),
    Setting(
        "digits of integers in texts",
        "sys",
        sys.get_int_max_str_digits,
        sys.set_int_max_str_digits,
        sys.int_info.default_max_str_digits,
        is_early=True,
    ),
    attribute(
        "no bytecode is written", "sys", "dont_write_bytecode", bool(sys.flags.dont_write_bytecode), is_early=True
    ),
    attribute("folder of bytecode", "sys", "pycache_prefix", is_early=True),
    attribute("traceback limit", "sys", "tracebacklimit"),
    Setting("switch interval", "sys", sys.getswitchinterval, sys.setswitchinterval, 0.005),
    Setting(
        "thresholds of garbage collection",
        "gc",
        gc.get_threshold,
        lambda value: gc.set_threshold(*value),
        THRESHOLDS.get(sys.version_info[:2], UNKNOWN),
        describe=lambda value: value != THRESHOLDS.get(sys.version_info[:2], value),
    ),
    Setting("garbage collection is on", "gc", gc.isenabled, _set_collecting, default=True),
    Setting("time zone", "time", _read_zone, _write_zone, describe=lambda value: value[0] is not None),
    Setting("locale", "locale", _read_locale, _write_locale, describe=_is_of_a_place),
    Setting("decimal context", "decimal", _read_decimal, _write_decimal, (_PLAIN, _PLAIN), is_of_context=True),
    Setting("logging levels", "logging", _levels, _write_levels, (0, {"": 30})),
    Setting("field limit of csv", "_csv", _read_field_limit, _write_field_limit, 131072),
    Setting("default timeout of sockets", "_socket", _read_timeout, _write_timeout, None),
    Setting("first day of the week", "calendar", _read_first_day, _write_first_day, 0),
    attribute("folder of temporary files", "tempfile", "tempdir"),
    Setting("start method of multiprocessing", "multiprocessing", _read_start_method, _write_start_method, None),
)
