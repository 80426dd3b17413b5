"""Runs of one user on one machine, in whatever programs, that share its cores where they are asked to.

Each run holds a locked file in a folder of the user's. The kernel lets go of the lock whatever ends the process, so how
many runs there are is how many of the locks cannot be had: nothing is to be cleaned up after a kill.
"""

from __future__ import annotations

import fcntl
import os
from itertools import count

from allcores._system.lockfile import LockFile

__all__ = ["Neighbours"]

_numbers = count()


class Neighbours:
    """One run among those that share.

    Args:
        folder: where they meet.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = LockFile(os.path.join(self._folder, f"{os.getpid()}-{next(_numbers)}.run"))

    def count(self) -> int:
        """Say how many runs there are, this one included; what others have left that were killed is removed."""
        names = [name for name in os.listdir(self._folder) if name.endswith(".run")]
        return sum(self._is_held(os.path.join(self._folder, name)) for name in names)

    def _is_held(self, path: str) -> bool:
        try:
            with open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
        except BlockingIOError:
            return True
        except OSError:  # it has just ended
            return False
        return False

    def close(self) -> None:
        """Be no longer among them."""
        self._lock.release()
