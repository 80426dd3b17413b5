"""Words: what descriptions are made of; each shows where it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from struct import Struct
from typing import Any

__all__ = ["SIMPLE", "hash_of", "text", "word", "words"]

SIZE = 16  # bytes of a digest: of a billion different things, two agree once in a hundred billion billion runs
LONG = 256  # bytes: a longer description goes on as its hash, so that nothing is copied once per level

_pack_float = Struct("<d").pack
_pack_complex = Struct("<dd").pack


def hash_of(description: Any) -> bytes:
    """Give the digest of a description."""
    return blake2b(description, digest_size=SIZE).digest()


def word(tag: bytes, content: Any) -> bytes:
    """Make a word that ends where its length says: ``tag 5:01234``, or ``tag #<hash>`` if it is long."""
    size = len(content)
    return b"%b #%b" % (tag, hash_of(content)) if size > LONG else b"%b %d:%b" % (tag, size, content)


def words(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """Make one word of several."""
    return word(tag, b"".join(parts))


def text(tag: bytes, content: str) -> bytes:
    """Make a word of a text."""
    return word(tag, content.encode("utf-8", "surrogatepass"))


# {id of a type: gives the word of such a thing}; by address, since the hash of a type may be the user's
SIMPLE: dict[int, Callable[[Any], bytes]] = {
    id(type(None)): lambda _: b"None;",
    id(bool): lambda yes: b"True;" if yes else b"False;",
    id(int): lambda number: b"int %x;" % number,  # decimal digits would take long, and have a limit
    id(float): lambda number: b"float " + _pack_float(number),
    id(complex): lambda number: b"complex " + _pack_complex(number.real, number.imag),
    id(str): lambda string: word(b"str", string.encode("utf-8", "surrogatepass")),
    id(bytes): lambda content: word(b"bytes", content),
}
