"""Tries: what is excused, and how the tries of an item are counted and told."""

from __future__ import annotations

import pytest

from allcores._core.errors import ItemCancelled, MemoryLimitExceeded
from allcores._core.messages import BatchFinished, BatchUnreadable, EngineLost, Excuse, Moment, WorkerDown
from allcores._engines.engine import Arrival
from allcores._objects.outcomes import Raised
from allcores._run.excuses import Excuses


def excuses(tries: Excuses, **errors: BaseException) -> dict[int, Excuse]:
    """Give what is said of the errors of a batch, of which the item ``i3`` has the index 3."""
    raised = {int(name[1:]): Raised(error, "the traceback") for name, error in errors.items()}
    event = tries.excuse(BatchFinished(0, 1, 9, 0.5), Arrival(BatchFinished(0, 1, 9, 0.5), raised=raised))
    assert isinstance(event, BatchFinished)
    return dict(event.excuses)


def test_only_what_the_caller_has_named_is_worth_another_try() -> None:
    tries = Excuses(1, (OSError,))
    said = excuses(tries, i0=ConnectionError(), i1=ValueError(), i2=ItemCancelled())
    assert said == {0: Excuse.RETRIABLE, 1: Excuse.NONE, 2: Excuse.NONE}


def test_a_lack_of_memory_is_worth_one_more_try_whatever_was_named() -> None:
    tries = Excuses(0, ())
    assert excuses(tries, i0=MemoryError(), i1=MemoryLimitExceeded("it grew")) == {0: Excuse.STARVED, 1: Excuse.NONE}
    assert excuses(tries, i0=MemoryError(), i2=MemoryError()) == {0: Excuse.NONE, 2: Excuse.STARVED}


@pytest.mark.parametrize(
    "event", [WorkerDown(0, Moment.RUNNING, 4, 5), BatchUnreadable(0, 1, 5, is_last=True)], ids=["down", "unreadable"]
)
def test_what_has_befallen_a_worker_is_excused_for_the_item_it_was_at(event: WorkerDown | BatchUnreadable) -> None:
    tries = Excuses(0, ())
    assert tries.excuse(event, Arrival(event, cause=MemoryError())) == event._replace(excuse=Excuse.STARVED)
    assert excuses(tries, i4=MemoryError()) == {4: Excuse.NONE}


def test_an_event_of_no_item_stays_as_it_is() -> None:
    assert Excuses(0, ()).excuse(EngineLost(), Arrival(EngineLost(), cause=OSError())) == EngineLost()


def test_tries_are_counted_until_they_are_taken() -> None:
    tries = Excuses(2, ())
    tries.repeat([3, 4])
    tries.repeat([3])
    assert tries.describe(3) == ", try 3 of 3"
    assert [tries.take(3), tries.take(3), tries.take(4), tries.take(5)] == [3, 1, 2, 1]
    assert tries.repeated == 3


def test_a_try_is_told_where_there_may_be_or_were_several() -> None:
    tries = Excuses(0, ())
    tries.repeat([1])
    assert [tries.describe(0), tries.describe(1), Excuses(1, ()).describe(0)] == ["", ", try 2 of 2", ", try 1 of 2"]
