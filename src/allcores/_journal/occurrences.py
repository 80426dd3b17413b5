"""How often each of very many digests has come, in little memory.

A Python set takes 80 bytes for each; ten million items would be a gigabyte in the driver. Here one that came once takes
some ten bytes: a part of it, among those of the digests that begin alike.
"""

from __future__ import annotations

from collections import defaultdict

__all__ = ["Occurrences"]

PREFIX = 2  # bytes: 65,536 groups, so that each stays short enough to be searched in a microsecond
PART = 8  # bytes that are kept besides: of ten million digests, two agree in all ten once in twenty billion runs


class Occurrences:
    """Counts digests; two that agree in their first ten bytes count as equal."""

    def __init__(self) -> None:
        self._parts: defaultdict[bytes, bytearray] = defaultdict(bytearray)  # {prefix: parts, one after another}
        self._repeats: dict[bytes, int] = {}  # {first ten bytes: how often they came again}

    def count(self, digest: bytes) -> int:
        """Give how often the digest came before, and count it."""
        parts, part = self._parts[digest[:PREFIX]], digest[PREFIX : PREFIX + PART]
        at = parts.find(part)
        while at > 0 and at % PART:  # across two parts
            at = parts.find(part, at + 1)
        if at < 0:
            parts += part
            return 0
        known = digest[: PREFIX + PART]
        self._repeats[known] = repeats = self._repeats.get(known, 0) + 1
        return repeats
