"""Odd objects: they break what one may ask of an object.

They have names, so that a worker can be told which to make; and a file of their own, so that it need not import more.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

KINDS = (ValueError, MemoryError, RecursionError, StopIteration, KeyboardInterrupt, SystemExit, GeneratorExit)
LARGE = 10 << 20  # bytes
DEEP = 100_000  # levels: beyond any recursion

Maker = Callable[[], Any]


def blow(kind: type[BaseException], *arguments: Any) -> NoReturn:
    raise kind(*arguments)


class Plain:
    """An object like any other, equal to those with equal attributes."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None


class BadReduce(Plain):
    def __reduce__(self) -> Any:
        blow(self.kind, "no pickling")


class BadReduceEx(Plain):
    def __reduce_ex__(self, protocol: Any) -> Any:
        blow(self.kind, "no pickling")


class BadGetstate(Plain):
    def __getstate__(self) -> Any:
        blow(self.kind, "no pickling")


class BadSetstate(Plain):
    def __setstate__(self, state: Any) -> None:
        blow(state["kind"], "no unpickling")


class BadCall(Plain):
    def __reduce__(self) -> Any:
        return blow, (self.kind, "no unpickling")


class BadGetattr(Plain):
    """Pickles, and does not unpickle: that asks for ``__setstate__``."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError(name)


class BadClass:
    @property
    def __class__(self) -> Any:
        raise ValueError("no class")


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class FatalText(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


class Nameless(type):
    @property
    def __name__(cls) -> str:
        raise ValueError("no name")

    def __getattribute__(cls, name: str) -> Any:
        return blow(ValueError, "no name") if name == "__qualname__" else type.__getattribute__(cls, name)


class OfNamelessType(metaclass=Nameless):
    def __reduce__(self) -> Any:
        raise ValueError("no pickling")


class Nonsense(Plain):
    def __reduce__(self) -> Any:
        return self.reduction


class Endless:
    def __reduce__(self) -> Any:
        return Endless, (Endless(),)


class Moody:
    """Pickles every other time, to its mood."""

    times = 0

    def __reduce__(self) -> Any:
        Moody.times += 1
        return (str, ("fine",)) if Moody.times % 2 == 0 else blow(ValueError, "not today")


class Grown:
    """Short on the way, and very deep on arrival."""

    def __reduce__(self) -> Any:
        return nested, (DEEP,)


class BadAnswers(Plain):
    """Raises at whatever one may ask of an object, but for its pickle."""

    def refuse(self, *_: Any) -> Any:
        raise ValueError("don't ask")

    __eq__ = __hash__ = __bool__ = __len__ = __iter__ = __contains__ = __str__ = __repr__ = refuse


class BadSize(Plain):
    def __sizeof__(self) -> int:
        raise SystemExit("no size")


class BadDel(Plain):
    def __init__(self, number: int) -> None:
        super().__init__(number=number)

    def __del__(self) -> None:
        raise SystemExit("no deleting")


class BadRepr(Plain):
    def __repr__(self) -> Any:
        return self.text if hasattr(self, "text") else blow(self.kind, "no repr")


class EndlessRepr:
    def __repr__(self) -> str:
        return repr(self)


class Namesake:
    """Looks like a dictionary to who looks at names only."""

    def __repr__(self) -> str:
        return "a namesake"


Namesake.__name__ = "dict"


class Text(str):
    """A string that stays here."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise ValueError("no pickling")

    def __len__(self) -> int:
        raise ValueError("no length")


def nested(depth: int) -> list[Any]:
    thing: list[Any] = []
    for _ in range(depth):
        thing = [thing]
    return thing


def depth_of(thing: list[Any]) -> int:
    depth = 0
    while thing:
        thing, depth = thing[0], depth + 1
    return depth


def deepest_that_pickles() -> int:
    can, cannot = 1, DEEP
    while cannot - can > 1:
        middle = (can + cannot) // 2
        try:
            pickle.dumps(nested(middle))
        except RecursionError:
            cannot = middle
        else:
            can = middle
    return can


def knot() -> Plain:
    """Give an object in which everything contains everything else."""
    loop = Plain(items=[], names={})
    loop.items += [loop, loop.items, loop.names]
    loop.names.update(loop=loop, names=loop.names)
    return loop


def is_knot(thing: Plain) -> bool:
    parts = [*thing.items, thing.names["loop"], thing.names["names"]]
    return [id(part) for part in parts] == [id(own) for own in (thing, thing.items, thing.names, thing, thing.names)]


def of_a_local_class() -> Any:
    class Local:
        size = 3

    return Local()


def array() -> Any:
    import numpy as np

    return np.arange(20_000.0)


# {name: maker}: what cannot travel
BAD: dict[str, Maker] = {
    f"{cls.__name__} of {kind.__name__}": lambda cls=cls, kind=kind: cls(kind=kind)
    for cls in (BadReduce, BadReduceEx, BadGetstate, BadSetstate, BadCall)
    for kind in KINDS
} | {
    "its attributes raise": lambda: BadGetattr(x=1),
    "its class raises": BadClass,
    "its type has no name": OfNamelessType,
    "pickling raises what has no text": lambda: BadReduce(kind=Mute),
    "pickling raises what has a fatal text": lambda: BadReduce(kind=FatalText),
    "unpickling raises what has no text": lambda: BadCall(kind=Mute),
    "unpickling raises what has a fatal text": lambda: BadCall(kind=FatalText),
    "reduces to a number": lambda: Nonsense(reduction=3),
    "reduces to nothing": lambda: Nonsense(reduction=()),
    "reduces to an unknown name": lambda: Nonsense(reduction="nobody.nothing"),
    "reduces to what cannot be called": lambda: Nonsense(reduction=(3, ())),
    "reduces without end": Endless,
    "too deep": lambda: nested(DEEP),
    "a text that stays": lambda: Text("x"),
    "a lock": threading.Lock,
    "a generator": lambda: (x for x in [1]),
    "a frame": sys._getframe,
}

# {name: (maker, whether it is what arrived)}: what looks as if it could not travel, and can
GOOD: dict[str, tuple[Maker, Callable[[Any], Any]]] = {
    "contains itself": (knot, is_knot),
    "rather deep": (lambda: nested(300), lambda thing: depth_of(thing) == 300),
    "deep on arrival": (Grown, lambda thing: depth_of(thing) == DEEP),
    "a large text": (lambda: "x" * LARGE, lambda thing: thing == "x" * LARGE),
    "large bytes": (lambda: bytearray(LARGE), lambda thing: thing == bytearray(LARGE)),
    "moody": (Moody, lambda thing: thing == "fine"),
    "answers nothing": (lambda: BadAnswers(x=1), lambda thing: vars(thing) == {"x": 1}),
    "has no size": (lambda: BadSize(x=1), lambda thing: vars(thing) == {"x": 1}),
    "has no repr": (lambda: BadRepr(kind=SystemExit), lambda thing: type(thing) is BadRepr),
    "an array": (array, lambda thing: thing.sum() == 199_990_000.0),
    "a view": (lambda: memoryview(b"view"), lambda thing: thing == b"view"),
    "an exception": (lambda: KeyError("x"), lambda thing: repr(thing) == "KeyError('x')"),
    "an end of iteration": (lambda: StopIteration(3), lambda thing: thing.value == 3),
    "an exception's class": (lambda: SystemExit, lambda thing: thing is SystemExit),
    "a module": (lambda: os, lambda thing: thing is os),
    "a lambda": (lambda: lambda: 3, lambda thing: thing() == 3),
    "of a local class": (of_a_local_class, lambda thing: thing.size == 3),
    "not implemented": (lambda: NotImplemented, lambda thing: thing is NotImplemented),
}

# {name: maker}: what is not odd, for a change
LEAVES: dict[str, Maker] = {
    "none": lambda: None,
    "number": lambda: 1 << 70,
    "text": lambda: "größer",
    "bytes": lambda: bytearray(1 << 17),  # travels beside the pickle
    "object": lambda: Plain(x=[1]),
}


def cook(recipe: Any) -> Any:
    """Make what is described as a leaf's name or as ``(container, [recipe, ...])``."""
    if isinstance(recipe, str):
        return LEAVES[recipe]() if recipe in LEAVES else BAD[recipe]()
    container, recipes = recipe
    parts = [cook(part) for part in recipes]
    match container:
        case "tuple":
            return tuple(parts)
        case "dict":
            return dict(enumerate(parts))
        case "object":
            return Plain(**{f"part_{at}": part for at, part in enumerate(parts)})
        case _:
            return parts


def is_bad(recipe: Any) -> bool:
    return recipe in BAD if isinstance(recipe, str) else any(map(is_bad, recipe[1]))


# {name: maker}: what has no repr to speak of, or too much of it
UNTOLD: dict[str, Maker] = {
    f"its repr raises {kind.__name__}": lambda kind=kind: BadRepr(kind=kind) for kind in KINDS
} | {
    "its repr is a number": lambda: BadRepr(text=3),
    "its repr is large": lambda: BadRepr(text="x" * LARGE),
    "its repr has many lines": lambda: BadRepr(text="x\n" * 100),
    "its repr is odd": lambda: BadRepr(text=Text("x")),
    "its repr has no end": EndlessRepr,
    "its type has no name": OfNamelessType,
    "its class raises": BadClass,
    "it is very deep": lambda: nested(DEEP),
    "it contains itself": knot,
    "large bytes": lambda: bytes(LARGE),
    "a large set": lambda: set(range(DEEP)),
    "a set of what cannot be compared": lambda: {object() for _ in range(DEEP)},
    "a large dictionary": lambda: dict.fromkeys(range(DEEP)),
    "a large number": lambda: 1 << LARGE,
    "an array": array,
}


def returned(thing: Any) -> Any:
    return thing


def make(name: str | int) -> Any:
    """Give the odd thing of this name; a number is itself."""
    if isinstance(name, int):
        return name
    return BAD[name]() if name in BAD else GOOD[name][0]()


def judge(pair: tuple[str | int, Any]) -> Any:
    """Say whether this is the thing of that name; a number is itself."""
    name, thing = pair
    if isinstance(name, int):
        return thing
    try:
        return bool(GOOD[name][1](thing))
    except Exception:  # it is quite another thing
        return False
