"""Trace events tell who ran what when, in the format that Perfetto reads."""

from __future__ import annotations

import json

from made_report import make_report

from allcores._core.report import Slow
from allcores._core.trace import as_trace


def test_a_span_is_an_event_of_its_worker_and_the_reports_text_goes_along() -> None:
    report = make_report(spans=3, slowest=(Slow(0.4, 1, 2, "item 1 ('b')"), Slow(0.4, 2, 3, "item 2 ('c')")))
    trace = json.loads(as_trace(report))
    assert trace["otherData"] == {"report": str(report)}
    names = [
        (event["name"], event["tid"], event["args"]["name"]) for event in trace["traceEvents"] if event["ph"] == "M"
    ]
    assert names == [
        ("process_name", 0, "allcores"),
        ("thread_name", 0, "worker 0"),
        ("thread_name", 1, "worker 1"),
    ]
    spans = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [(span["name"], span["tid"], span["ts"], span["dur"]) for span in spans] == [
        ("item 0", 0, 200_000.0, 400_000.0),
        ("item 2 ('c'), failed", 0, 700_000.0, 400_000.0),
        ("item 1 ('b')", 1, 200_000.0, 400_000.0),
    ]
    assert [span.get("cname") for span in spans] == [None, "terrible", None]
    assert spans[1]["args"] == {"items": 1, "failed": 1, "batches": 1, "seconds inside items": 0.4}
