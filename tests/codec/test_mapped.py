"""Arrays of files travel by name to a worker, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import allcores
from allcores._codec.pickling import Pupil, decode, encode, encode_by_value

VIEWS = {
    "all of it": lambda memmap: memmap,
    "a part": lambda memmap: memmap[5:],
    "a part of a part": lambda memmap: memmap[5:][3:],
    "steps": lambda memmap: memmap[::2, 3:],
    "backwards": lambda memmap: memmap[::-1, ::-2],
    "transposed": lambda memmap: memmap.T,
    "as another type": lambda memmap: memmap.view("i4"),
    "as a plain array": np.asarray,
    "a part of a plain array": lambda memmap: np.asarray(memmap)[3:],
    "a row for many": lambda memmap: np.broadcast_to(memmap[3], (4, 7)),
}


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[[], Any]:
    """Make a file and map it; the array is the test's own, or its descriptor would be open for longer than the test."""

    def make() -> Any:
        array = np.memmap(tmp_path / "array", dtype="f8", mode="w+", offset=24, shape=(10, 7))
        array[:] = np.arange(70).reshape(10, 7)
        return array

    return make


def travel(array: Any, encode: Any = encode) -> Any:
    (received,) = decode(encode([array]))
    return received


@pytest.mark.parametrize("encode", [encode, encode_by_value])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_arrives_as_the_same_view(make_file, view, encode):
    memmap = make_file()
    sent = view(memmap)
    received = travel(sent, encode)
    assert received.dtype == sent.dtype
    assert received.shape == sent.shape
    memmap *= -1
    assert np.array_equal(received, sent), "it does not show what is written later"


@pytest.mark.parametrize("view", ["all of it", "a part", "steps"])
def test_what_the_receiver_writes_is_in_the_file(make_file, view):
    memmap = make_file()
    sent = VIEWS[view](memmap)
    travel(sent)[-1, -1] = 99
    assert sent[-1, -1] == 99


def test_a_read_only_array_arrives_read_only(make_file):
    memmap = make_file()
    sent = np.memmap(memmap.filename, dtype="f8", mode="r", shape=(3,))
    received = travel(sent)
    assert isinstance(received, np.memmap)
    assert not received.flags.writeable


def test_what_was_written_to_a_private_array_travels_along(make_file):
    memmap = make_file()
    sent = np.memmap(memmap.filename, dtype="f8", mode="c", shape=(3,))
    sent[:] = 5
    assert travel(sent).tolist() == [5, 5, 5]


def test_the_content_travels_of_a_file_that_was_removed(make_file):
    memmap = make_file()
    Path(memmap.filename).unlink()
    assert np.array_equal(travel(memmap), memmap)


def test_the_content_travels_from_a_worker(make_file):
    memmap = make_file()
    (received,) = decode(encode([memmap], Pupil()))
    received[0] = 99
    assert memmap[0, 0] == 0


def test_nothing_of_an_empty_array_is_mapped(make_file):
    memmap = make_file()
    assert travel(memmap[:0]).shape == (0, 7)


def fill(row):
    array, number = row
    array[:] = number


def test_items_write_to_the_callers_file(make_file, start):
    memmap = make_file()
    allcores.map(fill, [(memmap[at], at) for at in range(10)], workers=2, start=start)
    assert memmap[:, 0].tolist() == list(range(10))


def test_a_function_brings_the_map_of_a_file(make_file, start):
    memmap = make_file()
    allcores.map(lambda at: memmap[at].fill(at), range(10), workers=2, start=start)
    assert memmap[:, 0].tolist() == list(range(10))
