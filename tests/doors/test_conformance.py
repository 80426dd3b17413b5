"""Every engine goes through the same suite; what it cannot keep is known by name, and stands in the documentation."""

from __future__ import annotations

import re
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from allcores.testing import PROMISES, Promise

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"
OF_THREADS = {"deaths", "tries after deaths", "timeout", "recycle"}
NOT_KEPT = {
    "fork": set[str](),
    "forkserver": set[str](),
    "spawn": set[str](),
    "threads": OF_THREADS,
    "serial": OF_THREADS,
    "executor": {"timeout", "recycle", "finalizer"},
    "executor of threads": {*OF_THREADS, "finalizer"},
    # tests/engines has these tried, on clusters that it starts
    "dask": {"timeout", "recycle", "finalizer"},
    "ray": {"timeout", "recycle", "finalizer"},
    "mpi": {"timeout", "recycle", "finalizer", "deaths", "tries after deaths"},
}


@pytest.mark.parametrize("promise", PROMISES, ids=str)
def test_each_engine_keeps_its_promises_or_says_that_it_does_not(
    promise: Promise, place: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["place"]
    verdict = promise.verdict(workers=2, **place)
    assert (verdict != "kept") == (promise.name in NOT_KEPT[name]), verdict
    assert verdict.startswith(("kept", "refused: ", "not kept: items run in the caller's process"))


def test_the_table_of_the_documentation_is_what_the_suite_finds() -> None:
    homes = {"processes": "fork", "threads": "threads", "serial": "serial", "an executor": "executor"}
    columns = {**homes, "Dask": "dask", "Ray": "ray", "MPI": "mpi"}
    rows = {
        cells[0]: cells[2:]
        for line in PAGE.read_text().splitlines()
        if (cells := re.findall(r"(?<=\| )(.*?)(?= \|)", line)) and len(cells) == 2 + len(columns)
    }
    assert rows.pop("promise") == list(columns)
    rows.pop("---")
    assert list(rows) == [promise.name for promise in PROMISES]
    for name, cells in rows.items():
        assert cells == ["no" if name in NOT_KEPT[column] else "kept" for column in columns.values()], name


class Careless(Executor):
    """Loses the last result of every batch, and shows it as another's: what a suite must find."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        reply = fn(*args, **kwargs)
        for part in getattr(reply, "parts", []):
            part.values[:] = [*part.values[1:], *part.values[:1]]
        future.set_result(reply)
        return future


def test_the_suite_finds_an_engine_that_mixes_up_results() -> None:
    order = next(promise for promise in PROMISES if promise.name == "order")
    with pytest.raises(AssertionError, match="not in the items' order"):
        order.verdict(on=Careless(), batch=10)


def test_an_error_that_has_nothing_to_do_with_the_promise_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(ValueError, match="workers=0"):
        PROMISES[0].verdict(workers=0)
