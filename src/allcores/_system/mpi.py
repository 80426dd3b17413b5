"""The ranks of an MPI job, of which the first runs the program and the others run what it asks for."""

from __future__ import annotations

from allcores._core.hints import Any

__all__ = ["count_ranks", "make_executor"]

MISSING = "on='mpi' needs the library mpi4py, which is not installed: pip install 'allcores[mpi]'"
HOW = "on='mpi' is for a program that was started so: mpiexec -n 3 python -m mpi4py.futures program.py"


def make_executor() -> Any:
    """Make an executor over all ranks but the first.

    Raises:
        ImportError: mpi4py is not installed.
        RuntimeError: this is no such job.
    """
    futures = _library()
    _require_ranks(futures)
    return futures.MPIPoolExecutor()


def count_ranks() -> int:
    """Give how many ranks can run items; raises as `make_executor`."""
    _require_ranks(_library())
    from mpi4py import MPI

    return int(MPI.COMM_WORLD.Get_size()) - 1


def _library() -> Any:
    try:
        from mpi4py import futures
    except ImportError as error:
        raise ImportError(MISSING) from error
    return futures


def _require_ranks(futures: Any) -> None:
    """Refuse where ranks would have to be started by this program, which most systems do not allow."""
    if futures._core.SharedPool is None:  # noqa: SLF001 - nothing else tells whether ranks wait for work
        raise RuntimeError(HOW)
