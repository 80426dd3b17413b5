"""The timeline tells what each worker has done, within bounds, whatever the run does."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from allcores._core.timeline import MOST_SPANS, MOST_WORKERS, Span, Stint, Timeline

BEGAN = 100.0


def hear(timeline: Timeline, worker: int, items: range, seconds: float, ended: float, *, failed: int = 0) -> None:
    timeline.hear(worker, items.start, len(items), seconds=seconds, failed=failed, ended=BEGAN + ended)


def test_each_batch_is_a_span_of_its_worker() -> None:
    timeline = Timeline(BEGAN)
    hear(timeline, 0, range(2), 0.5, 1.0)
    hear(timeline, 1, range(2, 3), 1.5, 2.0, failed=1)
    hear(timeline, 0, range(3, 7), 0.5, 2.5)
    assert timeline.spans() == (
        Span(0, 0.5, 1.0, 0.5, 0, 2, 2, 0, 1),
        Span(0, 2.0, 2.5, 0.5, 3, 7, 4, 0, 1),
        Span(1, 0.5, 2.0, 1.5, 2, 3, 1, 1, 1),
    )


def test_no_span_begins_before_the_one_before_has_ended_nor_before_the_run() -> None:
    timeline = Timeline(BEGAN)
    hear(timeline, 0, range(1), 3.0, 1.0)  # it was heard of late, and so on
    hear(timeline, 0, range(1, 2), 3.0, 2.0)
    assert [(span.began, span.ended) for span in timeline.spans()] == [(0.0, 1.0), (1.0, 2.0)]


def test_a_span_says_which_items_it_stands_for() -> None:
    names = {
        (5, 6, 1, 0): "item 5",
        (5, 9, 4, 0): "items 5 to 8",
        (5, 90, 4, 0): "4 of the items 5 to 89",
        (5, 6, 1, 1): "item 5, 1 failed",
    }
    for (start, stop, items, failed), name in names.items():
        assert str(Span(0, 0.0, 1.0, 1.0, start, stop, items, failed, 1)) == name


def test_what_a_worker_has_done_is_summed_up() -> None:
    timeline = Timeline(BEGAN)
    timeline.hear_of_ready(0, BEGAN + 0.25)
    timeline.hear_of_ready(1, BEGAN + 0.5)
    hear(timeline, 0, range(2), 0.5, 1.0)
    hear(timeline, 0, range(2, 4), 0.5, 2.0)
    first, second = timeline.stints({0: 7000})
    assert first == Stint(0, 0.25, 2.0, 1.0, 4, 7000)
    assert second == Stint(1, 0.5, None, 0.0, 0, None)
    assert timeline.first_ready == 0.25


def test_the_tail_is_the_time_of_those_who_had_nothing_to_do_at_the_end() -> None:
    timeline = Timeline(BEGAN)
    assert timeline.tail_seconds(3) == 0.0
    hear(timeline, 0, range(1), 1.0, 1.0)  # replaced by 3
    hear(timeline, 1, range(1, 2), 2.0, 2.0)
    hear(timeline, 2, range(2, 3), 5.0, 5.0)
    hear(timeline, 3, range(3, 4), 2.0, 3.0)
    assert timeline.tail_seconds(3) == 5.0  # 3 and 2


@pytest.mark.parametrize("seed", range(20))
def test_any_number_of_batches_takes_bounded_space_and_loses_nothing(seed: int) -> None:
    chance = random.Random(seed)
    timeline, ends, counts = Timeline(BEGAN), {}, {}
    workers, scale = chance.choice([1, 3, 40]), chance.choice([1e-5, 1e-2, 1.0])
    index = failed = 0
    total = 0.0
    for _ in range(chance.choice([10, 3000, 20_000])):
        worker, count = chance.randrange(workers), chance.randrange(1, 5)
        seconds = chance.random() * scale
        ends[worker] = ends.get(worker, 0.0) + chance.random() * scale + seconds
        bad = chance.random() < 0.01
        hear(timeline, worker, range(index, index + count), seconds, ends[worker], failed=bad)
        counts[worker] = counts.get(worker, 0) + count
        index, failed, total = index + count, failed + bad, total + seconds
    spans = timeline.spans()
    assert len(spans) <= MOST_SPANS
    assert sum(span.items for span in spans) == index
    assert sum(span.failed for span in spans) == failed
    assert sum(span.seconds for span in spans) == pytest.approx(total)
    assert {stint.worker: stint.items for stint in timeline.stints({})} == counts
    for worker, end in ends.items():
        own = [span for span in spans if span.worker == worker]
        assert all(one.ended <= other.began + 1e-9 for one, other in pairwise(own))
        assert all(span.began <= span.ended and span.start < span.stop for span in own)
        assert own[-1].ended == pytest.approx(end)


def test_any_number_of_workers_takes_bounded_space() -> None:
    timeline = Timeline(BEGAN)
    for worker in range(10 * MOST_WORKERS):
        timeline.hear_of_ready(worker, BEGAN + worker)
        hear(timeline, worker, range(worker, worker + 1), 0.5, worker + 1.0)
    assert len(timeline.spans()) == len(timeline.stints({})) == MOST_WORKERS
