"""A private channel between the driver and one worker: messages over a connected stream socket.

The driver's end never blocks: what the socket does not take waits in an outbox and is sent when the driver's one
wait says that there is room. The worker's end blocks. Errors of the operating system are translated here: a peer
that is gone looks like the end of the stream, whatever the system calls it.
"""

from __future__ import annotations

import os
import socket
from array import array
from collections import deque
from collections.abc import Iterator
from itertools import accumulate, islice, pairwise
from weakref import ref

from allcores._wire import HEADER, KINDS, LENGTH_SIZE, Buffer, Message, unpack_lengths

__all__ = ["Channel", "channel_pair"]

CHUNK = 1 << 18  # bytes read at once: what a Unix socket's buffer holds
BUFFERS_AT_ONCE = 64  # per sendmsg; systems allow at least that many
DESCRIPTORS_AT_ONCE = 200  # per sendmsg; Linux allows 253
ROOM_FOR_DESCRIPTORS = socket.CMSG_SPACE(DESCRIPTORS_AT_ONCE * array("i").itemsize)


# {descriptor: the socket, if it is still there}. Not a WeakSet: Ctrl-C in the middle of its callback would be lost.
_drivers_ends: dict[int, ref[socket.socket]] = {}


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Give two connected sockets: the driver's end, which never blocks, and the worker's end.

    The driver's end is closed in every process that is forked from this one: whoever held it open would keep the
    worker from ever learning that its driver is gone.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
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
        takes_descriptors: whether messages may bring some.

    Attributes:
        descriptors: that have come and belong to whoever takes them from here. They come no later than the message that
            they were sent with.
    """

    def __init__(self, connection: socket.socket, *, takes_descriptors: bool = False) -> None:
        self.descriptors: list[int] = []
        self._socket = connection
        self._takes_descriptors = takes_descriptors
        self._passing: list[int] = []  # descriptors that have not been sent
        self._outbox: deque[memoryview] = deque()
        self._inbox = bytearray()  # received and not yet understood
        self._chunk = bytearray(CHUNK)  # what was read last; a new one for each read costs more than the read
        self._partial: Message | None = None  # its frames are being filled
        self._unfilled: deque[memoryview] = deque()

    def fileno(self) -> int:
        """The descriptor, to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def set_patience(self, seconds: float | None) -> None:
        """Bound how long `receive` waits for a peer that says nothing; None: for ever."""
        self._socket.settimeout(seconds)

    # -------------------------------------------------------------------------------------------------- sending

    @property
    def has_unsent(self) -> bool:
        """Whether the outbox waits for room."""
        return bool(self._outbox)

    def send(self, message: Message) -> None:
        """Put a message into the outbox and send what the socket takes."""
        self._passing += message.descriptors
        self._outbox.append(memoryview(message.head()))
        for frame in message.frames:
            view = memoryview(frame)
            if view.nbytes:
                self._outbox.append(view if view.format == "B" and view.ndim == 1 else view.cast("B"))
        self.flush()

    def flush(self) -> None:
        """Send what the socket takes; to a peer that is gone, everything goes nowhere."""
        outbox = self._outbox
        while outbox:
            try:
                sent = self._pass_some() if self._passing else self._send_some()
            except BlockingIOError:
                return
            except OSError:
                outbox.clear()
                return
            while sent:
                first = outbox.popleft()
                if sent < first.nbytes:
                    outbox.appendleft(first[sent:])
                    break
                sent -= first.nbytes

    def _send_some(self) -> int:
        return self._socket.sendmsg(list(islice(self._outbox, BUFFERS_AT_ONCE)))

    def _pass_some(self) -> int:
        """Send descriptors with a byte that goes before the end of their message."""
        some = self._passing[:DESCRIPTORS_AT_ONCE]
        sent = socket.send_fds(self._socket, [self._outbox[0][:1]], some)
        del self._passing[: len(some)]
        return sent

    # ------------------------------------------------------------------------------------------------- receiving

    def receive(self) -> Message | None:
        """Wait for the next message; None when the peer is gone or patience ends. For a socket that blocks."""
        while True:
            for message in self.messages():
                return message
            if not self.read():
                return None

    def read(self) -> bool:
        """Read once; False when there will be no more. Raises BlockingIOError when there is nothing yet."""
        try:
            if self._unfilled and self._unfilled[0].nbytes >= CHUNK:
                return self._filled(self._socket.recv_into(self._unfilled[0]))
            count = self._read_chunk()
        except BlockingIOError:
            raise
        except OSError:
            return False
        self._inbox += memoryview(self._chunk)[:count]
        return bool(count)

    def _read_chunk(self) -> int:
        if not self._takes_descriptors:
            return self._socket.recv_into(self._chunk)
        count, extras, _, _ = self._socket.recvmsg_into([self._chunk], ROOM_FOR_DESCRIPTORS)
        for _, _, data in extras:
            self.descriptors += array("i", data)
        return count

    def messages(self) -> Iterator[Message]:
        """Yield the messages that have arrived whole."""
        while True:
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
        if len(self._inbox) < HEADER.size:
            return False
        kind, flag, tries, frame_count, line, token, start, stop, seconds = HEADER.unpack_from(self._inbox)
        head = HEADER.size + frame_count * LENGTH_SIZE
        if len(self._inbox) < head:
            return False
        ends = list(accumulate(unpack_lengths(self._inbox, frame_count), initial=head))
        frames: list[Buffer]
        if ends[-1] <= len(self._inbox):  # the common case
            frames = [self._inbox[begin:end] for begin, end in pairwise(ends)]
            del self._inbox[: ends[-1]]
        else:
            frames = [bytearray(end - begin) for begin, end in pairwise(ends)]
            del self._inbox[:head]
            self._unfilled.extend(memoryview(frame) for frame in frames if frame)
        self._partial = Message(KINDS[kind], token, start, stop, seconds, bool(flag), frames, tries, line)
        return True

    def _filled(self, count: int) -> bool:
        view = self._unfilled.popleft()
        if count < view.nbytes:
            self._unfilled.appendleft(view[count:])
        return count > 0
