"""`apply` of frames, series and groups on all cores, with pandas' own result.

By what a function returned, pandas decides whether the result is a series or a frame, of which types, and how it is
labelled. Nothing of that is done again here: the function is called in workers, and then pandas' own method is called
with one in its place that gives what came of the calls, one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from math import ceil
from typing import Any, Literal, Unpack

import numpy as np
import pandas as pd
from pandas.api.typing import DataFrameGroupBy, SeriesGroupBy

from allcores._core.options import OptionKeywords, Options
from allcores._core.plan import make_plan
from allcores._objects.entry import one_frame
from allcores._run.map import collect
from allcores._system.machine import find_facts

__all__ = ["Engine", "apply"]

PIECES_PER_WORKER = 16  # of a frame: small enough to end together, large enough that their number costs nothing

Function = Callable[..., Any]
Axis = Literal[0, 1, "index", "columns", "rows"]


def apply(
    data: Any,
    func: Function,
    /,
    *,
    axis: Axis = 0,
    raw: bool = False,
    result_type: Literal["expand", "reduce", "broadcast"] | None = None,
    args: tuple[Any, ...] = (),
    **options: Unpack[OptionKeywords],
) -> Any:
    """Give what ``data.apply(func)`` gives, with the calls of `func` on all cores.

    The rows or columns of a frame travel in pieces, of `batch` rows or columns; such a piece is an item of the run, to
    which `timeout`, `retries` and `memory` apply. Of a series each element is an item, and of a groupby each group, all
    of which are held in memory at once. An empty frame, and what is no Python function (``"sum"``, ``np.sqrt``, a
    list), is left to pandas, which needs no other process for it.

    Args:
        data: a `DataFrame`, a `Series`, or what ``groupby`` gives of one.
        func: takes a row, a column, an element or a group. It must not change it, nor anything else: that would happen
            in a worker.
        axis: of a frame: 1 for rows, 0 for columns.
        raw: of a frame: whether `func` takes arrays.
        result_type: of a frame: as in pandas.
        args: further arguments of `func`; for keywords use `functools.partial`.
        options: see `Options`; a failure raises, so ``errors="collect"`` is not among them.

    Raises:
        TypeError: `data` is something else.
        BaseException: what `func` raises.

    Example:
        >>> import allcores.pandas
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"x": [1, 2], "y": [3, 4]})
        >>> allcores.pandas.apply(frame, lambda row: row.x * row.y, axis=1, workers=2).tolist()
        [3, 8]
    """
    with one_frame:
        return _apply(data, func, {"axis": axis, "args": args}, {"raw": raw, "result_type": result_type}, options)


def _apply(data: Any, func: Function, how: dict[str, Any], kind: dict[str, Any], options: OptionKeywords) -> Any:
    if options.get("errors", "raise") != "raise":
        raise TypeError("errors='collect' makes no sense here: the result is pandas', which knows no failures")
    args = how["args"]
    if isinstance(data, pd.DataFrame):
        return _apply_to_frame(data, func, how, kind, options)
    if isinstance(data, pd.Series):
        return _apply_to_elements(partial(data.apply, args=args), func, args, options)
    if isinstance(data, DataFrameGroupBy | SeriesGroupBy):
        return _apply_to_groups(data, func, args, options)
    raise TypeError(f"{type(data).__name__} is not supported; allowed: a DataFrame, a Series, a groupby of one")


class Engine:
    """An engine for pandas 3: ``frame.apply(func, axis=1, engine=Engine())``, ``series.map(func, engine=Engine())``.

    Args:
        options: as of `apply`.

    Example:
        >>> import allcores.pandas
        >>> import pandas as pd
        >>> series = pd.Series([1.0, None, 2.0])
        >>> series.map(lambda x: x + 1, na_action="ignore", engine=allcores.pandas.Engine(workers=2)).tolist()
        [2.0, nan, 3.0]
    """

    def __init__(self, **options: Unpack[OptionKeywords]) -> None:
        self._options = options

    @property
    def __pandas_udf__(self) -> Engine:
        """Where pandas looks for the two methods."""
        return self

    def apply(
        self,
        *,
        data: Any,
        func: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        decorator: object,
        axis: Axis,
    ) -> Any:
        """Call the function on each row or column; pandas calls this, with an array for ``raw=True``."""
        is_raw = isinstance(data, np.ndarray)
        with one_frame:
            how, kind = {"axis": axis, "args": args}, {"raw": is_raw, "result_type": None}
            result = _apply(pd.DataFrame(data) if is_raw else data, partial(func, **kwargs), how, kind, self._options)
        return result.to_numpy() if is_raw else result

    def map(
        self,
        *,
        data: Any,
        func: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        decorator: object,
        skip_na: bool,
    ) -> Any:
        """Call the function on each element; pandas calls this."""
        method = partial(data.map, na_action="ignore" if skip_na else None)
        with one_frame:
            return _apply_to_elements(method, partial(func, *args, **kwargs), (), self._options)


def _apply_to_frame(
    frame: pd.DataFrame, func: Function, how: dict[str, Any], kind: dict[str, Any], options: OptionKeywords
) -> Any:
    if not _is_called(func) or not all(frame.shape):
        return frame.apply(func, **how, **kind)
    has_rows = how["axis"] in (1, "columns")
    if kind["raw"]:
        lines = frame.to_numpy() if has_rows else frame.to_numpy().T
        values: Iterable[Any] = _run(partial(_call, func, how["args"]), lines, options)
    else:
        checked = Options.from_keywords(dict(options))
        workers = make_plan(checked, find_facts(checked)).workers
        size = options.get("batch") or ceil(frame.shape[not has_rows] / PIECES_PER_WORKER / workers)
        pieces = _cut(frame, size, has_rows=has_rows)
        values = chain.from_iterable(_run(partial(_call_on_piece, func, how), pieces, options | {"batch": 1}))
    return _replay(partial(frame.apply, **how, **kind), values)


def _cut(frame: pd.DataFrame, size: int, *, has_rows: bool) -> Iterator[pd.DataFrame]:
    for start in range(0, frame.shape[not has_rows], size):
        yield frame.iloc[start : start + size] if has_rows else frame.iloc[:, start : start + size]


def _call_on_piece(func: Function, how: dict[str, Any], *state_and_piece: Any) -> list[Any]:
    """Give what comes of each row or column of a piece, as pandas itself makes them of it."""
    *state, piece = state_and_piece
    values = []

    def call(part: pd.Series, *args: Any) -> None:
        value = func(*state, part, *args)
        values.append(value.copy(deep=False) if isinstance(value, pd.Series) else value)  # pandas may reuse `part`

    piece.apply(call, **how)
    return values


def _apply_to_elements(method: Function, func: Function, args: tuple[Any, ...], options: OptionKeywords) -> Any:
    if not _is_called(func):
        return method(func)
    elements: list[Any] = []
    method(lambda element, *_: elements.append(element))
    return _replay(method, _run(partial(_call, func, args), elements, options))


def _apply_to_groups(groups: Any, func: Function, args: tuple[Any, ...], options: OptionKeywords) -> Any:
    if not _is_called(func):
        return groups.apply(func, *args)
    parts: list[Any] = []
    groups.apply(lambda group: parts.append((group.name, group)))
    return _replay(groups.apply, _run(partial(_call_on_group, func, args), parts, options))


def _run(function: Function, items: Iterable[Any], options: OptionKeywords) -> list[Any]:
    return collect(function, (items,), dict(options), is_star=False)


def _call(func: Function, args: tuple[Any, ...], *state_and_item: Any) -> Any:
    return func(*state_and_item, *args)


def _call_on_group(func: Function, args: tuple[Any, ...], *state_and_named: Any) -> Any:
    *state, (name, group) = state_and_named
    object.__setattr__(group, "name", name)  # as pandas does; it does not travel
    return func(*state, group, *args)


def _is_called(func: object) -> bool:
    """Whether pandas calls it for each part."""
    return callable(func) and not isinstance(func, np.ufunc)


def _replay(method: Function, values: Iterable[Any]) -> Any:
    """Have pandas make its result of the values, one for each call."""
    left = iter(values)
    return method(lambda *_: next(left))
