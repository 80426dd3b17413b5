"""How much memory a tree of processes takes at most, seen from outside while it works."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

__all__ = ["MemorySampler", "descendants"]

SAMPLE_SECONDS = 0.01


class MemorySampler:
    """Looks every 10 ms while its `with` block runs, and at least once.

    Args:
        pid: the tree's root.
        counts_root: whether the root counts, or only what stems from it.

    Attributes:
        root: most that the root had resident, in bytes; by the kernel's own record.
        tree: most that all processes had together, in bytes; what several map counts once (proportional set size).
    """

    def __init__(self, pid: int, *, counts_root: bool) -> None:
        self.root = self.tree = 0
        self._pid = pid
        self._counts_root = counts_root
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        with suppress(OSError), open(f"/proc/{self._pid}/clear_refs", "w") as file:
            file.write("5")  # forget the peak
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._look()  # what a short round has left
        if self._counts_root:
            self.root = _kilobytes(f"/proc/{self._pid}/status", "VmHWM:") * 1024

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self) -> None:
        pids = (pid for pid in descendants(self._pid) if self._counts_root or pid != self._pid)
        size = sum(_kilobytes(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids)
        self.tree = max(self.tree, size * 1024)


def descendants(pid: int) -> Iterator[int]:
    """Give the process and all that stem from it."""
    yield pid
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                for child in file.read().split():
                    yield from descendants(int(child))


def _kilobytes(path: str, field: str) -> int:
    with suppress(OSError), open(path) as file:
        for line in file:
            if line.startswith(field):
                return int(line.split()[1])
    return 0
