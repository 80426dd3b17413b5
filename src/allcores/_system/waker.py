"""Ends the wait of another thread on a selector."""

from __future__ import annotations

import os
import threading

from allcores._system.descriptors import claim, disclaim

__all__ = ["Waker"]


class Waker:
    """A descriptor that is readable once somebody has called `wake`, until the waiting thread calls `clear`.

    Attributes:
        is_awake: whether somebody has called `wake` since.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        claim(self._reading)
        claim(self._writing)
        self._lock = threading.RLock()  # a finalizer may call `wake` amid anything, in the same thread, too
        self.is_awake = self._is_closed = False

    def fileno(self) -> int:
        """The descriptor, to wait on."""
        return self._reading

    def wake(self) -> None:
        """End the wait; any thread may call it, at any time."""
        with self._lock:
            if not (self.is_awake or self._is_closed):
                self.is_awake = True
                os.write(self._writing, b"!")

    def clear(self) -> None:
        """Have the next wait last again."""
        with self._lock:
            if self.is_awake:
                self.is_awake = False
                os.read(self._reading, 1)

    def close(self) -> None:
        """Close both ends."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                for end in (self._reading, self._writing):
                    disclaim(end)
                    os.close(end)
