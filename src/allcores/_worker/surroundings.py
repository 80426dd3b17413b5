"""What of the caller's process its function may rely on, though it captures none of it: folder, path, environment."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping

from allcores._core.records import Record
from allcores._worker.share import Share

__all__ = ["Surroundings", "absolute_path", "present_folder"]


class Surroundings(Record):
    """What of the caller's process its function may rely on, apart from the objects it captures."""

    path: list[str]
    arguments: list[str]
    folder: str | None
    environment: dict[str, str]
    authkey: bytes | None  # by which multiprocessing's processes know each other; None where it is not in use
    umask: int
    stack_size: int  # of threads to come
    share: Share

    @classmethod
    def here(cls, share: Share) -> Surroundings:
        """Describe this process, for workers that have this share of the cores each."""
        folder = present_folder()
        environment = {**os.environ, **share.variables}
        process = sys.modules.get("multiprocessing.process")
        authkey = None if process is None else bytes(process.current_process().authkey)
        return cls(absolute_path(folder), list(sys.argv), folder, environment, authkey, _umask(), _stack_size(), share)

    def adopt(self, variables: Mapping[str, str]) -> None:
        """Make this process like the described one, but for some variables of the environment, which are its own."""
        sys.path[:] = self.path
        sys.argv[:] = self.arguments
        if self.folder is not None:
            os.chdir(self.folder)  # without a look at the present one, which may have been removed
        environment = {**self.environment, **variables}
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)
        self.share.adopt()
        if self.authkey is not None:
            from multiprocessing.process import current_process

            current_process().authkey = self.authkey
        os.umask(self.umask)
        threading.stack_size(self.stack_size)


def present_folder() -> str | None:
    """Give the present folder; None where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return None


def absolute_path(folder: str | None) -> list[str]:
    """Give ``sys.path`` such that its entries mean what they mean now, wherever an item changes the folder to.

    Args:
        folder: the present one; None where it was removed.
    """
    return [
        entry if folder is None or os.path.isabs(entry) else _in_folder(folder, entry) for entry in map(str, sys.path)
    ]


def _in_folder(folder: str, entry: str) -> str:
    return folder if entry in {"", os.curdir} else os.path.join(folder, entry)


def _umask() -> int:
    """Give the process's mask, which can only be read by setting another: one that keeps others out meanwhile."""
    try:
        with open("/proc/self/status", "rb") as status:
            return next(int(line.split()[1], 8) for line in status if line.startswith(b"Umask:"))
    except (OSError, StopIteration):  # not Linux
        mask = os.umask(0o077)
        os.umask(mask)
        return mask


def _stack_size() -> int:
    """Give the size, which can only be read by having it as it is by default."""
    size = threading.stack_size()
    if size:
        threading.stack_size(size)
    return size
