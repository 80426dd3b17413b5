"""What is raised and what is told survives pickling, whole."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest

import allcores
from allcores._core import errors
from allcores._core.errors import (
    AllcoresError,
    ItemError,
    ItemTimeout,
    MemoryLimitExceeded,
    UnpicklableItem,
    WorkerDied,
)
from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._core.report import Report
from allcores._objects.outcomes import Failure, Results, WorkerIdentity, attach_finished

ERRORS = [getattr(errors, name) for name in errors.__all__]
PLAN = make_plan(
    Options(workers=3, batch=2, errors="collect"),
    Facts(cores=4, cores_bound="this test", can_fork=True, fork_hazard="2 threads", can_start_clean=True),
)
REPORT = Report(wall_seconds=1.5, workers=3, items=10, failed=1, item_seconds=3.0, plan=PLAN)
WORKER = WorkerIdentity(2, 4711, "host")


def travelled(thing: Any, protocol: int) -> Any:
    return pickle.loads(pickle.dumps(thing, protocol))


@pytest.fixture(params=range(2, pickle.HIGHEST_PROTOCOL + 1))
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.parametrize("error_type", ERRORS)
def test_every_exception_is_one_of_ours_and_says_what_happened(error_type: type[Exception]) -> None:
    assert issubclass(error_type, AllcoresError)
    assert str(error_type("worker 3 is gone")) == "worker 3 is gone"
    assert getattr(allcores, error_type.__name__) is error_type


@pytest.mark.parametrize("error_type", ERRORS)
def test_every_exception_survives_with_message_notes_and_attributes(error_type: type[Exception], protocol: int) -> None:
    error = error_type("worker 3 is gone")
    error.add_note("allcores: item 812 failed")
    copy = travelled(error, protocol)
    assert type(copy) is error_type
    assert (str(copy), copy.args, vars(copy)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize(
    "error",
    [
        WorkerDied("was killed", exit="SIGKILL", pid=4711, memory=3_000_000_000, is_out_of_memory=True),
        ItemTimeout("was killed", seconds=2.5),
        MemoryLimitExceeded("was killed", limit=1_000, used=1_001),
        ItemError("no such row", type_name="database.NoRow", remote_traceback="Traceback ..."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_an_exception_knows_survives(error: Exception, protocol: int) -> None:
    copy = travelled(error, protocol)
    assert vars(copy) == vars(error)
    assert all(vars(error).values())


@pytest.mark.parametrize("name", ["UnpicklableError", "UnpicklableItem", "UnpicklableResult"])
def test_what_cannot_be_pickled_is_a_pickling_error_too(name: str) -> None:
    assert issubclass(getattr(allcores, name), pickle.PicklingError)


def test_what_was_finished_stays_behind_when_the_exception_travels(protocol: int) -> None:
    error = ValueError("bad item")
    attach_finished(error, lambda: {0: "a result", 1: object()})
    copy = travelled(error, protocol)
    assert str(copy) == "bad item"
    assert allcores.finished(copy) == {}
    assert list(allcores.finished(error)) == [0, 1]


def test_an_exception_that_has_nothing_to_do_with_a_run_has_nothing_finished() -> None:
    assert allcores.finished(ValueError()) == {}


def test_a_failure_survives(protocol: int) -> None:
    failure = Failure(812, {"path": "a.png"}, UnpicklableItem("no such class"), "Traceback ...", WORKER)
    copy = travelled(failure, protocol)
    assert (copy.index, copy.item, copy.traceback, copy.worker) == (812, {"path": "a.png"}, "Traceback ...", WORKER)
    assert type(copy.exception) is UnpicklableItem
    assert repr(copy) == repr(failure)


def test_results_survive_as_what_they_are(protocol: int) -> None:
    failure = Failure(1, "x", ValueError("bad item"), "Traceback ...", WORKER)
    results = Results([0, failure])
    results.failures, results.report = [failure], REPORT
    copy = travelled(results, protocol)
    assert type(copy) is Results
    assert copy[0] == 0
    assert copy[1] is copy.failures[0], "the position and the list hold one and the same failure"
    assert repr(copy) == repr(results)
    assert copy.report == REPORT


@pytest.mark.parametrize("thing", [PLAN, REPORT, WORKER], ids=lambda thing: type(thing).__name__)
def test_plan_report_and_worker_survive(thing: object, protocol: int) -> None:
    copy = travelled(thing, protocol)
    assert copy == thing
    assert str(copy) == str(thing)


def test_a_failure_is_one_line_whatever_its_item_and_its_error_are() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    long = Failure(3, "x" * 1000, ValueError("line\n" * 1000), "", WORKER)
    assert len(repr(long)) < 250
    assert "\n" not in repr(long)
    assert repr(Failure(3, 4, ValueError(), "", WORKER)) == "<Failure of item 3 (4): ValueError>"
    assert repr(Failure(3, Rude(), ValueError(), "", WORKER)).startswith("<Failure of item 3 (<Rude ")


def test_a_worker_is_named_with_its_process_and_host() -> None:
    assert str(WORKER) == "worker 2 (pid 4711 on host)"
    assert str(WorkerIdentity(0, None, "host")) == "worker 0 (pid unknown on host)"


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_has_the_name_that_people_know(name: str) -> None:
    kind = getattr(allcores, name)
    assert f"{kind.__module__}.{kind.__qualname__}" == f"allcores.{name}"
    assert "".join(traceback.format_exception_only(kind("why"))) == f"allcores.{name}: why\n"
