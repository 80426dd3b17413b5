"""pandas' `apply` on all cores; needs pandas 2.2 or newer, and `Engine` pandas 3."""

from allcores._doors.pandas_apply import Engine, apply

__all__ = ["Engine", "apply"]
