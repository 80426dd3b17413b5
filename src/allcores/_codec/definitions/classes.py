"""Classes that the driver and a worker both have, and the names they call them by.

A class that cannot be imported travels by value. If it travelled back by value too, the caller would get instances of
a copy, or have its own class overwritten with what the worker made of it. So on the way back a class that came from
the driver travels as a name, and the driver finds its own class under that name.

A clean worker *learns* names with the definitions that it is taught. A forked one has inherited the driver's classes,
at the same addresses; what it made itself is told apart by the garbage collector, which was told to forget about all
that was inherited.

On the way to a forked worker a class that travels by value must become the very one that the worker has inherited. By
its address that cannot be told: the driver's may be gone by then, and another one in its place. So where items will
travel, the driver *registers* its local classes before it forks, each under a name that no other ever gets.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import count
from operator import attrgetter
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from allcores._codec.definitions.held import held_by
from allcores._codec.definitions.unimportable import unimportable_modules
from allcores._core.hints import Any
from allcores._core.kinds import attributes_of, is_a
from allcores._objects.asking import ask

__all__ = [
    "HEAP_TYPE",
    "MAIN",
    "find_definition",
    "inherit",
    "inherited_class",
    "is_definition",
    "is_inherited",
    "learn",
    "name_by_driver",
    "name_in_worker",
    "name_to_teach",
    "own_class",
    "register_local_classes",
    "registered_name",
]

MAIN = "__main__"
HEAP_TYPE = 1 << 9  # the flag of classes that are made at run time
READY_TYPE = 1 << 12  # ... of those that are not just being made, by another thread

YOUNGER = (0, 1)  # of the collector's generations

ClassName = str | tuple[int, str]  # taught under a name; or inherited: its address and its qualified name

_numbers = count()
_registered_names: dict[int, tuple[ref[type], str]] = {}  # by address, as a metaclass may forbid to ask for a hash
_registered_classes: WeakValueDictionary[str, type] = WeakValueDictionary()
_importable: dict[int, ref[type]] = {}  # by address, too: those seen not to be local, of which there may be thousands
_emptied: tuple[int, ...] = ()  # how often the younger generations had been, when all classes were known
_names_by_driver: WeakKeyDictionary[type, ClassName | None] = WeakKeyDictionary()  # in a worker
_has_inherited = False
_first_later_number = 0  # in a forked worker: names with lower ones are of classes that it has inherited
_inherited_addresses: set[int] | None = None  # of classes, where the garbage collector does not tell those made since

# Classes are immortal on a free-threaded Python, which its collector has nothing to do with.
COLLECTS_CLASSES = "t" not in sys.abiflags
# Older collectors move objects from generation to generation; newer ones work through all that is old, bit by bit.
HAS_GENERATIONS = COLLECTS_CLASSES and sys.version_info < (3, 14)


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
    return _register(thing) if isinstance(thing, type) else None


def registered_name(cls: type) -> str | None:
    """Give the name that no other class ever gets; None for one that is not registered."""
    entry = _registered_names.get(id(cls))
    return None if entry is None else entry[1]


def _register(cls: type) -> str:
    name = registered_name(cls)
    if name is None:
        name, address = f"<{_qualified_name(cls)} {next(_numbers)}>", id(cls)
        _registered_names[address] = ref(cls, lambda _: _registered_names.pop(address, None)), name
        _registered_classes[name] = cls
    return name


def _number_in(name: str) -> int:
    return int(name[:-1].rpartition(" ")[2])


def register_local_classes() -> None:
    """Register all classes that cannot be imported; what is forked from now on knows them by their names.

    To visit all classes is to write to each; between two forks every page of them would have to be copied. Those that
    have been made since the last time are in the collector's younger generations, unless it has emptied these.
    """
    if HAS_GENERATIONS and _emptied == _count_emptied():
        for generation in YOUNGER:
            young = [thing for thing in gc.get_objects(generation) if is_a(thing, type)]
            _register_among(cls for cls in young if _flags_of(cls) & READY_TYPE)
    else:
        _register_among(_all_classes())
        if HAS_GENERATIONS and gc.isenabled():
            _age_what_is_known()


def _register_among(classes: Iterable[type]) -> None:
    for cls in classes:
        address = id(cls)
        if address not in _importable:
            if _is_local(cls):
                _register(cls)
            else:
                _importable[address] = ref(cls, partial(_importable.pop, address))  # with itself as the default


def _age_what_is_known() -> None:
    """Empty the younger generations, so that next time those classes alone need to be visited that are in them."""
    global _emptied  # noqa: PLW0603 - a fact about this process
    gc.collect(YOUNGER[-1])
    emptied = _count_emptied()
    _register_among(_all_classes())  # again, as another thread may have made one before
    _emptied = emptied


def _count_emptied() -> tuple[int, ...]:
    """Say how often the younger generations were emptied into the oldest, or their objects put where nobody looks."""
    return (*(told["collections"] for told in gc.get_stats()[1:]), gc.get_freeze_count())


def _is_local(cls: type) -> bool:
    """Whether a class was made at run time and no module but ``__main__`` has it under its own name."""
    if not _flags_of(cls) & HEAP_TYPE:
        return False
    module, name = attributes_of(cls).get("__module__"), _qualified_name(cls)
    if type(module) is not str or module == MAIN or "<" in name or module in unimportable_modules():
        return True
    outer, *inner = name.split(".")
    found = held_by(module, outer)
    for part in inner:
        found = attributes_of(found).get(part) if is_a(found, type) else None
    return found is not cls


def _flags_of(cls: type) -> int:
    flags: int = vars(type)["__flags__"].__get__(cls)
    return flags


def _qualified_name(cls: type) -> str:
    name: str = vars(type)["__qualname__"].__get__(cls)
    return name


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
    found = _registered_classes.get(name) or vars(sys.modules[MAIN]).get(name)
    if isinstance(found, type):
        return found
    raise LookupError(f"the class {name} is gone")


def _find_class(address: int, qualified_name: str) -> type:
    for found in _all_classes():
        if id(found) == address and found.__qualname__ == qualified_name:
            return found
    raise LookupError(f"the class {qualified_name} is gone")


def _all_classes() -> Iterator[type]:
    # By address, as a metaclass may keep its classes from being put into a set.
    pending: list[type] = [object]
    seen = {id(object)}
    for found in pending:  # grows while it is walked
        yield found
        below: list[type] = type.__subclasses__(found)
        new = [one for one in below if id(one) not in seen]
        seen.update(map(id, new))
        pending += new


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
    global _has_inherited, _inherited_addresses, _first_later_number  # noqa: PLW0603 - facts about this process
    _inherited_addresses = None if COLLECTS_CLASSES else set(map(id, _all_classes()))
    gc.freeze()  # it is also not ours to collect, and touching it would copy its pages
    _has_inherited = True
    _names_by_driver.clear()
    _first_later_number = next(_numbers)  # later names the driver may give to others, and we, too


def inherited_class(name: str) -> type | None:
    """Give the class that a driver's registered name stands for, if this process has inherited it."""
    return _registered_classes.get(name) if _number_in(name) < _first_later_number else None


def is_inherited(cls: type) -> bool:
    """Whether the class is the driver's own."""
    name = registered_name(cls)
    return name is not None and inherited_class(name) is cls


def name_by_driver(thing: type) -> ClassName | None:
    """Give the name that the driver knows a class by; None for a class that was made here."""
    if thing not in _names_by_driver:
        is_known = _has_inherited and not _was_made_here(thing)
        unregistered = (id(thing), thing.__qualname__) if is_known else None
        _names_by_driver[thing] = registered_name(thing) if is_inherited(thing) else unregistered
    return _names_by_driver[thing]


def _was_made_here(thing: type) -> bool:
    """Whether a class was not there yet when this process was forked."""
    if _inherited_addresses is not None:
        return id(thing) not in _inherited_addresses
    return any(made is thing for made in gc.get_objects())
