"""With one native thread each, items compute the very bits that a loop does, wherever they run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import allcores

threadpoolctl = pytest.importorskip("threadpoolctl")

# scipy ignores that itself, but by filters that all threads share: one may put them back while another relies on them.
pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:The line search algorithm:RuntimeWarning")]

SIZE = 128  # large enough for libraries to use several threads, and blocks


def numbers(shape: tuple[int, ...], seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def multiply(seed: int) -> Any:
    return numbers((SIZE, SIZE), seed) @ numbers((SIZE, SIZE), seed + 1)


def multiply_short(seed: int) -> Any:
    return numbers((SIZE, SIZE), seed).astype(np.float32) @ numbers((SIZE,), seed).astype(np.float32)


def solve(seed: int) -> Any:
    return np.linalg.solve(numbers((SIZE, SIZE), seed), numbers((SIZE, 3), seed + 1))


def decompose(seed: int) -> Any:
    return np.concatenate([part.ravel() for part in np.linalg.svd(numbers((SIZE, SIZE // 2), seed))])


def find_eigenvalues(seed: int) -> Any:
    square = numbers((SIZE, SIZE), seed)
    return np.concatenate([np.linalg.eigvals(square), np.linalg.eigvalsh(square + square.T)])


def transform(seed: int) -> Any:
    return np.fft.fft2(numbers((SIZE, SIZE + 1), seed))


def add_up(seed: int) -> Any:
    many = numbers((100_003,), seed)
    return np.array(
        [many.sum(), many.std(), many[::3].sum(), many.astype(np.float32).mean(), np.einsum("i,i", many, many)]
    )


def sort(seed: int) -> Any:
    many = numbers((20_011,), seed)
    return np.concatenate([np.sort(many), np.argsort(many), np.exp(many), np.sin(many)])


def minimize(seed: int) -> Any:
    from scipy import optimize

    return optimize.minimize(optimize.rosen, numbers((8,), seed), method="BFGS").x


def factorize(seed: int) -> Any:
    from scipy import linalg

    square = numbers((SIZE, SIZE), seed)
    return np.concatenate([part.ravel() for part in linalg.lu(square)] + [linalg.expm(square / SIZE).ravel()])


def multiply_by_torch(seed: int) -> Any:
    import torch

    square = torch.from_numpy(numbers((SIZE, SIZE), seed))
    return (square @ square.T).softmax(0).numpy()


def fit_trees(seed: int) -> Any:
    from sklearn import ensemble

    x, y = numbers((500, 5), seed), numbers((500,), seed + 1)
    return ensemble.HistGradientBoostingRegressor(max_iter=5, random_state=0).fit(x, y).predict(x)


def fit_line(seed: int) -> Any:
    from sklearn import linear_model

    x = numbers((500, 6), seed)
    model = linear_model.LogisticRegression().fit(x, x[:, 0] + numbers((500,), seed + 1) > 0)
    return np.concatenate([model.coef_.ravel(), model.intercept_])


NEEDED = {
    "torch": {"multiply_by_torch": multiply_by_torch},
    "scipy.optimize": {"minimize": minimize},
    "scipy.linalg": {"factorize": factorize},
    "sklearn.ensemble": {"fit_trees": fit_trees},
    "sklearn.linear_model": {"fit_line": fit_line},
}
ZOO: dict[str, Callable[[int], Any]] = {
    function.__name__: function
    for function in (multiply, multiply_short, solve, decompose, find_eigenvalues, transform, add_up, sort)
}
for module, functions in NEEDED.items():
    with suppress(ImportError):
        import_module(module)  # now: a limit holds for the libraries that are loaded when it is set
        ZOO |= functions
SEEDS = range(3)


def compute(name: str, seed: int) -> bytes:
    return bytes(ZOO[name](seed).tobytes())


@pytest.fixture(scope="module")
def in_a_loop() -> dict[tuple[str, int], bytes]:
    with threadpoolctl.threadpool_limits(1):
        return {(name, seed): compute(name, seed) for name in ZOO for seed in SEEDS}


@pytest.mark.starts
def test_with_one_thread_every_bit_is_the_loops(in_a_loop, home):
    pairs = list(in_a_loop)
    found = allcores.starmap(compute, pairs, workers=2, threads=1, **home)
    assert [pair for pair, bits in zip(pairs, found, strict=True) if bits != in_a_loop[pair]] == []
