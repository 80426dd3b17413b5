"""Connections to Dask clusters: each of our own, so that nothing of it is mixed up with what the caller does there."""

from __future__ import annotations

from allcores._core.hints import Any

__all__ = ["Connection", "count_threads"]

MISSING = "a Dask cluster needs the library distributed, which is not installed: pip install 'allcores[dask]'"


class Connection:
    """A connection to a cluster.

    Args:
        place: a client of the caller's, an address, or ``"dask"`` for the current client or else a cluster here.
        workers: how many processes a cluster has that is made here.

    Attributes:
        client: our own client.

    Raises:
        ImportError: Dask is not installed.
        OSError: nobody answers at the address.
        ValueError: the cluster's workers are threads of this process.
    """

    def __init__(self, place: Any, *, workers: int) -> None:
        distributed = _library()
        self._cluster: Any = None
        theirs = _current_client() if _is_any(place) else place
        if theirs is None:
            self._cluster = distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
            )
            theirs = self._cluster.scheduler_address
        try:
            self.client: Any = _connect(theirs)
        except BaseException:
            self._close_cluster()
            raise

    def close(self) -> None:
        """End it, and with it all that was asked for by it."""
        try:
            self.client.close()
        finally:
            self._close_cluster()

    def _close_cluster(self) -> None:
        if self._cluster is not None:
            self._cluster.close()


def count_threads(place: Any) -> int | None:
    """Give how many calls a cluster can run at once; None where there are no workers yet, or no cluster."""
    _library()
    theirs = _current_client() if _is_any(place) else place
    if theirs is None:
        return None
    if not isinstance(theirs, str):
        _refuse_threads(theirs.scheduler.address)
        return sum(theirs.nthreads().values()) or None
    client = _connect(theirs)
    try:
        return sum(client.nthreads().values()) or None
    finally:
        client.close()


def _is_any(place: Any) -> bool:
    return isinstance(place, str) and place == "dask"


def _library() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ImportError(MISSING) from error
    return distributed


def _current_client() -> Any:
    try:
        return _library().default_client()
    except ValueError:  # there is none
        return None


def _connect(theirs: Any) -> Any:
    """Connect to where an address, or a client, leads."""
    address, security = (theirs, None) if isinstance(theirs, str) else (theirs.scheduler.address, theirs.security)
    _refuse_threads(address)
    return _library().Client(address, security=security, set_as_default=False, name="allcores")


def _refuse_threads(address: str) -> None:
    if address.startswith("inproc://"):
        raise ValueError("this Dask cluster runs in threads of this process; use on='threads'")
