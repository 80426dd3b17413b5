"""Digests of items, and of what is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allcores._journal.digest.code import CodeDescriber
from allcores._journal.digest.describer import Describer
from allcores._journal.digest.names import MAIN_ONLY, goes_by_name, homes_of, named, type_name
from allcores._journal.digest.undigestible import Undigestible, explain
from allcores._journal.digest.words import SIMPLE, hash_of, word
from allcores._objects.asking import ask

__all__ = ["Classes", "digest_function", "digest_item"]

Classes = dict[int, tuple[type, bytes]]  # {id: (class, description)}


def digest_item(thing: Any, classes: Classes | None = None) -> bytes:
    """Give 16 bytes that tell an item by its content.

    Args:
        thing: anything.
        classes: what was found out about classes that cannot be imported, which takes a millisecond each. Share one
            dict, empty at first, among the items of a run, but not among runs: in between, what the methods of such a
            class call may have been redefined.

    Raises:
        Undigestible: its content cannot be told.
    """
    simple = SIMPLE.get(id(type(thing)))
    if simple is not None:
        return hash_of(simple(thing))
    return _attempt(thing, lambda: _ItemDescriber({} if classes is None else classes).describe(thing))


def digest_function(function: Any) -> bytes:
    """Give 16 bytes that tell what a function computes: by its code, what it captures, and what it calls at home.

    Line numbers, comments, docstrings and the function's own name don't count. What is captured and cannot be told by
    its content counts by its type.

    Args:
        function: anything that can be called.

    Raises:
        Undigestible: it is of a class whose attributes cannot be read.
    """
    return _attempt(function, lambda: CodeDescriber(MAIN_ONLY.union(homes_of(function))).describe_all_of(function))


def _attempt(thing: Any, describe: Callable[[], bytes]) -> bytes:
    try:
        return hash_of(ask(describe))
    except Undigestible:
        raise
    except RecursionError:
        raise Undigestible(f"a {type_name(type(thing))} is nested too deeply to be told by its content") from None
    except Exception as error:  # code of the user's own classes may raise anything
        raise explain(type(thing), error) from error


class _ItemDescriber(Describer):
    """Describes items: functions and classes by name, or else by code.

    Args:
        classes: descriptions by code, to be used again.
    """

    def __init__(self, classes: Classes) -> None:
        super().__init__()
        self._classes = classes

    def _describe_definition(self, definition: Any) -> bytes:
        if goes_by_name(definition, MAIN_ONLY):
            return named(definition)
        if id(definition) in self._classes:
            return self._classes[id(definition)][1]
        description = word(b"code", CodeDescriber(MAIN_ONLY).describe_all_of(definition))
        if isinstance(definition, type):
            self._classes[id(definition)] = definition, description
        return description
