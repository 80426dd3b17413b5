"""What comes of items and of runs reads well, and results stay a list."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import allcores
from allcores._objects.outcomes import Failure, Results, WorkerIdentity

WORKER = WorkerIdentity(0, 4711, "here")


def failure(error: BaseException, index: int = 3, item: Any = "x") -> Failure:
    return Failure(index, item, error, "", WORKER)


def collected() -> Results[Any]:
    return allcores.map(lambda x: 6 // x, [1, 0, 2, "x"], errors="collect", on="serial")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError(), "ValueError"),
        (ValueError("no such file: 'a'"), "ValueError: no such file: 'a'"),
        (ValueError("first\n   second"), "ValueError: first second"),
        (ValueError("a" * 300), f"ValueError: {'a' * 97}..."),
        (allcores.WorkerDied("w" * 300, exit="SIGSEGV", pid=3), "WorkerDied: SIGSEGV"),
        (allcores.WorkerDied("w" * 300, exit="exit code 3"), "WorkerDied: exit code 3"),
        (allcores.WorkerDied("nobody knows how"), "WorkerDied: nobody knows how"),
    ],
)
def test_a_failure_says_which_item_it_was_and_what_happened(error, told):
    assert repr(failure(error)) == f"<Failure of item 3 ('x'): {told}>"


def test_results_without_failures_are_printed_as_the_list_they_are():
    results = allcores.map(abs, [-1, 2], on="serial")
    assert (str(results), repr(results), f"{results}") == ("[1, 2]", "[1, 2]", "[1, 2]")
    assert str(Results([1])) == "[1]"


def test_results_with_failures_are_printed_as_how_many_of_what_kind():
    results = allcores.map(lambda x: 6 // x, [1, 0, 2, "x", 0], errors="collect", on="serial")
    assert str(results) == "2 of 5 finished, 3 failed: 2 ZeroDivisionError, 1 TypeError"
    assert repr(results) == repr(list(results))
    assert results.report.failures == (("ZeroDivisionError", 2), ("TypeError", 1))


def test_successes_are_the_values_of_what_did_not_fail():
    assert collected().successes == [6, 3]
    assert pickle.loads(pickle.dumps(collected())).successes == [6, 3]
    assert allcores.map(abs, [-1, 2], on="serial").successes == [1, 2]


def test_a_failure_that_a_function_returns_is_a_value():
    other = failure(ValueError())
    results = allcores.map(lambda x: other if x else 1 // x, [1, 0], errors="collect", on="serial")
    assert results.successes == [other]
