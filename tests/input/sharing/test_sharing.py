"""Open files, connections and numbers of descriptors: equal to the loop, or refused by name, wherever items run."""

# ruff: noqa: SIM115 - files that are left open are what this is about

from __future__ import annotations

import functools
import gc
import os
import socket
import struct
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

import allcores
from allcores._input.sharing.sharing import Belongings, Clearance
from allcores._system.descriptors import Descriptors

COUNT = 500
PLACES = [(i * 7919) % COUNT for i in range(300)]
WHAT_TO_DO = "open it inside the function, or once in each worker by state="

FILE: Any = None  # what functions of this module name


@pytest.fixture
def path(tmp_path: Path) -> str:
    data = tmp_path / "data"
    data.write_bytes(b"".join(struct.pack("<q", i) for i in range(COUNT)))
    return str(data)


@pytest.fixture
def shared_file(path, monkeypatch) -> Iterator[Any]:
    with open(path, "rb") as file:
        monkeypatch.setattr(sys.modules[__name__], "FILE", file)
        yield file


def read(file: Any, i: int) -> Any:
    file.seek(i * 8)
    return struct.unpack("<q", file.read(8))[0]


def read_global(i: int) -> Any:
    return read(FILE, i)


class Reader:
    """Opens its file again where it arrives."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = open(path, "rb")

    def __reduce__(self) -> tuple[Any, ...]:
        return Reader, (self.path,)

    def read(self, i: int) -> Any:
        return read(self.file, i)


def test_an_open_file_is_refused_wherever_it_would_be_shared(shared_file, start):
    def work(i: int) -> Any:
        return read(shared_file, i)

    with pytest.raises(allcores.UnpicklableError, match="variable 'shared_file'") as caught:
        allcores.map(work, PLACES, start=start, workers=2)
    assert WHAT_TO_DO in str(caught.value)
    with pytest.raises(allcores.UnpicklableError, match="variable 'shared_file'"):
        allcores.map(abs, PLACES, start=start, initializer=lambda: shared_file)
    with pytest.raises(allcores.UnpicklableError, match=r"initargs\[0\]"):
        allcores.map(abs, PLACES, start=start, initializer=print, initargs=[shared_file])


@pytest.mark.once
def test_what_cannot_be_pickled_is_named_wherever_it_is(shared_file):
    class Kind:
        file = shared_file

    def with_default(i: int, *, file: Any = shared_file) -> Any:
        return file

    thing = Kind()
    named: dict[str, Any] = {
        "Kind -> file": lambda i: Kind,
        "thing -> file": lambda i: thing,
        "file": with_default,
        "x": functools.partial(lambda x, i: i, shared_file),
    }
    for name, function in named.items():
        with pytest.raises(allcores.UnpicklableError, match=f"variable '{name}', a BufferedReader") as caught:
            allcores.map(function, PLACES, start="forkserver")
        assert str(caught.value).endswith(WHAT_TO_DO)


def test_a_fork_is_not_safe_for_what_would_be_shared_and_a_reader_that_travels_works(path):
    reader = Reader(path)
    results = allcores.map(reader.read, PLACES, workers=3)
    assert results == PLACES
    plan = results.report.plan
    assert plan.start == "forkserver"
    assert plan.fork_hazard == "variable 'self -> file', an open file, would be shared by forked workers"
    with pytest.raises(allcores.UnpicklableError, match="variable 'self -> file', an open file"):
        allcores.map(reader.read, PLACES, start="fork")
    assert allcores.map(lambda i: i, PLACES, workers=2).report.plan.start == "fork"  # it does not lead there
    reader.file.close()


def test_files_of_modules_are_those_of_the_worker_where_it_imports_them(shared_file):
    with pytest.raises(allcores.UnpicklableError, match="variable 'FILE', an open file"):
        allcores.map(read_global, PLACES, start="fork")


def test_the_input_is_pulled_by_the_driver_alone(path):
    with open(path, "rb") as data:
        results = allcores.map(len, iter(lambda: data.read(8), b""), workers=2)
    assert results == [8] * COUNT
    assert results.report.plan.start == "fork"


def test_items_that_are_open_files_fail_alone(path):
    with open(path, "rb") as file:
        results = allcores.map(lambda item: item, [1, file, 3], errors="collect", workers=2)
        assert [results[0], results[2]] == [1, 3]
        assert isinstance(results.failures[0].exception, allcores.UnpicklableItem)
        with pytest.raises(allcores.UnpicklableError, match="item 1, an open file"):
            allcores.map(lambda item: item, [1, file, 3], start="fork")


def test_a_connection_of_the_function_is_refused_and_an_argument_of_the_initializer_is_not(start):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(allcores.UnpicklableError, match="variable 'ours', a socket"):
            allcores.map(lambda i: ours.send(b"x"), [1], start=start)
        with allcores.Pool(1, keep, [theirs], start=start) as pool:
            assert pool.map(send, [b"from a worker"]) == [13]
        assert ours.recv(100) == b"from a worker"


KEPT: list[Any] = []


def keep(thing: Any) -> None:
    KEPT[:] = [thing]


def send(text: bytes) -> int:
    return int(KEPT[0].send(text))


def test_the_number_of_a_descriptor_is_refused(path, start):
    number = os.open(path, os.O_RDONLY)
    try:
        with pytest.raises(allcores.UnpicklableError, match="variable 'number', a descriptor's number") as caught:
            allcores.map(lambda i: os.pread(number, 8, i * 8), PLACES, start=start)
        assert WHAT_TO_DO in str(caught.value)
        with pytest.raises(allcores.UnpicklableError, match="argument 'one'"):
            allcores.starmap(lambda i, one: os.pread(one, 8, i), [(0, number)], start=start)
        with pytest.raises(allcores.UnpicklableError, match="initargs"):
            allcores.map(abs, PLACES, start=start, initializer=lambda fd: None, initargs=[number])
    finally:
        os.close(number)


def test_a_pool_refuses_what_its_workers_would_share(shared_file, path, start):
    """Functions are pickled for workers, which were born with globals if they were forked."""
    reader = Reader(path)
    number = os.open(path, os.O_RDONLY)
    with allcores.Pool(2, start=start) as pool, allcores.Executor(2, start=start) as executor:
        assert pool.map(reader.read, PLACES) == PLACES
        assert [executor.submit(reader.read, i).result() for i in PLACES[:3]] == PLACES[:3]
        for run in (pool.map, executor.submit):
            with pytest.raises(allcores.UnpicklableError, match="variable 'number'"):
                run(lambda i: os.pread(number, 8, i), PLACES)
            if start == "fork":
                with pytest.raises(allcores.UnpicklableError, match="variable 'FILE', an open file"):
                    run(read_global, PLACES)
    os.close(number)
    reader.file.close()


def test_a_function_is_looked_at_once_for_as_long_as_it_is_there(monkeypatch, path):
    with open(path):
        looks: list[int] = []
        monkeypatch.setattr("allcores._input.sharing.reach.find_shared", lambda *_, **__: looks.append(1))
        clearance = Clearance("fork")
        reader = Reader(path)
        for function in (reader.read, reader.read, read, read, reader.__reduce__):
            clearance.require(function)
        assert len(looks) == 3
        reader.file.close()
        del reader, function
        gc.collect()
        assert len(clearance._cleared) == 1
        Clearance(None).require(lambda i: looks)


def test_nothing_is_looked_at_where_nothing_is_open(run_python):
    program = """
        import allcores
        import sys

        for _ in range(2):
            for start in ("auto", "fork", "forkserver"):
                assert allcores.map(lambda x: x, range(3), start=start) == [0, 1, 2]
        assert "allcores._input.sharing.reach" not in sys.modules
    """
    run_python(textwrap.dedent(program))


def test_what_was_looked_at_is_let_go_at_once(path):
    class Kept:
        pass

    gc.disable()
    try:
        with open(path):
            kept = Kept()
            gone = ref(kept)
            assert Belongings([kept].pop).fork_hazard(Descriptors()) is None
            del kept
            assert gone() is None
    finally:
        gc.enable()
