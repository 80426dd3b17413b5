"""Chunk sizes for peers that leave them to the user and whose documentation asks for large ones with many items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

STREAM_CHUNK = 1_000  # items of a stream of small items
FEW = 10_000  # items that go one by one
PER_WORKER = 4  # chunks, as `multiprocessing.Pool.map` has them


def chunk_for(items: Sequence[Any], workers: int) -> int:
    """Give a chunk size as a user would choose it."""
    return 1 if len(items) < FEW else -(-len(items) // (workers * PER_WORKER))
