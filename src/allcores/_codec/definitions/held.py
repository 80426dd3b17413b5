"""What a module holds, past what it does when asked for what it has not: a worker's ``__main__`` asks the driver."""

from __future__ import annotations

import sys

from allcores._core.hints import Any

__all__ = ["held_by"]

OURS = __name__.partition(".")[0]


def held_by(module: str, name: str) -> Any:
    """Give what a module holds under a name; None if it is not loaded, or holds nothing there."""
    found = sys.modules.get(module)
    if module == OURS:  # which fetches its public names when it is first asked for them
        return getattr(found, name, None)
    return getattr(found, "__dict__", {}).get(name)
