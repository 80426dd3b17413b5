"""A line about an item for messages: short, and never an error, whatever its ``__repr__`` does."""

from __future__ import annotations

from itertools import islice
from reprlib import Repr

from allcores._core.hints import Any
from allcores._core.kinds import type_name
from allcores._objects.asking import ask, describe

__all__ = ["short_repr"]

REPR_LENGTH = 80  # characters: an item must fit into one line of a traceback
SHORTENED = (tuple, list, set, frozenset, dict, str, bytes, bytearray, int)  # of others, the whole text is cut
SORTED_AT_MOST = 10  # elements: more than are shown


def short_repr(thing: object) -> str:
    """Describe `thing` in at most `REPR_LENGTH` characters, whatever its ``__repr__`` does."""
    try:
        text = ask(_Shortener().repr, thing)
    except Exception as error:  # an item's own __repr__ may raise anything
        text = f"<{type_name(thing)} whose repr fails: {describe(error)}>"
    text = " ".join(str.split(text))
    return text if len(text) <= REPR_LENGTH else text[: REPR_LENGTH - 3] + "..."


class _Shortener(Repr):
    """The standard library's, made fit for large things: it would sort a whole set to show six of its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = REPR_LENGTH

    def repr1(self, x: Any, level: int) -> str:
        if type(x) not in SHORTENED:  # a class may have the name of a builtin one
            return self.repr_instance(x, level)
        if type(x) in (set, frozenset) and len(x) > SORTED_AT_MOST:
            x = type(x)(islice(x, SORTED_AT_MOST))
        elif type(x) is dict and len(x) > SORTED_AT_MOST:
            x = dict(islice(x.items(), SORTED_AT_MOST))
        return super().repr1(x, level)

    repr_bytes = repr_bytearray = Repr.repr_str  # cuts before it makes a text of the whole
