"""The driven pendulum on its way to chaos: an equation of motion, solved for many strengths of the drive."""

import sys
from math import cos, pi, sin
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import allcores

DAMPING, FREQUENCY = 0.5, 2 / 3  # of the pendulum, and of its drive
STEPS = 100  # in a period of the drive


def speeds(drive: float, settling: int = 60, periods: int = 60) -> list[float]:
    """Give the pendulum's speed once in each period of the drive, when it has settled; by Runge and Kutta's method."""
    step = 2 * pi / FREQUENCY / STEPS
    angle, speed, found = 0.2, 0.0, []

    def accelerate(angle: float, speed: float, time: float) -> float:
        return -sin(angle) - DAMPING * speed + drive * cos(FREQUENCY * time)

    for at in range((settling + periods) * STEPS):
        if at % STEPS == 0 and at >= settling * STEPS:
            found.append(speed)
        time = at * step
        v1, a1 = speed, accelerate(angle, speed, time)
        v2, a2 = speed + a1 * step / 2, accelerate(angle + v1 * step / 2, speed + a1 * step / 2, time + step / 2)
        v3, a3 = speed + a2 * step / 2, accelerate(angle + v2 * step / 2, speed + a2 * step / 2, time + step / 2)
        v4, a4 = speed + a3 * step, accelerate(angle + v3 * step, speed + a3 * step, time + step)
        angle += step * (v1 + 2 * v2 + 2 * v3 + v4) / 6
        speed += step * (a1 + 2 * a2 + 2 * a3 + a4) / 6
    return found


def main(folder: str = ".", count: int = 300) -> None:
    """Draw the speeds over the strength of the drive."""
    drives = [float(drive) for drive in np.linspace(1.0, 1.5, count)]
    results = allcores.map(speeds, drives)

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for drive, found in zip(drives, results, strict=True):
        axes.plot([drive] * len(found), found, ",", color="black")
    axes.set(xlabel="strength of the drive", ylabel="speed, once a period")
    figure.savefig(Path(folder) / "pendulum.png", dpi=80)
    print(results.report)


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else ".")
