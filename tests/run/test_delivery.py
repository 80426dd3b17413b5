"""Delivery, and the failures it hands on: each outcome goes where it belongs, and what is held up is left out."""

from __future__ import annotations

from typing import Any

from allcores._core.errors import WorkerDied, WorkersUnavailable
from allcores._core.messages import AbortReason, BatchFinished, Moment, WorkerDown
from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._core.timeline import Timeline
from allcores._engines.engine import Arrival
from allcores._input.dataset import make_dataset
from allcores._objects.outcomes import Failure, Raised, finished
from allcores._run.delivery import Delivery
from allcores._run.excuses import Excuses
from allcores._run.failures import Failures
from allcores._run.sinks import ListSink
from allcores.testing import FakeEngine

ENGINE = FakeEngine()
FACTS = Facts(cores=1, cores_bound="the test", can_fork=True, fork_hazard=None, can_start_clean=True)


class Bench:
    """A delivery of six items, with all that it stands on."""

    def __init__(self, **options: Any) -> None:
        plan = make_plan(Options(**{"on": "threads", **options}), FACTS)
        dataset = make_dataset(("abcdef",))
        self.sink = ListSink()
        self.tries = Excuses(plan.retries, ())
        self.failures = Failures(plan, dataset, None, None, self.tries)
        self.delivery = Delivery(
            dataset, self.sink, self.failures, self.tries, origin=None, recorder=None, timeline=Timeline(0.0)
        )

    def deliver(self, values: list[Any], raised: dict[int, Exception], retried: set[int]) -> None:
        """Have items from the third on come back, in three seconds."""
        event = BatchFinished(0, 1, 2 + len(values), 3.0)
        errors = {index: Raised(error, "the traceback") for index, error in raised.items()}
        self.delivery.deliver(event, Arrival(event, 2, values, errors), retried, ENGINE, 1.0)


def test_a_collected_failure_takes_the_place_of_a_value_and_a_retried_item_s_stays_free() -> None:
    bench = Bench(errors="collect")
    bench.deliver(["C", None, None, "F"], {3: ValueError("D"), 4: ValueError("E")}, retried={4})
    (failure,) = bench.failures.made
    assert bench.sink.finished() == {2: "C", 3: failure, 5: "F"}
    assert (failure.index, failure.item, str(failure.exception)) == (3, "d", "D")
    assert bench.failures.error is None
    assert bench.delivery.item_seconds == 3.0


def test_the_first_failure_ends_a_run_that_raises() -> None:
    bench, first = Bench(errors="raise"), ValueError("C")
    bench.deliver([None, None, "E"], {2: first, 3: ValueError("D")}, retried=set())
    assert bench.failures.error is first
    assert bench.sink.finished() == {4: "E"}
    assert first.__notes__ == ["allcores: item 2 ('c') failed on worker 0 (pid unknown on nowhere)"]
    bench.delivery.attach_finished(first)
    assert finished(first) == {4: "E"}


def test_a_worker_s_death_is_told_with_the_item_and_the_try() -> None:
    bench = Bench(errors="collect", retries=1)
    bench.tries.repeat([1])
    event = WorkerDown(7, Moment.RUNNING, 1, 2)
    bench.delivery.fail(1, Arrival(event, cause=WorkerDied("was killed")), ENGINE)
    failure = bench.sink.finished()[1]
    assert isinstance(failure, Failure)
    assert failure.tries == 2
    told = "worker 7 (pid unknown on nowhere) was killed while it ran item 1 ('b'), try 2 of 2"
    assert str(failure.exception) == told


def test_what_arrives_late_is_kept_if_it_has_no_value_yet() -> None:
    bench = Bench()
    bench.sink.put(2, ["first"])
    event = BatchFinished(0, 1, 5, 0.0)
    bench.delivery.salvage(Arrival(event, 3, ["D", None, "F"], {4: Raised(ValueError(), "")}))
    bench.delivery.salvage(Arrival(event, 2, ["second"]))
    assert bench.sink.finished() == {2: "first", 3: "D", 5: "F"}


def test_an_aborted_run_raises_what_the_initializer_did_or_says_why_no_worker_came() -> None:
    failures, error = Bench().failures, ValueError("the initializer's")
    failures.abort(AbortReason.NO_WORKERS, None)
    assert isinstance(failures.error, WorkersUnavailable)
    assert str(failures.error) == "no worker can be started; of the last one: it did not come up in time"
    failures.abort(AbortReason.SETUP_FAILED, error)
    assert failures.error is error
