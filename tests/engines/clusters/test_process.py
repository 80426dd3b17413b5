"""What goes to a process of a cluster next."""

from __future__ import annotations

from allcores._core.messages import SendBatch
from allcores._engines.clusters.process import Flight, Process
from allcores._engines.executors.quarantine import Quarantine


def batch(worker: int, start: int, stop: int) -> SendBatch:
    return SendBatch(worker, start, start, stop, may_give_back=True)


def test_nothing_goes_there_before_it_is_known() -> None:
    process = Process("tcp://a", 2)
    process.waiting.append(batch(0, 0, 3))
    assert process.next_flight(Quarantine()) is None
    process.is_known = True
    assert process.next_flight(Quarantine()) == Flight(batch(0, 0, 3), is_alone=False)
    assert process.next_flight(Quarantine()) is None


def test_a_suspect_goes_when_nothing_else_is_there_and_nothing_goes_beside_it() -> None:
    process, quarantine = Process("tcp://a", 2), Quarantine()
    process.is_known = True
    quarantine.add(4, 6)
    process.waiting.extend([batch(0, 0, 3), batch(0, 3, 5), batch(1, 8, 9)])
    first = process.next_flight(quarantine)
    assert first is not None
    process.flights[1] = first
    assert process.next_flight(quarantine) is None
    del process.flights[1]
    suspect = process.next_flight(quarantine)
    assert suspect == Flight(batch(0, 3, 5), is_alone=True)
    process.flights[2] = suspect
    assert process.next_flight(quarantine) is None
    del process.flights[2]
    assert process.next_flight(quarantine) == Flight(batch(1, 8, 9), is_alone=False)


def test_a_worker_is_forgotten_with_all_that_it_holds() -> None:
    process = Process("tcp://a", 4)
    process.workers = [3, 5]
    process.waiting.extend([batch(3, 0, 1), batch(5, 1, 2)])
    process.flights = {7: Flight(batch(3, 2, 3), is_alone=False), 8: Flight(batch(5, 3, 4), is_alone=False)}
    assert process.load == 0.5
    assert process.drop(3) == [7]
    assert (process.workers, list(process.waiting), list(process.flights)) == ([5], [batch(5, 1, 2)], [8])
    assert repr(process) == "<Process at tcp://a: 1 of 4 threads, 1 batches>"


def test_lessons_go_there_once_and_again_only_when_somebody_lacks_them() -> None:
    process = Process("tcp://a", 2)
    assert process.must_be_taught(5)
    assert not process.must_be_taught(5)
    assert not process.must_be_taught(5, asking=1)  # it asked before it could have them
    assert process.must_be_taught(5, asking=1)  # and does again
    assert process.must_be_taught(6, asking=2)  # there are more by now
    assert not process.must_be_taught(6, asking=3)
