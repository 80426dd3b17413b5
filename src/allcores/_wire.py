"""What a frame's header says: the vocabulary of the channel between the driver and one worker process.

A message is a header, the lengths of its frames, and the frames::

    kind  flags  tries  frame count  line  token  start  stop  seconds   | length, length, ... | frame, frame, ...
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

__all__ = ["HEADER", "KINDS", "LENGTH_SIZE", "Buffer", "Kind", "Message", "unpack_lengths"]

Buffer: TypeAlias = bytes | bytearray | memoryview

HEADER = struct.Struct("=BBxxIIIqqqd")
LENGTH_SIZE = 8


class Kind(IntEnum):
    """What a message means."""

    # to the worker
    SETUP = 1  # frames: surroundings, job; the worker answers READY or SETUP_FAILED
    TEACH = 2  # frames: definitions of the caller's __main__
    RUN = 3  # items [start, stop) under `token`; frames: the items, or none where the worker has the dataset
    FORGET = 4  # the run is over: drop its jobs, wait for the next
    ADD_JOB = 5  # frames: a further job, for items of `line`
    DROP_JOB = 6  # no more items of `line` will come
    LEAVE = 7  # bring out what was put into multiprocessing's queues, and end
    # from the worker
    HELLO = 10  # `start` is the process id
    READY = 11
    SETUP_FAILED = 12  # frames: an exception
    REPORT = 13  # items [start, stop) of `token` are done; frames: their values and exceptions
    UNREADABLE = 14  # the items of `token` cannot be unpickled; frames: an exception


KINDS = {int(kind): kind for kind in Kind}  # to look one up costs a tenth of ``Kind(number)``


@dataclass(slots=True)
class Message:
    """One message; which fields matter hangs on its kind."""

    kind: Kind
    token: int = 0
    start: int = 0
    stop: int = 0
    seconds: float = 0.0
    flag: bool = False  # RUN: the rest may be given back; REPORT: the batch is done
    frames: list[Buffer] = field(default_factory=list)
    tries: int = 1  # RUN: how often the item was run, this time included
    line: int = 0  # RUN: which job runs the items; 0: the one of the setup
    descriptors: Sequence[int] = ()  # SETUP: travel beside the frames; the receiver gets them from its channel

    def head(self) -> bytes:
        """Give all that goes before the frames."""
        lengths = [memoryview(frame).nbytes for frame in self.frames]
        return HEADER.pack(
            self.kind,
            self.flag,
            self.tries,
            len(self.frames),
            self.line,
            self.token,
            self.start,
            self.stop,
            self.seconds,
        ) + struct.pack(f"={len(lengths)}Q", *lengths)


def unpack_lengths(head: bytearray, count: int) -> tuple[int, ...]:
    """Read the lengths of frames behind a header."""
    return struct.unpack_from(f"={count}Q", head, HEADER.size)
