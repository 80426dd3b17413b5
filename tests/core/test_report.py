"""The report's figures, and how they are shown."""

from __future__ import annotations

from typing import Any

import pytest

from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._core.report import Report, Slow
from allcores._core.timeline import Stint

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


def test_a_report_is_a_line_to_look_at_and_some_to_print() -> None:
    assert repr(report()) == "<Report: 10 items in 2 s on 4 workers, efficiency 75%>"
    assert repr(report(items=1, workers=1)) == "<Report: 1 item in 2 s on 1 worker, efficiency 300%>"
    assert str(report()).splitlines() == [
        "items         10",
        "time          2 s on 4 workers, processes by fork, native threads 1 each",
        "inside items  6 s, which a plain loop may take; 3 times as fast, efficiency 75%",
        "verdict       nothing stands out",
    ]


def test_a_full_report_is_not_longer_than_ten_lines() -> None:
    full = report(
        failed=3,
        deaths=1,
        failures=(("ValueError", 2), ("WorkerDied", 1)),
        computing_seconds=2.0,
        queued_seconds=0.5,
        moving_seconds=0.4,
        own_moving_seconds=0.1,
        sent_bytes=3_000_000,
        received_bytes=2_000_000_000,
        input_seconds=0.3,
        consumer_seconds=0.2,
        starting_seconds=0.1,
        tail_seconds=1.5,
        short_seconds=0.7,
        slowest=(Slow(3.0, 7, 8, "item 7 ('g.csv')"), Slow(0.5, 2, 4), Slow(0.4, 1, 2), Slow(0.3, 0, 1)),
        stints=(Stint(0, 0.1, 2.0, 3.0, 5, 1_200_000_000), Stint(1, 0.1, 1.0, 3.0, 5)),
    )
    lines = str(full).splitlines()
    assert lines == [
        "items         10, 3 failed, 1 worker died (2 ValueError, 1 WorkerDied)",
        "time          2 s on 4 workers, processes by fork, native threads 1 each",
        "inside items  6 s, which a plain loop may take; 3 times as fast, efficiency 75%",
        "computing     2 s, moving data included, waiting 3.5 s, queue for cores 0.5 s",
        "moving data   0.4 s by workers, 0.1 s by the caller; 3 MB sent, 2 GB received",
        "held up by    start 0.1 s, input 0.3 s, consumer 0.2 s, last items 1.5 s",
        "memory        up to 1.2 GB in a worker, short for 0.7 s",
        "slowest       item 7 ('g.csv'): 3 s; items 2 to 3: 0.5 s together; item 1: 0.4 s",
        f"verdict       {full.verdict}",
    ]
    assert full.verdict
    assert len(lines) <= 10


def test_what_moves_is_told_if_it_is_much_or_takes_long() -> None:
    assert "moving data" not in str(report(moving_seconds=0.01, received_bytes=5000))
    assert "moving data" not in str(report(moving_seconds=0.5, received_bytes=0))  # nothing travelled
    assert "moving data   0.01 s by workers" in str(report(moving_seconds=0.01, received_bytes=2_000_000))
    assert "moving data   0 s by workers, 0.2 s by the caller" in str(report(own_moving_seconds=0.2, sent_bytes=1))


def test_the_peak_of_memory_is_the_largest_of_any_worker_that_is_known() -> None:
    assert report().peak_memory is None
    stints = (Stint(0, 0.1, 2.0, 3.0, 5, 7000), Stint(1, 0.1, 1.0, 3.0, 5, 9000), Stint(2, None, None, 0.0, 0))
    assert report(stints=stints).peak_memory == 9000


def test_a_report_of_nothing_is_no_times_as_fast() -> None:
    assert report(wall_seconds=0.0).speedup == 0.0


def test_a_notebook_shows_a_table() -> None:
    shown = report(failures=(("<lambda>.Odd & even", 1),))._repr_html_()
    assert shown.startswith("<table><tr>")
    assert shown.count("<tr>") == len(str(report()).splitlines())
    assert "1 &lt;lambda&gt;.Odd &amp; even" in shown


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
    assert repr(report(**figures)).startswith(f"<Report: 10 items{aside} in 2 s")


def test_what_is_not_computing_nor_queueing_is_waiting() -> None:
    assert report().waiting_seconds is None
    assert report(computing_seconds=4.0, queued_seconds=0.5).waiting_seconds == 1.5
    assert report(computing_seconds=12.0, queued_seconds=0.0).waiting_seconds == 0.0  # several native threads
    assert ", waiting 1.5 s" in str(report(computing_seconds=4.0, queued_seconds=0.0, item_seconds=5.5))
    assert "waiting" not in str(report(computing_seconds=5.95, queued_seconds=0.0))


def test_a_report_is_frozen() -> None:
    with pytest.raises(AttributeError):
        report().items = 3  # type: ignore[misc]  # that is the point
