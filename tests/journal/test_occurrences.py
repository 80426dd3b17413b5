"""Digests are counted right, and in little memory."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter

import pytest

from allcores._journal.occurrences import PART, PREFIX, Occurrences

pytestmark = pytest.mark.once


@pytest.mark.parametrize("seed", range(5))
def test_each_digest_is_counted_by_itself(seed: int):
    dice = random.Random(seed)
    digests = [dice.randbytes(16) for _ in range(300)]
    occurrences, before = Occurrences(), Counter()
    for digest in dice.choices(digests, k=2000):
        assert occurrences.count(digest) == before[digest]
        before[digest] += 1


def test_a_digest_that_looks_like_the_end_of_one_and_the_beginning_of_another_is_new():
    begin, middle = b"\0" * PREFIX, PART // 2
    parts = [bytes([number]) * middle for number in (1, 2, 3, 4, 5, 6)]
    occurrences = Occurrences()
    for first, second in [(0, 1), (2, 3), (4, 5)]:
        assert occurrences.count(begin + parts[first] + parts[second] + b"end...") == 0
    for first, second in [(1, 2), (3, 4)]:
        assert occurrences.count(begin + parts[first] + parts[second] + b"end...") == 0
    for first, second in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]:
        assert occurrences.count(begin + parts[first] + parts[second] + b"end...") == 1


def test_a_digest_of_zeros_is_counted_among_others():
    occurrences = Occurrences()
    assert [occurrences.count(bytes(16)) for _ in range(3)] == [0, 1, 2]
    assert occurrences.count(bytes(9) + b"\1" + bytes(6)) == 0
    assert occurrences.count(bytes(16)) == 3


def test_a_digest_takes_little_more_than_what_is_kept_of_it():
    """In few groups, so that what a group takes itself does not count."""
    dice = random.Random(1)
    occurrences = Occurrences()
    tracemalloc.start()
    try:
        for number in range(100_000):
            occurrences.count(bytes([number % 64, 0]) + dice.randbytes(14))
        current, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < (PART + 2) * 100_000
