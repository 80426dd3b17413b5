"""Mentions: which functions and classes of the caller's pickles name, so that whoever reads them has these first."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping, Sequence
from pickle import PickleBuffer

from allcores._codec.definitions.classes import MAIN, is_definition
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known
from allcores._codec.definitions.user_modules import user_modules
from allcores._core.hints import Any
from allcores._core.kinds import is_a
from allcores._transport.wire import Buffer

__all__ = ["definitions_named_in"]

OLD_GLOBAL = b"c%b\n"  # in a pickle within a pickle, of a protocol before 4
SHORT_STRING = 255  # bytes: pickle writes \x8c, their number and the bytes; a longer name is always sent


def definitions_named_in(pickles: Sequence[Buffer | PickleBuffer], known: Known, inspection: Inspection) -> list[Any]:
    """Find functions and classes that pickles may name, of ``__main__`` and of the user's modules.

    It may find a few too many, because it looks for names in bytes; that costs a definition's trip, once. What was
    found before by this inspection is not found again.
    """
    data = b"".join(map(bytes, pickles))
    found: list[Any] = []
    for module in (MAIN, *user_modules()):
        if _is_named(module, data):
            names = _definitions_of(module)
            found += map(names.__getitem__, _find_names(data, module, names))
    return [thing for thing in found if known.is_news(thing, inspection)]


def _is_named(module: str, data: bytes) -> bool:
    """Whether a pickle has the name as a string of its own, and not within a longer one."""
    name = module.encode()
    if name not in data:  # as most
        return False
    is_short = len(name) <= SHORT_STRING
    return not is_short or b"\x8c%c%b" % (len(name), name) in data or OLD_GLOBAL % name in data


def _definitions_of(module: str) -> dict[str, Any]:
    namespace = vars(sys.modules[module]).copy()  # which other threads may be adding to
    return {name: thing for name, thing in namespace.items() if is_definition(thing, module)}


def _find_names(data: bytes, module: str, things: Mapping[str, Any]) -> set[str]:
    if OLD_GLOBAL % module.encode() in data:
        return {name for name in things if name.encode() in data}
    classes = frozenset(name for name, thing in things.items() if is_a(thing, type))
    return _find_strings(data, frozenset(things), classes)


def _find_strings(data: bytes, names: frozenset[str], classes: frozenset[str]) -> set[str]:
    """Find the names that a pickle has as strings, and the classes whose names others begin with, and a dot.

    One search for all of them, as one for each takes longer than to pickle the data.
    """
    found = {name or outer for name, outer in _pattern_of_strings(names, classes).findall(data)}
    return {name for name in names if name.encode() in found or len(name.encode()) > SHORT_STRING}


@functools.lru_cache(maxsize=16)
def _pattern_of_strings(names: frozenset[str], classes: frozenset[str]) -> re.Pattern[bytes]:
    by_length: dict[int, list[bytes]] = {}
    for name in map(str.encode, names):
        by_length.setdefault(len(name), []).append(re.escape(name))
    of_length = [
        b"(?<=\x8c%b)(?:%b)" % (re.escape(bytes([length])), b"|".join(names))
        for length, names in by_length.items()
        if length <= SHORT_STRING
    ]
    outer = b"|".join(map(re.escape, map(str.encode, classes))) or b"(?!)"
    return re.compile(b"\x8c.(?:(%b)|(%b)\\.)" % (b"|".join(of_length) or b"(?!)", outer), re.DOTALL)
