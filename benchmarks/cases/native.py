"""What libraries with threads of their own do, BLAS above all, which the plain loop already runs on all cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.case import MapCase, Target

SIDE = 600  # of a matrix: three products of this size take some ten milliseconds


def multiply(seed: int) -> float:
    import numpy as np

    matrix = np.random.default_rng(seed).random((SIDE, SIDE))
    for _ in range(3):
        matrix = matrix @ matrix / SIDE
    return float(matrix.sum())


def decompose(seed: int) -> float:
    import numpy as np

    return float(np.linalg.svd(np.random.default_rng(seed).random((SIDE // 4, SIDE // 4)), compute_uv=False).sum())


def transform(seed: int) -> float:
    import numpy as np

    return float(abs(np.fft.fft(np.random.default_rng(seed).random(1 << 17))).sum())


def boost(seed: int) -> float:
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingRegressor

    x = np.random.default_rng(seed).random((2_000, 10))
    return float(HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(x, x[:, 0] * x[:, 1]).predict(x).sum())


def rounded(results: Any) -> object:
    """Products on several threads add in another order, so the last bits may differ between peers."""
    return [f"{result:.6g}" for result in results]


def numbers(count: int) -> range:
    return range(count)


FUNCTIONS: dict[str, tuple[str, Callable[[int], float], int]] = {
    "blas": (f"of three products of {SIDE} x {SIDE} matrices", multiply, 160),
    "svd": (f"of singular values of {SIDE // 4} x {SIDE // 4} matrices", decompose, 160),
    "boosting": ("of gradient-boosted trees, fitted to 2,000 rows", boost, 40),
    "fft": ("of Fourier transforms of 131,072 points", transform, 400),
}

CASES = tuple(
    MapCase(
        name=name,
        title=f"{count} items {what}",
        count=count,
        function=function,
        make_items=numbers,
        digest=rounded,
        targets=(
            Target(versus="joblib", most=1.1),
            Target(versus="loop", most=1.2),
            Target(who="allcores-clean", versus="joblib", most=1.1),
        ),
        extras=("allcores-clean",),
    )
    for name, (what, function, count) in FUNCTIONS.items()
)
