"""The channel: whole messages in order, whatever the pieces they come in; and a driver that never blocks on it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import allcores
from allcores._transport import arena
from allcores._transport.channel import Channel, channel_pair
from allcores._transport.wire import Kind, Message, pack_head

pytestmark = pytest.mark.once

MEGABYTE = 1 << 20


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """A driver's end, which does not block, and a worker's end, which does."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(contextlib.closing(Channel(end))) for end in channel_pair())


@pytest.fixture
def no_segments(monkeypatch):
    """A system that allows none: all frames must go through the socket."""

    def refuse(size: int) -> None:
        raise OSError(errno.ENFILE, "none today")

    monkeypatch.setattr(arena, "Segment", refuse)


def as_tuple(message: Message | None) -> tuple[object, ...]:
    assert message is not None
    told = [getattr(message, name) for name in Message.__slots__ if name not in {"descriptors", "frames"}]
    return (*told, [bytes(frame) for frame in message.frames])


def test_a_message_arrives_whole(ends):
    ours, theirs = ends
    message = Message(Kind.REPORT, 2**40, 5, 2**50, 0.25, flag=True, frames=[b"abc", b"", bytearray(b"defg")])
    ours.send(message)
    assert as_tuple(theirs.receive()) == as_tuple(message)


def test_descriptors_come_with_their_message(ends):
    driver, worker = ends
    read, write = os.pipe()
    driver.send(Message(Kind.RUN, frames=[bytes(1000)]))
    driver.send(Message(Kind.SETUP, frames=[b"abc"], descriptors=[write] * 450))
    os.close(write)  # a message takes copies along
    driver.send(Message(Kind.RUN, frames=[b"d", bytes(MEGABYTE)]))
    assert worker.receive().kind == Kind.RUN
    got = worker.receive().descriptors
    assert as_tuple(worker.receive()) == as_tuple(Message(Kind.RUN, frames=[b"d", bytes(MEGABYTE)]))
    try:
        assert len(got) == 450
        os.write(got[-1], b"still open")
        assert os.read(read, 100) == b"still open"
    finally:
        for descriptor in [*got, read]:
            os.close(descriptor)


def test_the_end_of_the_peer_is_the_end_of_the_stream(ends):
    ours, theirs = ends
    theirs.send(Message(Kind.HELLO, start=7))
    theirs.close()
    assert ours.read()
    assert [message.start for message in ours.messages()] == [7]
    assert not ours.read()
    ours.send(Message(Kind.FORGET))  # to nobody, and no error
    assert not ours.has_unsent


def test_what_is_put_goes_along_with_what_is_sent_next(ends):
    ours, theirs = ends
    theirs.put(Message(Kind.HELLO, start=7))
    with pytest.raises(BlockingIOError):
        ours.read()
    theirs.send(Message(Kind.READY))
    assert ours.read()
    assert [message.kind for message in ours.messages()] == [Kind.HELLO, Kind.READY]
    theirs.put(Message(Kind.HELLO))
    theirs.flush()
    assert ours.read()
    assert [message.kind for message in ours.messages()] == [Kind.HELLO]


def test_patience_ends_or_does_not(ends):
    ours, theirs = ends
    theirs.set_patience(0.001)
    assert theirs.receive() is None
    theirs.set_patience(None)
    sender = threading.Thread(target=ours.send, args=[Message(Kind.FORGET)])
    sender.start()
    assert theirs.receive().kind is Kind.FORGET
    sender.join()
    ours.close()
    assert theirs.receive() is None


def test_a_message_cut_off_by_its_senders_death_never_shows(ends):
    ours, theirs = ends
    head = pack_head(Message(Kind.REPORT), [1000])
    theirs._socket.sendall(head + bytes(999))
    theirs.close()
    assert ours.read()
    assert list(ours.messages()) == []
    assert not ours.read()


@pytest.mark.usefixtures("no_segments")
def test_sending_never_blocks_and_goes_on_when_there_is_room(ends):
    ours, theirs = ends
    big = os.urandom(5 * MEGABYTE)
    ours.send(Message(Kind.RUN, frames=[big]))
    ours.send(Message(Kind.FORGET))
    assert ours.has_unsent
    received: list[Message] = []
    while len(received) < 2:
        ours.flush()
        theirs.read()
        received += theirs.messages()
    assert [message.kind for message in received] == [Kind.RUN, Kind.FORGET]
    assert received[0].frames[0] == big
    assert not ours.has_unsent


def test_reading_when_nothing_has_come_says_so(ends):
    with pytest.raises(BlockingIOError):
        ends[0].read()


@given(
    described=st.lists(
        st.tuples(st.sampled_from(Kind), st.integers(0, 2**60), st.lists(st.integers(0, 600_000), max_size=4)),
        max_size=6,
    ),
    cuts=st.lists(st.integers(1, 400_000), max_size=20),
)
@settings(max_examples=50, deadline=None)
def test_the_pieces_in_which_bytes_arrive_do_not_matter(described, cuts):
    messages = [
        Message(kind, token, frames=[bytes([size % 256]) * size for size in sizes]) for kind, token, sizes in described
    ]
    heads = [pack_head(message, list(map(len, message.frames))) for message in messages]
    stream = b"".join(head + b"".join(message.frames) for head, message in zip(heads, messages, strict=True))
    feeder, end = socket.socketpair()
    with feeder, end:
        channel, received, at, turn = Channel(end), [], 0, 0
        end.setblocking(False)
        feeder.setblocking(False)
        while at < len(stream) or len(received) < len(messages):
            if at < len(stream):
                piece = stream[at : at + (cuts[turn] if turn < len(cuts) else len(stream))]
                turn += 1
                with suppress(BlockingIOError):
                    at += feeder.send(piece)
            with suppress(BlockingIOError):
                channel.read()
            received += channel.messages()
    assert [as_tuple(message) for message in received] == [as_tuple(message) for message in messages]


@pytest.mark.usefixtures("no_segments")
def test_large_items_and_large_results_at_once_do_not_lock_up(start):
    """Every worker writes a large result while the driver writes it a large item: somebody must not wait."""
    items = (bytes([x]) * (8 * MEGABYTE) for x in range(12))
    results = allcores.map(lambda item: item[::-1] + b"!", items, workers=2, start=start, batch=1)
    assert [(len(result), result[0], result[-1:]) for result in results] == [
        (8 * MEGABYTE + 1, x, b"!") for x in range(12)
    ]


@pytest.mark.usefixtures("no_segments")
def test_a_worker_that_does_not_read_does_not_hold_up_the_others(start, tmp_path):
    """Worker 0 sits in its item while large items wait in its channel; all others must be run meanwhile."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def run(item: tuple[int, bytes]) -> int:
        if item[0] == 0:
            fifo.read_bytes()
        return item[0]

    items = ((x, bytes(4 * MEGABYTE)) for x in range(10))
    seen = []
    for index, value in allcores.imap_unordered(run, items, workers=2, start=start, batch=1, ahead=20):
        assert index == value
        seen.append(index)
        if len(seen) == 8:  # all but item 0 and the one that may be queued behind it
            fifo.write_bytes(b"go")
    assert sorted(seen) == list(range(10))
    assert 0 in seen[8:]
