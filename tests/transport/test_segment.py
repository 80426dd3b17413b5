"""Segments: large frames travel in shared memory that goes around, and what arrives is the receiver's alone."""

from __future__ import annotations

import contextlib
import errno
import gc
import mmap
import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allcores._codec.pickling import decode
from allcores._transport import segment as segment_module
from allcores._transport.arena import LOST, Arena
from allcores._transport.channel import LARGE, LARGE_FRAME, Channel, channel_pair, fill_segment
from allcores._transport.segment import Segment, borrow
from allcores._transport.wire import Kind, Message

pytestmark = pytest.mark.once


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """A driver's end, which does not block, and a worker's end, which does."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(contextlib.closing(Channel(end))) for end in channel_pair())


def pass_on(sender: Channel, receiver: Channel, *frames: bytes) -> list[memoryview]:
    """Have frames travel; give what arrives."""
    sender.send(Message(Kind.RUN, frames=list(frames)))
    while not (arrived := list(receiver.messages())):
        receiver.read()
    return arrived[0].frames


def segments_of(channel: Channel) -> int:
    return len(channel._arena._lent) + len(channel._arena._free)


def mapped_segments() -> int:
    with open("/proc/self/maps") as file:
        return sum("allcores-segment" in line for line in file)


SIZES = (0, 1, 100, LARGE_FRAME - 1, LARGE_FRAME, LARGE_FRAME + 1, LARGE, 300_001)


@given(sizes=st.lists(st.sampled_from(SIZES), max_size=5))
@settings(max_examples=50, deadline=None)
def test_frames_of_all_sizes_arrive_in_order(sizes):
    frames = [bytes([at + 1]) * size for at, size in enumerate(sizes)]
    with contextlib.ExitStack() as stack:
        ours, theirs = (stack.enter_context(contextlib.closing(Channel(end))) for end in channel_pair())
        for _ in range(2):  # the second time over what was there
            for sender, receiver in (ours, theirs), (theirs, ours):
                if sum(size for size in sizes if size < LARGE_FRAME) + LARGE < 200_000:  # what a socket takes
                    assert [bytes(frame) for frame in pass_on(sender, receiver, *frames)] == frames


def test_large_frames_travel_beside_the_socket(ends):
    ours, theirs = ends
    ours.send(Message(Kind.RUN, frames=[b"small", bytes(100 * LARGE)]))  # far more than a socket takes
    assert not ours.has_unsent
    assert theirs.read()
    (message,) = theirs.messages()
    assert [len(frame) for frame in message.frames] == [5, 100 * LARGE]


def test_what_arrives_can_be_written_to_and_nobody_else_sees_it(ends):
    ours, theirs = ends
    segment = fill_segment([bytes(LARGE)])
    for _ in range(2):
        ours.send(Message(Kind.SETUP, frames=[bytes(LARGE)]), segment)
    first, second = (theirs.receive().frames[0] for _ in range(2))
    first[:3] = b"abc"
    assert bytes(second[:3]) == bytes(3)
    assert os.pread(segment.descriptor, 3, 0) == bytes(3)
    segment.close()


def test_segments_go_around_once_what_lies_in_them_is_let_go(ends):
    ours, theirs = ends
    identities = set()
    for turn in range(10):
        frames = pass_on(theirs, ours, bytes([turn]) * LARGE)
        identities |= {segment.identity for segment in theirs._arena._lent.values()}
        assert frames[0][0] == turn
        del frames
        pass_on(ours, theirs, b"next")  # which tells that it was let go
    assert len(identities) == 1
    assert segments_of(theirs) == 1


def test_what_is_held_is_never_written_over(ends):
    ours, theirs = ends
    held = []
    for turn in range(100):
        frames = pass_on(theirs, ours, bytes([turn]) * LARGE)
        held += frames[: turn % 2]
        del frames
        pass_on(ours, theirs, b"next")
    assert [(frame[0], frame[-1]) for frame in held] == [(turn, turn) for turn in range(1, 100, 2)]


def test_a_part_that_is_held_holds_the_whole(ends):
    ours, theirs = ends
    frames = pass_on(theirs, ours, b"a" * LARGE, b"b" * LARGE)
    part = frames[1][5:6]
    del frames
    for letter in b"cde":
        pass_on(ours, theirs, b"next")
        pass_on(theirs, ours, bytes([letter]) * LARGE, bytes([letter]) * LARGE)
    assert bytes(part) == b"b"


def test_what_a_forked_process_may_read_is_not_written_over(ends):
    ours, theirs = ends
    frames = pass_on(theirs, ours, b"a" * LARGE)
    ask, asked = os.pipe()
    answer, answered = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(ask, 1)
        os.write(answered, bytes(frames[0][:1]))
        os._exit(0)
    del frames
    pass_on(ours, theirs, b"next")
    pass_on(theirs, ours, b"b" * LARGE)
    os.write(asked, b"?")
    assert os.read(answer, 1) == b"a"
    os.waitpid(pid, 0)
    for descriptor in (ask, asked, answer, answered):
        os.close(descriptor)


def test_a_forked_process_holds_no_segments_open():
    segment = Segment(LARGE)
    pid = os.fork()
    if pid == 0:
        os._exit(segment.descriptor != -1)
    assert os.waitpid(pid, 0)[1] == 0
    segment.close()


def test_what_is_received_takes_no_descriptor_and_no_memory_once_it_is_let_go(ends):
    ours, theirs = ends
    before = len(os.listdir("/proc/self/fd"))
    held = [pass_on(theirs, ours, bytes(LARGE)) for _ in range(5)]
    assert len(os.listdir("/proc/self/fd")) - before == 5  # the sender's
    assert mapped_segments() == 5
    del held
    assert mapped_segments() == 0
    theirs.rest()
    assert len(os.listdir("/proc/self/fd")) == before


def test_more_in_flight_than_are_kept_are_left_to_whom_they_were_sent(ends, monkeypatch):
    monkeypatch.setattr("allcores._transport.arena.KEPT", 3)
    ours, theirs = ends
    held = [pass_on(theirs, ours, bytes([turn]) * LARGE)[0] for turn in range(10)]
    assert segments_of(theirs) == 3
    assert [frame[-1] for frame in held] == list(range(10))
    del held
    pass_on(ours, theirs, b"next")
    assert len(theirs._arena._free) == 3


def test_a_segment_much_larger_than_needed_is_not_filled_again():
    arena = Arena()
    _, descriptor = arena.lend([memoryview(bytes(100 * LARGE))])
    os.close(descriptor)
    arena.hear_of_freed([1])
    _, descriptor = arena.lend([memoryview(bytes(LARGE))])
    os.close(descriptor)
    assert [segment.size for segment in (*arena._free, *arena._lent.values())] == [100 * LARGE, LARGE]
    arena.close()


def test_a_descriptor_that_was_lost_fails_its_message_alone(ends):
    """As when the receiver has as many descriptors open as it may: the system drops what comes."""
    ours, theirs = ends
    for turn in range(3):
        ours.send(Message(Kind.RUN, turn, frames=[b"pickle", bytes([turn]) * LARGE]))
    theirs.read()
    while len(theirs._passed) < 2:
        theirs.read()
    messages = []
    os.close(theirs._passed.popleft())  # the first one's, before anybody has looked
    while len(messages) < 3:
        messages += theirs.messages()
        if len(messages) < 3:
            theirs.read()
    assert messages[0].frames == [LOST]
    assert [message.frames[1][0] for message in messages[1:]] == [1, 2]
    with pytest.raises(OSError, match="no descriptor or no memory"):
        decode(messages[0].frames)


def test_what_cannot_be_mapped_is_copied(monkeypatch):
    segment = Segment(LARGE)
    segment.fill([memoryview(b"x" * LARGE)])

    def refuse(*args, **keywords):
        raise OSError("too many mappings")

    monkeypatch.setattr(segment_module, "_map_without_descriptor", lambda: refuse)
    assert borrow(os.dup(segment.descriptor), segment.size) == b"x" * segment.size
    segment.close()


@pytest.mark.parametrize("without", ["ctypes", "memfd_create"])
def test_systems_that_lack_something_do_the_same(without, monkeypatch, ends):
    segment_module._map_without_descriptor.cache_clear()
    if without == "ctypes":
        monkeypatch.setitem(__import__("sys").modules, "ctypes", None)
    else:
        monkeypatch.delattr(os, without)
    frames = pass_on(*ends, b"x" * LARGE)
    assert bytes(frames[0]) == b"x" * LARGE
    frames[0][0] = 1
    del frames
    segment_module._map_without_descriptor.cache_clear()


def test_a_mapping_that_dies_amid_anything_is_noticed_without_python_code(ends):
    """Ctrl-C between two instructions of a callback would be lost; a method of a deque has no instructions."""
    ours, theirs = ends
    frames = pass_on(theirs, ours, bytes(LARGE))
    (watch,) = ours._lodger._watches.values()
    assert isinstance(watch(), mmap.mmap)
    assert type(watch.__callback__).__name__ == "builtin_function_or_method"
    del frames
    gc.collect()
    assert ours._lodger.freed() == (1,)


def test_too_many_descriptors_on_their_way_are_waited_for(ends, monkeypatch):
    """The system bounds how many descriptors of a user may be sent and not yet received."""
    ours, theirs = ends
    send_fds, refusals = socket.send_fds, iter(range(3))

    def refuse_some(*arguments):
        if next(refusals, None) is not None:
            raise OSError(errno.ETOOMANYREFS, "too many references")
        return send_fds(*arguments)

    monkeypatch.setattr(socket, "send_fds", refuse_some)
    ours.send(Message(Kind.RUN, frames=[b"x" * LARGE]))
    assert ours.has_unsent  # and the driver goes on
    ours.flush()
    theirs.send(Message(Kind.REPORT, frames=[b"y" * LARGE]))  # a worker waits
    ours.flush()
    assert theirs.receive().frames == [b"x" * LARGE]
    assert ours.read()
    assert [message.frames for message in ours.messages()] == [[b"y" * LARGE]]


def test_without_a_descriptor_left_frames_go_through_the_socket(ends, monkeypatch):
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    segment = fill_segment([bytes(LARGE)])
    monkeypatch.setattr(os, "dup", refuse)
    for lent in (None, segment):
        ours, theirs = ends
        ours.send(Message(Kind.SETUP, frames=[b"x" * LARGE]), lent)
        assert theirs.receive().frames == [b"x" * LARGE]
    segment.close()
