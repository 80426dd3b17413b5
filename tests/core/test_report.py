"""The report's figures and its one line."""

from __future__ import annotations

from typing import Any

import pytest

from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._core.report import Report

FACTS = Facts(cores=4, cores_bound="this test", can_fork=True, fork_hazard=None, can_start_clean=True)
PLAN = make_plan(Options(), FACTS)


def report(**figures: Any) -> Report:
    usual = {"wall_seconds": 2.0, "workers": 4, "items": 10, "failed": 0, "item_seconds": 6.0, "plan": PLAN}
    return Report(**{**usual, **figures})


def test_efficiency_is_the_share_of_the_workers_time_spent_inside_items() -> None:
    assert report().efficiency == 0.75


@pytest.mark.parametrize("figures", [{"workers": 0, "items": 0, "item_seconds": 0.0}, {"wall_seconds": 0.0}])
def test_a_run_in_which_nothing_happened_has_no_efficiency(figures: dict[str, float]) -> None:
    assert report(**figures).efficiency == 0.0


def test_a_report_reads_as_one_line() -> None:
    assert str(report()) == "10 items in 2 s on 4 workers: 6 s inside items, efficiency 75%"
    assert str(report(failed=3)).startswith("10 items, 3 failed in 2 s")


@pytest.mark.parametrize(
    ("figures", "aside"),
    [
        ({"tries": 10}, ""),
        ({"tries": 12}, ", 2 tried again"),
        ({"tries": 6, "recalled": 4}, ", 4 from the journal"),
        ({"tries": 7, "recalled": 4}, ", 1 tried again, 4 from the journal"),
        ({"unrecorded": 3}, ", 3 not recorded"),
        ({"deaths": 1}, ", 1 worker died"),
        ({"deaths": 2}, ", 2 workers died"),
        (
            {"failed": 1, "tries": 9, "recalled": 3, "unrecorded": 5, "deaths": 2},
            ", 1 failed, 2 tried again, 3 from the journal, 5 not recorded, 2 workers died",
        ),
    ],
)
def test_what_is_not_usual_is_told_in_asides(figures: dict[str, int], aside: str) -> None:
    assert str(report(**figures)).startswith(f"10 items{aside} in 2 s")


def test_what_is_not_computing_nor_queueing_is_waiting() -> None:
    assert report().waiting_seconds is None
    assert report(computing_seconds=4.0, queued_seconds=0.5).waiting_seconds == 1.5
    assert report(computing_seconds=12.0, queued_seconds=0.0).waiting_seconds == 0.0  # several native threads
    assert "6 s inside items (1.5 s waiting), " in str(report(computing_seconds=4.0, queued_seconds=0.5))
    assert "6 s inside items, " in str(report(computing_seconds=5.95, queued_seconds=0.0))


@pytest.mark.parametrize(
    ("figures", "on", "verdict"),
    [
        ({"computing_seconds": 5.8, "queued_seconds": 0.1}, "processes", ""),
        ({"computing_seconds": 0.2, "queued_seconds": 0.1}, "processes", "items mostly waited"),
        ({"computing_seconds": 0.2, "queued_seconds": 0.1}, "threads", "items mostly waited"),
        ({"computing_seconds": 1.9, "queued_seconds": 0.1}, "threads", "try on='processes'"),
        ({"computing_seconds": 3.0, "queued_seconds": 2.9}, "processes", "queue for a core"),
        ({"computing_seconds": 0.0, "queued_seconds": 0.0, "item_seconds": 0.01}, "processes", ""),
        ({}, "processes", ""),
    ],
)
def test_the_verdict_says_what_took_the_time_if_not_computing(figures: dict[str, float], on: Any, verdict: str) -> None:
    told = report(**figures, plan=PLAN._replace(on=on))
    assert verdict in told.verdict
    assert bool(verdict) == bool(told.verdict)
    assert str(told).endswith(told.verdict or "75%" if "item_seconds" not in figures else "%")


def test_a_report_is_frozen() -> None:
    with pytest.raises(AttributeError):
        report().items = 3  # type: ignore[misc]  # that is the point
