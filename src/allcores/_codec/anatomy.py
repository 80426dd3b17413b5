"""What an exception is made of, and how another one is made of the same.

Pickle makes an exception anew by calling its class with its `args`. That fails where the constructor wants other
arguments than it handed on, and where it wants as many, but other ones, it gives an exception with another text, and
nobody hears of it. So an exception is taken apart here past all that its class says: its `args`, its attributes, and
its *fields*, which are the slots of its class and what builtin exceptions keep outside of their attributes, such as
an error number. Of these parts one like it is made past its constructor.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from types import GetSetDescriptorType, MemberDescriptorType

from allcores._core.hints import Any
from allcores._core.kinds import is_a
from allcores._core.records import Record
from allcores._objects.asking import ask, attributes_of, describe, give_field, set_field, text_of
from allcores._objects.short_repr import short_repr

__all__ = [
    "Anatomy",
    "Likeness",
    "Place",
    "dissect",
    "is_copied_faithfully",
    "is_plain",
    "make_bare",
    "name_of",
    "restore",
]

SCALARS = frozenset(map(id, (type(None), bool, int, float, complex, str, bytes)))  # as a metaclass may forbid to hash
SEQUENCES = frozenset(map(id, (list, tuple)))
DEEPEST, LONGEST = 3, 64  # of containers that are looked through for what is not plain
LONGEST_TEXT = 10_000  # characters of a likeness
HEAP_TYPE = 1 << 9  # the flag of classes that were made by a ``class`` statement, or as if
PROTOCOL = 5

# What a type has, whatever its metaclass says of it.
_mro_of: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__
_dict_of: Callable[[type], Mapping[str, Any]] = vars(type)["__dict__"].__get__
_flags_of: Callable[[type], int] = vars(type)["__flags__"].__get__
_base_of: Callable[[type], Any] = vars(type)["__base__"].__get__

Field = tuple[int, str]  # the place of its class in the method resolution order, and its name there
Place = tuple[str, Any]  # "argument" and its position, "attribute" and its name, or "field" and a `Field`


class Anatomy(Record):
    """The parts of an exception."""

    arguments: tuple[Any, ...]
    attributes: dict[str, Any]
    fields: dict[Field, Any]

    def parts(self) -> Iterator[tuple[Place, Any]]:
        """Yield each part, and where it belongs."""
        for position, value in enumerate(self.arguments):
            yield ("argument", position), value
        for name, value in self.attributes.items():
            yield ("attribute", name), value
        for field, value in self.fields.items():
            yield ("field", field), value

    def exceptions(self) -> Iterator[BaseException]:
        """Yield the exceptions among the parts, and in containers that are parts."""
        for _, value in self.parts():
            for one in (value, *_elements(value)):
                if is_a(one, BaseException):
                    yield one

    @classmethod
    def of_parts(cls, parts: Iterable[tuple[Place, Any]]) -> Anatomy:
        """Put parts together, in the order in which `parts` gives them."""
        anatomy: dict[str, dict[Any, Any]] = {"argument": {}, "attribute": {}, "field": {}}
        for (kind, key), value in parts:
            anatomy[kind][key] = value
        return cls(tuple(anatomy["argument"].values()), anatomy["attribute"], anatomy["field"])


class Likeness:
    """Stands for a part of an exception that could not travel, and reads like it.

    It has the text of the original, its attributes as far as they are numbers and the like, and says of the others that
    there were such. Nothing can be done with it.
    """

    __slots__ = ("__dict__", "_names", "_repr", "_str")

    def __init__(self, original: object) -> None:
        try:
            elements = _elements(original)
            if any(is_a(element, BaseExceptionGroup) for element in elements):
                original = list(map(describe, elements))  # or each of nested groups would spell out all that are in it
            self._repr, self._str = ask(repr, original)[:LONGEST_TEXT], text_of(original)[:LONGEST_TEXT]
        except Exception:  # it may say anything of itself
            self._repr = self._str = short_repr(original)
        try:
            self._names = [name for name in ask(dir, original) if type(name) is str]
        except Exception:  # it may say anything of itself
            self._names = []
        with suppress(Exception):
            attributes = ask(vars, original)
            self.__dict__.update({name: value for name, value in attributes.items() if is_plain(value)})

    def __repr__(self) -> str:
        return self._repr

    def __str__(self) -> str:
        return self._str

    def __dir__(self) -> list[str]:
        """Give the original's, among which Python looks for the name that somebody may have meant."""
        return self._names


# -------------------------------------------------------------------------------------------------------- apart


def dissect(error: BaseException) -> Anatomy:
    """Take an exception apart; runs nothing of the user's."""
    arguments: tuple[Any, ...] = give_field(error, "args")
    return Anatomy(arguments, dict(attributes_of(error)), dict(_fields(error, arguments)))


def _fields(error: BaseException, arguments: tuple[Any, ...]) -> Iterator[tuple[Field, Any]]:
    for at, owner in enumerate(_mro_of(type(error))):
        if owner is BaseException or owner is BaseExceptionGroup:  # what they keep is given when one is made, or later
            continue
        for name, descriptor in _dict_of(owner).items():
            if _is_field(name, descriptor):
                with suppress(Exception):  # it was never set
                    value = descriptor.__get__(error)
                    if value is not None or _is_told(owner, name, error, arguments):
                        yield (at, name), value


def _is_field(name: str, descriptor: object) -> bool:
    kind = type(descriptor)
    return kind is MemberDescriptorType or (kind is GetSetDescriptorType and not name.startswith("__"))


def _is_told(owner: type, name: str, error: BaseException, arguments: tuple[Any, ...]) -> bool:
    """Whether a field that holds None holds it indeed: those of builtin exceptions say so of what was never set."""
    if _flags_of(owner) & HEAP_TYPE:
        return True
    if owner is not OSError or name not in ("errno", "strerror") or len(arguments) != 2:  # noqa: PLR2004 - as it is made
        return False
    return bool(ask(OSError.__str__, error) != ask(BaseException.__str__, error))  # the text shows it


def is_plain(thing: object, depth: int = DEEPEST) -> bool:
    """Whether it is a number or a text, or a small container of such, which pickle makes again without a question."""
    if id(type(thing)) in SCALARS:
        return True
    is_container = type(thing) is dict or id(type(thing)) in SEQUENCES
    if not is_container or not depth or len(thing) > LONGEST:  # type: ignore[arg-type]  # it is one
        return False
    return all(is_plain(element, depth - 1) for element in _elements(thing))


def _elements(thing: Any) -> Iterable[Any]:
    if type(thing) is dict:
        return [part for pair in thing.items() for part in pair]
    return thing if id(type(thing)) in SEQUENCES else ()


# ----------------------------------------------------------------------------------------------------- together


def make_bare(kind: type[BaseException], group: tuple[str, list[BaseException]] | None = None) -> BaseException:
    """Make an exception without calling its constructor; a group is made with its message and its members."""
    base = kind
    while _flags_of(base) & HEAP_TYPE:
        base = _base_of(base)
    made: BaseException = base.__new__(kind, *(group or ()))
    return made


def restore(error: BaseException, anatomy: Anatomy) -> None:
    """Give a bare exception its parts, past its methods."""
    set_field(error, "args", anatomy.arguments)
    order = _mro_of(type(error))
    for (at, name), value in anatomy.fields.items():
        with suppress(AttributeError, TypeError):  # what can only be read follows from the rest
            _dict_of(order[at])[name].__set__(error, value)
    attributes_of(error).update(anatomy.attributes)


# ------------------------------------------------------------------------------------- what a class says of itself


def is_copied_faithfully(error: BaseException) -> bool:
    """Whether its class says itself how it is pickled, and one like it comes of that."""
    try:
        again = ask(_copy_as_told, error)
        return again is not None and _is_like(again, error)
    except Exception:  # the class may say anything
        return False


def _copy_as_told(error: BaseException) -> Any:
    """Make what pickle would make, of the very parts; None if that is left to the builtin exceptions."""
    reduce = copyreg.dispatch_table.get(type(error))
    if reduce is None and not _reduces_itself(type(error)):
        return None
    reduction = error.__reduce_ex__(PROTOCOL) if reduce is None else reduce(error)
    make, arguments, state, _, _, set_state = (*reduction, None, None, None, None)[:6]
    again = make(*arguments)
    if state is not None:
        state = dict(state) if type(state) is dict else state
        _ = again.__setstate__(state) if set_state is None else set_state(again, state)
    return again


def _reduces_itself(kind: type) -> bool:
    """Whether the first class that knows how it is pickled is not a builtin one."""
    for owner in _mro_of(kind):
        if not {"__reduce__", "__reduce_ex__", "__setstate__"}.isdisjoint(_dict_of(owner)):
            return bool(owner.__module__ != "builtins")
    return False


def _is_like(again: Any, error: BaseException) -> bool:
    if type(again) is not type(error) or text_of(again) != text_of(error):
        return False
    new, old = dissect(again), dissect(error)
    return not (_differ(new.arguments, old.arguments) or _differ(dict(new.parts()), dict(old.parts())))


def _differ(one: Any, other: Any) -> bool:
    """Whether two things differ as far as can be told without asking them."""
    if one is other or type(one) is not type(other):
        return one is not other
    if id(type(one)) in SCALARS:
        return bool(one != other and one == one)  # noqa: PLR0124 - what is not a number differs from itself
    if type(one) is dict:
        return one.keys() != other.keys() or any(_differ(one[key], other[key]) for key in one)
    if id(type(one)) in SEQUENCES:
        return len(one) != len(other) or any(map(_differ, one, other))
    return False


def name_of(place: Place) -> str:
    """Call a part as its user does."""
    what, key = place
    if what == "argument":
        return f"args[{key}]"
    name = key[1] if what == "field" else key
    return f"the attribute {name!r}"
