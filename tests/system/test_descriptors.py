"""What this process has open that is neither a standard stream, nor allcores' own, nor inert."""

from __future__ import annotations

import itertools
import os
import socket
import sys
from contextlib import ExitStack

import pytest

import allcores
from allcores._system import descriptors
from allcores._system.descriptors import Descriptors, claim, disclaim


def foreign() -> set[int]:
    return set(Descriptors().foreign)


@pytest.fixture(params=["links", "one by one"])
def way(request, monkeypatch):
    """Find descriptors as on Linux, and as elsewhere."""
    if request.param == "one by one":

        def refuse(folder):
            raise OSError

        monkeypatch.setattr(descriptors, "_read_links", refuse)


@pytest.mark.usefixtures("way")
def test_files_pipes_and_sockets_are_foreign_until_they_are_closed(tmp_path):
    before = foreign()
    with ExitStack() as open_ones:
        file = open_ones.enter_context(open(tmp_path / "a", "w"))
        ends = [open_ones.enter_context(end) for end in socket.socketpair()]
        pipe = os.pipe()
        for end in pipe:
            open_ones.callback(os.close, end)
        assert foreign() - before == {file.fileno(), *pipe, *(end.fileno() for end in ends)}
    assert foreign() == before


@pytest.mark.usefixtures("way")
def test_standard_streams_and_devices_without_a_place_are_not():
    before = foreign()
    ours, theirs = os.openpty()
    with open(os.devnull, "rb"), open("/dev/urandom", "rb"):
        assert theirs not in foreign()
        assert foreign() - before <= {ours}
    os.close(ours)
    os.close(theirs)
    assert before.isdisjoint({0, 1, 2})


def test_a_copy_of_a_standard_stream_is_not_unless_it_leads_to_a_file_with_a_name(run_python, tmp_path):
    program = f"""
import os
from allcores._system.descriptors import Descriptors
copy = os.dup(1)
assert copy not in Descriptors().foreign
os.dup2(os.open({str(tmp_path / "out")!r}, os.O_RDWR | os.O_CREAT), 1)
copy = os.dup(1)
assert copy in Descriptors().foreign
"""
    run_python(program)


def test_what_is_claimed_is_not_for_as_long_as_it_is_there():
    number, other = os.pipe()
    claim(number)
    assert number not in foreign()
    assert other in foreign()
    disclaim(number)
    assert number in foreign()
    os.close(number)
    os.close(other)

    end, peer = socket.socketpair()
    claim(end)
    number = end.detach()
    assert number in foreign()
    again = socket.socket(fileno=number)
    assert number in foreign()
    again.close()
    peer.close()


def test_what_runs_and_pools_have_open_is_not(start):
    before = foreign()
    with allcores.imap(abs, itertools.count(), workers=2, start=start) as results:
        next(results)
        assert foreign() == before
        with allcores.Executor(2, start=start) as executor:
            assert executor.submit(abs, -1).result() == 1
            assert foreign() == before
            # Nor in a worker, with what it was born with.
            assert executor.submit(lambda: foreign_in_worker() - before).result() == set()
    assert foreign() == before


def foreign_in_worker() -> set[int]:
    sys.stdout.flush()
    return set(Descriptors().foreign)
