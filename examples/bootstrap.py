"""How sure is a slope? The bootstrap: fit again and again to patients drawn from the same patients."""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes

import allcores

patients = load_diabetes(scaled=False)  # 442 of them, in Efron and others, "Least Angle Regression" (2004)
mass = patients.data[:, patients.feature_names.index("bmi")]  # of the body, per height squared
progress = patients.target  # of the disease, within a year


def slope(_: int) -> float:
    """Fit a line to as many patients, drawn at random."""
    drawn = allcores.rng().integers(len(mass), size=len(mass))
    return float(np.polyfit(mass[drawn], progress[drawn], 1)[0])


def main(folder: str = ".", times: int = 5000) -> None:
    """Draw the slopes, and the interval in which 95 of 100 lie."""
    slopes = allcores.map(slope, range(times), seed=1)
    low, high = np.percentile(slopes, [2.5, 97.5])

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.hist(slopes, bins=40)
    axes.axvspan(low, high, alpha=0.2, label=f"95 of 100: {low:.1f} to {high:.1f}")
    axes.axvline(np.polyfit(mass, progress, 1)[0], color="black", label="of all patients")
    axes.set(xlabel="progress of the disease per unit of body mass index", ylabel="fits")
    axes.legend()
    figure.savefig(Path(folder) / "bootstrap.png", dpi=80)
    print(slopes.report)


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else ".")
