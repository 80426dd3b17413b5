"""Settings of the interpreter and of the standard library, but for the filters of warnings."""

from __future__ import annotations

import _locale  # the module that everybody knows takes a moment to import
import gc
import os
import sys
import time
from functools import partial

from allcores._core.hints import Any
from allcores._settings.setting import UNKNOWN, Reader, Setting, attribute

__all__ = ["ROWS"]

# Where Python is older or newer, the thresholds travel whatever they are.
THRESHOLDS = {(3, 11): (700, 10, 10), (3, 12): (700, 10, 10), (3, 13): (2000, 10, 10)}

# ----------------------------------------------------------------------------------------------------------- decimal

# Precision, rounding, the least and the greatest exponent, capitals, clamp and the names of the traps; twice: of here,
# and of threads to come.
_PLAIN = (28, "ROUND_HALF_EVEN", -999999, 999999, 1, 0, ("InvalidOperation", "DivisionByZero", "Overflow"))


def _glance_at_decimal() -> Reader:
    decimal = sys.modules["decimal"]
    give_context, give_model = decimal.getcontext, decimal.DefaultContext.__reduce__
    return lambda: (give_context().__reduce__(), give_model())


def _read_decimal() -> Any:
    decimal = sys.modules["decimal"]
    return _describe_context(decimal.getcontext()), _describe_context(decimal.DefaultContext)


def _describe_context(context: Any) -> Any:
    """Give what stands in a context but for its flags, which are no settings: they tell what has happened."""
    *numbers, _, traps = context.__reduce__()[1]
    return *numbers, _names(traps)


def _names(traps: Any) -> tuple[str, ...]:
    return tuple(trap.__name__ for trap in traps)


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
_UNTOUCHED = "allcores: no level has been set since then"


def _glance_at_levels() -> Reader:
    """Look whether a level has been set since this was asked last.

    Whoever sets a level has every logger forget which levels are enabled; so what we leave in the root's memory of that
    is gone. To ask hundreds of loggers takes longer than all other settings together.
    """
    memory = getattr(sys.modules["logging"].root, "_cache", None)
    if memory is None:
        return _read_levels

    def look() -> Any:
        seen = memory.get(_UNTOUCHED)
        if seen is None:
            seen = memory[_UNTOUCHED] = object()
        return seen

    return look


def _read_levels() -> Any:
    return _ask_loggers(sys.modules["logging"].root)


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


_zone: tuple[Any, str | None] = (None, None)  # what `tzset` has made of TZ, and what that was


def _read_zone() -> Any:
    global _zone  # noqa: PLW0603 - of the whole process
    if time.tzname is not _zone[0]:  # it makes a new tuple each time; who sets TZ without calling it changes nothing
        _zone = time.tzname, os.environ.get("TZ")
    return _zone[1], time.tzname, time.timezone, time.altzone, time.daylight


def _look_at_zone() -> int:
    return id(time.tzname)  # of an object that `_zone` holds, so that no other has it


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


def _write_locale(value: Any) -> None:
    _locale.setlocale(_locale.LC_ALL, value)


def _is_of_a_place(value: Any) -> bool:
    """Whether more than the letters' encoding is of a language."""
    parts = value.split(";")
    names = {part.partition("=")[2] or part for part in parts if not part.startswith("LC_CTYPE=")}
    return not names <= {"C"}


# ------------------------------------------------------------------------------------------------------------- others


def _read_field_limit() -> Any:
    return sys.modules["_csv"].field_size_limit()


def _write_field_limit(value: Any) -> None:
    sys.modules["_csv"].field_size_limit(value)


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
    Setting(
        "time zone",
        "time",
        _read_zone,
        _write_zone,
        glance=lambda: _look_at_zone,
        describe=lambda value: value[0] is not None,
    ),
    Setting("locale", "locale", partial(_locale.setlocale, _locale.LC_ALL), _write_locale, describe=_is_of_a_place),
    Setting(
        "decimal context",
        "decimal",
        _read_decimal,
        _write_decimal,
        (_PLAIN, _PLAIN),
        _glance_at_decimal,
        is_of_context=True,
    ),
    Setting("logging levels", "logging", _read_levels, _write_levels, (0, {"": 30}), _glance_at_levels),
    Setting(
        "field limit of csv",
        "_csv",
        _read_field_limit,
        _write_field_limit,
        131072,
        lambda: sys.modules["_csv"].field_size_limit,
    ),
    Setting(
        "default timeout of sockets",
        "_socket",
        _read_timeout,
        _write_timeout,
        None,
        lambda: sys.modules["_socket"].getdefaulttimeout,
    ),
    Setting("first day of the week", "calendar", _read_first_day, _write_first_day, 0),
    attribute("folder of temporary files", "tempfile", "tempdir"),
    Setting("start method of multiprocessing", "multiprocessing", _read_start_method, _write_start_method, None),
)
