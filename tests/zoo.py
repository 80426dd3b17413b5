"""A zoo: values of as many types as possible, by name."""

from __future__ import annotations

import abc
import array
import collections
import ctypes
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import ipaddress
import math
import operator
import pathlib
import re
import struct
import sys
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy as np

# ------------------------------------------------------------------------------------------------------ what is there


class Colour(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - an alias
    BLUE = (2, "two")
    NOTHING = math.nan


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = enum.auto()


class Flags(enum.Flag):
    A = enum.auto()
    B = enum.auto()
    AB = A | B
    C = enum.auto()


class Kept(enum.IntFlag, boundary=enum.KEEP):
    A = 1


@dataclasses.dataclass
class Point:
    x: float
    y: Any = None
    tags: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    number: int
    text: str = ""


@dataclasses.dataclass
class WithInitVar:
    x: int
    scale: dataclasses.InitVar[int] = 2

    def __post_init__(self, scale: int) -> None:
        self.scaled = self.x * scale


class Slots:
    __slots__ = ("__hidden", "x")

    def __init__(self, x: Any) -> None:
        self.x = x
        self.__hidden = [x]


class SlotsAndDict:
    __slots__ = ("__dict__", "x")

    def __init__(self, x: Any) -> None:
        self.x = x
        self.y = (x,)


class SlotsAndWeak:
    __slots__ = ("__weakref__", "x")

    def __init__(self, x: Any) -> None:
        self.x = x


class SlotsBelow(Slots):
    def __init__(self, x: Any) -> None:
        super().__init__(x)
        self.z = x


class SlotsUnderDict(SlotsBelow):
    __slots__ = ("w",)

    def __init__(self, x: Any) -> None:
        super().__init__(x)
        self.w = x


class AllSlots(SlotsAndDict):
    __slots__ = ("__weakref__", "more", "unset")

    def __init__(self, x: Any) -> None:
        super().__init__(x)
        self.more = x


def subclass(base: type, name: str | None = None) -> type:
    """Give a class of this module that adds nothing but the room for attributes."""
    made = type(name or f"My{base.__name__.title()}", (base,), {"__module__": __name__})
    globals()[made.__name__] = made
    return made


MyInt, MyStr, MyFloat, MyBytes, MyTuple, MyList, MyDict, MySet, MyFrozenset, MyBytearray, MyComplex = map(
    subclass, (int, str, float, bytes, tuple, list, dict, set, frozenset, bytearray, complex)
)
MyDate, MyDatetime, MyTime, MyTimedelta, MyDecimal, MyFraction, MyPath, MyCounter = map(
    subclass,
    (
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        decimal.Decimal,
        fractions.Fraction,
        pathlib.PurePosixPath,
        collections.Counter,
    ),
)
MyDeque, MyDefaultdict, MyOrdered, MyChain, MyUUID, MyArray, MyNdarray, MyPartial, MyNamespace = map(
    subclass,
    (
        collections.deque,
        collections.defaultdict,
        collections.OrderedDict,
        collections.ChainMap,
        uuid.UUID,
        array.array,
        np.ndarray,
        functools.partial,
        types.SimpleNamespace,
    ),
)
MyError, MyOSError, MyKeyError = map(subclass, (Exception, OSError, KeyError))


class SlottedDate(dt.date):
    __slots__ = ("label",)


class Pair(typing.NamedTuple):
    left: Any
    right: Any = 2


Misnamed = collections.namedtuple("WrongName", "a b")  # noqa: PYI024


class Bad(Exception):
    def __init__(self, path: str, line: int) -> None:
        super().__init__(f"{path}:{line}")
        self.line = line


class Code(Exception):
    def __init__(self, code: int, message: str = "?") -> None:
        super().__init__(message)
        self.code = code


class SlottedError(Exception):
    __slots__ = ("level",)

    def __init__(self, *, level: int) -> None:
        self.level = level


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class Info(np.ndarray):
    """An array with an attribute, as NumPy's documentation shows."""

    def __new__(cls, values: Any, info: Any = None) -> Any:
        made = np.asarray(values).view(cls)
        made.info = info
        return made

    def __array_finalize__(self, source: Any) -> None:
        self.info = getattr(source, "info", None)


class Machine:
    """Has methods of every kind."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def plain(self, x: int) -> int:
        return self.factor * x

    def __private(self, x: int) -> int:
        return self.factor + x

    def private(self) -> Callable[[int], int]:
        return self.__private

    alias = plain
    by_lambda = lambda self, x: self.factor - x  # noqa: E731

    def undecorated(function: Callable[..., int]) -> Callable[..., int]:  # noqa: N805
        def call(self: Any, x: int) -> int:
            return -function(self, x)

        return call

    @undecorated
    def decorated(self, x: int) -> int:
        return self.factor * x

    @classmethod
    def of_class(cls, x: int) -> Any:
        return cls.__name__, x

    @classmethod
    def __of_class(cls, x: int) -> Any:
        return cls.__name__, -x

    @classmethod
    def private_of_class(cls) -> Callable[[int], Any]:
        return cls.__of_class

    @staticmethod
    def of_nobody(x: int) -> int:
        return x

    shadowed = plain


class Derived(Machine):
    def plain(self, x: int) -> int:
        return 1000 * self.factor * x

    def above(self) -> Callable[[int], int]:
        return super().plain


class Overriding(list):
    def append(self, thing: Any) -> None:
        super().append((thing, thing))

    def above(self) -> Callable[[Any], None]:
        return super().append


def shadowing() -> Machine:
    machine = Machine(3)
    machine.shadowed = machine.plain = None
    return machine


def adding(n: int) -> Callable[[int], int]:
    return lambda x: x + n


def twice(x: int) -> int:
    return 2 * x


named_otherwise = lambda x: 3 * x  # noqa: E731
singleton_sentinel = object()

T = typing.TypeVar("T")


class Box(typing.Generic[T]):
    def __init__(self, thing: Any) -> None:
        self.thing = thing


# ------------------------------------------------------------------------------------------- what is made at run time


class Registered:
    """Counts its subclasses, and wants a keyword of each."""

    names: typing.ClassVar[list[str]] = []

    def __init_subclass__(cls, *, label: str, **others: Any) -> None:
        super().__init_subclass__(**others)
        Registered.names.append(label)
        cls.label = label


class Meta(type):
    """Wants a keyword, and lets nobody set an attribute."""

    made: typing.ClassVar[list[str]] = []

    def __new__(cls, name: str, bases: Any, names: Any, *, flavour: str) -> Any:
        Meta.made.append(name)
        return super().__new__(cls, name, bases, {**names, "flavour": flavour})

    def __init__(cls, name: str, bases: Any, names: Any, *, flavour: str) -> None:
        super().__init__(name, bases, names)

    def __setattr__(cls, name: str, value: Any) -> None:
        raise AttributeError(name)


class Field:
    """A descriptor that counts how often it is named."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __set_name__(self, owner: type, name: str) -> None:
        self.names.append(name)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self.names if instance is None else vars(instance)["value"]


def of_local_classes() -> dict[str, Any]:  # noqa: C901 - many classes, one after another
    """Give instances of classes that nobody can import."""

    class Local:
        def __init__(self, x: Any) -> None:
            self.x = x

        def __eq__(self, other: object) -> bool:
            return type(other) is Local and self.x == other.x

        __hash__ = None

        def __private(self, x: Any) -> Any:
            return self.x, x

        def private(self) -> Any:
            return self.__private

        def who(self) -> Any:
            return __class__

    class LocalSlots:
        __slots__ = ("__hidden", "x")

        def __init__(self, x: Any) -> None:
            self.x = self.__hidden = x

    class LocalSlotsDict:
        __slots__ = ("__dict__", "x")

        def __init__(self, x: Any) -> None:
            self.x = self.y = x

    class LocalColour(enum.Enum):
        RED = 1
        CRIMSON = 1  # noqa: PIE796 - an alias
        BLUE = math.nan

        def twice(self) -> Any:
            return self.value, self.value

    class LocalLevel(enum.IntEnum):
        LOW = 1
        HIGH = 2

    class LocalWord(enum.StrEnum):
        YES = enum.auto()

    class LocalFlags(enum.Flag):
        A = enum.auto()
        B = enum.auto()
        AB = A | B

    class LocalDates(dt.date, enum.Enum):
        FIRST = 2020, 1, 1

    class Planet(enum.Enum):
        EARTH = 5.9, 6.3

        def __init__(self, mass: float, radius: float) -> None:
            self.mass, self.radius = mass, radius

    class Coded(int, enum.Enum):
        def __new__(cls, number: int, label: str) -> Any:
            made = int.__new__(cls, 10 * number)
            made._value_ = number
            made.label = label
            return made

        A = 1, "one"

        @classmethod
        def _missing_(cls, value: Any) -> Any:
            return cls.A

        def default(self, other: Any = RED_BY_DEFAULT) -> Any:
            return other

    class WithDefault(enum.Enum):
        ONE = 1

    def uses(one: Any = WithDefault.ONE) -> Any:
        return one

    WithDefault.uses = staticmethod(uses)

    @dataclasses.dataclass
    class LocalPoint:
        x: int
        tags: list[Any] = dataclasses.field(default_factory=list)
        scale: dataclasses.InitVar[int] = 1

    @dataclasses.dataclass(frozen=True, slots=True, order=True, kw_only=True)
    class LocalSealed:
        x: int
        y: int = 0

    class LocalRegistered(Registered, label="local"):
        pass

    class LocalMeta(metaclass=Meta, flavour="sweet"):
        pass

    class LocalField:
        value = Field()

        def __init__(self, x: Any) -> None:
            vars(self)["value"] = x

    class Abstract(abc.ABC):
        @abc.abstractmethod
        def run(self) -> Any: ...

        @property
        @abc.abstractmethod
        def size(self) -> int: ...

    class Concrete(Abstract):
        def run(self) -> Any:
            return super().run()

        @property
        def size(self) -> int:
            return 3

    class Virtual:
        pass

    Abstract.register(Virtual)

    class LocalBox(typing.Generic[T]):
        def __init__(self, x: Any) -> None:
            self.x = x

    class IntBox(LocalBox[int]):
        pass

    @typing.runtime_checkable
    class Sized(typing.Protocol):
        size: int

        def run(self) -> Any: ...

    class LocalPair(typing.NamedTuple):
        left: Any
        right: Any = 2

    class LocalInt(int):
        pass

    class LocalError(Exception):
        def __init__(self, path: str, line: int) -> None:
            super().__init__(f"{path}:{line}")
            self.line = line

    class LocalMetaclass(type):
        def __call__(cls, *args: Any) -> Any:
            made = super().__call__(*args)
            made.called = True
            return made

    class OfLocalMetaclass(metaclass=LocalMetaclass):
        pass

    class Properties:
        class special(property):  # noqa: N801
            pass

        @special
        def size(self) -> int:
            return 4

        @functools.cached_property
        def cached(self) -> int:
            return 5

        @functools.singledispatchmethod
        def kind(self, x: Any) -> str:
            return "any"

        @kind.register
        def _(self, x: int) -> str:
            return "int"

        __class_getitem__ = classmethod(types.GenericAlias)
        __name__ = "of instances"

    made = types.new_class("Made", (), exec_body=lambda names: names.update(x=1))
    point = collections.namedtuple("Elsewhere", "x y")  # noqa: PYI024
    data = dataclasses.make_dataclass("Data", [("x", int), ("y", int, 3)])
    typed = typing.TypedDict("typed", {"x": int})  # noqa: UP013

    return {
        "local": Local([1]),
        "local, private method": Local(2).private(),
        "local, class": Local,
        "local slots": LocalSlots(1),
        "local slots and dict": LocalSlotsDict(1),
        "local enum": LocalColour.CRIMSON,
        "local enum, NaN": LocalColour.BLUE,
        "local enum, class": LocalColour,
        "local int enum": LocalLevel.HIGH,
        "local str enum": LocalWord.YES,
        "local flags": [LocalFlags.A, LocalFlags.AB, LocalFlags(0)],
        "local enum of dates": LocalDates.FIRST,
        "local enum with __init__": Planet.EARTH,
        "local enum with __new__": [Coded.A, Coded(77)],
        "local enum in its own default": WithDefault.ONE,
        "local dataclass": LocalPoint(1, [2]),
        "local frozen dataclass": LocalSealed(x=1),
        "local registered": LocalRegistered(),
        "local with a metaclass": LocalMeta(),
        "local with a descriptor": LocalField(3),
        "local abstract": [Abstract, Concrete(), Virtual()],
        "local generic": [LocalBox(1), IntBox(2), LocalBox[int]],
        "local protocol": Sized,
        "local named tuple": LocalPair(1),
        "local int": LocalInt(3),
        "local error": LocalError("a.txt", 7),
        "of a local metaclass": OfLocalMetaclass(),
        "local properties": Properties(),
        "of new_class": made(),
        "of namedtuple": point(1, 2),
        "of make_dataclass": data(1),
        "typed dict": typed,
        "both of one class": [Local(1), Local(2), Local],
    }


RED_BY_DEFAULT = Colour.RED


def of_code_run() -> dict[str, Any]:
    """Give what code that was run without a name has made."""
    source = """
import dataclasses, enum
class P:
    __slots__ = ("x",)
    def __init__(self, x): self.x = x
    def run(self): return self.x
class E(enum.Enum):
    A = 1
def f(x, *, y=2): return P(x), y
"""
    space: dict[str, Any] = {}
    exec(source, space)
    module = types.ModuleType("made_at_run_time")
    exec(source, vars(module))
    return {
        "code run: instance": space["P"](1),
        "code run: class": space["P"],
        "code run: function": space["f"],
        "code run: method": space["P"](3).run,
        "code run: member": space["E"].A,
        "module at run time: instance": module.P(1),
        "module at run time: function": module.f,
        "module at run time: member": module.E.A,
    }


# --------------------------------------------------------------------------------------------------------- arrays


def arrays() -> dict[str, Any]:
    """Give arrays of every kind."""

    def fixed(made: Any) -> Any:
        made.flags.writeable = False
        return made

    large = np.arange(20_000.0)
    structured = np.array([(1, 2.5, b"x")], [("a", "i4"), ("b", "f8"), ("c", "S3")])
    found = {
        "0-d": np.array(3.5),
        "empty": np.zeros((0, 3), "i2"),
        "plain": np.arange(6),
        "plain, fixed": fixed(np.arange(6)),
        "two axes": np.arange(6).reshape(2, 3).copy(),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "fortran, fixed": fixed(np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        "backwards": np.arange(6)[::-1],
        "every other": np.arange(12).reshape(3, 4)[::2, ::-1],
        "every other, fixed": fixed(np.arange(12).reshape(3, 4)[::2, ::-1]),
        "broadcast": np.broadcast_to(np.arange(3), (2, 3)),
        "large": large.copy(),
        "large, fixed": fixed(large.copy()),
        "large, a view": large[10:],
        "large, fortran": np.asfortranarray(large.reshape(100, 200)),
        "large, fixed, every other": fixed(large.copy()[::2]),
        "swapped": np.arange(3, dtype=">i4"),
        "swapped, large, fixed": fixed(large.astype(">f8")),
        "objects": np.array([1, "a", None, [2]], object),
        "objects, fixed": fixed(np.array([1, None], object)),
        "objects, 0-d": np.array({"a": 1}, object),
        "structured": structured,
        "structured, fixed": fixed(structured.copy()),
        "structured scalar": structured[0].copy(),
        "aligned": np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        "with metadata": np.zeros(2, np.dtype("i4", metadata={"unit": "m"})),
        "strings": np.array(["a", "größer"]),
        "bytes": np.array([b"a", b"bc"]),
        "void": np.array([b"ab"], "V2"),
        "times": np.array(["2020-01-01", "NaT"], "M8[D]"),
        "spans": np.array([1, 2], "m8[25s]"),
        "half": np.array([1.5, np.nan], "f2"),
        "long": np.array([1.1], np.longdouble),
        "long complex": np.array([1.1 + 2j], np.clongdouble),
        "booleans": np.array([True, False]),
        "matrix": np.arange(4).reshape(2, 2).view(np.matrix),
        "matrix, fixed": fixed(np.arange(4).reshape(2, 2).view(np.matrix)),
        "masked": np.ma.MaskedArray([1.0, 2.0, 3.0], [False, True, False], fill_value=-1),
        "masked, hard": np.ma.MaskedArray([1, 2], [0, 1], hard_mask=True),
        "record": np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        "derived": Info([1, 2], info={"unit": "m"}),
        "derived, fixed": fixed(Info([1, 2], info=[1])),
        "derived, no say": np.arange(3).view(MyNdarray),
        "bits of NaN": np.frombuffer(struct.pack("=QQ", 0x7FF8000000000123, 0xFFF0000000000001), "f8").copy(),
        "one, twice": [large, large],
        "dtype": np.dtype([("a", "i4"), ("b", "f8", (2,))]),
    }
    for kind in (np.float64, np.float32, np.float16, np.longdouble, np.int8, np.uint64, np.complex64, np.longlong):
        found[f"scalar {kind.__name__}"] = kind(3)
    found |= {
        "scalar bool": np.True_,
        "scalar str": np.str_("a"),
        "scalar bytes": np.bytes_(b"a"),
        "scalar void": np.void(b"abc"),
        "scalar time": np.datetime64("2020-01-01T00:00", "ns"),
        "scalar NaT": np.datetime64("NaT", "s"),
        "scalar span": np.timedelta64(3, "s"),
        "scalar span of many": np.timedelta64(3, ("us", 25)),
        "generator": np.random.default_rng(3),
    }
    return found


def views() -> dict[str, Any]:
    """Give views of memory of every kind."""
    matrix = np.arange(12, dtype="i4").reshape(3, 4)
    return {
        "view of bytes": memoryview(b"abc"),
        "view of a bytearray": memoryview(bytearray(b"abc")),
        "view of nothing": memoryview(b""),
        "view, every other": memoryview(bytearray(b"abcdef"))[::2],
        "view, backwards, read-only": memoryview(b"abcdef")[::-1],
        "view of an array": memoryview(array.array("d", [1.5, 2.5])),
        "view of a matrix": memoryview(matrix),
        "view of a part of a matrix": memoryview(matrix[::2, 1:3]),
        "view of no axes": memoryview(np.array(3.5)),
        "view of an empty matrix": memoryview(np.zeros((0, 3))),
        "view of swapped bytes": memoryview(np.arange(3, dtype=">i4")),
        "view of records": memoryview(np.zeros(2, [("a", "i4"), ("b", "f8")])),
        "view of characters": memoryview(b"abcd").cast("c"),
        "view of shape": memoryview(bytearray(8)).cast("H", (2, 2)),
        "view of C's": memoryview((ctypes.c_int * 3)(1, 2, 3)),
        "large view": memoryview(bytearray(100_000)),
        "large view, read-only": memoryview(bytes(100_000)).cast("d"),
        "views within": {"a": [memoryview(b"abc")]},
    }


# ------------------------------------------------------------------------------------------------------- the rest


def with_attributes(thing: Any, **attributes: Any) -> Any:
    """Give the thing with attributes."""
    for name, value in attributes.items():
        setattr(thing, name, value)
    return thing


def chained() -> BaseException:
    error = ValueError("first")
    error.add_note("a note")
    return error


def loops() -> dict[str, Any]:
    """Give what contains itself."""
    of_itself: list[Any] = []
    of_itself.append(of_itself)
    named: dict[str, Any] = {}
    named["self"] = named
    point = Point(1.0)
    point.y = point
    inner: list[Any] = []
    in_tuple = (inner,)
    inner.append(in_tuple)
    shared = [1]
    slots = SlotsAndDict(1)
    slots.y = slots
    array_twice, bytes_twice = np.arange(3), bytearray(100_000)
    return {
        "list of itself": of_itself,
        "dict of itself": named,
        "object of itself": point,
        "tuple of itself": in_tuple,
        "slots of itself": slots,
        "shared": [shared, shared, {"a": shared}],
        "shared array": [array_twice, (array_twice,)],
        "shared large bytes": [bytes_twice, bytes_twice],
    }


def plain() -> dict[str, Any]:
    """Give what needs nothing but Python."""
    machine = Machine(7)
    nan = struct.unpack("=d", struct.pack("=Q", 0x7FF8000000000123))[0]
    return {
        "none": None,
        "true": True,
        "small": 7,
        "large": -(1 << 100),
        "edge": 1 << 63,
        "float": 1.1,
        "minus nothing": -0.0,
        "odd NaN": nan,
        "infinite": math.inf,
        "complex": complex(-0.0, nan),
        "text": "größer",
        "surrogate": "\udc80",
        "long text": "x" * 70_000,
        "bytes": b"abc",
        "large bytes": bytes(70_000),
        "bytearray": bytearray(b"abc"),
        "large bytearray": bytearray(70_000),
        "range": range(3, 10, 2),
        "slice": slice(1, None, 2),
        "ellipsis": ...,
        "not implemented": NotImplemented,
        "decimal": decimal.Decimal("1.10"),
        "signalling": decimal.Decimal("-sNaN12"),
        "fraction": fractions.Fraction(1, 3),
        "date": dt.date(2020, 2, 29),
        "naive": dt.datetime(2020, 1, 1, fold=1),  # noqa: DTZ001
        "aware": dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        "utc": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        "offset": dt.timezone(dt.timedelta(hours=2), "here"),
        "time": dt.time(1, 2, 3, 4, fold=1),
        "span": dt.timedelta(-1, 2, 3),
        "uuid": uuid.UUID(int=5),
        "path": pathlib.Path("a") / "b",
        "address": ipaddress.ip_address("fe80::1%eth0"),
        "network": ipaddress.ip_network("10.0.0.0/8"),
        "pattern": re.compile("a+", re.IGNORECASE),
        "proxy": types.MappingProxyType({"b": 1, "a": 2}),
        "namespace": types.SimpleNamespace(b=1, a=[2]),
        "set": {1, "a", None, (2, 3), frozenset({4})},
        "frozenset": frozenset({1.5, 2}),
        "dict": {"b": 1, "a": [2], 3: None, (4,): {}},
        "ordered": collections.OrderedDict(b=1, a=2),
        "defaultdict": collections.defaultdict(list, a=[1]),
        "counter": collections.Counter("abca"),
        "counter with attributes": with_attributes(collections.Counter("ab"), x=1),
        "chain": collections.ChainMap({"a": 1}, {"b": 2}),
        "deque": collections.deque([1, 2], 5),
        "user dict": collections.UserDict(a=1),
        "array": array.array("h", [1, -2]),
        "io": io.BytesIO(b"abc"),
        "views of a dict": [{"a": 1}.keys(), {"a": 1}.values(), {"a": 1}.items()],
        "iterator": iter([1, 2, 3]),
        "enumerate": enumerate(["a"]),
        "zip": zip([1], [2], strict=True),
        "types": [
            int,
            type(None),
            type(...),
            list,
            dict,
            types.FunctionType,
            types.MethodType,
            type,
            object,
            Exception,
        ],
        "aliases": [list[int], dict[str, int], int | None, typing.Any, Callable[[int], str]],
        "typing": [typing.List[int], typing.Literal["a"], T, Box[int]],  # noqa: UP006
        "generic": Box([1]),
        "modules": [math, sys, np.linalg, collections.abc],
        "builtins": [len, print, max, math.sqrt, operator.add],
        "methods of builtins": ["x".join, dict.fromkeys, str.upper, int.__add__, (5).__add__, b"a".hex],
        "method of a list": [3].append,
        "getters": [operator.itemgetter(1), operator.attrgetter("a.b"), operator.methodcaller("x", 1, y=2)],
        "partial": functools.partial(twice, 3),
        "partial with attributes": with_attributes(functools.partial(int, base=2), x=1),
        "function": twice,
        "lambda of a module": named_otherwise,
        "lambda": lambda x, y=[1]: (x, y),
        "closure": adding(5),
        "with attributes": with_attributes(lambda: 1, x=[1]),
        "method": machine.plain,
        "private method": machine.private(),
        "alias of a method": machine.alias,
        "method by lambda": machine.by_lambda,
        "decorated method": machine.decorated,
        "shadowed method": Machine.plain.__get__(shadowing()),
        "method above": Derived(2).above(),
        "builtin method above": Overriding([1]).above(),
        "method of the class": [Machine.of_class, Derived.of_class, Machine.private_of_class()],
        "function of a class": [Machine.plain, Machine._Machine__private, Machine.of_nobody, Machine.by_lambda],
        "method of a function": types.MethodType(twice, 4),
        "method of a lambda": types.MethodType(lambda a, b: (a, b), [4]),
        "method of a builtin": types.MethodType(max, 4),
        "dataclass": Point(1.5, [2], ["a"]),
        "sealed": Sealed(number=1),
        "init var": WithInitVar(3),
        "slots": Slots([1]),
        "slots and dict": SlotsAndDict([1]),
        "slots and weak": SlotsAndWeak(1),
        "slots below": SlotsBelow(1),
        "slots under dict": SlotsUnderDict(1),
        "all slots": AllSlots(1),
        "pair": Pair(1),
        "misnamed": [Misnamed(1, 2), Misnamed],
        "members": [Colour.RED, Colour.CRIMSON, Colour.BLUE, Colour.NOTHING, Level.HIGH, Word.YES],
        "flags": [Flags.A, Flags.AB, Flags.A | Flags.C, Flags(0), ~Flags.A, Kept(9), Kept.A],
        "derived numbers": [MyInt(3), MyFloat(-0.0), MyComplex(1), MyStr("a"), MyBytes(b"a")],
        "derived, with attributes": [
            with_attributes(made, x=[1])
            for made in (
                MyInt(1),
                MyStr("a"),
                MyFloat(1),
                MyBytes(b"a"),
                MyTuple((1,)),
                MyList([1]),
                MyDict(a=1),
                MySet({1}),
                MyFrozenset({1}),
                MyBytearray(b"a"),
                MyComplex(1),
                MyDate(2020, 1, 1),
                MyDatetime(2020, 1, 1),
                MyTime(1),
                MyTimedelta(1),
                MyDecimal("1.5"),
                MyFraction(1, 3),
                MyPath("a"),
                MyCounter("a"),
                MyDeque([1], 3),
                MyDefaultdict(list, a=1),
                MyOrdered(a=1),
                MyChain({"a": 1}),
                MyArray("b", [1]),
                MyPartial(twice),
                MyNamespace(a=1),
            )
        ],
        "slotted date": with_attributes(SlottedDate(2020, 1, 1), label="x"),
        "errors": [KeyError("a"), ValueError("a", 1), FileNotFoundError(2, "no", "f"), StopIteration(3), chained()],
        "errors with fields": [UnicodeDecodeError("utf-8", b"a", 0, 1, "why"), ImportError("m", name="n", path="p")],
        "own errors": [
            Bad("a.txt", 7),
            Code(404, "gone"),
            SlottedError(level=3),
            FrozenError(5),
            MyOSError(2, "no", "f"),
        ],
        "own errors with attributes": with_attributes(MyKeyError("k"), x=[1], __notes__=["n"]),
        "groups": ExceptionGroup("several", [ValueError(1), Bad("b", 2)]),
        "default": Coloured(),
    }


class Coloured:
    colour = Colour.RED


def everything() -> dict[str, Any]:
    """Give all animals, by name; each time anew."""
    return {**plain(), **loops(), **arrays(), **views(), **of_local_classes(), **of_code_run()}
