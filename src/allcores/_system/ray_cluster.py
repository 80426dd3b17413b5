"""Connections to Ray: the caller's own, where there is one, as a process can have but one."""

from __future__ import annotations

import logging
import sys

from allcores._core.hints import Any

__all__ = ["Connection", "count_cpus"]

MISSING = "a Ray cluster needs the library ray, which is not installed: pip install 'allcores[ray]'"


class Connection:
    """A connection to a cluster.

    Args:
        place: ``"ray"`` for the caller's own connection, or else a cluster that is found here, or else one that is
            started; or the address of a Ray client's server.
        workers: how many CPUs a cluster has that is started here.

    Attributes:
        ray: the library.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: nobody answers at the address.
        ValueError: the caller is connected already, and wants to be elsewhere.
    """

    def __init__(self, place: Any, *, workers: int) -> None:
        self.ray = _library()
        self._is_ours = not self.ray.is_initialized()
        if self._is_ours:
            _connect(self.ray, place, workers)
        elif place != "ray":
            raise ValueError(f"on={place!r}: this program is connected to a Ray cluster already; on='ray' is that one")

    def close(self) -> None:
        """End it, if it is not the caller's."""
        if self._is_ours:
            self.ray.shutdown()


def count_cpus() -> int | None:
    """Give how many CPUs the cluster has that the caller is connected to; None where there is none."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    return int(ray.cluster_resources().get("CPU", 0)) or None


def _library() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError(MISSING) from error
    return ray


def _connect(ray: Any, place: str, workers: int) -> None:
    if place != "ray":
        ray.init(place, logging_level=logging.WARNING)
        return
    try:
        ray.init("auto", logging_level=logging.WARNING)
    except ConnectionError:  # there is none
        ray.init(num_cpus=workers, include_dashboard=False, logging_level=logging.WARNING)
