"""What PyInstaller asks allcores for: a hook that programs with allcores run before all else; see `freeze_support`."""

from __future__ import annotations

import os

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Say where `rthooks.dat` is, which names the hook."""
    return [os.path.dirname(__file__)]
