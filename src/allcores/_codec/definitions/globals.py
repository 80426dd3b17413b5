"""What functions lead to by name: globals of the caller's ``__main__`` and of its own modules, and what a worker lacks.

A worker has one ``__main__`` for all the functions of the caller's that reach it one by one, so that what one of them
sets the others see. What it was sent, the driver notes down as `Known`. A value is sent again when the name stands for
another object by now, or for one that consists of something else; so a change of the caller's reaches the worker, and
what an initializer has set there lasts.

The user's own modules a worker imports itself, when it needs them. The file may have been edited since the caller did,
or the caller may have set something in there. So before it runs what leads to their functions, classes and variables, a
worker is told what these consist of at the caller's, compares, and asks for what differs.

What leads on is followed through functions and classes, small containers and the classes of instances, and not into the
attributes of instances: these travel with them.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from types import CellType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from weakref import WeakKeyDictionary, ref

from allcores._codec.definitions.classes import MAIN
from allcores._codec.definitions.contents import Contents, Inspection, is_fixed
from allcores._codec.definitions.unimportable import unimportable_modules
from allcores._codec.definitions.user_modules import is_of_user, user_module
from allcores._core.hints import Any, TypeAlias
from allcores._core.kinds import is_a
from allcores._core.records import Record
from allcores._objects.asking import ask

__all__ = ["NOTHING_LACKING", "Key", "Known", "Lacking", "find_lacking", "is_of_main"]

Key: TypeAlias = tuple[str, str]  # a module and a name in there
Place: TypeAlias = tuple[dict[str, Any], str, str]  # where that is: the module's dict, its name, and the name in there

GLOBAL_STEPS = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
ALWAYS_USED = {"__package__"}  # by relative imports
NEVER_SENT = {"__builtins__", "__name__"}  # every ``__main__`` has its own
# What code calls that looks variables up by name.
LOOKED_UP_BY = frozenset({MAIN, "__dict__", "eval", "exec", "getattr", "globals", "locals", "query", "vars"})
LONGEST_TEXT = 1000  # characters: a longer one is no formula
LARGEST_VARIABLE = 1 << 22  # bytes: larger ones of modules are as the worker's own modules make them
HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: the class was made at run time, not compiled in
FEW = 100  # elements of a container, among which functions are looked for

_NOTHING = object()
_CachedFunction = type(functools.cache(lambda: None))
_names_by_code: WeakKeyDictionary[CodeType, frozenset[str]] = WeakKeyDictionary()


class Known(dict[str, Any]):
    """``{name: thing}``, what a worker has of the caller's ``__main__``.

    Args:
        things: what it has already; where it has inherited them, they are the caller's as they were at the fork.

    Attributes:
        contents: ``{(module, name): contents}`` of what was sent or compared, at that time.
    """

    def __init__(self, things: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(things)
        self.contents: dict[Key, Contents] = {}
        self._inspection: Inspection | None = None
        self._looked_at: dict[int, Any] = {}  # {id: thing}, by that inspection

    def update_from(self, other: Known) -> None:
        """Know what another knows, too."""
        self |= other
        self.contents |= other.contents

    def news_among(self, contents: dict[Key, Contents]) -> dict[Key, Contents]:
        """Give those that the worker was not told of."""
        return {key: now for key, now in contents.items() if self.contents.get(key) != now}

    def forget_main(self) -> None:
        """Hear that the worker has let go of what it had of ``__main__``."""
        self.clear()
        self.contents = {key: contents for key, contents in self.contents.items() if key[0] != MAIN}

    def copy(self) -> Known:
        """Give one that knows the same, and will learn by itself."""
        again = Known(self)
        again.contents = self.contents.copy()
        return again

    def has(self, name: str, thing: Any) -> bool:
        """Whether the worker has this very object under that name."""
        return self.get(name, _NOTHING) is thing

    def learn(self, things: Mapping[str, Any], inspection: Inspection) -> None:
        """Note down what the worker was sent."""
        self |= things
        if not inspection.is_only:
            named = {(MAIN, name): thing for name, thing in things.items() if not is_fixed(thing)}
            self.contents |= {key: inspection.contents(thing) for key, thing in named.items()}

    def forget(self) -> None:
        """Take the worker for new."""
        self.clear()
        self.contents.clear()
        self._inspection = None

    def is_news(self, thing: Any, inspection: Inspection) -> bool:
        """Whether this inspection has not been asked about it."""
        if self._inspection is not inspection:
            self._inspection, self._looked_at = inspection, {}
        is_news = id(thing) not in self._looked_at
        self._looked_at[id(thing)] = thing
        return is_news


class Lacking(Record):
    """What a worker may lack of what a thing leads to.

    Attributes:
        values: ``{name: value}`` of the caller's ``__main__``, to be sent.
        unsure: ``{(module, name): contents}`` of what the worker has in some form, to be compared.
    """

    values: dict[str, Any]
    unsure: dict[Key, Contents]


NOTHING_LACKING = Lacking({}, {})


def is_of_main(function: FunctionType) -> bool:
    """Whether the function's globals are those of ``__main__``."""
    return function.__globals__ is vars(sys.modules[MAIN])


def find_lacking(thing: Any, known: Known, inspection: Inspection) -> Lacking:
    """Find what a worker may lack of what a function, a class or an instance leads to.

    Args:
        thing: what leads on.
        known: what the worker has.
        inspection: looks at what things consist of.
    """
    lacking = Lacking({}, {})
    for namespace, module, name in _footprint(thing):
        value = namespace.get(name, _NOTHING)
        if value is not _NOTHING:
            look = _look_at_global if module == MAIN else _look_at_module
            look(lacking, (module, name), value, known, inspection)
    return lacking if any(lacking) else NOTHING_LACKING


def _look_at_global(lacking: Lacking, key: Key, value: Any, known: Known, inspection: Inspection) -> None:
    _, name = key
    if not known.has(name, value):
        lacking.values[name] = value
    elif not (inspection.is_only or is_fixed(value)):
        now, before = inspection.contents(value), known.contents.get(key, _NOTHING)
        if before is _NOTHING:  # it was inherited
            lacking.unsure[key] = now
        elif now != before:
            lacking.values[name] = value


def _look_at_module(lacking: Lacking, key: Key, value: Any, known: Known, inspection: Inspection) -> None:
    if is_a(value, ModuleType) or key[0] in unimportable_modules():  # whose own things are compared, or go by value
        return
    now = inspection.contents(value, LARGEST_VARIABLE)
    if now is not None and now != known.contents.get(key):
        lacking.unsure[key] = now


# ---------------------------------------------------------------------------------------------------- footprints


class _Fleeting(Exception):
    """A walk goes through something that cannot be watched without keeping it alive."""


class _Footprint:
    """What a walk from a function met, to be used again while it would meet the same.

    Nothing of the caller's is kept alive by it.
    """

    def __init__(self, walk: _Walk) -> None:
        self.places = [place for place, _ in walk.met.values()]
        self._stood_for = [_signature(value) for _, value in walk.met.values()]
        self._made_of = [(ref(thing), _signatures(parts)) for thing, parts in walk.parts if _is_definition(thing)]

    @property
    def is_current(self) -> bool:
        """Whether all names and definitions lead to the same."""
        try:
            for (namespace, _, name), before in zip(self.places, self._stood_for, strict=True):
                if _signature(namespace.get(name, _NOTHING)) != before:
                    return False
            return all(_signatures(_parts_of(thing())) == before for thing, before in self._made_of)
        except _Fleeting:
            return False


_footprints: WeakKeyDictionary[FunctionType, _Footprint] = WeakKeyDictionary()


def _is_definition(thing: Any) -> bool:
    return is_a(thing, FunctionType) or is_a(thing, type)


def _signature(value: Any) -> Any:
    """Give what tells, as long as a value lives, whether another one leads to the same."""
    if _is_definition(value):
        return ref(value)
    kind = type(value)
    if kind in _DESCRIPTORS:
        return kind, _signatures(list(_PARTS[kind](value)))
    if not is_fixed(value) and any(part is not kind for part in _parts_of(value)):
        raise _Fleeting
    return value if kind is ModuleType else kind


def _signatures(values: list[Any]) -> list[Any]:
    return [*map(_signature, values)]


def _footprint(thing: Any) -> list[Place]:
    """Give the places of all that a thing leads to by name."""
    known = _footprints.get(thing) if is_a(thing, FunctionType) else None
    if known is not None and known.is_current:
        return known.places
    walk = _Walk()
    walk.go(thing)
    if is_a(thing, FunctionType):
        with suppress(_Fleeting):
            _footprints[thing] = _Footprint(walk)
    return [place for place, _ in walk.met.values()]


class _Walk:
    """Goes from a thing to all that it leads to.

    Attributes:
        met: what stands under which name, if anything does.
        parts: what else is made of what.
    """

    def __init__(self) -> None:
        self.met: dict[Key, tuple[Place, Any]] = {}
        self.parts: list[tuple[Any, list[Any]]] = []

    def go(self, thing: Any) -> None:
        pending = [thing]
        seen = {id(thing): thing}  # kept, so that no other gets the same id
        for one in pending:  # grows while it is walked
            parts = _parts_of(one)
            if parts:
                self.parts.append((one, parts))
            leads = [*self._definition(one), *self._globals_of(one), *parts]
            pending += [lead for lead in leads if id(lead) not in seen]
            seen |= {id(lead): lead for lead in leads}

    def _meet(self, namespace: dict[str, Any], module: str, name: str) -> Any:
        value = namespace.get(name, _NOTHING)
        self.met[module, name] = (namespace, module, name), value
        return value

    def _definition(self, thing: Any) -> Iterator[Any]:
        """Meet a function or class under its own name."""
        if not (is_a(thing, FunctionType) or is_a(thing, type) or is_a(thing, _CachedFunction)):
            return
        try:
            module, name = ask(_own_name, thing)
        except Exception:  # a metaclass may say anything
            return
        namespace = _namespace(module)
        top = None if namespace is None else namespace.get(name.partition(".")[0])
        if namespace is not None and (top is thing or ("." in name and is_a(top, type))):  # or else it is defined there
            yield self._meet(namespace, module, name.partition(".")[0])

    def _globals_of(self, thing: Any) -> Iterator[Any]:
        """Meet what a function of the user's refers to by name, and what of the user's modules."""
        if not is_a(thing, FunctionType):
            return
        module = MAIN if is_of_main(thing) else thing.__globals__.get("__name__")
        if type(module) is not str or _namespace(module) is not thing.__globals__:
            return
        names = _names_in(thing.__code__) | _names_in_texts(thing.__code__).intersection(thing.__globals__)
        always = ALWAYS_USED if module == MAIN else frozenset()  # modules that a worker imports have theirs
        for name in sorted((names | always) - NEVER_SENT):
            value = self._meet(thing.__globals__, module, name)
            if value is not _NOTHING:
                yield value
                yield from self._attributes_of(value, thing.__code__)
        yield from self._imported_by(thing)

    def _attributes_of(self, module: Any, code: CodeType) -> Iterator[Any]:
        """Meet what code may take from a module by attribute."""
        own = vars(module).get("__name__") if is_a(module, ModuleType) else None
        if own is None or user_module(own) is not module:
            return
        for name in sorted(_attributes_in(code)):
            if name in vars(module) and (own, name) not in self.met:
                value = self._meet(vars(module), own, name)
                yield value
                yield from self._attributes_of(value, code)

    def _imported_by(self, function: FunctionType) -> Iterator[Any]:
        """Meet what is imported when the function runs."""
        package = function.__globals__.get("__package__")
        for name in sorted(_attributes_in(function.__code__)):
            module = user_module(name) or (user_module(f"{package}.{name}") if package else None)
            if module is not None:
                yield from self._attributes_of(module, function.__code__)


def _own_name(thing: Any) -> tuple[str, str]:
    return thing.__module__, str(thing.__qualname__)


def _namespace(module: Any) -> dict[str, Any] | None:
    """Give the dict of ``__main__``, or of a module of the user's."""
    if module == MAIN:
        return vars(sys.modules[MAIN])
    found = user_module(module)
    return None if found is None else vars(found)


def _names_in(code: CodeType) -> frozenset[str]:
    """Give the names of globals that a function, and those defined in it, read or set."""
    if code not in _names_by_code:
        import dis

        names = {step.argval for step in dis.get_instructions(code) if step.opname in GLOBAL_STEPS}
        inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        _names_by_code[code] = frozenset(names.union(*map(_names_in, inner)))
    return _names_by_code[code]


def _names_in_texts(code: CodeType) -> frozenset[str]:
    """Give the words in the texts of code that may look variables up by what a text says, as ``eval`` does."""
    words: set[str] = set()
    if not LOOKED_UP_BY.isdisjoint(code.co_names):
        for constant in code.co_consts:
            if isinstance(constant, str) and len(constant) <= LONGEST_TEXT:
                words.update(re.findall(r"[^\W\d]\w*", constant))
    return frozenset(words).union(*(_names_in_texts(one) for one in code.co_consts if isinstance(one, CodeType)))


def _attributes_in(code: CodeType) -> frozenset[str]:
    """Give all names that a function, and those defined in it, use for whatever it is."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(code.co_names).union(*map(_attributes_in, inner))


# ------------------------------------------------------------------------------------------------- what leads on


def _parts_of(thing: Any) -> list[Any]:
    """Give the functions and classes, among others, that a thing is made of."""
    try:
        return ask(_list_parts, thing)
    except Exception:  # a class may say anything of itself
        return []


def _list_parts(thing: Any) -> list[Any]:
    if is_a(thing, type):
        return [*vars(thing).values(), *thing.__bases__, type(thing)] if is_of_user(thing) else []
    give_parts = _PARTS.get(type(thing))
    if give_parts is None:
        return [type(thing), *filter(_is_made_of_parts, _attributes(thing))]
    return [part for part in give_parts(thing) if not is_fixed(part) or is_a(part, ModuleType)]


def _attributes(thing: Any) -> Iterator[Any]:
    """Give the attributes that an instance itself has, of whatever class they are declared in."""
    for kind in type(thing).__mro__ if type(thing).__flags__ & HEAP_TYPE else ():
        for name, value in vars(kind).items():
            if isinstance(value, MemberDescriptorType):
                yield getattr(thing, name, None)
    yield from vars(thing).values() if type(thing).__flags__ & HEAP_TYPE and hasattr(thing, "__dict__") else ()


def _is_made_of_parts(value: Any) -> bool:
    return type(value) in CALLABLE or is_a(value, type)


def _contents(cells: tuple[CellType, ...] | None) -> Iterator[Any]:
    for cell in cells or ():
        try:
            yield cell.cell_contents
        except ValueError:  # the variable has no value yet
            continue


_PARTS: dict[type, Callable[[Any], Iterable[Any]]] = {
    FunctionType: lambda function: _contents(function.__closure__),
    MethodType: lambda method: (method.__func__, method.__self__),
    functools.partial: lambda partial: (partial.func, *partial.args, *partial.keywords.values()),
    functools.cached_property: lambda cached: (cached.func,),
    property: lambda made: (made.fget, made.fset, made.fdel),
    staticmethod: lambda method: (method.__func__,),
    classmethod: lambda method: (method.__func__,),
    _CachedFunction: lambda cached: (cached.__wrapped__,),
    dict: lambda things: things.values() if len(things) <= FEW else (),
    list: lambda things: things if len(things) <= FEW else (),
    tuple: lambda things: things if len(things) <= FEW else (),
}
CALLABLE = {FunctionType, MethodType, functools.partial, _CachedFunction}  # that an instance may call
_DESCRIPTORS = {property, staticmethod, classmethod, functools.cached_property, _CachedFunction}
