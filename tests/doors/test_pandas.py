"""`allcores.pandas.apply` gives what pandas gives, whatever the function returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import allcores

pytestmark = pytest.mark.once
pd = pytest.importorskip("pandas", minversion="2.2", reason="pandas is not installed")

apply = pytest.importorskip("allcores.pandas").apply
Function = Callable[[Any], Any]

OPTIONS = {"workers": 2}


@pytest.fixture
def frame() -> Any:
    """Columns of several types, labelled by dates."""
    rng = np.random.default_rng(0)
    columns = {"a": rng.integers(0, 5, 40), "b": rng.random(40), "c": list("wxyz") * 10}
    return pd.DataFrame(columns, index=pd.date_range("2020", periods=40))


def assert_same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    check = pd.testing.assert_frame_equal if isinstance(ours, pd.DataFrame) else pd.testing.assert_series_equal
    check(ours, theirs)


ROW_FUNCTIONS: dict[str, Function] = {
    "a number": lambda row: row.a * 2,
    "the row": lambda row: row,
    "a list": lambda row: [row.a, row.b],
    "a series": lambda row: pd.Series({"sum": row.a + row.b, "label": str(row.name)}),
    "nothing": lambda row: None,
    "the label": lambda row: row.name,
}


@pytest.mark.parametrize("result_type", [None, "expand", "reduce"])
@pytest.mark.parametrize("columns", [["a", "b", "c"], ["a", "b"]])
@pytest.mark.parametrize("returned", ROW_FUNCTIONS)
def test_rows(returned: str, columns: list[str], result_type: str | None, frame: Any):
    func = ROW_FUNCTIONS[returned]
    ours = apply(frame[columns], func, axis=1, result_type=result_type, **OPTIONS)
    assert_same(ours, frame[columns].apply(func, axis=1, result_type=result_type))


@pytest.mark.parametrize("batch", [None, 1, 2, 7])
def test_columns(batch: int | None, frame: Any):
    for func in (lambda column: column.max(), lambda column: column.sort_values().reset_index(drop=True)):
        assert_same(apply(frame, func, batch=batch, **OPTIONS), frame.apply(func))


@pytest.mark.parametrize("axis", [0, 1, "index", "columns"])
def test_arrays(axis: int | str, frame: Any):
    numbers = frame[["a", "b"]]
    for func in (np.sum, lambda array: array * 2):
        assert_same(apply(numbers, func, axis=axis, raw=True, **OPTIONS), numbers.apply(func, axis=axis, raw=True))


def test_further_arguments(frame: Any):
    def scaled(part: Any, factor: float) -> Any:
        return part.b * factor

    assert_same(apply(frame, scaled, axis=1, args=(3,), **OPTIONS), frame.apply(scaled, axis=1, args=(3,)))
    groups = frame.groupby("c")
    assert_same(apply(groups, scaled, args=(3,), **OPTIONS), groups.apply(scaled, 3))
    assert_same(apply(frame.b, pow, args=(2,), **OPTIONS), frame.b.apply(pow, args=(2,)))


def test_what_pandas_does_without_calling_anything(frame: Any):
    numbers = frame[["a", "b"]]
    assert_same(apply(numbers, "sum"), numbers.apply("sum"))
    assert_same(apply(numbers, np.sqrt), numbers.apply(np.sqrt))
    assert_same(apply(numbers.b, np.sqrt), numbers.b.apply(np.sqrt))
    assert_same(apply(numbers.groupby("a"), "sum"), numbers.groupby("a").apply("sum"))
    assert_same(
        apply(frame.iloc[:0], lambda row: row.a, axis=1, **OPTIONS), frame.iloc[:0].apply(lambda row: row.a, axis=1)
    )


SERIES = {
    "whole numbers": pd.Series([3, 1, 2]),
    "categories": pd.Series(list("aabca"), dtype="category"),
    "texts": pd.Series(["a", None, "b"], dtype="string"),
    "gaps": pd.Series([1.0, None]),
    "none": pd.Series([], dtype=float),
}


@pytest.mark.parametrize("kind", SERIES)
def test_elements(kind: str):
    series = SERIES[kind]
    for func in (lambda x: f"{x}!", lambda x: (x, x)):
        assert_same(apply(series, func, **OPTIONS), series.apply(func))


def test_elements_that_become_rows():
    def powers(x: int) -> Any:
        return pd.Series([x, x * x], index=["x", "square"])

    assert_same(apply(SERIES["whole numbers"], powers, **OPTIONS), SERIES["whole numbers"].apply(powers))


GROUP_FUNCTIONS: dict[str, Function] = {
    "a number": lambda group: group.b.sum(),
    "the group": lambda group: group,
    "its beginning": lambda group: group.head(2),
    "a series": lambda group: pd.Series({"size": len(group), "label": str(group.name)}),
    "the label": lambda group: str(group.name),
    "nothing": lambda group: None,
}


@pytest.mark.parametrize("by", ["c", ["c", "a"]])
@pytest.mark.parametrize("keys", [{"group_keys": True}, {"group_keys": False}])
@pytest.mark.parametrize("returned", GROUP_FUNCTIONS)
def test_groups(returned: str, keys: dict[str, bool], by: str | list[str], frame: Any):
    func, groups = GROUP_FUNCTIONS[returned], frame.groupby(by, **keys)
    assert_same(apply(groups, func, **OPTIONS), groups.apply(func))


def test_groups_of_a_series(frame: Any):
    groups = frame.groupby("c").b
    for func in (lambda group: group.max(), lambda group: str(group.name)):
        assert_same(apply(groups, func, **OPTIONS), groups.apply(func))


def test_an_engine_for_pandas_own_methods(frame: Any):
    if int(pd.__version__.partition(".")[0]) < 3:
        pytest.skip("pandas takes engines from version 3 on")
    engine = allcores.pandas.Engine(**OPTIONS)
    for func in (lambda row: row.a * 2, lambda row: row, lambda row: pd.Series({"sum": row.a + row.b})):
        assert_same(frame.apply(func, axis=1, engine=engine), frame.apply(func, axis=1))
    numbers = frame[["a", "b"]]
    for raw in (lambda array, factor: array * factor, lambda array, factor: array.sum() * factor):
        ours = numbers.apply(raw, axis=1, raw=True, factor=3, engine=engine)
        assert_same(ours, numbers.apply(raw, axis=1, raw=True, factor=3))
    for na_action in (None, "ignore"):
        ours = SERIES["gaps"].map(str, na_action=na_action, engine=engine)
        assert_same(ours, SERIES["gaps"].map(str, na_action=na_action))


def test_it_runs_in_workers(frame: Any):
    import os

    for data in (frame, frame.b, frame.groupby("c")):
        assert os.getpid() not in set(apply(data, lambda part: os.getpid(), **OPTIONS))


def test_a_failure_is_raised(frame: Any):
    for data in (frame, frame.b, frame.groupby("c")):
        with pytest.raises(ZeroDivisionError):
            apply(data, lambda part: 1 / 0, **OPTIONS)


def test_what_makes_no_sense_is_refused(frame: Any):
    with pytest.raises(TypeError, match="ndarray is not supported; allowed: a DataFrame"):
        apply(np.zeros(3), abs)
    with pytest.raises(TypeError, match="errors='collect' makes no sense here"):
        apply(frame, len, errors="collect")
