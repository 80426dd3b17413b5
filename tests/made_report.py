"""A report that no run has made, for tests of how reports are shown."""

from __future__ import annotations

from typing import Any

from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._core.report import Report, Slow
from allcores._core.timeline import Timeline

FACTS = Facts(cores=4, cores_bound="this test", can_fork=True, fork_hazard=None, can_start_clean=True)
NASTY = "item 3 ('</script><b>\"&')"


def make_report(spans: int = 6, workers: int = 2, **figures: Any) -> Report:
    timeline = Timeline(0.0)
    for worker in range(workers):
        timeline.hear_of_ready(worker, 0.1)
    for at in range(spans):
        ended = 0.1 + (at // workers + 1) * 0.5
        timeline.hear(at % workers, at, 1, seconds=0.4, failed=int(at == 2), ended=ended)
    usual = {"wall_seconds": 2.0, "workers": workers, "items": spans, "failed": 1, "item_seconds": 2.4}
    usual |= {"slowest": (Slow(0.4, 3, 4, NASTY),), "spans": timeline.spans(), "stints": timeline.stints({})}
    return Report(**{**usual, "plan": make_plan(Options(), FACTS), **figures})
