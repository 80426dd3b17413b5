"""What functions and classes are made of, and how one that a worker has is brought up to date in its place.

It stays the object that instances, other functions and an initializer's variables refer to.
"""

from __future__ import annotations

from types import CellType, FunctionType, GetSetDescriptorType, MemberDescriptorType

from allcores._core.hints import Any

__all__ = ["parts_of", "set_parts"]

FIELDS = ("__code__", "__defaults__", "__kwdefaults__", "__dict__")  # of a function
# What cannot be set, or is made anew by setting others.
OF_PYTHON = frozenset(
    {"__dict__", "__weakref__", "__module__", "__qualname__", "__slotnames__", "__slots__", "_abc_impl"}
)


def parts_of(thing: Any) -> dict[str, Any]:
    """Give all that can be set of a function or a class."""
    if isinstance(thing, FunctionType):
        return {name: getattr(thing, name) for name in FIELDS} | {
            "__closure__": [*map(_content, thing.__closure__ or ())]
        }
    return {name: value for name, value in vars(thing).items() if _can_be_set(name, value)}


def set_parts(thing: Any, parts: dict[str, Any]) -> None:
    """Make a function or a class consist of these."""
    if isinstance(thing, FunctionType):
        for name in FIELDS:
            setattr(thing, name, parts[name])
        for cell, content in zip(thing.__closure__ or (), parts["__closure__"], strict=True):
            _fill(cell, content)
        return
    for name in [name for name, value in vars(thing).items() if _can_be_set(name, value) and name not in parts]:
        type.__delattr__(thing, name)
    for name, value in parts.items():
        if vars(thing).get(name) is not value:
            type.__setattr__(thing, name, value)


def _can_be_set(name: str, value: Any) -> bool:
    return name not in OF_PYTHON and not isinstance(value, GetSetDescriptorType | MemberDescriptorType)


def _content(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # the variable has no value yet
        return ()


def _fill(cell: CellType, content: tuple[Any, ...]) -> None:
    if content:
        cell.cell_contents = content[0]
    else:
        del cell.cell_contents
