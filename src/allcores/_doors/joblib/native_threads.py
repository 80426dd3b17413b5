"""How many threads native libraries use in a worker: BLAS, OpenMP and their like."""

from __future__ import annotations

import os

from allcores._system.machine import usable_cores

__all__ = ["find_limits", "limit_native_threads"]

# {variable: the interface of a loaded library that it is for, as threadpoolctl calls it}
VARIABLES = {
    "OMP_NUM_THREADS": "openmp",
    "OPENBLAS_NUM_THREADS": "openblas",
    "MKL_NUM_THREADS": "mkl",
    "BLIS_NUM_THREADS": "blis",
    "VECLIB_MAXIMUM_THREADS": None,
    "NUMBA_NUM_THREADS": None,
    "NUMEXPR_NUM_THREADS": None,
}


def find_limits(count: int | None, workers: int) -> dict[str, str]:
    """Say how many threads each library may use in a worker, as ``{variable of the environment: number}``.

    Args:
        count: threads of each; None for what the environment says, or else a worker's share of the cores.
        workers: how many there are.
    """
    share = str(max(1, usable_cores()[0] // workers))
    return {name: os.environ.get(name, share) if count is None else str(count) for name in VARIABLES}


def limit_native_threads(limits: dict[str, str]) -> None:
    """Bound the threads of this process's native libraries, those that are loaded and those that are yet to be."""
    os.environ.update(limits)
    _limit_loaded_libraries()


def _limit_loaded_libraries() -> None:
    """Give those libraries their number that have read the environment before, as they do in a forked worker."""
    from threadpoolctl import ThreadpoolController

    limits = {interface: os.environ[variable] for variable, interface in VARIABLES.items() if interface is not None}
    for library in ThreadpoolController().lib_controllers:
        limit = limits.get(library.internal_api, "")
        if limit.isdecimal():  # a list, one number per level of nesting, is for the library itself
            library.set_num_threads(int(limit))
