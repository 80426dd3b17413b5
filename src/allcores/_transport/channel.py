"""A private channel between the driver and one worker: messages over a connected stream socket.

The driver's end never blocks: what the socket does not take waits in an outbox and is sent when the driver's one
wait says that there is room. The worker's end blocks. Errors of the operating system are translated here: a peer
that is gone looks like the end of the stream, whatever the system calls it.
"""

from __future__ import annotations

import errno
import mmap
import os
import socket
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice, pairwise
from weakref import ref

from allcores._core.hints import Any
from allcores._system.descriptors import claim
from allcores._system.greenlets import unpatched_select
from allcores._transport.arena import LOST, Arena, Lodger
from allcores._transport.segment import Segment, make_filled, places
from allcores._transport.wire import Beside, Buffer, Message, pack_head, unpack_head

__all__ = ["Channel", "channel_pair", "fill_segment", "find_large"]

LARGE_FRAME = 1 << 16  # bytes: smaller ones travel through the socket,
LARGE = 1 << 17  # and so does a message whose large frames together have fewer: a segment would cost more

CHUNK = 1 << 18  # bytes read at once: what a Unix socket's buffer holds
BUFFERS_AT_ONCE = 64  # per sendmsg; systems allow at least that many
DESCRIPTORS_AT_ONCE = 200  # per sendmsg; Linux allows 253
ROOM_FOR_DESCRIPTORS = socket.CMSG_SPACE(DESCRIPTORS_AT_ONCE * array("i").itemsize)
RETRY_SECONDS = 0.001

# {descriptor: the socket, if it is still there}. Not a WeakSet: Ctrl-C in the middle of its callback would be lost.
_drivers_ends: dict[int, ref[socket.socket]] = {}


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Give two connected sockets: the driver's end, which never blocks, and the worker's end.

    The driver's end is closed in every process that is forked from this one: whoever held it open would keep the
    worker from ever learning that its driver is gone.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    claim(ours)
    claim(theirs)
    _drivers_ends[ours.fileno()] = ref(ours)
    return ours, theirs


def _close_drivers_ends() -> None:
    for end in list(_drivers_ends.values()):
        connection = end()
        if connection is not None:
            connection.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_drivers_ends)


class Channel:
    """One end of a channel.

    Args:
        connection: a connected stream socket; whether it blocks decides how `flush` and `read` behave.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        claim(connection)
        self._poll: Any = None  # where it is to be waited for, and
        self._patience: float | None = None  # for how many milliseconds, at most
        self._arena = Arena()
        self._lodger = Lodger()
        self._passing: list[int] = []  # descriptors that have not been sent
        self._outbox: deque[memoryview] = deque()
        self._passed: deque[int] = deque()  # descriptors that have come, in the order in which they were sent
        self._inbox = bytearray()  # received and not yet understood
        # What was read last; a new one for each read costs more than the read. It has no pages until they are used.
        self._chunk = memoryview(mmap.mmap(-1, CHUNK, mmap.MAP_PRIVATE))
        self._partial: Message | None = None  # its frames are being filled
        self._unfilled: deque[memoryview] = deque()

    def fileno(self) -> int:
        """The descriptor, to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
        self._arena.close()
        for descriptors in (self._passing, self._passed):
            while descriptors:
                os.close(descriptors.pop())

    @property
    def has_lent(self) -> bool:
        """Whether memory is kept for large frames, at either end."""
        return self._arena.has_segments or self._lodger.has_lodged

    def rest(self) -> None:
        """Let go of the memory that is kept for large frames, as none is going to be sent soon."""
        self._arena.close()
        self._lodger.has_lodged = False

    def set_patience(self, seconds: float | None) -> None:
        """Bound how long `receive` waits for a peer that says nothing; None: for ever."""
        # By polling: who waits in `recvmsg` is woken up by Linux in vain, whenever the peer has read, too.
        if self._poll is None:
            select = unpatched_select()
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        self._patience = None if seconds is None else 1000 * seconds

    # -------------------------------------------------------------------------------------------------- sending

    @property
    def has_unsent(self) -> bool:
        """Whether the outbox waits for room."""
        return bool(self._outbox)

    def send(self, message: Message, segment: Segment | None = None) -> None:
        """Put a message into the outbox and send what the socket takes.

        Args:
            message: its large frames travel in a segment.
            segment: holds them already; see `fill_segment`.
        """
        lengths = [memoryview(frame).nbytes for frame in message.frames]
        if sum(lengths) < LARGE_FRAME and not (message.descriptors or self._lodger.has_let_go):  # the common case
            self._outbox.append(memoryview(b"".join([pack_head(message, lengths), *message.frames])))
            self.flush()
        else:
            self._send_with_care(message, [_as_bytes(frame) for frame in message.frames], segment)

    def put(self, message: Message) -> None:
        """Have a message without frames go along with the next one, or with the next `flush`."""
        self._outbox.append(memoryview(pack_head(message, [])))

    def _send_with_care(self, message: Message, frames: list[memoryview], segment: Segment | None) -> None:
        """Send a message without a copy of its frames, and what goes beside them."""
        beside = self._put_beside(message, frames, segment)
        self._outbox.append(memoryview(pack_head(message, [frame.nbytes for frame in frames], beside)))
        lent = () if beside is None else beside.lent
        self._outbox.extend(frame for at, frame in enumerate(frames) if frame.nbytes and at not in lent)
        self.flush()
        if self._outbox:  # what waits must not change, as the user's own memory may
            self._outbox = deque(view if type(view.obj) is bytes else memoryview(bytes(view)) for view in self._outbox)

    def _put_beside(self, message: Message, frames: list[memoryview], segment: Segment | None) -> Beside | None:
        loan, lent = None, _places_of_large(frames)
        if lent:
            given = self._arena.lend([frames[at] for at in lent]) if segment is None else segment.lend()
            if given is None:
                lent = []
            else:
                loan, descriptor = given
                self._passing.append(descriptor)
        freed = self._lodger.freed()
        if loan is None and not freed and not message.descriptors:
            return None
        self._passing += map(os.dup, message.descriptors)
        return Beside(len(message.descriptors), freed, loan, lent)

    def flush(self) -> None:
        """Send what the socket takes; to a peer that is gone, everything goes nowhere."""
        outbox = self._outbox
        while outbox:
            try:
                sent = self._pass_some() if self._passing else self._send_some()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ETOOMANYREFS:
                    if self._wait_for_others():
                        continue
                    return
                outbox.clear()
                return
            while sent:
                first = outbox.popleft()
                if sent < first.nbytes:
                    outbox.appendleft(first[sent:])
                    break
                sent -= first.nbytes

    def _wait_for_others(self) -> bool:
        """Let others receive some of the many descriptors that are on their way; say whether to try again at once."""
        is_blocking = self._socket.getblocking()
        if is_blocking:
            time.sleep(RETRY_SECONDS)  # no event tells
        return is_blocking

    def _send_some(self) -> int:
        return self._socket.sendmsg(list(islice(self._outbox, BUFFERS_AT_ONCE)))

    def _pass_some(self) -> int:
        """Send descriptors, with a byte that goes before the end of their message if they are not the last ones."""
        some = self._passing[:DESCRIPTORS_AT_ONCE]
        is_all = len(some) == len(self._passing)
        buffers = list(islice(self._outbox, BUFFERS_AT_ONCE)) if is_all else [self._outbox[0][:1]]
        sent = socket.send_fds(self._socket, buffers, some)
        del self._passing[: len(some)]
        for descriptor in some:
            os.close(descriptor)
        return sent

    # ------------------------------------------------------------------------------------------------- receiving

    def receive(self) -> Message | None:
        """Wait for the next message; None when the peer is gone or patience ends. For a socket that blocks."""
        while True:
            for message in self.messages():
                return message
            if not ((self._poll is None or self._poll.poll(self._patience)) and self.read()):
                return None

    def read(self) -> bool:
        """Read once; False when there will be no more. Raises BlockingIOError when there is nothing yet."""
        try:
            if self._unfilled and self._unfilled[0].nbytes >= CHUNK:
                return self._filled(self._read_into(self._unfilled[0]))
            count = self._read_into(self._chunk)
        except BlockingIOError:
            raise
        except OSError:
            return False
        self._inbox += self._chunk[:count]
        return bool(count)

    def _read_into(self, buffer: memoryview) -> int:
        count, extras, _, _ = self._socket.recvmsg_into([buffer], ROOM_FOR_DESCRIPTORS)
        for _, _, data in extras:
            self._passed.extend(array("i", data))
        return count

    def messages(self) -> Iterator[Message]:
        """Yield the messages that have arrived whole."""
        while self._inbox or self._partial is not None:
            if self._partial is None and not self._begin_message():
                return
            while self._unfilled and self._inbox:
                view = self._unfilled[0]
                count = min(view.nbytes, len(self._inbox))
                view[:count] = self._inbox[:count]
                del self._inbox[:count]
                self._filled(count)
            if self._unfilled or self._partial is None:
                return
            message, self._partial = self._partial, None
            yield message

    def _begin_message(self) -> bool:
        head = unpack_head(self._inbox)
        if head is None:
            return False
        message, size, lengths, beside = head
        sent = lengths if beside is None else [length for at, length in enumerate(lengths) if at not in beside.lent]
        ends = list(accumulate(sent, initial=size))
        if ends[-1] <= len(self._inbox):  # the common case
            message.frames = [self._inbox[begin:end] for begin, end in pairwise(ends)]
            del self._inbox[: ends[-1]]
        else:
            message.frames = [bytearray(end - begin) for begin, end in pairwise(ends)]
            del self._inbox[:size]
            self._unfilled.extend(memoryview(frame) for frame in message.frames if frame)
        if beside is not None:
            self._take_beside(message, lengths, beside)
        self._partial = message
        return True

    def _take_beside(self, message: Message, lengths: list[int], beside: Beside) -> None:
        """Complete a message with what came beside its frames; all descriptors have come with its head."""
        self._arena.hear_of_freed(beside.freed)
        if beside.loan is not None:
            memory = self._lodger.receive(beside.loan, self._passed)
            starts, _ = places([lengths[at] for at in beside.lent])
            for at, start in zip(beside.lent, starts, strict=True):
                message.frames.insert(at, b"" if memory is None else memory[start : start + lengths[at]])
            if memory is None:
                message.frames = [LOST]
        message.descriptors = [self._passed.popleft() for _ in range(min(beside.descriptors, len(self._passed)))]

    def _filled(self, count: int) -> bool:
        view = self._unfilled.popleft()
        if count < view.nbytes:
            self._unfilled.appendleft(view[count:])
        return count > 0


def fill_segment(frames: Sequence[Buffer]) -> Segment | None:
    """Put the large ones of a message's frames into a segment, for channels to send; None if there are none.

    It belongs to whoever asks for it. None, too, where the system does not allow it.
    """
    large = find_large(frames)
    return make_filled(large) if large else None


def find_large(frames: Sequence[Buffer]) -> list[memoryview]:
    """Give those of a message's frames that travel in a segment."""
    views = [_as_bytes(frame) for frame in frames]
    return [views[at] for at in _places_of_large(views)]


def _places_of_large(frames: list[memoryview]) -> list[int]:
    large = [at for at, frame in enumerate(frames) if frame.nbytes >= LARGE_FRAME]
    return large if sum(frames[at].nbytes for at in large) >= LARGE else []


def _as_bytes(frame: Buffer) -> memoryview:
    view = memoryview(frame)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")
