"""Segments: shared memory without a name, in which large frames travel from one process to another.

Whoever sends fills a segment and passes its descriptor; whoever receives maps it, copy on write, and closes the
descriptor at once. So what arrives is the receiver's alone, a process that is forked from it later included; it can be
written to; it is gone with the last object that lies in it; and it takes no descriptor while it lives. Nothing of all
this is in any file system, so that nothing can be left there, and no limit of ``/dev/shm`` counts.
"""

from __future__ import annotations

import functools
import mmap
import os
import sys
from collections.abc import Callable, Sequence
from weakref import ref

from allcores._transport.wire import EXCLUSIVE, Loan

__all__ = ["ALIGNMENT", "Segment", "anonymous_file", "borrow", "places"]

ALIGNMENT = 64  # bytes: of a cache line, and what vector instructions want at most
MAP_FIXED = 0x10  # on Linux, macOS and the BSDs; the module mmap does not have it

# {descriptor: the segment, if it is still there}; a dict for the same reason as in `_channel`.
_open_segments: dict[int, ref[Segment]] = {}


def anonymous_file(name: str, size: int) -> int:
    """Open a file of zeros that no name leads to; it is gone with its last descriptor and its last mapping.

    Args:
        name: to be seen where the system lists what a process has open.
        size: in bytes; what has not been written takes no memory.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name)
    else:
        import tempfile

        descriptor, path = tempfile.mkstemp(prefix=f"{name}-")
        os.unlink(path)
    try:
        os.ftruncate(descriptor, size)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def places(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Give where frames of these sizes begin in a segment, and how large it must be."""
    starts, end = [], 0
    for size in sizes:
        starts.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return starts, end


class Segment:
    """A segment of the process that fills it.

    Args:
        size: in bytes.

    Attributes:
        descriptor: to be passed on.
        identity: by which whoever gets the descriptor knows it.

    Raises:
        OSError: the system does not allow it.
    """

    def __init__(self, size: int) -> None:
        self.size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self.descriptor = anonymous_file("allcores-segment", self.size)
        self.identity = os.fstat(self.descriptor).st_ino
        self._filled = 0  # up to here it has pages
        self._map: mmap.mmap | None = None
        _open_segments[self.descriptor] = ref(self)

    def __repr__(self) -> str:
        return f"<Segment {self.identity}: {self.size} bytes, descriptor {self.descriptor}>"

    def lend(self, number: int = EXCLUSIVE) -> tuple[Loan, int] | None:
        """Give what a message tells of it, and a descriptor of the receiver's; None where the system does not allow it.

        Args:
            number: of the loan, if somebody waits to get it back.
        """
        try:
            return Loan(number, self.identity, self.size), os.dup(self.descriptor)
        except OSError:
            return None

    def fill(self, frames: Sequence[memoryview]) -> None:
        """Put frames to their `places`, over what was there. Raises OSError where there is no room for that."""
        starts, end = places([frame.nbytes for frame in frames])
        if end > self._filled:
            for start, frame in zip(starts, frames, strict=True):
                self._write(start, frame)
            self._filled = end
            return
        if self._map is None:
            self._map = mmap.mmap(self.descriptor, self.size)
        for start, frame in zip(starts, frames, strict=True):
            self._map[start : start + frame.nbytes] = frame

    def _write(self, start: int, data: memoryview) -> None:
        """Write without mapping: the system need not clear pages first, nor have each touched for the first time."""
        while data:
            count = os.pwrite(self.descriptor, data, start)
            data, start = data[count:], start + count

    def close(self) -> None:
        """Let go of it; what others have mapped stays."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            self._map = None
            _open_segments.pop(descriptor, None)
            os.close(descriptor)


def _close_segments() -> None:
    for one in list(_open_segments.values()):
        segment = one()
        if segment is not None:
            segment.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_segments)


def make_filled(frames: Sequence[memoryview]) -> Segment | None:
    """Make a segment that holds frames; None where the system does not allow it."""
    try:
        segment = Segment(places([frame.nbytes for frame in frames])[1])
    except OSError:
        return None
    try:
        segment.fill(frames)
    except OSError:
        segment.close()
        return None
    return segment


def borrow(descriptor: int, size: int) -> mmap.mmap | bytearray | None:
    """Take over what another process has filled, and close the descriptor.

    Returns:
        The memory, mapped copy on write, or copied where the system allows no more mappings; None if it allows nothing.
    """
    try:
        return _map_without_descriptor()(descriptor, size)
    except OSError:
        return _copy(descriptor, size)
    finally:
        os.close(descriptor)


def _copy(descriptor: int, size: int) -> bytearray | None:
    try:
        memory = bytearray(size)
        view = memoryview(memory)
        at = 0
        while at < size:
            at += os.preadv(descriptor, [view[at:]], at)
    except (MemoryError, OSError):
        return None
    return memory


@functools.cache
def _map_without_descriptor() -> Callable[[int, int], mmap.mmap]:
    """Find how to have a mapping that keeps no descriptor: Python's own duplicate theirs, before 3.13 in any case."""
    if sys.version_info >= (3, 13):
        return lambda descriptor, size: mmap.mmap(descriptor, size, mmap.MAP_PRIVATE, trackfd=False)
    try:
        return _map_over_nothing()
    except (ImportError, AttributeError, OSError):  # a Python without ctypes, or a C library without mmap
        return lambda descriptor, size: mmap.mmap(descriptor, size, mmap.MAP_PRIVATE)


def _map_over_nothing() -> Callable[[int, int], mmap.mmap]:
    """Have Python map nothing, and the system put the file in its place; Python will unmap whatever is there."""
    import ctypes

    system_map = ctypes.CDLL(None, use_errno=True).mmap
    system_map.restype = ctypes.c_void_p
    system_map.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    protection, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | MAP_FIXED

    def map_over_nothing(descriptor: int, size: int) -> mmap.mmap:
        mapping = mmap.mmap(-1, size)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        if system_map(address, size, protection, flags, descriptor, 0) != address:
            raise OSError(ctypes.get_errno(), "a segment cannot be mapped")
        return mapping

    return map_over_nothing
