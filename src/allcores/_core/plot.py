"""A report as a picture of matplotlib's: who did what when, how long items took, and how many were done by when."""

from __future__ import annotations

from allcores._core.charts import durations, finished
from allcores._core.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allcores._core.report import Report

__all__ = ["draw"]

WIDTH, HEIGHT = 9.0, 5.5  # inches
BAR = 0.8  # of a worker's lane
COLOUR, FAILED_COLOUR = "tab:blue", "tab:red"


def draw(report: Report) -> Any:
    """Draw it; give the figure, which is nobody else's.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a report is drawn by matplotlib, which is missing: pip install allcores[plot]") from error
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    panels = figure.subplot_mosaic([["workers", "workers"], ["durations", "finished"]], height_ratios=[3, 2])
    _draw_workers(panels["workers"], report)
    _draw_durations(panels["durations"], report)
    _draw_finished(panels["finished"], report)
    return figure


def _draw_workers(axes: Any, report: Report) -> None:
    for is_failed, colour in ((False, COLOUR), (True, FAILED_COLOUR)):
        lanes: dict[int, list[tuple[float, float]]] = {}
        for span in report.spans:
            if bool(span.failed) is is_failed:
                lanes.setdefault(span.worker, []).append((span.began, span.ended - span.began))
        for worker, bars in lanes.items():
            axes.broken_barh(bars, (worker - BAR / 2, BAR), facecolors=colour, edgecolors="none")
    axes.set(xlabel="seconds", ylabel="worker", title=repr(report)[1:-1], xlim=(0, report.wall_seconds or 1))
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.invert_yaxis()


def _draw_durations(axes: Any, report: Report) -> None:
    bins = durations(report)
    edges = [start for start, _, _ in bins] + [stop for _, stop, _ in bins[-1:]]
    if bins:
        axes.stairs([count for _, _, count in bins], edges, fill=True, color=COLOUR)
        axes.set_xscale("log")
    axes.set(xlabel="seconds per item", ylabel="items")


def _draw_finished(axes: Any, report: Report) -> None:
    curve = finished(report)
    axes.plot([seconds for seconds, _ in curve], [count for _, count in curve], color=COLOUR)
    axes.set(xlabel="seconds", ylabel="items done", xlim=(0, report.wall_seconds or 1), ylim=(0, None))
