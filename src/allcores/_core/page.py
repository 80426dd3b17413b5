"""A report as a page: one HTML file that stands alone, without a network, a server or a library.

The pictures are SVG and drawn here, so that they show without scripts, too. The script only tells, by mouse or by arrow
keys, which items a bar stands for. Colours follow the reader's setting for light or dark.
"""

from __future__ import annotations

import json

from allcores._core.charts import durations, finished, ticks
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.rows import as_html, escape
from allcores._core.trace import name_spans

if TYPE_CHECKING:
    from allcores._core.report import Report

__all__ = ["DATA", "as_page"]

DATA = '<script type="application/json" id="report">'  # begins what `allcores report` reads
WIDTH, LEFT, AXIS = 1000, 70, 24  # of a picture
LANE, BAR = 20, 16  # of one worker, and of what is drawn in it
CHART = 160  # height
LEAST = 0.6  # width of a bar that can be seen

STYLE = """\
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --line: #c9ced6; --bar: #2f6fb5; --bad: #c62f2f; \
--mark: #e8a200; }
@media (prefers-color-scheme: dark) { :root { --back: #14171b; --text: #e4e7eb; --line: #454b54; --bar: #6aa5e8; \
--bad: #ff7a70; --mark: #ffc94d; } }
body { background: var(--back); color: var(--text); font: 15px/1.45 system-ui, sans-serif; max-width: 1040px; \
margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.3em; } h2 { font-size: 1.05em; margin-top: 2em; }
th { font-weight: 600; padding: 2px 1.2em 2px 0; vertical-align: top; } td { padding: 2px 0; }
svg { width: 100%; height: auto; display: block; } svg:focus { outline: 2px solid var(--mark); }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--line); stroke-width: 1; } .curve { stroke: var(--bar); stroke-width: 2; fill: none; }
.ok, .bin { fill: var(--bar); } .failed { fill: var(--bad); } .chosen { stroke: var(--mark); stroke-width: 3; }
#told { min-height: 1.5em; font-variant-numeric: tabular-nums; }
"""

SCRIPT = """\
const picture = document.getElementById("workers"), told = document.getElementById("told");
const bars = Array.from(picture.querySelectorAll("rect[data-name]"));
let chosen = -1;
function choose(at) {
  if (bars[chosen]) bars[chosen].classList.remove("chosen");
  chosen = at;
  if (!bars[at]) return;
  bars[at].classList.add("chosen");
  told.textContent = bars[at].dataset.name;
}
picture.addEventListener("mousemove", event => {
  const at = bars.indexOf(event.target);
  if (at >= 0 && at !== chosen) choose(at);
});
picture.addEventListener("keydown", event => {
  const last = bars.length - 1;
  const to = { ArrowRight: chosen + 1, ArrowLeft: chosen - 1, Home: 0, End: last,
    ArrowDown: neighbour(1), ArrowUp: neighbour(-1) }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(Math.max(0, Math.min(last, to)));
});
function neighbour(step) {
  if (!bars[chosen]) return 0;
  const x = bars[chosen].x.baseVal.value, lane = Number(bars[chosen].dataset.lane) + step;
  let best = chosen, nearest = Infinity;
  bars.forEach((bar, at) => {
    const far = Math.abs(bar.x.baseVal.value - x);
    if (Number(bar.dataset.lane) === lane && far < nearest) { best = at; nearest = far; }
  });
  return best;
}
"""


def as_page(report: Report) -> str:
    """Write a report as a page."""
    data = json.dumps({"report": str(report)}).replace("<", "\\u003c")
    short = "where items are short, a bar stands for several, and where any failed, it is red"
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(repr(report)[1:-1])}</title>
<style>
{STYLE}</style>
</head>
<body>
<h1>{escape(repr(report)[1:-1])}</h1>
{as_html(report.rows())}
<h2>Who did what when</h2>
<p>Seconds since the run began; {short}. Point at a bar, or go through them with the arrow keys.</p>
<p id="told" aria-live="polite"></p>
{_workers(report)}
<h2>How long items took</h2>
{_durations(report)}
<h2>How many were done by when</h2>
{_finished(report)}
{DATA}{data}</script>
<script>
{SCRIPT}</script>
</body>
</html>
"""


# ------------------------------------------------------------------------------------------------------- the pictures


def _workers(report: Report) -> str:
    lanes = {stint.worker: at for at, stint in enumerate(report.stints)}
    height, scale = len(lanes) * LANE, _scale(report)
    parts = [_text(LEFT - 8, at * LANE + 14, f"worker {worker}", "end") for worker, at in lanes.items()]
    for span, name in name_spans(report):
        lane = lanes[span.worker]
        about = f"{name}; worker {span.worker}, from {span.began:.3g} s, {_seconds(span.seconds)}"
        width = max(LEAST, (span.ended - span.began) * scale)
        kind = "failed" if span.failed else "ok"
        parts.append(
            f'<rect class="{kind}" x="{LEFT + span.began * scale:.2f}" y="{lane * LANE + 2}" width="{width:.2f}" '
            f'height="{BAR}" data-lane="{lane}" data-name="{escape(about)}"/>'
        )
    return _picture("workers", height, [*_time_axis(report, height), *parts], "bars of the items that each worker ran")


def _durations(report: Report) -> str:
    bins = durations(report)
    most = max((count for _, _, count in bins), default=1)
    width = (WIDTH - LEFT) / max(1, len(bins))
    parts = [_text(LEFT - 8, 12, str(most), "end"), _text(LEFT - 8, CHART, "0", "end")]
    for at, (start, stop, count) in enumerate(bins):
        height, x = count / most * CHART, LEFT + at * width
        title = f"{count} items of {_seconds(start)} to {_seconds(stop)}"
        parts.append(
            f'<rect class="bin" x="{x + 1:.2f}" y="{CHART - height:.2f}" width="{max(1.0, width - 2):.2f}" '
            f'height="{height:.2f}"><title>{title}</title></rect>'
        )
        if at % max(1, len(bins) // 8) == 0:
            parts.append(_text(x, CHART + 16, _seconds(start), "start"))
    return _picture("durations", CHART, parts, "numbers of items by how long they took")


def _finished(report: Report) -> str:
    curve, scale = finished(report), _scale(report)
    total = max(1, curve[-1][1])
    line = " ".join(f"{LEFT + seconds * scale:.2f},{CHART - count / total * CHART:.2f}" for seconds, count in curve)
    parts = [_text(LEFT - 8, 12, str(curve[-1][1]), "end"), _text(LEFT - 8, CHART, "0", "end")]
    parts += [*_time_axis(report, CHART), f'<polyline class="curve" points="{line}"/>']
    return _picture("finished", CHART, parts, "number of items that were done, over time")


def _scale(report: Report) -> float:
    """Give how many units of a picture a second has."""
    return (WIDTH - LEFT) / report.wall_seconds if report.wall_seconds > 0 else 0.0


def _time_axis(report: Report, height: int) -> list[str]:
    parts, scale = [], _scale(report)
    for tick in ticks(report.wall_seconds):
        x = LEFT + tick * scale
        parts.append(f'<line class="grid" x1="{x:.2f}" y1="0" x2="{x:.2f}" y2="{height}"/>')
        parts.append(_text(x, height + 16, f"{tick:.6g}", "middle" if tick else "start"))
    return parts


def _picture(name: str, height: int, parts: list[str], label: str) -> str:
    head = f'<svg id="{name}" viewBox="0 0 {WIDTH + 20} {height + AXIS}" role="img" tabindex="0" aria-label="{label}">'
    return "\n".join([head, *parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.2f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _seconds(seconds: float) -> Any:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
