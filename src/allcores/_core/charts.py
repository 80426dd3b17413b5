"""What there is to draw of a report: numbers for a histogram, for a curve, and for an axis."""

from __future__ import annotations

from math import floor, log10

from allcores._core.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from allcores._core.report import Report

__all__ = ["durations", "finished", "ticks"]

BINS_PER_DECADE = 5


def ticks(end: float, most: int = 8) -> list[float]:
    """Give round numbers from 0 to `end`, at most so many and one."""
    if end <= 0:
        return [0.0]
    power = 10.0 ** floor(log10(end / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if end / (power * factor) <= most)
    return [step * at for at in range(floor(end / step) + 1)]


def finished(report: Report) -> list[tuple[float, int]]:
    """Give how many items had finished or failed by when, ``(seconds, items)``, ascending."""
    curve, total = [(0.0, 0)], 0
    for span in sorted(report.spans, key=lambda span: span.ended):
        total += span.items
        curve.append((span.ended, total))
    return curve


def durations(report: Report) -> list[tuple[float, float, int]]:
    """Give how many items took how long, ``(from, to, items)`` on a scale of logarithms, ascending.

    Of items that were measured together, each counts with their mean.
    """
    counts: dict[int, int] = {}
    for span in report.spans:
        seconds = max(span.seconds / span.items, 1e-9)
        at = floor(log10(seconds) * BINS_PER_DECADE)
        counts[at] = counts.get(at, 0) + span.items
    if not counts:
        return []
    bins = range(min(counts), max(counts) + 1)
    return [(_edge(at), _edge(at + 1), counts.get(at, 0)) for at in bins]


def _edge(at: int) -> float:
    return float(10.0 ** (at / BINS_PER_DECADE))
