"""From functions, arguments and items to open files, connections and numbers of descriptors, and how they are named."""

# ruff: noqa: SIM115 - files that are left open are what this is about

from __future__ import annotations

import bz2
import contextvars
import csv
import dataclasses
import functools
import gzip
import http.client
import itertools
import logging
import lzma
import mmap
import multiprocessing
import os
import re
import select
import selectors
import socket
import sqlite3
import struct
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from allcores._input.sharing import reach
from allcores._input.sharing.descriptor_numbers import find_number
from allcores._input.sharing.holders import Holding
from allcores._input.sharing.reach import ITEMS, Root, Way, find_held
from allcores._system.descriptors import Descriptors

BORN, SENT = Way(inherits=True), Way(inherits=False)
CALLED = Way(inherits=False, inherits_globals=True)

pytestmark = pytest.mark.once  # but for what code looks like, of which one test is below

HERE: Any = None  # what functions of this module name


@pytest.fixture
def later() -> Iterator[ExitStack]:
    """Close at the end what a test opens."""
    with ExitStack() as things:
        yield things


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "data"
    file.write_text("1\n2\n3\n")
    return str(file)


def look(function: Any, way: Way = BORN, **root: Any) -> str | None:
    finding = find_held([Root("the function", function, **root)], Descriptors().foreign, way)
    return None if finding is None else f"{finding.holding.name}: {finding.text}"


class Slotted:
    __slots__ = ("file",)

    def __init__(self, file: Any) -> None:
        self.file = file

    def get(self, i: int) -> Any:
        return self.file


@dataclasses.dataclass
class Data:
    inner: Any


def generate(file: Any) -> Iterator[Any]:
    yield from file


def cached(file: Any) -> Any:
    files = [file]
    function = functools.cache(files.pop)
    function()
    return function


def in_thread_local(file: Any) -> Any:
    local = threading.local()
    local.file = file
    return local


def in_context(file: Any) -> Any:
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
    variable.set(file)
    return variable


def started(generator: Any) -> Any:
    next(generator)
    return generator


# {what leads to a file: (how it is made, how it is named)}
LEADING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "itself": (lambda file: file, "'thing'"),
    "raw": (lambda file: file.buffer.raw, "'thing'"),
    "a list": (lambda file: [[0], [file]], "'thing -> [1] -> [0]'"),
    "a dict": (lambda file: {"a": file}, "\"thing -> ['a']\""),
    "a set": (lambda file: {file}, "'thing', which leads to"),
    "a large list": (lambda file: [*range(10_000), file], "'thing -> [10000]'"),
    "an object": (lambda file: SimpleNamespace(file=file), "'thing -> file'"),
    "a dataclass": (Data, "'thing -> inner'"),
    "slots": (Slotted, "'thing -> file'"),
    "a class": (lambda file: type("Kind", (), {"file": file}), "'thing -> file'"),
    "an object's class": (lambda file: type("Kind", (), {"file": file})(), "'thing -> file'"),
    "a bound method": (lambda file: Slotted(file).get, "'thing -> self -> file'"),
    "a method of its own": (lambda file: file.readline, "'thing', which leads to"),
    "a partial": (lambda file: functools.partial(Slotted.get, file), "'thing -> self'"),
    "a function's variable": (lambda file: lambda: file, "'thing -> file'"),
    "a default": (lambda file: lambda x=file: x, "'thing -> x'"),
    "a default by keyword": (lambda file: lambda *, x=file: x, "'thing -> x'"),
    "a cache": (cached, "'thing"),
    "a generator": (lambda file: started(generate(file)), "'thing', which leads to"),
    "a reader": (csv.reader, "'thing', which leads to"),
    "a map": (lambda file: map(int, file), "'thing -> [0]'"),
    "an enumeration": (enumerate, "'thing', which leads to"),
    "a slice": (lambda file: itertools.islice(file, 2), "'thing', which leads to"),
    "an array": (lambda file: np.array([None, file], object), "'thing', which leads to"),
    "a thread's own": (in_thread_local, "'thing -> file'"),
    "a context's own": (in_context, "'thing', which leads to"),
}


@pytest.mark.parametrize("name", LEADING)
def test_whatever_leads_to_an_open_file_is_named(name, path, later):
    make, named = LEADING[name]
    file = later.enter_context(open(path))
    thing = make(file)
    text = look(lambda i: thing)
    assert text is not None
    assert text.startswith(f"FILE: variable {named}")
    assert text.endswith("an open file,")
    file.close()
    assert look(lambda i: thing) is None


def zipped(path: str) -> zipfile.ZipFile:
    with zipfile.ZipFile(f"{path}.zip", "w") as file:
        file.writestr("a", "a")
    return zipfile.ZipFile(f"{path}.zip")


def tarred(path: str) -> tarfile.TarFile:
    with tarfile.open(f"{path}.tar", "w") as file:
        file.add(path)
    return tarfile.open(f"{path}.tar")


def spooled(path: str) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=1)
    file.write(b"much")
    return file


def database(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path}.db")
    connection.execute("create table t (x)")
    return connection


def connected() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = http.client.HTTPConnection(*server.getsockname())
        client.connect()
    return client


# {what holds a descriptor: (how it is opened, what is said of it)}
HOLDING: dict[str, tuple[Callable[[str], Any], str]] = {
    "for writing": (lambda path: open(path, "w"), "'thing', an open file,"),
    "for appending": (lambda path: open(path, "ab", 0), "'thing', an open file,"),
    "gzip": (lambda path: gzip.open(f"{path}.gz", "w"), "'thing', an open file,"),
    "bz2": (lambda path: bz2.open(f"{path}.bz2", "w"), "'thing', an open file,"),
    "lzma": (lambda path: lzma.open(f"{path}.xz", "w"), "'thing', an open file,"),
    "zip": (zipped, "'thing -> fp', an open file,"),
    "a member of a zip": (lambda path: zipped(path).open("a"), "'thing -> _fileobj -> _file', an open file,"),
    "tar": (tarred, "'thing -> fileobj', an open file,"),
    "temporary": (lambda path: tempfile.NamedTemporaryFile(), "'thing -> file', an open file,"),
    "spooled": (spooled, "'thing -> _file', an open file,"),
    "database": (database, "'thing', an open database,"),
    "cursor": (lambda path: database(path).cursor(), "'thing', an open database,"),
    "folder": (lambda path: os.scandir(os.path.dirname(path)), "'thing', an open listing of a folder,"),
    "popen": (lambda path: os.popen("echo"), "'thing -> _stream', an open pipe,"),
    "selector": (lambda path: selectors.DefaultSelector(), "'thing', a EpollSelector with an open descriptor,"),
    "epoll": (lambda path: select.epoll(), "'thing', a epoll with an open descriptor,"),
    "socket": (lambda path: socket.socket(), "'thing', a socket,"),
    "http": (lambda path: connected(), "'thing -> sock', a socket,"),
    "npz": (lambda path: np.savez(f"{path}.npz", a=1) or np.load(f"{path}.npz"), "'thing -> fid', an open file,"),
}


@pytest.mark.parametrize("name", HOLDING)
def test_whatever_holds_a_descriptor_is_found(name, path):
    make, said = HOLDING[name]
    thing = make(path)
    try:
        assert str(look(lambda i: thing)).partition("variable ")[2] == said
    finally:
        getattr(thing, "connection", thing).close()


INERT: dict[str, Callable[[Any], Any]] = {
    "a lock": lambda file: threading.Lock(),
    "a logger": lambda file: logging.getLogger("of this test"),
    "a queue": lambda file: multiprocessing.SimpleQueue(),
    "a lock of processes": lambda file: multiprocessing.Lock(),
    "a map of the file": lambda file: mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ),
    "an array of the file": lambda file: np.memmap(file.name, "u1", "r"),
    "a module": lambda file: os,
    "a library's class": lambda file: tempfile.TemporaryDirectory,
    "a database in memory": lambda file: sqlite3.connect(":memory:"),
    "what nobody pickles": lambda file: [struct.Struct("q"), re.compile("a"), memoryview(b""), iter([])],
    "spooled": lambda file: tempfile.SpooledTemporaryFile(),
    "standard streams": lambda file: [sys.stdout, sys.stderr, sys.__stdout__],
    "numbers": lambda file: [file.fileno(), *range(2000)],
    "a plain array": lambda file: np.arange(5),
}


@pytest.mark.parametrize("name", INERT)
def test_what_processes_may_share_is_not_found(name, path, later):
    file = later.enter_context(open(path))
    handler = logging.FileHandler(f"{path}.log")
    later.callback(handler.close)
    logging.getLogger("of this test").addHandler(handler)
    thing = INERT[name](file)
    assert look(lambda i: thing) is None
    logging.getLogger("of this test").removeHandler(handler)
    if hasattr(type(thing), "close"):
        thing.close()


# -------------------------------------------------------------------------------------------------------------- globals


def uses_global(i: int) -> object:
    return HERE.read(i)


def uses_attribute(i: Any) -> object:
    return i.HERE


def imports(i: int) -> object:
    import of_this_test

    return of_this_test.inner.FILE


def test_globals_are_found_if_the_code_names_them_in_whatever_module(path, later, monkeypatch):
    file = later.enter_context(open(path))
    monkeypatch.setattr(sys.modules[__name__], "HERE", file)
    assert look(uses_global) == "FILE: variable 'HERE', an open file,"
    assert look(lambda i: [uses_global(x) for x in i]) == "FILE: variable 'uses_global -> HERE', an open file,"
    assert look(uses_attribute) is None

    module, inner = ModuleType("of_this_test"), ModuleType("inner")
    module.inner, inner.FILE, inner.OTHER = inner, file, file  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "of_this_test", module)
    assert look(imports) == "FILE: variable 'of_this_test.inner.FILE', an open file,"
    assert look(lambda i: module) is None  # nothing in there is named


def test_of_libraries_only_what_they_hand_out_is_looked_at(path, later, monkeypatch):
    monkeypatch.setattr(tempfile, "HERE", later.enter_context(open(path)), raising=False)
    assert look(lambda i: tempfile.HERE) is None  # type: ignore[attr-defined]


# -------------------------------------------------------------------------------------------------------------- numbers


@pytest.fixture
def number(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


class ByNumber:
    def __init__(self, source: int) -> None:
        self.source = source

    def read(self, i: int) -> bytes:
        return os.pread(self.source, 8, i)


def pread(source: int, i: int) -> bytes:
    return os.pread(source, 8, i)


@pytest.mark.parametrize("way", [BORN, SENT, CALLED])
def test_a_number_is_found_where_it_is_used_as_a_descriptor_or_named_as_one(way, number):
    fd = source = number
    fds = {"a": number}
    found = {
        "fd": lambda i: fd,
        "fds": lambda i: fds,
        "source": lambda i: os.read(source, i),
        "self -> source": ByNumber(number).read,
    }
    for name, function in found.items():
        assert look(function, way) == f"NUMBER: variable {name!r}, a descriptor's number,", name
    assert look(functools.partial(pread, number), way) == "NUMBER: variable 'source', a descriptor's number,"


def test_a_number_that_happens_to_be_a_descriptors_is_not(number):
    size = number

    def read_own(i: int) -> bytes:
        with open(os.devnull, "rb", buffering=0) as file:
            os.lseek(file.fileno(), size, 0)
            return os.read(file.fileno(), size)

    assert look(lambda i: i * size) is None
    assert look(read_own) is None


def test_an_argument_is_a_descriptors_number_if_the_function_so_uses_it(number):
    foreign = Descriptors().foreign
    said = f"argument 'source', which is {number}, a descriptor's number,"
    assert find_number(pread, None, (), [[0, number]], foreign) == said
    assert find_number(pread, None, (), [[], [number]], foreign) is None
    assert find_number(abs, None, (), [[number]], foreign) is None
    assert find_number(abs, lambda size, fd: None, (0, number), (), foreign) is not None
    assert find_number(abs, lambda size: None, (number,), (), foreign) is None


# ------------------------------------------------------------------------------------------------------ what is pickled


class Dropping(Slotted):
    def __getstate__(self) -> None:
        return None


def test_what_is_pickled_is_asked_only_for_what_would_travel(path, later, monkeypatch):
    binary, text = (later.enter_context(open(path, mode)) for mode in ("rb", "r"))
    end, _ = (later.enter_context(end) for end in socket.socketpair())
    dropping = Dropping(end)
    assert look(lambda i: binary, SENT) is None  # that it cannot be pickled is found out by pickling it
    assert look(lambda i: text, SENT) == "FILE: variable 'text', an open file,"
    assert look(lambda i: end, SENT) == "STREAM: variable 'end', a socket,"
    assert look(lambda i: dropping, SENT) is None
    assert look(lambda i: dropping) == "STREAM: variable 'dropping -> file', a socket,"
    assert look(lambda i: end, ignored=frozenset({Holding.STREAM})) is None


def test_of_modules_that_a_worker_imports_files_and_numbers_count_and_connections_do_not(
    path, later, monkeypatch, number
):
    module = ModuleType("of_this_test")
    monkeypatch.setitem(sys.modules, "of_this_test", module)
    end, _ = (later.enter_context(end) for end in socket.socketpair())
    file = later.enter_context(open(path, "rb"))
    for thing, said in {
        end: None,
        file: "FILE: variable 'module.IT', an open file,",
        number: "NUMBER: variable 'module.IT', a descriptor's number,",
    }.items():
        module.IT = thing  # type: ignore[attr-defined]
        # As of a function of `__main__`, which names the module by a global.
        space = {"module": module, "os": os}
        function = eval("lambda i: os.pread(module.IT, 8, i)", space)  # so that it has globals of its own
        assert look(function, SENT) == said
    monkeypatch.setattr(sys.modules[__name__], "HERE", {"a": end})
    assert look(uses_global, SENT) is None


def test_where_globals_are_inherited_they_are_looked_at_as_such(path, later, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "HERE", later.enter_context(open(path, "rb")))
    assert look(uses_global, SENT) == "FILE: variable 'HERE', an open file,"  # which is read from its beginning there
    assert look(uses_global, CALLED) == "FILE: variable 'HERE', an open file,"
    dropping = Dropping(HERE)
    assert look(dropping.get, CALLED) is None


# ----------------------------------------------------------------------------------------------------- what is unknown


def test_what_can_be_neither_looked_into_nor_pickled_is_not_safe(path, later, monkeypatch):
    later.enter_context(open(path))

    class Secretive:
        def __reduce__(self) -> str:
            raise TypeError("no")

    thing = Secretive()
    assert look(lambda i: thing) is None  # it is Python's own: all there is was looked at
    monkeypatch.setattr("allcores._input.sharing.holders._hides_something", lambda kind: kind.__name__ == "Hiding")
    hiding = type("Hiding", (Secretive,), {})()
    said = "UNKNOWN: variable 'hiding', a Hiding, which may hold an open file or connection,"
    assert look(lambda i: hiding) == said
    assert look(lambda i: hiding, SENT) is None
    assert look(lambda i: hiding, ignored=frozenset({Holding.UNKNOWN})) is None


def test_too_much_to_look_through_is_not_safe(path, later, monkeypatch):
    later.enter_context(open(path))
    monkeypatch.setattr(reach, "MOST", 100)
    few, many = ([Data(i) for i in range(count)] for count in (20, 200))
    plain = [{"a": i} for i in range(5000)]
    assert look(lambda i: few) is None
    assert look(lambda i: many) == "UNKNOWN: the function, which leads to more objects than are looked through,"
    assert look(lambda i: plain) is None


def test_items_are_named_by_their_position(path, later):
    file = later.enter_context(open(path))
    finding = find_held([Root(ITEMS, [0, {"a": file}])], Descriptors().foreign, BORN)
    assert finding is not None
    assert finding.text == "item 1 -> ['a'], an open file,"
