"""Items that may have broken an executor, and so run with nothing beside them until they have finished."""

from __future__ import annotations

__all__ = ["Quarantine"]


class Quarantine:
    """Ranges of suspect items, ascending and apart from each other."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def __repr__(self) -> str:
        return f"<Quarantine: {sum(stop - start for start, stop in self._ranges)} items>"

    def add(self, start: int, stop: int) -> None:
        """Suspect these items."""
        self.clear(start, stop)
        self._ranges = sorted([*self._ranges, (start, stop)])

    def has_any(self, start: int, stop: int) -> bool:
        """Whether any of these items is suspect."""
        return any(first < stop and start < behind for first, behind in self._ranges)

    def clear(self, start: int, stop: int) -> None:
        """Suspect these items no more: they have finished."""
        if self._ranges:
            rests = [
                rest
                for first, behind in self._ranges
                for rest in ((first, min(behind, start)), (max(first, stop), behind))
            ]
            self._ranges = [(first, behind) for first, behind in rests if first < behind]
