"""What is wrong with how a command was called, and so told in one line."""

from __future__ import annotations

__all__ = ["UsageError"]


class UsageError(Exception):
    """The command line makes no sense; the text says what to write instead."""
