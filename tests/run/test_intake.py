"""The intake: what it tells of an input, whichever kind it is, and of an end that comes early or badly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from allcores._core.messages import Event, InputEnded, InputPulled
from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._core.timeline import Timeline
from allcores._input.dataset import Dataset, make_dataset
from allcores._input.trickle import Trickle
from allcores._run.delivery import Delivery
from allcores._run.excuses import Excuses
from allcores._run.failures import Failures
from allcores._run.intake import Intake
from allcores._run.sinks import ListSink


def make_intake(dataset: Dataset) -> Intake:
    facts = Facts(cores=1, cores_bound="the test", can_fork=True, fork_hazard=None, can_start_clean=True)
    tries = Excuses(0, ())
    failures = Failures(make_plan(Options(on="threads"), facts), dataset, None, None, tries)
    delivery = Delivery(dataset, ListSink(), failures, tries, origin=None, recorder=None, timeline=Timeline(0.0))
    return Intake(dataset, delivery)


def told_of(iterable: Iterable[Any], *stops: int) -> tuple[list[Event], BaseException | None]:
    """Ask for items up to each of the stops; give what was told, and the input's error."""
    intake = make_intake(make_dataset((iterable,)))
    events = [event for stop in stops for event in intake.ask(stop)]
    assert intake.trickled() == ()
    return events, intake.error


def test_items_are_pulled_as_far_as_asked_and_the_end_is_told() -> None:
    events, error = told_of(iter("abc"), 2, 4)
    assert events == [InputPulled(2), InputPulled(3), InputEnded(3)]
    assert error is None


def test_an_input_that_raises_ends_and_what_it_raised_is_kept() -> None:
    failure = ValueError("the input's")

    def broken() -> Iterator[int]:
        yield 1
        raise failure

    assert told_of(broken(), 3) == ([InputPulled(1), InputEnded(1)], failure)


def test_a_trickle_is_asked_and_told_of_when_something_has_come() -> None:
    wanted: list[int] = []
    trickle = Trickle(wanted.append)
    intake = make_intake(trickle)
    assert (intake.ask(5), wanted, intake.trickled()) == ((), [5], ())
    trickle.add("a")
    trickle.add("b")
    assert intake.trickled() == (InputPulled(2),)
    assert intake.trickled() == ()
    trickle.end()
    assert intake.trickled() == (InputPulled(2), InputEnded(2))
