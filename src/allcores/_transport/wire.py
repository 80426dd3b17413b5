"""What a frame's header says: the vocabulary of the channel between the driver and one worker process.

A message is a header, the lengths of its frames, what it tells of segments, and the frames::

    kind  flags  counts  tries  line  token  start  stop  seconds  waited  moved  ended | length, ... | frame, ...

A few bring more, between the lengths and the frames: numbers of segments that the sender has let go of; and a loan,
which is a segment that those frames lie in whose lengths say so. Its descriptor travels beside the message.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

from allcores._core.hints import TypeAlias
from allcores._core.records import Record

__all__ = ["EXCLUSIVE", "Beside", "Buffer", "Kind", "Loan", "Message", "pack_head", "unpack_head"]

Buffer: TypeAlias = bytes | bytearray | memoryview

HEADER = struct.Struct("=BBHHHIIqqqdddd")
LENGTH_BYTES = 8
NUMBER_BYTES = 8
LOAN = struct.Struct("=QQQ")
NO_LOAN = (0, 0, 0)
EXCLUSIVE = 0  # the number of a loan that nobody waits to get back
FLAG = 1  # the message's own flag
LENT = 2  # some frames lie in a segment
IN_SEGMENT = 1 << 63  # of a length: the frame is one of those


class Kind(IntEnum):
    """What a message means."""

    # to the worker
    # `start` is the worker's number; frames: kinship, surroundings and early settings, what to compare, job; with the
    # tracker's descriptor before others; READY or SETUP_FAILED is the answer
    SETUP = 1
    TEACH = 2  # frames: definitions of the caller's __main__
    RUN = 3  # items [start, stop) under `token`; frames: the items, or none where the worker has the dataset
    FORGET = 4  # the run is over: drop its jobs, wait for the next
    ADD_JOB = 5  # frames: a further job, for items of `line`
    DROP_JOB = 6  # no more items of `line` will come
    LEAVE = 7  # bring to an end what was begun, and end
    REST = 8  # nothing is to be done for a while: let go of the memory that is kept for large frames
    SETTINGS = 9  # frames: the settings that were in force where the items were handed in that come from now on
    COMPARE = 10  # frames: what things consist of at the caller's, by module and name; the worker may ASK
    ANSWER = 11  # frames: what the worker asked for
    SOURCES = 13  # frames: of which contents the user's modules are at the caller's, and sources; a guest may ASK
    FINALIZE = 12  # the run is over: have its finalizer do what is left to do; FINALIZED is the answer
    # from the worker
    HELLO = 20  # `start` is the process id
    READY = 21
    SETUP_FAILED = 22  # frames: an exception
    REPORT = 23  # items [start, stop) of `token` are done; frames: their values and exceptions
    ASK = 25  # frames: modules and names in there, whose values are wanted; the worker waits for ANSWER
    UNREADABLE = 24  # the items of `token` cannot be unpickled; frames: an exception
    SAID = 27  # frames: what items have printed, logged and warned of
    FINALIZED = 26  # the finalizer has been called, here or before the worker ends; frames: an exception, if it raised


KINDS = {int(kind): kind for kind in Kind}  # to look one up costs a tenth of ``Kind(number)``


class Loan(Record):
    """What a message tells of the segment that its large frames lie in.

    Attributes:
        number: to be told when it is let go of; 0: nobody wants to know.
        identity: of the segment.
        size: of the segment, in bytes.
    """

    number: int
    identity: int
    size: int


class Message:
    """One message; which fields matter hangs on its kind."""

    __slots__ = (
        "descriptors",
        "ended",
        "flag",
        "frames",
        "kind",
        "line",
        "moved",
        "seconds",
        "start",
        "stop",
        "token",
        "tries",
        "waited",
    )

    def __init__(  # noqa: PLR0917 - all but the kind by name, mostly
        self,
        kind: Kind,
        token: int = 0,
        start: int = 0,
        stop: int = 0,
        seconds: float = 0.0,
        flag: bool = False,  # noqa: FBT001, FBT002 - as it stands in the header
        frames: list[Buffer] | None = None,
        tries: int = 1,
        line: int = 0,
        waited: float = 0.0,
        moved: float = 0.0,
        ended: float = 0.0,
        descriptors: Sequence[int] = (),
    ) -> None:
        self.kind = kind
        self.token = token
        self.start = start
        self.stop = stop
        self.seconds = seconds
        self.flag = flag  # RUN: the rest may be given back; REPORT: the batch is done
        self.frames = [] if frames is None else frames
        self.tries = tries  # RUN: how often the item was run, this time included
        self.line = line  # RUN: which job runs the items; 0: the one of the setup
        self.waited = waited  # REPORT: for how many seconds there was nothing to do before the batch
        self.moved = moved  # REPORT: for how many seconds items were unpickled, and what came of them pickled and sent
        self.ended = ended  # REPORT: when the last item ended, on the machine's own clock; 0: nobody knows
        self.descriptors = descriptors  # SETUP: travel beside the frames, and belong to whoever receives them


class Beside(Record):
    """What a few messages bring beside their frames.

    Attributes:
        descriptors: how many, apart from a segment's.
        freed: the numbers of segments that the sender has let go of.
        loan: the segment that some frames lie in.
        lent: which ones, by position.
    """

    descriptors: int
    freed: tuple[int, ...]
    loan: Loan | None
    lent: list[int]


NOTHING_BESIDE = Beside(0, (), None, [])


def pack_head(message: Message, lengths: list[int], beside: Beside | None = None) -> bytes:
    """Give all that goes before a message's frames.

    Args:
        message: its frames are not looked at.
        lengths: of the frames, in bytes.
        beside: what else it brings.
    """
    descriptors, freed, loan, lent = beside or NOTHING_BESIDE
    flags = message.flag * FLAG | (loan is not None) * LENT
    if lent:
        lengths = [length | (position in lent) * IN_SEGMENT for position, length in enumerate(lengths)]
    head = HEADER.pack(
        message.kind,
        flags,
        descriptors,
        len(freed),
        message.tries,
        len(lengths),
        message.line,
        message.token,
        message.start,
        message.stop,
        message.seconds,
        message.waited,
        message.moved,
        message.ended,
    ) + struct.pack(f"={len(lengths)}Q", *lengths)
    return head if beside is None else head + struct.pack(f"={len(freed)}Q", *freed) + LOAN.pack(*(loan or NO_LOAN))


def unpack_head(data: bytearray) -> tuple[Message, int, list[int], Beside | None] | None:
    """Read what goes before a message's frames.

    Args:
        data: begins with it.

    Returns:
        The message, without its frames; the size of its head; the frames' lengths; and what else it brings. None if the
        head is not whole yet.
    """
    if len(data) < HEADER.size:
        return None
    kind, flags, descriptors, frees, tries, frames, line, token, start, stop, *times = HEADER.unpack_from(data)
    size = HEADER.size + frames * LENGTH_BYTES
    has_more = flags & LENT or frees or descriptors
    whole = size + frees * NUMBER_BYTES + LOAN.size if has_more else size
    if len(data) < whole:
        return None
    lengths = list(struct.unpack_from(f"={frames}Q", data, HEADER.size))
    seconds, waited, moved, ended = times
    message = Message(
        KINDS[kind], token, start, stop, seconds, bool(flags & FLAG), None, tries, line, waited, moved, ended
    )
    if not has_more:
        return message, size, lengths, None
    lent = [position for position, length in enumerate(lengths) if length & IN_SEGMENT]
    lengths = [length & ~IN_SEGMENT for length in lengths]
    freed = struct.unpack_from(f"={frees}Q", data, size)
    loan = Loan(*LOAN.unpack_from(data, whole - LOAN.size)) if flags & LENT else None
    return message, whole, lengths, Beside(descriptors, freed, loan, lent)
