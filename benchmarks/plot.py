"""The plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Temperature
from benchmarks.rounds import Figures

__all__ = ["plot_cases", "plot_scaling"]

TITLES: dict[Temperature, str] = {
    "cold": "cold: from the import of the library on",
    "warm": "warm: the pool exists and was used",
}
MARKERS = "osD^vP*X<>hpd"


def plot_cases(path: Path, cases: Sequence[Case], figures: Mapping[str, Mapping[str, Figures]]) -> None:
    """Draw, for each case, how much longer than allcores every peer took."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "allcores"
    picture = Figure(figsize=(13, 1.6 + 0.42 * len(cases)), layout="constrained")
    peers = [name for name in dict.fromkeys(name for each in figures.values() for name in each) if name != "allcores"]
    styles = {name: (f"C{at % 10}", MARKERS[at % len(MARKERS)]) for at, name in enumerate(peers)}
    for panel, temperature in zip(picture.subplots(1, 2, sharey=True), TITLES, strict=True):
        for name, (colour, marker) in styles.items():
            points = [
                (theirs / ours, row)
                for row, case in enumerate(cases)
                if name in figures[case.name]
                if (theirs := figures[case.name][name].median(temperature))
                if (ours := figures[case.name]["allcores"].median(temperature))
            ]
            panel.plot(
                *_columns(points), linestyle="", color=colour, marker=marker, markersize=7, alpha=0.8, label=name
            )
        panel.axvline(1, color="black", linewidth=1)
        panel.set_xscale("log")
        panel.set_title(TITLES[temperature], fontsize=11)
        panel.set_xlabel("time relative to allcores: further right is slower")
        panel.set_yticks(range(len(cases)), [case.title for case in cases])
        panel.set_ylim(len(cases) - 0.5, -0.5)
        panel.grid(alpha=0.3)
    picture.legend(*picture.axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=7)
    picture.savefig(path)


def plot_scaling(path: Path, efficiencies: Mapping[str, Mapping[str, Mapping[int, float]]]) -> None:
    """Draw efficiency over workers, a panel per kind of item.

    Args:
        path: where.
        efficiencies: ``{kind: {peer: {workers: efficiency}}}``.
    """
    from matplotlib.figure import Figure

    picture = Figure(figsize=(4 * len(efficiencies), 3.6), layout="constrained")
    panels = picture.subplots(1, len(efficiencies), sharey=True)
    for panel, (kind, peers) in zip(panels, efficiencies.items(), strict=True):
        for name, shares in peers.items():
            panel.plot(list(shares), [100 * share for share in shares.values()], marker="o", label=name)
        panel.set_xscale("log", base=2)
        panel.set_xticks(list(shares), [str(workers) for workers in shares])
        panel.set_title(kind, fontsize=11)
        panel.set_xlabel("workers")
        panel.set_ylim(0, 105)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("efficiency, %")
    panels[0].legend()
    picture.savefig(path)


def _columns(points: Sequence[tuple[float, int]]) -> Any:
    return zip(*points, strict=True) if points else ((), ())
