"""Records: values with named fields, as cheap to define as any class.

To define one, `dataclass` takes a millisecond and a compiler's worth of modules, `NamedTuple` a quarter of that: both
write code and have it compiled. There are seventy records here, and a script of four items would wait longer for them
than for its workers: `python -m benchmarks.records` says how long. A `Record` takes a tenth of a millisecond at most.
"""

from __future__ import annotations

from collections import _tuplegetter  # type: ignore[attr-defined]  # what the fields of named tuples are made of

from allcores._core.hints import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

__all__ = ["Record"]


class _RecordType(type):
    """Makes fields of what a class annotates; its file must keep annotations as text, as this one does."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _RecordType:
        fields = tuple(namespace.get("__annotations__", ()))
        defaults = {field: namespace[field] for field in fields if field in namespace}
        needed = len(fields) - len(defaults)
        values = tuple(defaults.values())
        inner = {
            "__slots__": (),
            "__match_args__": fields,
            "_fields": fields,
            "_defaults": defaults,
            "_endings": {needed + given: values[given:] for given in range(len(values) + 1)},
        }
        getters = {field: _tuplegetter(at, None) for at, field in enumerate(fields)}
        return super().__new__(cls, name, bases, {**namespace, **getters, **inner})


_make = tuple.__new__


@dataclass_transform(frozen_default=True)
class Record(tuple, metaclass=_RecordType):  # type: ignore[type-arg]  # each field has a type of its own
    """A tuple whose elements have names, and which is equal only to records of its own kind.

    A subclass lists its fields as annotations; those that have defaults come last. Values are given by position, by
    name, or both.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        _fields: ClassVar[tuple[str, ...]]
        _defaults: ClassVar[dict[str, Any]]  # of the last fields
        _endings: ClassVar[dict[int, tuple[Any, ...]]]  # {how many values are given: the defaults of the others}

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Make one."""
        if named:
            values += cls._pick(cls._fields[len(values) :], named)
        try:
            return _make(cls, values + cls._endings[len(values)])
        except KeyError:
            raise cls._not_once() from None

    @classmethod
    def _pick(cls, names: tuple[str, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """Give the values of the last fields: as they are named, or their defaults."""
        values = cls._defaults | named
        if not named.keys() <= set(names) <= values.keys():
            raise cls._not_once()
        return tuple(values[name] for name in names)

    @classmethod
    def _not_once(cls) -> TypeError:
        return TypeError(f"{cls.__name__} has the fields {', '.join(cls._fields)}, each to be given once")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return tuple.__hash__(self)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({fields})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def _replace(self, **changes: Any) -> Self:
        """Give one like this but for some fields."""
        values = tuple(changes.pop(name, value) for name, value in zip(self._fields, self, strict=True))
        if changes:
            raise TypeError(f"{type(self).__name__} has no fields {', '.join(changes)}")
        return _make(type(self), values)
