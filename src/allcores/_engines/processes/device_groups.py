"""Which workers have which accelerators."""

from __future__ import annotations

from collections.abc import Sequence

from allcores._engines.processes.process import Process
from allcores._system.accelerators import DEVICES_VARIABLE

__all__ = ["DeviceGroups"]


class DeviceGroups:
    """Groups of devices, one for each worker that there may be at a time.

    Args:
        groups: of the first worker, of the second, and so on.
    """

    def __init__(self, groups: Sequence[Sequence[str]]) -> None:
        self._free = list(groups)[::-1]
        self._given: dict[int, Sequence[str]] = {}  # by the process

    def choose(self) -> dict[str, str]:
        """Give what stands in the environment of the next worker."""
        return {DEVICES_VARIABLE: ",".join(self._free[-1])}

    def give(self, process: Process) -> None:
        """Hear that this is the worker."""
        self._given[id(process)] = self._free.pop()

    def take(self, process: Process) -> None:
        """Hear that it is a worker no more, so that its devices are the next one's."""
        self._free.append(self._given.pop(id(process)))
