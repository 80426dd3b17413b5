"""Exceptions as programs define and raise them, of every kind that pickle is known to harm, and of those it is not.

They have names, so that a worker can be told which to raise.
"""

from __future__ import annotations

import asyncio
import configparser
import copyreg
import csv
import dataclasses
import enum
import functools
import json
import os
import pathlib
import queue
import socket
import sqlite3
import ssl
import struct
import subprocess
import threading
import urllib.error
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any, NoReturn

import numpy as np

# ------------------------------------------------------------------------------ constructors that want something else


class Reformatted(Exception):
    def __init__(self, path: str, line: int) -> None:
        super().__init__(f"{path}:{line}")
        self.line = line


class Hollow(ValueError):
    """Is false, as what is empty."""

    def __len__(self) -> int:
        return len(self.args) - 1


class Swapped(Exception):
    """Pickle makes one with another text, and nobody hears of it."""

    def __init__(self, code: int, message: str = "?") -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.args[0]} (code {self.code})"


class KeywordOnly(Exception):
    def __init__(self, *, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait


class NoSuper(Exception):
    def __init__(self, a: int, b: int = 2) -> None:
        self.total = a + b


class NewTakesMore(Exception):
    def __new__(cls, what: str, *, why: str) -> Any:
        made = super().__new__(cls, what)
        made.why = why
        return made

    def __init__(self, what: str, *, why: str) -> None:
        super().__init__(f"{what}, {why}")


class Counted(Exception):
    """Its constructor does something that must not be done twice."""

    made = 0

    def __init__(self, text: str) -> None:
        type(self).made += 1
        super().__init__(f"{text} {type(self).made}")


class Prefixed(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(f"error: {text}")


class ArgsChanged(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.args = (text, text.upper())


class Unstarred(ValueError):
    def __init__(self, things: list[int]) -> None:
        super().__init__(*things)


class HttpError(Exception):
    def __init__(self, response: Any, request: Any = None) -> None:
        self.response, self.request = response, request
        super().__init__(f"{response.status} for {response.url}")


class Response:
    def __init__(self, status: int, url: str) -> None:
        self.status, self.url = status, url


# ----------------------------------------------------------------------------------------- where they keep their state


class Slotted(Exception):
    __slots__ = ("__secret", "code", "never_set")

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code, self.__secret = code, code * 2

    def __str__(self) -> str:
        return f"{self.code} {self.__secret}"


class SlottedBelow(Slotted):
    __slots__ = ("more",)

    def __init__(self, code: int, more: str) -> None:
        super().__init__(code)
        self.more = more


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int
    reason: str = "none"


@dataclasses.dataclass
class FrozenNot(Exception):
    code: int
    tags: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.code} {self.tags}"


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlotted(Exception):
    code: int


class Property(Exception):
    def __init__(self, low: int, high: int) -> None:
        super().__init__("range")
        self._low, self._high = low, high

    @property
    def width(self) -> int:
        return self._high - self._low

    def __str__(self) -> str:
        return f"of width {self.width}"


class Cached(Exception):
    @functools.cached_property
    def length(self) -> int:
        return len(self.args[0])


class Base(Exception):
    def __init__(self, where: str, **details: Any) -> None:
        super().__init__(where)
        self.details = details


class Both(Base, ValueError):
    pass


class BothWays(ValueError, Base):
    def __init__(self, number: int) -> None:
        Base.__init__(self, f"number {number}", number=number)


class Mixin:
    @property
    def loud(self) -> str:
        return self.mixed.upper()  # type: ignore[attr-defined,no-any-return]


class Mixed(Exception, Mixin):
    __slots__ = ("mixed",)

    def __init__(self, mixed: str) -> None:
        self.mixed = mixed


class Colour(enum.Enum):
    RED = 1


class Rich(Exception):
    def __init__(self) -> None:
        super().__init__(Colour.RED, Decimal("1.50"), pathlib.PurePath("a/b"), {1, 2}, float("nan"))
        self.array, self.self_made = np.arange(3), Response(200, "x")


class Referring(Exception):
    """Bears other exceptions, and itself."""

    def __init__(self, original: BaseException) -> None:
        super().__init__("wrapped", original)
        self.original, self.all, self.me = original, [original, Swapped(7, "beside")], self


# ------------------------------------------------------------------------------------- what they say of their pickling


class SaysHow(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.one, self.two = one, two

    def __reduce__(self) -> Any:
        return SaysHow, (self.one, self.two)


class SaysWrong(Exception):
    def __init__(self, one: int, two: int = 0) -> None:
        super().__init__(f"{one} and {two}")
        self.two = two

    def __reduce__(self) -> Any:
        return SaysWrong, (self.args[0],)


class KeepsLock(Exception):
    """Leaves its lock behind and takes a new one."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock, self.text = threading.Lock(), text

    def __reduce__(self) -> Any:
        return type(self), (self.text,)


class SetsState(Exception):
    def __init__(self, text: str, number: int) -> None:
        super().__init__(f"{text} {number}")
        self.text, self.number = text, number

    def __reduce__(self) -> Any:
        return Exception.__new__, (type(self),), {"args": self.args, "text": self.text, "number": self.number}

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        state = dict(state or {})
        self.args = state.pop("args")
        vars(self).update(state)


class Registered(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(a)
        self.b = b


copyreg.pickle(Registered, lambda error: (Registered, (error.args[0], error.b)))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ of builtin families


class OwnOSError(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "not there", path)
        self.path = path


class OwnOSErrorOfText(OSError):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a}-{b}")
        self.a = a


class OwnKeyError(KeyError):
    def __init__(self, table: str, key: Any) -> None:
        super().__init__(key)
        self.table = table


class OwnStop(StopIteration):
    pass


class OwnUnicode(UnicodeDecodeError):
    def __init__(self, data: bytes) -> None:
        super().__init__("latin", data, 0, 1, "because")


class OwnSyntax(SyntaxError):
    def __init__(self, line: int) -> None:
        super().__init__("odd", ("file.txt", line, 3, "some text"))


class OwnGroup(ExceptionGroup):
    def __new__(cls, errors: list[Exception], code: int) -> Any:
        made = super().__new__(cls, f"code {code}", errors)
        made.code = code
        return made

    def __init__(self, errors: list[Exception], code: int) -> None:
        """Take what `__new__` takes."""

    def derive(self, excs: Any) -> Any:
        return OwnGroup(excs, self.code)  # type: ignore[attr-defined]


class OwnExit(SystemExit):
    def __init__(self, code: int, why: str) -> None:
        super().__init__(code)
        self.why = why


class OwnCancelled(asyncio.CancelledError):
    pass


class OwnImport(ImportError):
    def __init__(self, what: str) -> None:
        super().__init__(f"no {what}", name=what, path="/p")


# ------------------------------------------------------------------------------------------------------------ raising


def throw(error: Any) -> NoReturn:
    raise error


def throw_with(error: BaseException, **attributes: Any) -> NoReturn:
    vars(error).update(attributes)
    error.add_note("a note of its own")
    raise error


def throw_from_context() -> NoReturn:
    try:
        throw(Swapped(1, "inner"))
    except Swapped as error:
        raise Reformatted("outer", 3) from error


def throw_in_context(*, hidden: bool = False) -> NoReturn:
    try:
        {}["key"]
    except KeyError:
        if hidden:
            raise KeywordOnly(wait=1) from None
        raise KeywordOnly(wait=2)  # noqa: B904 - as people do


def throw_group() -> NoReturn:
    members = [Swapped(1, "first"), OwnGroup([Reformatted("a", 1), KeyError("k")], 5)]
    raise OwnGroup(members, 4)


def throw_written() -> NoReturn:
    error = BlockingIOError(11, "full")
    error.characters_written = 7
    raise error


def parse(text: str) -> Any:
    return compile(text, "parsed.py", "exec")


def misspell() -> Any:
    return Swappt  # noqa: F821 - on purpose


def run_false() -> None:
    subprocess.run(["false"], check=True, capture_output=True)


def time_out() -> None:
    raise subprocess.TimeoutExpired(["sleep", "9"], 3, output=b"out")


def query() -> None:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("SELECT * FROM nothing")
    finally:
        connection.close()


def read_config() -> None:
    configparser.ConfigParser().read_string("[a]\nx=1\nx=2")


ZOO: dict[str, Callable[[], Any]] = {
    "reformatted": lambda: throw(Reformatted("a.txt", 7)),
    "hollow": lambda: throw(Hollow("x")),
    "swapped": lambda: throw(Swapped(404, "not found")),
    "keyword only": lambda: throw(KeywordOnly(wait=3)),
    "no super": lambda: throw(NoSuper(1)),
    "new takes more": lambda: throw(NewTakesMore("x", why="y")),
    "prefixed": lambda: throw(Prefixed("x")),
    "args changed": lambda: throw(ArgsChanged("x")),
    "unstarred": lambda: throw(Unstarred([1, 2, 3])),
    "of a response": lambda: throw(HttpError(Response(503, "http://x"))),
    "slots": lambda: throw(Slotted(3)),
    "slots below slots": lambda: throw(SlottedBelow(3, "more")),
    "frozen": lambda: throw(Frozen(3, "why")),
    "dataclass": lambda: throw(FrozenNot(3, ["tag"])),
    "frozen, with slots": lambda: throw(FrozenSlotted(3)),
    "property": lambda: throw(Property(3, 9)),
    "cached": lambda: throw(Cached("text")),
    "two bases": lambda: throw(Both("there", a=1)),
    "two bases the other way": lambda: throw(BothWays(3)),
    "mixin": lambda: throw(Mixed("m")),
    "rich": lambda: throw(Rich()),
    "referring": lambda: throw(Referring(Reformatted("b", 2))),
    "says how": lambda: throw(SaysHow(1, 2)),
    "says wrong": lambda: throw(SaysWrong(1, 2)),
    "says how, with notes": lambda: throw_with(SaysHow(1, 2), extra=[1]),
    "keeps a lock": lambda: throw(KeepsLock("x")),
    "sets its state": lambda: throw(SetsState("a", 3)),
    "registered": lambda: throw(Registered(1, 2)),
    "own OSError": lambda: throw(OwnOSError("/there")),
    "own OSError of text": lambda: throw(OwnOSErrorOfText(1, 2)),
    "own KeyError": lambda: throw(OwnKeyError("table", ("a", 1))),
    "own StopIteration": lambda: throw(OwnStop(5)),
    "own UnicodeDecodeError": lambda: throw(OwnUnicode(b"abc")),
    "own SyntaxError": lambda: throw(OwnSyntax(9)),
    "own exit": lambda: throw(OwnExit(3, "why")),
    "own cancellation": lambda: throw(OwnCancelled("now")),
    "own ImportError": lambda: throw(OwnImport("module")),
    "own groups": throw_group,
    "base group": lambda: throw(BaseExceptionGroup("g", [KeyboardInterrupt("k"), Swapped(1, "s")])),
    "from a cause": throw_from_context,
    "in a context": throw_in_context,
    "in a hidden context": lambda: throw_in_context(hidden=True),
    "with attributes": lambda: throw_with(ValueError("v"), a=1, b=[None, "x"]),
    "KeyError": lambda: {}["key"],
    "KeyError of a tuple": lambda: {}["a", 1],
    "no such file": lambda: pathlib.Path("/no/such/file").read_bytes(),
    "two files": lambda: os.rename("/no/such/file", "/no/such/other"),
    "OSError of a text": lambda: throw(OSError("just a text")),
    "OSError of nothing": lambda: throw(OSError(None, None)),
    "OSError of None": lambda: throw(OSError(None, "text")),
    "OSError of three": lambda: throw(OSError(5, "io", "file", None, "other")),
    "characters written": throw_written,
    "gaierror": lambda: throw(socket.gaierror(-2, "unknown")),
    "TimeoutError": lambda: throw(TimeoutError()),
    "ssl": lambda: throw(ssl.SSLError(1, "[SSL] odd")),
    "decoding": b"\xff".decode,
    "encoding": lambda: "é".encode("ascii"),
    "SyntaxError": lambda: parse("x = ("),
    "IndentationError": lambda: parse("def f():\nx"),
    "ImportError": lambda: __import__("os.nothing"),
    "name not in module": lambda: exec("from os import nothing_at_all"),
    "NameError": misspell,
    "AttributeError": lambda: Response(1, "x").urll,  # type: ignore[attr-defined]
    "AttributeError of a module": lambda: json.dmps,  # type: ignore[attr-defined]
    "StopIteration": lambda: next(iter(())),
    "StopIteration of a value": lambda: throw(StopIteration(3)),
    "SystemExit": lambda: throw(SystemExit("enough")),
    "KeyboardInterrupt": lambda: throw(KeyboardInterrupt("mine")),
    "assertion": lambda: throw(AssertionError({"a": 1})),
    "json": lambda: json.loads("{,"),
    "subprocess": run_false,
    "subprocess too slow": time_out,
    "sqlite": query,
    "config": read_config,
    "zip": lambda: throw(zipfile.BadZipFile("no zip")),
    "xml": lambda: ET.fromstring("<a"),
    "zlib": lambda: zlib.decompress(b"nothing"),
    "struct": lambda: struct.pack("b", 999),
    "csv": lambda: throw(csv.Error("bad")),
    "decimal": lambda: Decimal("x"),
    "queue": lambda: queue.Queue().get_nowait(),
    "url": lambda: throw(urllib.error.HTTPError("http://x", 404, "gone", None, None)),  # type: ignore[arg-type]
    "incomplete read": lambda: throw(asyncio.IncompleteReadError(b"ab", 5)),
    "cancelled": lambda: throw(asyncio.CancelledError()),
    "enum": lambda: Colour(9),
    "numpy axis": lambda: np.sum(np.ones(2), axis=3),
    "numpy linalg": lambda: np.linalg.inv(np.zeros((2, 2))),
    "numpy types": lambda: np.add("a", None),
    "numpy shapes": lambda: np.ones(2) + np.ones(3),
    "class": lambda: throw(LookupError),
    "not an exception": lambda: throw(3),
}

with suppress(ImportError):  # it is not installed for every Python
    import pandas as pd

    ZOO |= {
        "pandas key": lambda: pd.DataFrame({"a": [1]})["b"],
        "pandas parser": lambda: throw(pd.errors.ParserError("line 3")),
        "pandas merge": lambda: pd.DataFrame({"a": [1]}).merge(pd.DataFrame({"b": [1]})),
    }


def fail(name: str) -> Any:
    """Raise the exception of this name."""
    return ZOO[name]()
