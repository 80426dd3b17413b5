"""Whether a person watches what this process shows."""

from __future__ import annotations

import sys

from allcores._core.hints import Any

__all__ = ["is_terminal", "is_watched", "started_by_multiprocessing"]


def is_watched() -> bool:
    """Whether standard error is a terminal, or a notebook's cell."""
    return "ipykernel" in sys.modules or is_terminal(sys.stderr)


def is_terminal(stream: Any) -> bool:
    """Whether what is written to this stream appears on a terminal."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # none, or closed
        return False


def started_by_multiprocessing() -> bool:
    """Whether this process is one of perhaps many that share a terminal."""
    process: Any = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None
