"""Code, functions and classes that go by value, taken apart and put together again.

To make a class again is not to run its ``class`` statement again. What ran then, ``__init_subclass__`` and
``__set_name__`` and whatever a metaclass does, has had its effect, on the class and on others; run once more it would
do things twice, or ask for keywords that nobody has any more. So a class is made bare, by `type` alone, and then given
the attributes that it had, also those which a metaclass would let nobody set. An enumeration's members are made bare
with it, so that they can be referred to before all is there.

`type` itself runs ``__set_name__`` and ``__init_subclass__``, and there is no asking it not to. But when a
``__set_name__`` raises, nothing further is run, and the class is there already: see `_Halt`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from operator import attrgetter
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType

from allcores._codec.definitions.classes import HEAP_TYPE, MAIN, inherited_class, is_inherited, registered_name
from allcores._codec.definitions.held import held_by
from allcores._codec.definitions.unimportable import unimportable_modules
from allcores._core.hints import Any

__all__ = [
    "builtin_base",
    "find_alias",
    "is_enum",
    "is_importable",
    "is_made_by_type",
    "order_of",
    "reduce_class",
    "reduce_code",
    "reduce_hidden",
]

Reduction = tuple[Any, ...]  # what pickle's ``__reduce__`` gives

CODE_FIELDS = (  # what a code object is made of, in the order of its constructor
    *("argcount", "posonlyargcount", "kwonlyargcount", "nlocals", "stacksize", "flags", "code", "consts", "names"),
    *("varnames", "filename", "name", "qualname", "firstlineno", "linetable", "exceptiontable", "freevars", "cellvars"),
)

HOOK = "<halt>"  # no class has an attribute of this name
SHARED = {"__dict__", "__weakref__"}  # all classes have the same ones, since Python 3.15
MADE_AGAIN = ("__annotate_func__", "__annotations_cache__")  # since Python 3.14; they lead into the class
# What `type` itself keeps for a class: attributes under these names can only be given at birth.
KEPT_BY_TYPE = frozenset(
    name for name, value in vars(type).items() if isinstance(value, GetSetDescriptorType | MemberDescriptorType)
) - {"__abstractmethods__", "__annotations__", "__doc__", "__module__", "__type_params__", *MADE_AGAIN}


def reduce_code(code: CodeType) -> Reduction:
    """Keep the file's name, by which tracebacks, warnings, logs and debuggers find the source."""
    return CodeType, tuple(getattr(code, f"co_{field}") for field in CODE_FIELDS)


# ---------------------------------------------------------------------------------------------- under which name


def is_importable(thing: Any) -> bool:
    """Whether a function or class is found in its module, which is not ``__main__``, under its own name."""
    module = thing.__module__
    return module != MAIN and module not in unimportable_modules() and _find((module, thing.__qualname__)) is thing


def find_alias(thing: Any) -> Reduction | None:
    """Give how to find a function or class that its module, or its class, has under another name than its own.

    Such are a method whose name begins with two underscores, a ``lambda`` of a module, and a named tuple that is called
    otherwise than the variable it is in.
    """
    module = sys.modules.get(thing.__module__)
    is_of_main = module is sys.modules[MAIN]  # which multiprocessing's children call otherwise
    if module is None or is_of_main or "<locals>" in thing.__qualname__:  # else it is made at run time
        return None
    outer = thing.__qualname__.rpartition(".")[0]
    try:
        owner = attrgetter(outer)(module) if outer else module
    except AttributeError:
        return None
    if not isinstance(owner, ModuleType) and not (isinstance(owner, type) and is_importable(owner)):
        return None
    names = [name for name, value in vars(owner).copy().items() if _is_same(value, thing)]
    return (_find_by_alias, (owner, names[0], thing.__qualname__)) if names else None


def _is_same(attribute: Any, thing: Any) -> bool:
    """Whether an attribute is the function or class, or the function's own as a static method or one of the class."""
    return attribute is thing or (type(attribute) in (staticmethod, classmethod) and attribute.__func__ is thing)


def _find_by_alias(owner: Any, name: str, qualified_name: str) -> Any:
    found = vars(owner)[name]
    if type(found) in (staticmethod, classmethod):
        found = found.__func__
    if found.__qualname__ != qualified_name:
        raise LookupError(f"{name} of {owner.__name__} is not {qualified_name} here")
    return found


def reduce_hidden(function: FunctionType, reduction: Reduction) -> Reduction:
    """Have a function of a module that cannot be imported be found there all the same, where that was inherited."""
    make, arguments, state, _, _, set_state = reduction
    name = function.__module__, function.__qualname__
    return _find_or_make, (name, make, arguments), (name, state, set_state), None, None, _finish_if_made


def _find_or_make(name: tuple[str, str], make: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    found = _find(name)
    return make(*arguments) if found is None else found


def _finish_if_made(function: Any, finish: tuple[tuple[str, str], Any, Callable[[Any, Any], object]]) -> None:
    name, state, set_state = finish
    if function is not _find(name):
        set_state(function, state)


def _find(name: tuple[str, str]) -> Any:
    module, (outer, _, rest) = name[0], name[1].partition(".")
    found = held_by(module, outer)
    try:
        return found if found is None or not rest else attrgetter(rest)(found)
    except AttributeError:
        return None


# -------------------------------------------------------------------------------------------------------- classes


def builtin_base(cls: type) -> type:
    """Give the class itself, or the nearest that it derives from, that is not made at run time."""
    return next(base for base in order_of(cls) if not _field(base, "__flags__") & HEAP_TYPE)


def order_of(cls: type) -> tuple[type, ...]:
    """Give the class and all that it derives from, in the order in which attributes are looked up."""
    order: tuple[type, ...] = _field(cls, "__mro__")
    return order


def is_made_by_type(cls: type) -> bool:
    """Whether `type` can make such a class; metaclasses of libraries in C keep more than that."""
    return builtin_base(cls) is not cls and builtin_base(type(cls)) is type


def is_enum(cls: type) -> bool:
    """Whether it is an enumeration."""
    return "enum" in sys.modules and issubclass(cls, sys.modules["enum"].Enum)


def reduce_class(cls: type, *, is_for_worker: bool) -> Reduction:
    """Take a class apart that `is_made_by_type`.

    Args:
        cls: the class.
        is_for_worker: whether it goes to a worker, which may have inherited the very class.
    """
    from cloudpickle.cloudpickle import _get_or_create_tracker_id

    attributes = {name: value for name, value in vars(cls).items() if not _is_made_again(cls, name, value)}
    at_birth = {name: attributes.pop(name) for name in KEPT_BY_TYPE.intersection(attributes)}
    at_birth["__qualname__"] = _field(cls, "__qualname__")
    if "__module__" in attributes:
        at_birth["__module__"] = attributes["__module__"]
    if "__slots__" in attributes:
        at_birth["__slots__"] = _slots_of(cls)
        attributes["__slots__"] = _lasting(attributes["__slots__"])
    registry = _take_registry(cls, attributes)
    members = _take_members(cls, attributes)
    made_of = {name: _data_of(member) for name, member in members.items()}
    birth = type(cls), _field(cls, "__name__"), _field(cls, "__bases__"), at_birth
    identity = _get_or_create_tracker_id(cls), registered_name(cls) if is_for_worker else None
    state = attributes, registry, {name: vars(member) for name, member in members.items()}
    return _make_class, (birth, made_of, *identity), state, None, None, _finish_class


def _field(cls: type, name: str) -> Any:
    """Give a field of a class, whatever its metaclass says."""
    return vars(type)[name].__get__(cls)


def _is_made_again(cls: type, name: str, value: Any) -> bool:
    return name in MADE_AGAIN or _is_descriptor(cls, value)


def _is_descriptor(cls: type, value: Any) -> bool:
    """Whether `type` has made an attribute, for a slot."""
    is_own = type(value) in (MemberDescriptorType, GetSetDescriptorType) and value.__objclass__ is cls
    return is_own or (type(value) is GetSetDescriptorType and value.__name__ in SHARED and value.__objclass__ is object)


def _slots_of(cls: type) -> tuple[str, ...]:
    """Give the names of the slots as they are in the class, where those with two underscores bear its name."""
    return tuple(name for name, value in vars(cls).items() if _is_descriptor(cls, value))


def _lasting(slots: Any) -> Any:
    """Give what a class has as ``__slots__``; of an iterator nothing is left."""
    return slots if type(slots) in (str, tuple, list, dict, set, frozenset) else ()


def _take_registry(cls: type, attributes: dict[str, Any]) -> list[type]:
    """Give the classes that an abstract one knows, alive, as derived from it though they aren't."""
    if attributes.pop("_abc_impl", None) is None:
        return []
    registry, *_ = sys.modules["abc"]._get_dump(cls)  # noqa: SLF001 - there is no other way
    return [derived for one in registry if (derived := one()) is not None]


def _take_members(cls: type, attributes: dict[str, Any]) -> dict[str, Any]:
    """Give an enumeration's members by their own names; the rest of what it has made for values it makes again."""
    if not is_enum(cls) or "_member_map_" not in attributes:
        return {}
    members = {name: member for name, member in attributes["_member_map_"].items() if member._name_ == name}
    own = set(map(id, members.values()))
    by_value = attributes["_value2member_map_"].items()
    attributes["_value2member_map_"] = {value: member for value, member in by_value if id(member) in own}
    return members


def _data_of(member: Any) -> tuple[Any, ...]:
    """Give what a member's builtin base, `int`, say, is made from."""
    base: Any = builtin_base(type(member))
    if base is object:
        return ()
    data: tuple[Any, ...] = (
        base.__getnewargs__(member) if hasattr(base, "__getnewargs__") else base.__reduce__(member)[1]
    )
    return data


def _make_class(
    birth: tuple[type, str, tuple[type, ...], dict[str, Any]],
    members: dict[str, tuple[Any, ...]],
    identity: str,
    known_as: str | None,
) -> type:
    """Make a class that has nothing yet, or find it where it has been made before, or inherited.

    Args:
        birth: its metaclass, its name, its bases, and attributes that nobody can set later.
        members: of an enumeration: ``{name: what the builtin base of each is made from}``.
        identity: under which what has been made before is found.
        known_as: under which what was inherited is found.
    """
    from cloudpickle.cloudpickle import _lookup_class_or_track

    inherited = None if known_as is None else inherited_class(known_as)
    if inherited is not None:
        return inherited
    cls = _make_bare(*birth)
    if members:
        made = {name: builtin_base(cls).__new__(cls, *data) for name, data in members.items()}
        type.__setattr__(cls, "_member_map_", made)
    abc = sys.modules.get("abc")
    if abc is not None and issubclass(type(cls), abc.ABCMeta):
        abc._abc_init(cls)  # noqa: SLF001 - as `ABCMeta` does
    found: type = _lookup_class_or_track(identity, cls)
    return found


class _Halted(Exception):  # never seen by anyone
    """Raised when a class is there, before anything is run on its behalf."""


class _Halt:
    """Among the attributes that a class is made with, it halts `type` in time."""

    made: type | None = None

    def __set_name__(self, cls: type, name: str) -> None:
        self.made = cls
        raise _Halted


def _make_bare(metaclass: type, name: str, bases: tuple[type, ...], at_birth: dict[str, Any]) -> type:
    halt = _Halt()
    try:
        type.__new__(metaclass, name, bases, {HOOK: halt, **at_birth})
    except (_Halted, RuntimeError):  # which Python 3.11 makes of it
        if halt.made is None:
            raise
    assert halt.made is not None
    type.__delattr__(halt.made, HOOK)
    return halt.made


def _finish_class(cls: type, state: tuple[dict[str, Any], list[type], dict[str, dict[str, Any]]]) -> None:
    """Give a class all that it has; one that was inherited has it."""
    if is_inherited(cls):
        return
    attributes, registry, members = state
    made = dict(vars(cls).get("_value2member_map_", ()))  # for combinations of flags, if it was made before
    for name, value in attributes.items():
        type.__setattr__(cls, name, value)
    if "__firstlineno__" in attributes:  # which is removed when ``__module__`` is set
        type.__setattr__(cls, "__firstlineno__", attributes["__firstlineno__"])
    for derived in registry:
        sys.modules["abc"].ABCMeta.register(cls, derived)
    for name, own in members.items():
        vars(vars(cls)["_member_map_"][name]).update(own)
    if members:
        vars(cls)["_value2member_map_"].update({**made, **vars(cls)["_value2member_map_"]})
