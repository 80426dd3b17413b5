"""Which objects hold a descriptor, or may: files, sockets, databases, and what nobody can look into.

Everything is decided by an object's type, once, so that a million of one type cost one decision.
"""

from __future__ import annotations

import builtins
import copyreg
import os
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from types import CodeType, FrameType, ModuleType, TracebackType
from weakref import WeakKeyDictionary, ref

from allcores._codec.handover import needs_fork
from allcores._core.hints import Any
from allcores._core.kinds import is_a, type_name
from allcores._core.records import Record
from allcores._objects.asking import ask
from allcores._objects.tracebacks import OUR_FOLDER

__all__ = ["Held", "Holding", "Nature", "is_library", "is_opaque", "nature_of", "pickles_itself"]


class Holding(IntEnum):
    """What an object holds."""

    FILE = 1  # a place in a file, or a stream of the process's own
    STREAM = 2  # a connection, which multiprocessing knows how to hand over
    NUMBER = 3  # a descriptor's number, under which another process has something else
    FORKED = 4  # a place in memory that only a forked process has, too: a lock of multiprocessing's
    UNKNOWN = 5  # what cannot be told: it can be neither looked into nor pickled, or there is too much to look through


class Held(Record):
    """That an object holds something."""

    holding: Holding
    text: str  # what the object is, with an article


class Nature(Record):
    """What there is to do about objects of a type.

    Attributes:
        held: tells what one holds, given the foreign descriptors; None where they hold nothing themselves.
        leads: gives what one leads to; None where the garbage collector knows.
        is_suspect: whether there may be more to one than the garbage collector knows.
    """

    held: Callable[[Any, Mapping[int, str]], Held | None] | None = None
    leads: Callable[[Any], Iterable[Any]] | None = None
    is_suspect: bool = False


ATOMS = {
    *(bool, int, float, complex, str, bytes, bytearray, range, slice, type(None), type(...), type(NotImplemented)),
    *(CodeType, FrameType, TracebackType, ref),
}
# Made to be shared by processes, or nothing in there is of any use in another one, or it is only ever appended to.
STOPS = {"multiprocessing", "asyncio", "concurrent", "logging", "allcores"}
# What of their types holds descriptors is known here.
TRANSPARENT = sys.stdlib_module_names | {"builtins", "numpy", "pandas", "scipy", "sklearn", "_cffi_backend"}
INTERPRETER = {
    *vars(builtins),
    *(thing.__name__ for thing in vars(types).values() if is_a(thing, type)),
    *("EncodingMap", "FrameLocalsProxy", "PyCapsule", "builtin_method", "hamt", "instancemethod", "managedbuffer"),
    *("anext_awaitable", "async_generator_asend", "async_generator_athrow", "coroutine_wrapper"),
}
CYTHON = "_cython_"  # begins the name of the module that its functions' types are in

POINTER = 8  # bytes
PROTOCOL = 5

_natures: WeakKeyDictionary[type, Nature | None] = WeakKeyDictionary()
_opaque: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def nature_of(kind: type) -> Nature | None:
    """Say what there is to do about objects of a type; None where they hold nothing and lead nowhere."""
    try:
        return _natures[kind]
    except KeyError:
        nature = _natures[kind] = None if kind in ATOMS else _find_nature(kind)
        return nature


def _find_nature(kind: type) -> Nature | None:
    names = [_qualified_name(base) for base in type.mro(kind)]
    for name in names:
        if name in _KNOWN:
            return _KNOWN[name]
    packages = {module.partition(".")[0] for module, _ in names}
    if issubclass(kind, ModuleType | ref) or not STOPS.isdisjoint(packages) or names[0][0].startswith(CYTHON):
        return None
    if any("fileno" in vars(base) for base in type.mro(kind)):
        return Nature(_held_by_file)
    may_hide = _hides_something(kind) or (pickles_itself(kind) and is_library(kind))
    return Nature(is_suspect=may_hide and not _is_known(kind))


def _is_known(kind: type) -> bool:
    module, name = _qualified_name(kind)
    if module == "builtins":  # which types of extension modules say of themselves, too, if their names have no dot
        return name in INTERPRETER or name.endswith(("iterator", "keys", "values", "items"))
    return module.partition(".")[0] in TRANSPARENT


def _qualified_name(kind: type) -> tuple[str, str]:
    module = vars(type)["__module__"].__get__(kind)
    return (module if is_a(module, str) else "", vars(type)["__name__"].__get__(kind))


# ------------------------------------------------------------------------------------------------------ what is held


def _held_by_file(thing: Any, foreign: Mapping[int, str]) -> Held | None:
    target = foreign.get(_descriptor_of(thing))
    if target is None:
        return None
    if not hasattr(type(thing), "readable"):  # which all files of Python have
        return Held(Holding.FILE, f"a {type_name(thing)} with an open descriptor")
    return Held(Holding.FILE, "an open pipe" if target.startswith("pipe:") else "an open file")


def _descriptor_of(thing: Any) -> int:
    try:
        number = ask(thing.fileno)
    except Exception:  # it is closed, or no real file
        return -1
    return number if is_a(number, int) else -1


def _held_by_socket(thing: Any, foreign: Mapping[int, str]) -> Held | None:
    return Held(Holding.STREAM, "a socket") if _descriptor_of(thing) in foreign else None


def _held_by_connection(thing: Any, foreign: Mapping[int, str]) -> Held | None:
    return Held(Holding.STREAM, "a connection") if _descriptor_of(thing) in foreign else None


def _held_by_database(thing: Any, foreign: Mapping[int, str]) -> Held | None:  # noqa: ARG001 - as of the others
    return Held(Holding.FILE, "an open database")


def _held_by_listing(thing: Any, foreign: Mapping[int, str]) -> Held | None:  # noqa: ARG001
    return Held(Holding.FILE, "an open listing of a folder")


def _held_by_sqlite(thing: Any, foreign: Mapping[int, str]) -> Held | None:
    """Ask the database which files it has: one in memory is the process's own."""
    import sqlite3  # which is there, as the thing is

    try:
        cursor = sqlite3.Cursor(thing if isinstance(thing, sqlite3.Connection) else thing.connection)
        cursor.row_factory = None
        files = {row[2] for row in cursor.execute("PRAGMA database_list")} - {""}
    except sqlite3.ProgrammingError as error:  # it is closed, or another thread's
        files = set() if "closed" in str(error) else {"?"}
    except Exception:
        files = {"?"}
    return _held_by_database(thing, foreign) if files else None


def _elements(array: Any) -> list[Any]:
    return [*getattr(array, "__dict__", {}).values(), *(array.flat if array.dtype.hasobject else ())]


def _value_here(variable: Any) -> tuple[Any, ...]:
    return (variable.get(None),)


def _values_here(local: Any) -> list[Any]:
    return list(vars(local).values())


def _held_by_means(thing: Any, foreign: Mapping[int, str]) -> Held | None:  # noqa: ARG001
    if not needs_fork(thing):
        return None
    return Held(Holding.FORKED, f"{_a(type_name(thing))} of multiprocessing's fork context")


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'AEIOU' else 'a'} {noun}"


def _nothing(_: Any) -> tuple[()]:
    return ()


_MEANS = Nature(_held_by_means, _nothing)  # made to be shared, and so is what it consists of

_KNOWN: dict[tuple[str, str], Nature | None] = {
    ("_socket", "socket"): Nature(_held_by_socket),
    ("multiprocessing.connection", "_ConnectionBase"): Nature(_held_by_connection),
    **{("multiprocessing.synchronize", name): _MEANS for name in ("SemLock", "Condition", "Event", "Barrier")},
    **{("multiprocessing.queues", name): _MEANS for name in ("Queue", "SimpleQueue")},
    ("multiprocessing.sharedctypes", "SynchronizedBase"): _MEANS,
    ("sqlite3", "Connection"): Nature(_held_by_sqlite),
    ("sqlite3", "Cursor"): Nature(_held_by_sqlite),
    ("sqlite3", "Blob"): Nature(_held_by_database),
    ("_dbm", "dbm"): Nature(_held_by_database),
    ("_gdbm", "gdbm"): Nature(_held_by_database),
    ("posix", "ScandirIterator"): Nature(_held_by_listing),
    ("tempfile", "SpooledTemporaryFile"): Nature(),  # which writes itself to the disk when it is asked for a descriptor
    ("numpy", "ndarray"): Nature(leads=_elements),
    ("_contextvars", "ContextVar"): Nature(leads=_value_here),
    ("_thread", "_local"): Nature(leads=_values_here),
}

# ------------------------------------------------------------------------------------------------ what nobody can see


def _hides_something(kind: type) -> bool:
    """Whether objects have more in them than Python's own parts and those of types that are known: as pickle looks."""
    bases = type.mro(kind)
    known = next(at for at, base in enumerate(bases) if _is_known(base))
    base = bases[known]
    size = base.__basicsize__ + POINTER * sum(map(_count_slots, bases[:known]))
    size += POINTER * (kind.__dictoffset__ > 0 and not base.__dictoffset__)
    size += POINTER * (kind.__weakrefoffset__ > 0 and not base.__weakrefoffset__)
    return kind.__basicsize__ > size


def _count_slots(kind: type) -> int:
    slots = vars(kind).get("__slots__", ())
    return len({slots} if is_a(slots, str) else set(slots) - {"__dict__", "__weakref__"})


def pickles_itself(kind: type) -> bool:
    """Whether a type that is not Python's own says what becomes of its objects when they are pickled."""
    if _is_known(kind):
        return False
    asked = {"__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__"}
    own = [base for base in type.mro(kind) if not _is_known(base)]
    return kind in copyreg.dispatch_table or any(not asked.isdisjoint(vars(base)) for base in own)


def is_opaque(thing: Any) -> bool:
    """Whether something that nobody can look into cannot be pickled either; one of its type speaks for all."""
    kind = type(thing)
    if kind not in _opaque:
        try:
            reduce = copyreg.dispatch_table.get(kind)
            ask(thing.__reduce_ex__, PROTOCOL) if reduce is None else ask(reduce, thing)
        except Exception:
            _opaque[kind] = True
        else:
            _opaque[kind] = False
    return _opaque[kind]


# ------------------------------------------------------------------------------------------------------- whose it is

_LIBRARIES = (os.path.dirname(os.__file__) + os.sep, OUR_FOLDER)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def is_library(thing: type | Mapping[str, Any]) -> bool:
    """Whether a class, or the globals of a function, belong to a library and not to the user."""
    if isinstance(thing, type):
        module = sys.modules.get(_qualified_name(thing)[0])
        return module is not None and is_library(vars(module))
    file = thing.get("__file__")
    if not is_a(file, str):
        return thing.get("__name__") in sys.builtin_module_names
    return file.startswith(_LIBRARIES) or any(folder in file for folder in _INSTALLED)
