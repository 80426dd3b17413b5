"""Arguments of a pool, by the names that `multiprocessing.Pool` has for them."""

from __future__ import annotations

import operator
from typing import Any

from allcores._core.options import Options
from allcores._doors.arguments import Context, refuse_options_for_runs, take_over

__all__ = ["check_count", "check_options"]


def check_options(options: dict[str, Any], processes: int | None, limit: object, context: Context | None) -> Options:
    """Give the options of a pool that was made with these arguments, some by the original's names.

    Raises:
        TypeError, ValueError: one makes no sense, or one contradicts another.
    """
    if processes is not None and processes < 1:
        raise ValueError(f"processes={processes!r} makes no sense; allowed: 1, 2, 3, … or None for all usable cores")
    if limit is not None and not (isinstance(limit, int) and limit > 0):
        raise ValueError(f"maxtasksperchild={limit!r} makes no sense; allowed: 1, 2, 3, … or None")
    refuse_options_for_runs(options)
    take_over(options, "workers", "processes", processes)
    take_over(options, "recycle", "maxtasksperchild", limit)
    take_over(options, "start", "the start method of context", None if context is None else context.get_start_method())
    return Options.from_keywords(options)


def check_count(name: str, value: int) -> int:
    """Give a whole number of at least 1.

    Raises:
        TypeError, ValueError: it is none.
    """
    count = operator.index(value)
    if count < 1:
        raise ValueError(f"{name}={value!r} makes no sense; allowed: 1, 2, 3, … or None for the default")
    return count
