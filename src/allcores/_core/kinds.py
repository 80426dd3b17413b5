"""What type a thing is, told without asking the thing: nothing of its class or metaclass runs."""

from __future__ import annotations

from allcores._core.hints import TypeGuard, TypeVar

__all__ = ["is_a", "qualified_name", "type_name"]

T = TypeVar("T")


def is_a(thing: object, kind: type[T]) -> TypeGuard[T]:
    """Whether it is of this type or of one below; unlike ``isinstance``, this does not ask the thing."""
    return issubclass(type(thing), kind)


def type_name(thing: object) -> str:
    """Give the name of the type, which a metaclass may hide."""
    return str.__str__(vars(type)["__name__"].__get__(type(thing)))


def qualified_name(thing: object) -> str:
    """Give the qualified name of the type, which a metaclass may hide."""
    return str.__str__(vars(type)["__qualname__"].__get__(type(thing)))
