"""Words, one after another, can be read in only one way."""

from __future__ import annotations

import math

from allcores._journal.digest.words import LONG, SIMPLE, SIZE, hash_of, text, word, words


def simple(thing: object) -> bytes:
    return SIMPLE[id(type(thing))](thing)


def test_a_word_shows_where_it_ends() -> None:
    assert word(b"bytes", b"abc") == b"bytes 3:abc"
    assert text(b"name", "é") == b"name 2:\xc3\xa9"
    assert words(b"pair", [b"ab", b"c"]) == words(b"pair", [b"abc"]) == b"pair 3:abc"
    assert words(b"pair", [text(b"", "ab"), text(b"", "c")]) != words(b"pair", [text(b"", "a"), text(b"", "bc")])


def test_a_long_word_goes_on_as_its_hash() -> None:
    content = b"x" * (LONG + 1)
    assert word(b"bytes", content) == b"bytes #" + hash_of(content)
    assert len(hash_of(content)) == SIZE
    assert word(b"bytes", content[1:]).startswith(b"bytes 256:")


def test_things_that_are_equal_and_of_different_types_differ() -> None:
    ones = [1, 1.0, 1 + 0j, True, "1", b"1", None]
    assert len({simple(one) for one in ones}) == len(ones)
    assert simple(0.0) != simple(-0.0)
    assert simple(math.nan) == simple(math.nan)
    assert simple("\ud800") == b"str 3:\xed\xa0\x80"
