"""What is drawn of a report: round numbers, counts by duration, and how many were done by when."""

from __future__ import annotations

from itertools import pairwise

import pytest
from made_report import make_report

from allcores._core.charts import durations, finished, ticks
from allcores._core.timeline import Span


@pytest.mark.parametrize(
    ("end", "numbers"),
    [
        (0.0, [0.0]),
        (1.42, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4]),
        (8.0, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        (9.0, [0.0, 2.0, 4.0, 6.0, 8.0]),
        (3600.0, [0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0, 3500.0]),
    ],
)
def test_ticks_are_round_numbers(end: float, numbers: list[float]) -> None:
    assert ticks(end) == pytest.approx(numbers)


def test_a_curve_says_how_many_were_done_by_when() -> None:
    assert finished(make_report(spans=4)) == [(0.0, 0), (0.6, 1), (0.6, 2), (1.1, 3), (1.1, 4)]


def test_items_are_counted_by_how_long_they_took_together_with_those_measured_with_them() -> None:
    spans = (Span(0, 0.0, 1.0, 1.0, 0, 100, 100, 0, 1), Span(0, 1.0, 3.0, 2.0, 100, 101, 1, 0, 1))
    bins = durations(make_report(spans=1)._replace(spans=spans))
    assert sum(count for _, _, count in bins) == 101
    assert bins[0][2] == 100
    assert bins[0][0] == pytest.approx(0.01)
    assert [count for start, stop, count in bins if start <= 2.0 < stop] == [1]
    assert all(one[1] == pytest.approx(other[0]) for one, other in pairwise(bins))
    assert durations(make_report(spans=0)) == []
