"""Odd exceptions: they break what one may ask of an exception, or are more than one expects.

They have names, so that a worker can be told which to raise.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from odd_objects import LARGE, BadAnswers, BadClass, BadReduce, FatalText, Mute, Nameless, Text, blow

import allcores


class NumberForText(Exception):
    def __str__(self) -> Any:
        return len("not a text")


class OddText(Exception):
    def __str__(self) -> str:
        return Text("odd")


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int

    def __reduce__(self) -> Any:
        return Frozen, (self.code,)


@dataclasses.dataclass(frozen=True)
class FrozenWithoutPickle(Exception):
    code: int


class NoAttributes(Exception):
    def __setattr__(self, name: str, value: Any) -> None:
        raise SystemExit("no attributes")


class Secretive(Exception):
    """Says nothing of where it comes from."""

    @property
    def __traceback__(self) -> Any:
        raise ValueError("no traceback")

    __cause__ = __context__ = __suppress_context__ = __notes__ = __traceback__

    def with_traceback(self, trace: Any) -> Any:
        return None

    def add_note(self, note: str) -> None:
        raise KeyboardInterrupt


class Unapproachable(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise ValueError("no attributes")


class Reducing(Exception):
    """Is pickled as its first argument says."""

    def __reduce__(self) -> Any:
        return self.args[0]


class LooksLikeAnException:
    __class__ = ValueError


class Wants(Exception):
    """Its constructor wants more than it hands on."""

    def __init__(self, what: str, *, why: str) -> None:
        super().__init__(what)
        self.why = why


class ExitsWhenMadeAgain(Exception):
    """Its constructor is called with what it handed on."""

    def __init__(self, what: str, why: str = "") -> None:
        if not why:
            raise SystemExit("why?")
        super().__init__(what)


class NamelessError(Exception, metaclass=Nameless):
    pass


class Exit(SystemExit):
    pass


class Fundamental(BaseException):
    pass


class Interrupt(KeyboardInterrupt):
    pass


def throw(error: Any) -> NoReturn:
    raise error


KEPT = ValueError("kept")


def throw_kept(_: Any) -> NoReturn:
    raise KEPT


def throw_in_odd_file() -> NoReturn:
    code = compile("1 / 0", "odd", "exec")
    exec(code.replace(co_filename="odd\0file"))
    raise AssertionError


def throw_from(error: BaseException, cause: BaseException) -> NoReturn:
    raise error from cause


def throw_with(error: BaseException, **attributes: Any) -> NoReturn:
    vars(error).update(attributes)
    raise error


def throw_local() -> NoReturn:
    class Local(Exception):
        pass

    raise Local("mine")


def throw_chain(length: int, link: str) -> NoReturn:
    error = ValueError(0)
    for number in range(1, length):
        following = ValueError(number)
        setattr(following, link, error)
        error = following
    raise error


def throw_circle() -> NoReturn:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__context__ = second, first
    raise first


def throw_group(depth: int, innermost: BaseException) -> NoReturn:
    for _ in range(depth):
        innermost = BaseExceptionGroup("group", [innermost])
    raise innermost


def recurse(depth: int) -> Any:
    return 1 / 0 if depth == 0 else recurse(depth - 1)


def recurse_deeply() -> NoReturn:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        recurse(10_000)
    finally:
        sys.setrecursionlimit(before)


# {name: (what raises it, what it is when it comes out of a process)}
ERRORS: dict[str, tuple[Callable[[], Any], type[BaseException]]] = {
    "has no text": (lambda: throw(Mute()), Mute),
    "has a fatal text": (lambda: throw(FatalText()), FatalText),
    "has a number for a text": (lambda: throw(NumberForText()), NumberForText),
    "has an odd text": (lambda: throw(OddText()), OddText),
    "has a large text": (lambda: throw(ValueError("x" * LARGE)), ValueError),
    "frozen": (lambda: throw(Frozen(3)), Frozen),
    "frozen for unpickling, too": (lambda: throw(FrozenWithoutPickle(3)), FrozenWithoutPickle),
    "takes no attributes": (lambda: throw(NoAttributes("x")), NoAttributes),
    "secretive": (lambda: throw(Secretive("x")), Secretive),
    "unapproachable": (lambda: throw(Unapproachable("x")), Unapproachable),
    "reduces to a number": (lambda: throw(Reducing(3)), allcores.ItemError),
    "reduces to another thing": (lambda: throw(Reducing((int, (3,)))), allcores.ItemError),
    "reduces to a likeness": (lambda: throw(Reducing((LooksLikeAnException, ()))), allcores.ItemError),
    "reduces to another exception": (lambda: throw(Reducing((KeyError, (3,)))), KeyError),
    "ends the program when unpickled": (lambda: throw(Reducing((blow, (SystemExit,)))), allcores.ItemError),
    "interrupts when unpickled": (lambda: throw(Reducing((blow, (KeyboardInterrupt,)))), allcores.ItemError),
    "interrupts when pickled": (lambda: throw(ValueError(BadReduce(kind=KeyboardInterrupt))), allcores.ItemError),
    "wants more arguments": (lambda: throw(Wants("x", why="y")), Wants),
    "exits when made again": (lambda: throw(ExitsWhenMadeAgain("x", "y")), ExitsWhenMadeAgain),
    "its type has no name": (lambda: throw(NamelessError("x")), allcores.ItemError),
    "holds a lock": (lambda: throw_with(ValueError("x"), lock=threading.Lock()), allcores.ItemError),
    "holds a frame": (lambda: throw_with(ValueError("x"), frame=sys._getframe()), allcores.ItemError),
    "its notes are a number": (lambda: throw_with(ValueError("x"), __notes__=3), ValueError),
    "its notes are numbers": (lambda: throw_with(ValueError("x"), __notes__=[1, 2]), ValueError),
    "its notes raise": (lambda: throw_with(ValueError("x"), __notes__=BadAnswers()), ValueError),
    "its notes have no class": (lambda: throw_with(ValueError("x"), __notes__=BadClass()), allcores.ItemError),
    "a class": (lambda: throw(LookupError), LookupError),
    "of a local class": (throw_local, Exception),
    "no exception": (lambda: throw(3), TypeError),
    "a long chain of causes": (lambda: throw_chain(2000, "__cause__"), ValueError),
    "a long chain of contexts": (lambda: throw_chain(2000, "__context__"), ValueError),
    "a circle": (throw_circle, ValueError),
    "a group": (lambda: throw_group(1, ValueError("x")), ExceptionGroup),
    "a group of an interrupt": (lambda: throw_group(2, KeyboardInterrupt("x")), BaseExceptionGroup),
    "a group of a frozen one": (lambda: throw_group(1, Frozen(3)), ExceptionGroup),
    "a group of one that stays": (lambda: throw_group(1, Reducing(3)), ExceptionGroup),
    "a deep group": (lambda: throw_group(100, ValueError("x")), ExceptionGroup),
    "a group beyond recursion": (lambda: throw_group(3000, ValueError("x")), ExceptionGroup),
    "endless recursion": (lambda: recurse(-1), RecursionError),
    "very deep recursion": (recurse_deeply, ZeroDivisionError),
    "an exit": (lambda: throw(Exit(3)), Exit),
    "neither exception nor exit": (lambda: throw(Fundamental("x")), Fundamental),
    "an end of a generator": (lambda: throw(GeneratorExit), GeneratorExit),
    "an end of iteration": (lambda: throw(StopIteration(3)), StopIteration),
    "an end of asynchronous iteration": (lambda: throw(StopAsyncIteration), StopAsyncIteration),
    "cancelled": (lambda: throw(asyncio.CancelledError()), asyncio.CancelledError),
    "out of memory": (lambda: throw(MemoryError), MemoryError),
    "not to be encoded": ("\udc80".encode, UnicodeEncodeError),
    "not to be decoded": (b"\xff".decode, UnicodeDecodeError),
    "of a file that cannot be": (throw_in_odd_file, ZeroDivisionError),
    "no such file": (lambda: os.stat("/no/such/file"), FileNotFoundError),
    "no such module": (lambda: __import__("no_such_module"), ModuleNotFoundError),
}


def fail(name: str | int) -> Any:
    """Raise the odd exception of this name; a number is itself."""
    return name if isinstance(name, int) else ERRORS[name][0]()


def interrupt_at_one(number: int) -> int:
    return throw(Interrupt("mine")) if number == 1 else number


def refuse(thing: Any) -> NoReturn:
    raise ValueError("no")
