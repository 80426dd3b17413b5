"""What comes of items and of runs reads well, and results stay a list."""

from __future__ import annotations

import copy
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


def divided() -> Results[Any]:
    return allcores.map(lambda x: 1 // x, [1, 0, 2, 0, 4], errors="collect", on="serial")


def test_a_slice_has_the_failures_that_are_in_it_and_the_report():
    results = divided()
    part = results[2:]
    assert isinstance(part, Results)
    assert part == list(results)[2:]
    assert [failure.index for failure in part.failures] == [3]
    assert part.report is results.report
    assert str(part) == "2 of 3 finished, 1 failed: 1 ZeroDivisionError"
    assert part.successes == [0, 0]
    assert (results[:1].failures, str(results[:1])) == ([], "[1]")
    assert [failure.index for failure in results[::-1].failures] == [1, 3]
    assert results[1] is results.failures[0]
    assert results[-1] == 0
    with pytest.raises(IndexError):
        results[5]
    with pytest.raises(TypeError):
        results["a"]


def test_copies_and_pickles_have_failures_and_report():
    results = divided()
    for other in (results.copy(), copy.copy(results), pickle.loads(pickle.dumps(results))):
        assert isinstance(other, Results)
        assert [failure.index for failure in other.failures] == [1, 3]
        assert other.report == results.report
        assert other.successes == [1, 0, 0]
    assert results.copy() is not results


def test_results_that_are_made_by_hand_can_be_sliced():
    assert Results([1, 2, 3])[1:] == [2, 3]


def test_a_notebook_shows_what_failed():
    results = divided()
    shown = results._repr_html_()
    assert shown.startswith("<p>3 of 5 finished, 2 failed: 2 ZeroDivisionError</p><table>")
    assert shown.count("<tr>") == 2
    assert results[:1]._repr_html_() is None
    many = allcores.map(int, ["<x>"] * 30, errors="collect", on="serial")._repr_html_()
    assert many.count("<tr>") == 20
    assert many.endswith("<p>and 10 more</p>")
    assert "&lt;x&gt;" in many
    failure = results.failures[0]._repr_html_()
    assert "item 1 (0)" in failure
    assert "<details><summary>traceback</summary><pre>Traceback" in failure
    assert "ZeroDivisionError" in failure
