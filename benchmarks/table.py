"""The tables: for each case, how long every peer took, beside allcores; and all targets, met or missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.case import LOWER_BOUND, Case
from benchmarks.rounds import Figures
from benchmarks.verdicts import Verdict, judge

__all__ = ["case_table", "target_table", "write_table"]

COLUMNS = ("", "cold", "x allcores", "warm", "x allcores", "main process", "all processes", "target", "remarks")


def write_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write Markdown; columns of figures, but never the first, are aligned to the right."""
    is_words = [not at or all(not row[at][:1].isdigit() for row in rows) for at in range(len(head))]
    rule = ["---" if words else "---:" for words in is_words]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows)) + "\n"


def target_table(cases: Sequence[Case], figures: Mapping[str, Mapping[str, Figures]], workers: int) -> str:
    """Write all targets."""
    rows = [
        [
            case.title,
            target.who,
            target.temperature,
            f"{target.most:.3g} x {target.versus}",
            verdict.ratio,
            verdict.word,
        ]
        for case in cases
        for verdict in judge(case, figures[case.name], workers)
        for target in [verdict.target]
    ]
    return write_table(("case", "who", "", "target: at most", "measured", ""), rows)


def case_table(case: Case, figures: Mapping[str, Figures], workers: int) -> str:
    """Write a case."""
    verdicts = judge(case, figures, workers)
    rows = [_row(name, each, figures["allcores"], verdicts) for name, each in figures.items()]
    bound = case.lower_bound(workers)
    if bound is not None:
        figures_of_bound = Figures(1, 1, {"cold": [bound], "warm": [bound]})
        rows.append(_row(LOWER_BOUND, figures_of_bound, figures["allcores"], verdicts))
    return f"### {case.title}\n\n`{case.name}`\n\n{write_table(COLUMNS, rows)}"


def _row(name: str, figures: Figures, ours: Figures, verdicts: Sequence[Verdict]) -> list[str]:
    cells = [name]
    for temperature in ("cold", "warm"):
        median = figures.median(temperature)
        cells += [_time(median), _ratio(median, ours.median(temperature))]
    told = [_verdict_cell(verdict) for verdict in verdicts if verdict.target.versus == name]
    return [*cells, _size(figures.root), _size(figures.tree), "; ".join(told), "; ".join(_remarks(figures))]


def _verdict_cell(verdict: Verdict) -> str:
    target = verdict.target
    return f"{target.who}, {target.temperature}, at most {target.most:.3g} x this: {verdict.ratio} {verdict.word}"


def _remarks(figures: Figures) -> Iterator[str]:
    if figures.reason:
        yield figures.reason.replace("|", "/")
    if figures.count < figures.full and any(figures.seconds.values()):
        yield f"ran {figures.count:,} items, time scaled up from them"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{seconds:,.2f} s"


def _ratio(seconds: float | None, ours: float | None) -> str:
    return "" if seconds is None or not ours else f"{seconds / ours:,.2f}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size else ""
