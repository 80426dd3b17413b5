"""The random generators that a function leads to: found by name, and given each item's own stream.

Every process works on a copy of them, which begins where the caller's stands. Left alone, workers would draw the same
numbers as each other, which no loop does. So with a seed, each item finds each of them at a place that follows from the
seed, the item's index and the names by which the function reaches the generator; without one, each worker begins them
anew at places of chance.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, ModuleType

from allcores._codec.captures import named_parts
from allcores._core.hints import Any, Self, TypeAlias
from allcores._core.kinds import is_a
from allcores._input.sharing.holders import ATOMS, is_library
from allcores._input.sharing.variables import Names, rough_names, variables_of
from allcores._worker.glance import LARGE
from allcores._worker.streams import bytes_of

__all__ = ["CapturedGenerators", "Path"]

Path: TypeAlias = tuple[str, ...]
Named: TypeAlias = list[tuple[str, Any]]

MOST = 500  # objects that are looked at

_CachedFunction = type(functools.cache(lambda: None))


class CapturedGenerators(dict[Path, Any]):
    """``{path: generator}`` of those of `random` and `numpy.random` that a function leads to, the nearest first."""

    @classmethod
    def of(cls, function: Callable[..., Any], names_of: Callable[[CodeType], Names] = rough_names) -> Self:
        """Find them.

        Args:
            function: of the user's.
            names_of: gives the names that code has.
        """
        found = cls()
        for path, generator in _generators_of(function, names_of):
            while path in found:  # an attribute that hides another of a class, for example
                path = (*path, "hidden")  # noqa: PLW2901
            found[path] = generator
        return found

    def seed(self, text: str) -> None:
        """Begin a stream in each of them, which follows from a text and the generator's path alone."""
        for path, generator in self.items():
            entropy = int.from_bytes(bytes_of(f"{text}/{path}"))
            if is_a(generator, sys.modules["random"].Random):
                generator.seed(entropy)
            else:
                _seed_of_numpy(generator, entropy)

    def part(self) -> None:
        """Begin streams that no other process has."""
        self.seed(os.urandom(16).hex())

    def without_those_of(self, other: CapturedGenerators) -> CapturedGenerators:
        """Leave out what another function leads to, too."""
        theirs = set(map(id, other.values()))
        return CapturedGenerators((path, generator) for path, generator in self.items() if id(generator) not in theirs)

    @contextmanager
    def keep(self) -> Iterator[None]:
        """Put them back to where they were."""
        with ExitStack() as stack:
            for generator in self.values():
                put_back, state = _way_back(generator)
                stack.callback(put_back, state)
            yield


def _seed_of_numpy(generator: Any, entropy: int) -> None:
    numpy_random = sys.modules["numpy.random"]
    sequence = numpy_random.SeedSequence(entropy)
    if is_a(generator, numpy_random.RandomState):
        fresh = type(generator._bit_generator)(sequence)  # noqa: SLF001 - it has no other name
        generator.set_state({**fresh.state, "has_gauss": 0, "gauss": 0.0})
        return
    bits = generator.bit_generator
    bits.__setstate__(type(bits)(sequence).__getstate__())  # with the sequence, from which others are spawned


def _way_back(generator: Any) -> tuple[Callable[[Any], None], Any]:
    if is_a(generator, sys.modules["random"].Random):
        return generator.setstate, generator.getstate()
    if is_a(generator, sys.modules["numpy.random"].RandomState):
        return generator.set_state, generator.get_state(legacy=False)
    return generator.bit_generator.__setstate__, generator.bit_generator.__getstate__()


# ------------------------------------------------------------------------------------------------------ to find them


def _generators_of(function: Callable[..., Any], names_of: Callable[[CodeType], Names]) -> Iterator[tuple[Path, Any]]:
    """Give each once, by the same path in every process."""
    kinds, shared = _kinds()
    seen: dict[int, Any] = {id(each): each for each in shared}
    pending: list[tuple[Path, Any]] = [((), function)]
    for path, thing in pending:  # grows while it is walked
        if type(thing) in ATOMS or is_a(thing, ModuleType) or id(thing) in seen:
            continue
        if len(seen) > MOST:
            return
        seen[id(thing)] = thing
        if not issubclass(type(thing), kinds):
            pending += [((*path, name), part) for name, part in _parts_of(thing, names_of)]
        elif not is_a(thing, sys.modules["random"].SystemRandom):  # which has no state
            yield path, thing


def _kinds() -> tuple[tuple[type, ...], list[Any]]:
    """Give the types of generators, and those that libraries share out, which are seeded as such."""
    random, numpy_random = sys.modules["random"], sys.modules.get("numpy.random")
    if numpy_random is None:
        return (random.Random,), [random.random.__self__]
    kinds = (random.Random, numpy_random.Generator, numpy_random.RandomState)
    return kinds, [random.random.__self__, numpy_random.random.__self__]


def _parts_of(thing: Any, names_of: Callable[[CodeType], Names]) -> Named:
    """Give what an object leads to, by names that are the same in every process."""
    kind = type(thing)
    if kind is FunctionType:
        own, named = variables_of(thing, names_of)
        return own + sorted(named, key=lambda part: part[0])  # they come in the order of a set
    if kind in _PARTS:
        return _PARTS[kind](thing)
    if is_a(thing, dict):
        return _items(thing)
    if is_a(thing, list) or is_a(thing, tuple):
        return _elements(thing)
    if is_a(thing, type):
        return [] if is_library(thing) else [*vars(thing).items(), *_numbered(thing.__bases__)]
    return _attributes_of(thing)


def _attributes_of(thing: Any) -> Named:
    """Give what an instance has; of one of a library, the generators alone: all else in there is the library's."""
    named = named_parts(thing)
    if not is_library(type(thing)):
        return [*named, ("class", type(thing))]
    kinds, _ = _kinds()
    return [(name, part) for name, part in named if issubclass(type(part), kinds)]


def _items(thing: dict[Any, Any]) -> Named:
    """Give what a dict has, unless it is one of data."""
    named = [] if dict.__len__(thing) >= LARGE else [item for item in dict.items(thing) if type(item[0]) in ATOMS]
    return [(key if type(key) is str else f"[{key!r}]", value) for key, value in named]


def _elements(thing: list[Any] | tuple[Any, ...]) -> Named:
    """Give what a list or tuple has, likewise."""
    kind: Any = list if is_a(thing, list) else tuple
    elements = list(kind.__iter__(thing)) if kind.__len__(thing) < LARGE else []
    return _numbered(elements) if set(map(type, elements)) - ATOMS else []


def _numbered(things: Iterable[Any]) -> Named:
    return [(f"[{at}]", thing) for at, thing in enumerate(things)]


_PARTS: dict[type, Callable[[Any], Named]] = {
    MethodType: lambda method: [("self", method.__self__), ("func", method.__func__)],
    BuiltinMethodType: lambda method: [("self", method.__self__)],
    functools.partial: lambda part: [("func", part.func), ("args", part.args), ("keywords", part.keywords)],
    functools.cached_property: lambda cached: [("func", cached.func)],
    property: lambda made: [("get", made.fget), ("set", made.fset)],
    staticmethod: lambda method: [("func", method.__func__)],
    classmethod: lambda method: [("func", method.__func__)],
    _CachedFunction: lambda cached: [("func", cached.__wrapped__)],
}
