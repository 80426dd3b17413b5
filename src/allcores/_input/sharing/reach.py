"""From a function, its arguments and a dataset to whatever they lead to that holds a descriptor.

The garbage collector knows what an object refers to, C's own containers and iterators included: from a ``csv.reader``
to its file, from a generator to its variables. Only of functions and classes it knows too much; see `_variables`. So
the walk goes by layers, each being all that the one before refers to, with a few steps of Python per layer; what nobody
needs to look at, such as numbers and strings, is told by the types alone.

How something was reached is found out afterwards, and only if there is something to tell. For the same reason names of
globals are first taken roughly; if something is found that way, the code is read step by step, and the walk done again.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from io import IOBase, TextIOWrapper
from itertools import chain, pairwise
from types import CodeType, FunctionType

from allcores._codec.captures import named_parts
from allcores._codec.definitions.classes import MAIN
from allcores._codec.handover import is_means
from allcores._core.hints import Any
from allcores._core.kinds import type_name
from allcores._core.records import Record
from allcores._input.sharing.descriptor_numbers import CONTAINERS, LARGE, has_number, is_named_as_number
from allcores._input.sharing.holders import Held, Holding, Nature, is_library, is_opaque, nature_of, pickles_itself
from allcores._input.sharing.variables import Names, exact_names, rough_names, variables_of
from allcores._objects.asking import ask

__all__ = [
    "FINALIZER",
    "FUNCTION",
    "INITIALIZER",
    "ITEMS",
    "STATE",
    "Finding",
    "Root",
    "Way",
    "find_forked",
    "find_held",
    "find_shared",
]

MOST = 50_000  # objects that are looked at, each: hundredths of a second
MOST_PLAIN = 10_000_000  # numbers, strings and the like that they refer to, of which only the types are looked at
FEW = 1_000  # objects whose attributes are all looked at for numbers of descriptors

UNSPOKEN = {"func", "__wrapped__"}  # names that say nothing

FUNCTION, INITIALIZER, ITEMS = "the function", "the initializer", "the dataset"
STATE, FINALIZER = "the function of state=", "the finalizer"
CALLED = {FUNCTION, INITIALIZER, STATE, FINALIZER}  # what these hold is named by their variables

NAMELESS = {list, tuple, set, frozenset}

_BUT_FORKED = frozenset(Holding) - {Holding.FORKED}


class Way(Record):
    """How things reach a worker.

    Attributes:
        inherits: by birth; else they are pickled, and what has a say in its pickling decides what comes along.
        inherits_globals: though functions are pickled, they find in a worker the globals that it was born with.
    """

    inherits: bool
    inherits_globals: bool = False


class Root(Record):
    """What a walk begins with.

    Attributes:
        role: what it is to the caller: one of the constants, or its name, as ``"initargs"``.
        thing: the object.
        ignored: what it may well hold; by default what is no descriptor's.
    """

    role: str
    thing: Any
    ignored: frozenset[Holding] = frozenset({Holding.FORKED})


class Finding(Record):
    """What was found.

    Attributes:
        holding: of which sort.
        text: which object, and what it is: ``"variable 'reader -> file', an open file,"``.
    """

    holding: Holding
    text: str

    @property
    def is_number(self) -> bool:
        """Whether it is but the number of a descriptor."""
        return self.holding is Holding.NUMBER


def find_shared(
    function: Any,
    others: Sequence[tuple[str, Any]],
    initargs: Sequence[Any],
    columns: Sequence[Any],
    foreign: Mapping[int, str],
    *,
    is_born: bool,
    has_globals: bool,
    only_certain: bool,
) -> Finding | None:
    """Find what workers would share that they must not.

    Args:
        function: that they run.
        others: that they call beside it, as ``(role, function)``.
        initargs: the initializer's arguments.
        columns: the dataset's, where they are inherited.
        foreign: the descriptors that matter, and what each leads to.
        is_born: whether workers are born with all that; else it is pickled for them.
        has_globals: whether they are born with the globals of this process.
        only_certain: whether what nobody can tell does not count.
    """
    ignored = frozenset({Holding.FORKED, Holding.UNKNOWN} if only_certain else {Holding.FORKED})
    is_meant = ignored | {Holding.STREAM}  # who gives a connection as an argument or an item means to share it
    roots = [
        Root(FUNCTION, function, ignored),
        *(Root(role, other, ignored) for role, other in others),
        Root("initargs", tuple(initargs), is_meant),
        *(Root(ITEMS, column, is_meant) for column in columns),
    ]
    return find_held(roots, foreign, Way(is_born, has_globals and not is_born))


def find_forked(function: Any, others: Sequence[tuple[str, Any]], initargs: Sequence[Any]) -> Finding | None:
    """Find what is pickled for workers that start clean, and only forked ones can have."""
    roles = ((FUNCTION, function), *others, ("initargs", tuple(initargs)))
    return find_held([Root(role, thing, _BUT_FORKED) for role, thing in roles], {}, Way(inherits=False))


def find_held(roots: Sequence[Root], foreign: Mapping[int, str], way: Way) -> Finding | None:
    """Find what holds one of these descriptors, or may; None if nothing does.

    Args:
        roots: what workers get.
        foreign: the descriptors, and what each leads to.
        way: how workers get it.
    """
    finding = _find_first(roots, foreign, way, rough_names)
    return None if finding is None else _find_first(roots, foreign, way, exact_names)


def _find_first(
    roots: Sequence[Root], foreign: Mapping[int, str], way: Way, names_of: Callable[[CodeType], Names]
) -> Finding | None:
    with closing(_Walk(foreign, way, names_of)) as walk, closing(_Walk(foreign, Way(inherits=True), names_of)) as born:
        found = (walk.find(root) for root in roots)
        rest = (born.find(Root(FUNCTION, value, roots[0].ignored), name) for name, value in walk.inherited)
        return next((finding for finding in chain(found, rest) if finding is not None), None)


class _Walk:
    """Goes through objects by layers, from one root after another; what one has led to is not looked at again.

    Attributes:
        inherited: ``(name, value)`` of what was not followed, as workers are born with it.
    """

    def __init__(self, foreign: Mapping[int, str], way: Way, names_of: Callable[[CodeType], Names]) -> None:
        self._foreign = foreign
        self._way = way
        self._names_of = names_of
        self.inherited: list[tuple[str, Any]] = []
        streams = (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__)
        self._seen: dict[int, Any] = {id(stream): stream for stream in streams}
        self._natures: dict[type, Nature | None] = {}  # of the types that were met
        self._layers: list[list[Any]] = []
        self._suspects: dict[type, Any] = {}  # one of each type
        self._numbered: list[tuple[str, Any]] = []  # names of what has the number of a descriptor, and whose they are
        self._used: set[str] = set()  # names of what is used as a descriptor
        self._may_use_more = False
        self._opened: set[int] = set()  # ids of files that a worker opens again, by importing a module
        self._room, self._room_for_plain = MOST, MOST_PLAIN

    def close(self) -> None:
        """Let go of everything now: types lead to methods of this object's, a cycle that would last for a while."""
        self._natures.clear()

    def find(self, root: Root, name: str = "") -> Finding | None:
        """Walk from a root; `name` is its own, if it is a part of what the role means."""
        self._layers, self._suspects, self._numbered = [], {}, []
        layer = self._choose([root.thing])
        while layer:
            self._layers.append(layer)
            for thing, held in self._look_at(layer):
                if held.holding not in root.ignored:
                    return Finding(held.holding, self._describe(root, name, thing, held.text))
            layer = self._choose(self._expand(layer))
            if self._room < 0 or self._room_for_plain < 0:
                if Holding.UNKNOWN in root.ignored:
                    return None
                return Finding(Holding.UNKNOWN, f"{root.role}, which leads to more objects than are looked through,")
        return self._find_number(root, name) or self._find_opaque(root, name)

    def _look_at(self, layer: list[Any]) -> Iterator[tuple[Any, Held]]:
        """Give those of a layer that hold something themselves, and what."""
        natures = {kind: self._natures[kind] for kind in set(map(type, layer))}
        asked = {kind: nature.held for kind, nature in natures.items() if nature is not None and nature.held}
        suspects = {kind for kind, nature in natures.items() if nature is not None and nature.is_suspect}
        for thing in [thing for thing in layer if type(thing) in suspects] if suspects else ():
            self._suspects.setdefault(type(thing), thing)
        for thing in [thing for thing in layer if type(thing) in asked] if asked else ():
            held = asked[type(thing)](thing, self._foreign)
            if held is not None and self._is_shared(thing, held):
                yield thing, held

    def _is_shared(self, thing: Any, held: Held) -> bool:
        """Whether it would be shared, and not refused by who pickles it; of a text file cloudpickle makes a copy."""
        is_sent = held.holding in {Holding.STREAM, Holding.FORKED} or isinstance(thing, TextIOWrapper)
        return self._way.inherits or is_sent or id(thing) in self._opened

    # --------------------------------------------------------------------------------------------------- one layer

    def _choose(self, things: list[Any]) -> list[Any]:
        """Choose those that there is something to do about."""
        live = self._live_kinds(things, len(things))
        chosen = {id(thing): thing for thing in things if type(thing) in live} if live else {}
        for seen in chosen.keys() & self._seen.keys():
            del chosen[seen]
        self._seen |= chosen
        self._room -= len(chosen)
        return list(chosen.values())

    def _nature_of(self, kind: type) -> Nature | None:
        try:
            return self._natures[kind]
        except KeyError:
            nature = self._natures[kind] = self._find_nature(kind)
            return nature

    def _find_nature(self, kind: type) -> Nature | None:
        if kind is FunctionType:
            return Nature(leads=self._variables_of)
        if issubclass(kind, type):
            return Nature(leads=self._parts_of)
        nature = nature_of(kind)
        if nature is not None and not self._way.inherits and pickles_itself(kind):
            return nature._replace(leads=_nothing)
        return nature

    def _expand(self, layer: list[Any]) -> list[Any]:
        """Give what a layer refers to."""
        kinds = set(map(type, layer))
        led = {kind: leads for kind in kinds if (leads := self._natures[kind].leads)}  # type: ignore[union-attr]
        found = [part for thing in layer if type(thing) in led for part in ask(led[type(thing)], thing)] if led else []
        plain = [thing for thing in layer if type(thing) not in led] if led else layer
        containers = plain if kinds <= CONTAINERS else [thing for thing in plain if type(thing) in CONTAINERS]
        if max(map(len, containers), default=0) >= LARGE:
            vain = {id(thing) for thing in containers if len(thing) >= LARGE and not self._is_worth_it(thing)}
            plain = [thing for thing in plain if id(thing) not in vain]
        found += gc.get_referents(*plain)
        named = [] if kinds <= NAMELESS else [thing for thing in plain if type(thing) not in NAMELESS]
        for thing in named if len(named) <= FEW else ():
            self._note_numbers(thing, _attributes_of(thing))
        return found

    def _is_worth_it(self, large: Any) -> bool:
        """Whether there is anything but numbers and the like in a large container, and in small ones in there."""
        elements = list(chain(large, large.values())) if type(large) is dict else large
        live = self._live_kinds(elements, len(elements))
        if live and live <= CONTAINERS:
            small = [element for element in elements if type(element) in live]
            values = (element.values() for element in small if type(element) is dict)
            live = self._live_kinds(chain.from_iterable(chain(small, values)), 2 * sum(map(len, small)))
        if live and len(elements) > self._room:
            self._room = -1
        return bool(live) and self._room > 0

    def _live_kinds(self, things: Iterable[Any], count: int) -> set[type]:
        """Give the types of those that there is something to do about."""
        self._room_for_plain -= count
        if self._room_for_plain < 0:
            return set()
        return {kind for kind in set(map(type, things)) if self._nature_of(kind) is not None}

    def _variables_of(self, function: FunctionType) -> list[Any]:
        names = self._names_of(function.__code__)
        self._used |= names.descriptors
        self._may_use_more |= names.may_use_more
        travels_by_name = not self._way.inherits and _travels_by_name(function)
        if travels_by_name and self._way.inherits_globals:
            self.inherited.append(("", function))
            return []
        own, shared = variables_of(function, self._names_of)
        if travels_by_name:
            own = []
        self._note_numbers(function, own + shared)
        if self._way.inherits_globals:
            self.inherited += shared
            shared = []
        elif not self._way.inherits:
            shared = self._as_imported(shared, is_all=travels_by_name, is_users=not is_library(function.__globals__))
        return [value for _, value in own + shared]

    def _as_imported(self, named: list[tuple[str, Any]], *, is_all: bool, is_users: bool) -> list[tuple[str, Any]]:
        """Leave out what need not be looked at of the globals of modules that a clean worker imports itself.

        What a module opens is open in the worker, too, as its own: all is well with connections, but a file is read
        from its beginning there. And what processes shall share is not the same there.

        Args:
            named: globals that a function refers to, those of other modules with a dot in their names.
            is_all: whether the function's own module is imported, too.
            is_users: whether the function is no library's, whose locks are each process's own affair.
        """
        imported = named if is_all else [(name, value) for name, value in named if "." in name]
        self._opened |= {id(value) for _, value in imported if isinstance(value, IOBase)}
        kinds = FunctionType, type, IOBase
        return [
            (name, value)
            for name, value in named
            if isinstance(value, kinds) or not (is_all or "." in name) or (is_users and is_means(value))
        ]

    def _parts_of(self, kind: type) -> list[Any]:
        """Give what a class of the user's has."""
        if is_library(kind):
            return []
        parts = [*vars(kind).values(), *kind.__bases__]
        if self._way.inherits or not _travels_by_name(kind):
            return parts
        return [part for part in parts if isinstance(part, FunctionType | type)]

    # --------------------------------------------------------------------------------------- numbers, and the unknown

    def _note_numbers(self, owner: Any, named: Iterable[tuple[str, Any]]) -> None:
        for name, value in named:
            if has_number(value, self._foreign):
                self._numbered.append((name, owner))

    def _find_number(self, root: Root, name: str) -> Finding | None:
        for variable, owner in self._numbered:
            own = variable.rpartition(".")[2]
            if own in self._used or self._may_use_more or is_named_as_number(own):
                text = self._describe(root, name, owner, "a descriptor's number", variable)
                return Finding(Holding.NUMBER, text)
        return None

    def _find_opaque(self, root: Root, name: str) -> Finding | None:
        if not self._way.inherits or Holding.UNKNOWN in root.ignored:
            return None
        for thing in self._suspects.values():
            if is_opaque(thing):
                text = f"a {type_name(thing)}, which may hold an open file or connection"
                return Finding(Holding.UNKNOWN, self._describe(root, name, thing, text))
        return None

    # ------------------------------------------------------------------------------------------------------- words

    def _describe(self, root: Root, name: str, thing: Any, text: str, last: str = "") -> str:
        """Say which object it is, by the names on the way to it, and what."""
        names, is_named = self._names_to(thing)
        names = [each for each in (name, *names, last) if each]
        where = root.role
        if names and root.role in CALLED:
            where = f"variable {' -> '.join(names)!r}"
        elif names:
            first = f"item {names[0][1:-1]}" if root.role == ITEMS else root.role + names[0]
            where = " -> ".join([first, *names[1:]])
        return f"{where}, {text}," if is_named or last else f"{where}, which leads to {text},"

    def _names_to(self, thing: Any) -> tuple[list[str], bool]:
        """Give the names on the way from the root, and whether they lead to the thing itself."""
        way = self._way_to(thing)
        names: list[str] = []
        named = way[0]
        for owner, part in pairwise(way):
            found = _name_in(named, part, self._names_of) or _name_in(owner, part, self._names_of)
            if found is not None:
                named = part
                names += [found] if found not in UNSPOKEN else []
        return names, named is thing

    def _way_to(self, thing: Any) -> list[Any]:
        """Give what leads to a thing, from the root on."""
        depth = next(at for at, layer in enumerate(self._layers) if any(each is thing for each in layer))
        way = [thing]
        for layer in reversed(self._layers[:depth]):
            way.append(next(each for each in layer if any(part is way[-1] for part in self._leads_of(each))))
        return way[::-1]

    def _leads_of(self, thing: Any) -> Iterable[Any]:
        nature = self._natures[type(thing)]
        if nature is not None and nature.leads is not None:
            return ask(nature.leads, thing)
        # Who is asked for its attributes has a dict from then on, to which they belong.
        return chain(gc.get_referents(thing), (part for _, part in named_parts(thing)))


def _nothing(_: object) -> tuple[()]:
    return ()


def _name_in(owner: Any, part: Any, names_of: Callable[[CodeType], Names]) -> str | None:
    if type(owner) is FunctionType:
        named: Iterable[tuple[str, Any]] = chain(*variables_of(owner, names_of))
    else:
        named = vars(owner).items() if isinstance(owner, type) else named_parts(owner)
    return next((name for name, value in named if value is part), None)


def _attributes_of(thing: Any) -> Iterable[tuple[str, Any]]:
    """Give what may be the number of a descriptor by its name."""
    if type(thing) is not dict:
        return named_parts(thing)
    return [(name, value) for name, value in thing.items() if type(name) is str] if len(thing) < LARGE else ()


def _travels_by_name(thing: Any) -> bool:
    """Whether a worker imports a function or class that is pickled for it."""
    if thing.__module__ in (MAIN, None):
        return False
    found: Any = sys.modules.get(thing.__module__)
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is thing
