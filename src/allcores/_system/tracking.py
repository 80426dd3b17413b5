"""One resource tracker for a caller and its workers.

multiprocessing has shared memory and semaphores that have a name, and so outlive processes, written down by a process
of its own: the resource tracker. It removes what is left when nobody who knows it is there any more. Workers that had
one each would have what they made removed at their end, under the hands of the caller, who was given its name. So they
tell the caller's, as multiprocessing's own children do.

That one is rarely needed, and takes some milliseconds to start. Where it does not run yet, workers are given a pipe,
which looks to them like the tracker's; it is started when there is something to tell.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from allcores._system.descriptors import claim, disclaim

__all__ = ["SharedTracker"]

ALL = 1 << 20  # bytes: more than a pipe holds
PROBE = b"PROBE"  # begins lines that only ask whether somebody is there


class SharedTracker:
    """The caller's side.

    Attributes:
        descriptor: for workers to write to, as to the tracker's pipe: whole lines at once.
    """

    def __init__(self) -> None:
        self._reading: int | None = None
        running = _running_tracker()
        if running is not None:
            self.descriptor = running
            return
        self._reading, self.descriptor = os.pipe()
        os.set_blocking(self._reading, False)
        claim(self._reading)
        claim(self.descriptor)

    @property
    def reading(self) -> int | None:
        """A descriptor that can be read when there is something to forward; None where workers tell it directly."""
        return self._reading

    def forward(self) -> None:
        """Tell the tracker what workers have written so far."""
        if self._reading is None:
            return
        with suppress(BlockingIOError):
            lines = os.read(self._reading, ALL).splitlines(keepends=True)
            _tell([line for line in lines if not line.startswith(PROBE)])

    def close(self) -> None:
        """Forward what is left; workers have ended, or have nothing more to tell."""
        self.forward()
        if self._reading is not None:
            for end in (self._reading, self.descriptor):
                disclaim(end)
                os.close(end)
            self._reading = None


def _running_tracker() -> int | None:
    module = sys.modules.get("multiprocessing.resource_tracker")
    descriptor: int | None = None if module is None else module._resource_tracker._fd  # noqa: SLF001 - no other way
    return descriptor


def _tell(lines: list[bytes]) -> None:
    if lines:
        from multiprocessing.resource_tracker import getfd

        descriptor = getfd()
        assert descriptor is not None
        for line in lines:  # each at once, as other processes write there, too
            os.write(descriptor, line)
