"""The table: for each case, how long every peer took, beside allcores, with the targets met or missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.case import LOWER_BOUND, Case, Target, Temperature
from benchmarks.rounds import Figures

__all__ = ["Row", "case_table", "verdicts"]

HEAD = "| | cold | x allcores | warm | x allcores | main process | all processes | |"
RULE = "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"


def case_table(case: Case, figures: Mapping[str, Figures], workers: int) -> str:
    """Write a case as Markdown."""
    lines = [f"### {case.title}", f"`{case.name}`", HEAD, RULE]
    lines[1:2] = ["", f"`{case.name}`", ""]
    lines += [_line(name, each, figures["allcores"]) for name, each in figures.items()]
    bound = case.lower_bound(workers)
    if bound is not None:
        shares = [_ratio(bound, figures["allcores"].median(temperature)) for temperature in ("cold", "warm")]
        lines.append(f"| {LOWER_BOUND} | {_time(bound)} | {shares[0]} | {_time(bound)} | {shares[1]} | | | |")
    told = list(verdicts(case, figures, workers))
    return "\n".join([*lines, *([""] if told else []), *told, ""])


def verdicts(case: Case, figures: Mapping[str, Figures], workers: int) -> Iterator[str]:
    """Say of each target whether it is met."""
    for target in case.targets:
        measured = _measured(target, case, figures, workers)
        if measured is None:
            verdict = "not measured"
        else:
            verdict = f"{measured:.3g}: {'met' if measured <= target.most else '**missed**'}"
        told = f"- target: {target.who}, {target.temperature}, at most {target.most:.3g} x {target.versus}; {verdict}"
        yield told


def _measured(target: Target, case: Case, figures: Mapping[str, Figures], workers: int) -> float | None:
    taken = _seconds(figures, target.who, target.temperature)
    if target.versus == LOWER_BOUND:
        versus = case.lower_bound(workers)
    else:
        versus = _seconds(figures, target.versus, target.temperature)
    return None if taken is None or versus is None else taken / versus


def _seconds(figures: Mapping[str, Figures], name: str, temperature: Temperature) -> float | None:
    return figures[name].median(temperature) if name in figures else None


def _line(name: str, figures: Figures, ours: Figures) -> str:
    cells = [name]
    for temperature in ("cold", "warm"):
        median = figures.median(temperature)
        cells += [_time(median), _ratio(median, ours.median(temperature))]
    cells += [_size(figures.root), _size(figures.tree), "; ".join(_remarks(figures))]
    return "| " + " | ".join(cells) + " |"


def _remarks(figures: Figures) -> Iterator[str]:
    if figures.reason:
        yield figures.reason.replace("|", "/")
    if figures.count < figures.full:
        yield f"ran {figures.count:,} items, time scaled up from them"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def _ratio(seconds: float | None, ours: float | None) -> str:
    return "" if seconds is None or not ours else f"{seconds / ours:.2f}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size else ""
