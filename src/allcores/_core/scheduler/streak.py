"""Failures in a row: how many, if those that come together of one cause are one."""

from __future__ import annotations

__all__ = ["Streak"]


class Streak:
    """Counts failures until something succeeds.

    However many fail together of one cause, it is one failure: each was begun in sight of as many as any other. So one
    counts only beyond those that were known when what failed now was begun.

    Attributes:
        length: how many there are.
    """

    __slots__ = ("length",)

    def __init__(self) -> None:
        self.length = 0

    def __repr__(self) -> str:
        return f"<Streak: {self.length}>"

    def count(self, known: int) -> None:
        """Take in a failure of something that was begun when there had been so many."""
        # What had failed before a success does not count, however many were known then.
        self.length = max(self.length, min(self.length, known) + 1)

    def end(self) -> None:
        """Take in a success."""
        self.length = 0
