"""A lock that one process at a time holds on a path, and that is free again whatever ends the process.

It is the kernel's lock on an open file (flock): nothing has to be cleaned up after a kill. Processes that were forked
meanwhile share it, so a child closes its descriptor first thing; that lets go of nothing that is the parent's.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from io import FileIO

from allcores._system.descriptors import claim

__all__ = ["LockFile"]


class LockFile:
    """A lock that is held from the beginning.

    Args:
        path: a file that exists for nothing else; it is made where there is none.

    Raises:
        BlockingIOError: it is held, by somebody else or by this process; the text says by whom.
        OSError: the file cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = _take(path)
        claim(self._file)
        _held.add(self)

    @property
    def is_held(self) -> bool:
        """Whether it is this process that holds it: false after `release`, and in a forked child."""
        return not self._file.closed

    def release(self) -> None:
        """Let go, and remove the file."""
        if self.is_held:
            with suppress(OSError):  # somebody else has removed it, or takes care that nobody can
                os.unlink(self._path)  # first: whoever took the lock in between would hold a file without a name
            self.leave()

    def leave(self) -> None:
        """Close the file only."""
        self._file.close()
        _held.discard(self)


_held: set[LockFile] = set()


def _leave_all() -> None:
    for lock in list(_held):
        lock.leave()


os.register_at_fork(after_in_child=_leave_all)


def _take(path: str) -> FileIO:
    while True:
        file = FileIO(path, "r+", opener=_open)
        try:
            _lock(file)
            if _is_at(file, path):
                _sign(file)
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # its holder removed it while we waited for our turn


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def _lock(file: FileIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(errno.EAGAIN, _read_signature(file)) from None


def _is_at(file: FileIO, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _sign(file: FileIO) -> None:
    """Write down who holds it; a full disk must not stand in the way."""
    with suppress(OSError):
        file.truncate(0)
        file.write(_signature().encode())


def _signature() -> str:
    return f"process {os.getpid()} on {os.uname().nodename}"


def _read_signature(file: FileIO) -> str:
    """Say who holds it; nobody knows while the holder is about to sign."""
    text = file.readall().decode(errors="replace")
    return "this very process" if text == _signature() else text or "another process"
