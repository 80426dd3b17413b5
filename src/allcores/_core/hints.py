"""What annotations are made of, without `typing`: it takes longer to import than four items take to run.

`python -m benchmarks.records` says how long.

Type checkers see `typing`'s own names here. When the program runs there are stand-ins, which nobody asks for more than
that they can be written down; annotations themselves are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from types import GenericAlias

TYPE_CHECKING = False  # as checkers take it for granted that it is true

if TYPE_CHECKING:
    from typing import (
        Any,
        ClassVar,
        Generic,
        Literal,
        NoReturn,
        Protocol,
        Self,
        TypeAlias,
        TypedDict,
        TypeGuard,
        TypeVar,
        Unpack,
        dataclass_transform,
        overload,
    )
else:

    class _Anything:
        """Can be subscripted, called with what a definition takes, and derived from."""

        __class_getitem__ = classmethod(GenericAlias)

        def __init_subclass__(cls, **_: object) -> None: ...

    def _define(*_: object) -> type:
        return _Anything

    def _decorate(function: Callable[..., object]) -> Callable[..., object]:
        return function

    def dataclass_transform(**_: object) -> Callable[..., object]:
        """Decorate with nothing."""
        return _decorate

    Any = ClassVar = Generic = Literal = NoReturn = Protocol = _Anything
    Self = TypeAlias = TypedDict = TypeGuard = Unpack = _Anything
    TypeVar = _define
    overload = _decorate


__all__ = [
    "TYPE_CHECKING",
    "Any",
    "ClassVar",
    "Generic",
    "Literal",
    "NoReturn",
    "Protocol",
    "Self",
    "TypeAlias",
    "TypeGuard",
    "TypeVar",
    "TypedDict",
    "Unpack",
    "dataclass_transform",
    "overload",
]
