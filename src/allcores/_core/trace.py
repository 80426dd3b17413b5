"""A report as trace events, the format of Chrome's tracing that Perfetto and others show as a timeline."""

from __future__ import annotations

import json

from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.timeline import Span

if TYPE_CHECKING:
    from allcores._core.report import Report

__all__ = ["as_trace", "name_spans"]

MICROSECONDS = 1e6  # what trace events count in
PROCESS = 1  # all workers are shown as threads of one process
FAILED_COLOUR = "terrible"  # Chrome's name of a red


def as_trace(report: Report) -> str:
    """Write a report's spans as JSON; the report's text goes along, for `allcores report`."""
    events = [_named("process_name", 0, "allcores"), *(_named("thread_name", *_worker(one)) for one in report.stints)]
    events += [_event(span, name) for span, name in name_spans(report)]
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"report": str(report)}})


def name_spans(report: Report) -> list[tuple[Span, str]]:
    """Give each span with what it stands for; of those that took longest, the item is told, too."""
    names = {slow.start: slow.name for slow in report.slowest if slow.name}
    return [(span, _name(span, names)) for span in report.spans]


def _name(span: Span, names: dict[int, str]) -> str:
    name = names.get(span.start) if span.stop == span.start + 1 else None
    if name is None:
        return str(span)
    return f"{name}, failed" if span.failed else name


def _worker(stint: Any) -> tuple[int, str]:
    return stint.worker, f"worker {stint.worker}"


def _named(kind: str, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": PROCESS, "tid": thread, "args": {"name": name}}


def _event(span: Span, name: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        "ph": "X",
        "name": name,
        "pid": PROCESS,
        "tid": span.worker,
        "ts": round(span.began * MICROSECONDS, 1),
        "dur": round((span.ended - span.began) * MICROSECONDS, 1),
        "args": {
            "items": span.items,
            "failed": span.failed,
            "batches": span.batches,
            "seconds inside items": span.seconds,
        },
    }
    if span.failed:
        event["cname"] = FAILED_COLOUR
    return event
