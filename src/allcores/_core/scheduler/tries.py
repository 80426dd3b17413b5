"""Which items have failed and may yet yield a value.

An item whose failure is excused is tried again, as often as the caller said. One that was lost to a lack of memory has
one try more, which runs with no other item beside it, and so do all later ones.
"""

from __future__ import annotations

from allcores._core.messages import Excuse

__all__ = ["Tries"]


class Tries:
    """The tries of items that failed and are tried again; of no others anything is kept.

    Args:
        retries: how many further tries an item has whose failure is excused.

    Attributes:
        failed: ``{item: how many of its tries failed}``.
        starved: those among them that run with no other item beside them.
    """

    __slots__ = ("_retries", "failed", "starved")

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self.failed: dict[int, int] = {}
        self.starved: set[int] = set()

    def __repr__(self) -> str:
        return f"<Tries: {len(self.failed)} items failed and are tried again, {len(self.starved)} of them alone>"

    def fail(self, index: int, excuse: Excuse) -> bool:
        """Take in that the item failed; say whether it is tried again."""
        tries = self.failed.pop(index, 0) + 1
        had_lack = index in self.starved  # such a try does not count, but is granted only once
        if excuse is Excuse.STARVED and not had_lack:
            self.starved.add(index)
        elif excuse is Excuse.NONE or tries - had_lack > self._retries:
            self.starved.discard(index)
            return False
        self.failed[index] = tries
        return True

    def succeed(self, index: int) -> None:
        """Take in that the item finished; it need not have failed before."""
        self.failed.pop(index, None)
        self.starved.discard(index)
