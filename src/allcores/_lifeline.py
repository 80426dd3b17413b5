"""No orphans: a worker must not outlive the process it works for, whatever ends that process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["die_with_parent"]

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent's thread that started it ends; Linux only.

    The kernel does it even while C code holds the interpreter's lock. Elsewhere, and where that thread may end before
    its process does, workers notice the end of their channel instead, as soon as they are between two items.

    Args:
        parent: the parent's process id, to notice a parent that died before this call.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
