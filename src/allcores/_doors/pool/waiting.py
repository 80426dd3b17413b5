"""Waiting for what comes of items, by whoever handed them in."""

from __future__ import annotations

from allcores._run.service import Service

__all__ = ["require_able_to_wait"]


def require_able_to_wait(service: Service) -> None:
    """Refuse to let the service's own thread wait for the service.

    Raises:
        RuntimeError: the caller is a callback.
    """
    if service.is_inside:
        raise RuntimeError("this would wait for ever: callbacks run in the very thread that brings the results")
