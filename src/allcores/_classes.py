"""Classes that the driver and a worker both have, and the names they call them by.

A class that cannot be imported travels by value. If it travelled back by value too, the caller would get instances of
a copy, or have its own class overwritten with what the worker made of it. So on the way back a class that came from
the driver travels as a name, and the driver finds its own class under that name.

A clean worker *learns* names with the definitions that it is taught. A forked one has inherited the driver's classes,
at the same addresses; what it made itself is told apart by the garbage collector, which was told to forget about all
that was inherited.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from itertools import count
from operator import attrgetter
from weakref import WeakKeyDictionary, WeakValueDictionary

from allcores._foreign import ask
from allcores._hints import Any

__all__ = [
    "MAIN",
    "find_definition",
    "inherit",
    "is_definition",
    "learn",
    "name_by_driver",
    "name_in_worker",
    "name_to_teach",
    "own_class",
]

MAIN = "__main__"

ClassName = str | tuple[int, str]  # taught under a name; or inherited: its address and its qualified name

_numbers = count()
_taught_names: WeakKeyDictionary[type, str] = WeakKeyDictionary()  # in the driver
_taught_classes: WeakValueDictionary[str, type] = WeakValueDictionary()
_names_by_driver: WeakKeyDictionary[type, ClassName | None] = WeakKeyDictionary()  # in a worker
_has_inherited = False


def is_definition(thing: Any, module: str = MAIN) -> bool:
    """Whether pickle would find `thing` in ``__main__``, or another module, under its own name."""
    try:
        name = ask(_name_in, module, thing)
    except Exception:  # it may be any object, and say anything of itself
        return False
    return name is not None and vars(sys.modules[module]).get(name) is thing


def _name_in(module: str, thing: Any) -> str | None:
    name = getattr(thing, "__qualname__", None) if getattr(thing, "__module__", None) == module else None
    return name if type(name) is str else None


# ---------------------------------------------------------------------------------------------------- in the driver


def name_to_teach(thing: Any) -> str | None:
    """Give the name under which a worker shall know a class or function; None for a function that has no name."""
    if is_definition(thing):
        return str(thing.__qualname__)
    if not isinstance(thing, type):
        return None
    if thing not in _taught_names:
        name = f"<{thing.__qualname__} {next(_numbers)}>"
        _taught_names[thing] = name
        _taught_classes[name] = thing
    return _taught_names[thing]


def name_in_worker(thing: Any, known: Mapping[str, Any]) -> str | None:
    """Give the name under which a worker finds a class or function in its ``__main__``; None where it does not.

    Args:
        thing: what is looked for. Of what is defined in a class, only classes are sure to be there.
        known: ``{name: thing}``, what the worker has in its ``__main__`` under the names of the caller's.
    """
    try:
        name = ask(_name_in, MAIN, thing) or ""
        top, _, rest = name.partition(".")
        is_there = top in known and vars(sys.modules[MAIN]).get(top) is known[top]
        may_be_named = is_there and (not rest or isinstance(thing, type))
        return name if may_be_named and ask(find_definition, name) is thing else None
    except Exception:  # it may be any object, and say anything of itself
        return None


def find_definition(name: str) -> Any:
    """Find what is in ``__main__`` under a name with dots. Raises AttributeError if there is nothing."""
    return attrgetter(name)(sys.modules[MAIN])


def own_class(name: ClassName) -> type:
    """Find the class that a worker calls by this name. Raises LookupError if there is none any more."""
    if isinstance(name, tuple):
        return _find_class(*name)
    found = _taught_classes.get(name) or vars(sys.modules[MAIN]).get(name)
    if isinstance(found, type):
        return found
    raise LookupError(f"the class {name} is gone")


def _find_class(address: int, qualified_name: str) -> type:
    # By address, as a metaclass may keep its classes from being put into a set.
    pending: list[type] = [object]
    seen = {id(object)}
    for found in pending:  # grows while it is walked
        if id(found) == address and found.__qualname__ == qualified_name:
            return found
        below: list[type] = type.__subclasses__(found)
        new = [one for one in below if id(one) not in seen]
        seen.update(map(id, new))
        pending += new
    raise LookupError(f"the class {qualified_name} is gone")


# ------------------------------------------------------------------------------------------------------ in a worker


def learn(definitions: Mapping[str, Any]) -> None:
    """Take in what the driver teaches; what is of its ``__main__`` goes where pickle looks for it."""
    for name, thing in definitions.items():
        is_of_main = not name.startswith("<")
        if isinstance(thing, type) and (not is_of_main or thing.__qualname__ == name):  # else it is an alias
            _names_by_driver[thing] = name
        if is_of_main:
            setattr(sys.modules[MAIN], name, thing)


def inherit() -> None:
    """Take what is there as inherited: to be called in a forked worker before it does anything."""
    global _has_inherited  # noqa: PLW0603 - a fact about this process
    gc.freeze()  # it is also not ours to collect, and touching it would copy its pages
    _has_inherited = True
    _names_by_driver.clear()


def name_by_driver(thing: type) -> ClassName | None:
    """Give the name that the driver knows a class by; None for a class that was made here."""
    if thing not in _names_by_driver:
        is_inherited = _has_inherited and not any(made is thing for made in gc.get_objects())
        _names_by_driver[thing] = (id(thing), thing.__qualname__) if is_inherited else None
    return _names_by_driver[thing]
