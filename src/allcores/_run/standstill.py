"""A run that can do nothing before somebody else brings workers: it says so, and gives up if it was told when."""

from __future__ import annotations

import sys
from contextlib import suppress

from allcores._core.errors import WorkersUnavailable
from allcores._core.messages import EngineLost
from allcores._engines.engine import Arrival

__all__ = ["Standstill"]

SAY_SECONDS = 3.0  # of waiting, before it is worth a line


class Standstill:
    """Watches over a run's waiting.

    Args:
        patience: how many seconds to wait; None for ever.
        is_told: whether to write a line on standard error when it lasts.
    """

    def __init__(self, patience: float | None, *, is_told: bool) -> None:
        self._patience = patience
        self._is_told = is_told
        self._since: float | None = None  # when it began; None while items can run
        self._is_said = False

    def __repr__(self) -> str:
        return f"<Standstill: {'items can run' if self._since is None else f'since {self._since:g}'}>"

    @property
    def due(self) -> float | None:
        """When it wants to look again even if nothing has happened, on the run's clock; None for never."""
        if self._since is None:
            return None
        times = [SAY_SECONDS] if self._is_told and not self._is_said else []
        times += [] if self._patience is None else [self._patience]
        return self._since + min(times) if times else None

    def look(self, awaited: str | None, now: float) -> list[Arrival]:
        """See how long it has lasted by now; give what the run is to hear.

        Args:
            awaited: what must come before any item can run; None where nothing must.
            now: on the run's clock.
        """
        if awaited is None:
            self._since, self._is_said = None, False
            return []
        if self._since is None:
            self._since = now
        if self._patience is not None and now >= self._since + self._patience:
            return [Arrival(EngineLost(), cause=WorkersUnavailable(self._describe(awaited)))]
        if self._is_told and not self._is_said and now >= self._since + SAY_SECONDS:
            self._is_said = True
            _write(f"allcores: waiting for {awaited}\n")
        return []

    def _describe(self, awaited: str) -> str:
        return f"waited {self._patience:g} seconds (timeout_start) for {awaited}"


def _write(line: str) -> None:
    """Write where a person looks, or a log; a run needs neither."""
    with suppress(Exception):
        sys.stderr.write(line)
        sys.stderr.flush()
