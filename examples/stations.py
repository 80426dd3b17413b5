"""A folder of CSV files into one frame: a row for each weather station. The files are made up, to have some to read."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import allcores

START, DAYS = "1990-01-01", 365 * 30


def make_up(folder: Path, count: int) -> None:
    """Write a file for each station, with thirty years of days; all get warmer, those in the north most."""
    days = np.arange(DAYS)
    for number, chance in enumerate(np.random.default_rng(1).spawn(count)):
        north = float(chance.uniform(35, 70))
        warming = 0.01 * (north - 30) / 365 / 10
        temperature = 30 - north / 3 + 10 * np.sin(2 * np.pi * (days / 365 - 0.25)) + warming * days
        table = {"day": pd.date_range(START, periods=DAYS), "north": north}
        frame = pd.DataFrame({**table, "temperature": (temperature + chance.normal(0, 3, DAYS)).round(1)})
        frame.to_csv(folder / f"station{number:03}.csv", index=False)


def summarise(path: Path) -> dict[str, Any]:
    """Read one file; give what is to be a row."""
    days = pd.read_csv(path, parse_dates=["day"])
    yearly = days.groupby(days.day.dt.year).temperature.mean()
    trend = 10 * np.polyfit(yearly.index, yearly, 1)[0]
    return {"station": path.stem, "north": days.north.iloc[0], "mean": yearly.mean(), "trend": trend}


def main(folder: str = ".", count: int = 60) -> None:
    """Draw the stations' trends over how far north they are."""
    files = Path(folder) / "stations"
    files.mkdir(exist_ok=True)
    make_up(files, count)
    results = allcores.map(summarise, sorted(files.glob("*.csv")))
    frame = pd.DataFrame(results)

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(frame.north, frame.trend, "o")
    axes.set(xlabel="degrees north", ylabel="warming, degrees in ten years")
    figure.savefig(Path(folder) / "stations.png", dpi=80)
    print(frame.describe().round(2))
    print(results.report)


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else ".")
