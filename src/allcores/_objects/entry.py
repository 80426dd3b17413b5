"""What an entry point shows of itself when it raises: one frame, its own.

A caller whose function has failed wants to see two things: where it called allcores, and where the function failed.
What lies between explains nothing, and fills a screen, in a notebook several. So an entry point does its work inside of
``with one_frame:``, and from whatever comes out the frames between its own and the user's are cut. They stay where
they are needed for a report: when an error is neither the user's nor raised by us on purpose, but a bug of ours.

Which of these it is, the frames tell. Where there are frames of the user's below ours, code of the user's has failed.
Otherwise the innermost of ours stands at a ``raise``, for an error of ours or one that was handed over, or at one of
the few places that call the user's objects, which may be written in C or come with Python. All else is a bug.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import TracebackType

from allcores._core.errors import InternalError
from allcores._core.hints import NoReturn
from allcores._core.kinds import is_a
from allcores._objects.asking import give_field, set_field
from allcores._objects.tracebacks import OUR_FOLDER

__all__ = ["cut_frames", "depth_of_caller", "one_frame", "rethrow"]

INTERRUPTS = os.path.join(
    OUR_FOLDER, "_system", "interrupts.py"
)  # whose frames come between the user's code and a signal
LIBRARY = os.path.dirname(os.__file__) + os.sep
INSTALLED = ("site-packages", "dist-packages")
CALLS_OUT = {  # where the user's objects are called, by qualified name
    "Job.prepare",
    "Mapping._hand_in",
    "Pool._map",
    "Puller._run",
    "Snapshots.gather",
    "Stream.pull",
    "_Gate.let_in",
    "_State.of",
    "at_hand",
    "listed",
    "make_dataset",
}


class _OneFrame:
    """Cuts the frames of whatever is raised inside."""

    def __enter__(self) -> None:
        """Nothing is done before something is raised."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            cut_frames(error)


one_frame = _OneFrame()


def depth_of_caller() -> int:
    """Say how many frames below its caller's the user's is that called us, as warnings count them."""
    frame, depth = sys._getframe(1), 1  # noqa: SLF001 - `inspect` is slow to import
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OUR_FOLDER):
        frame, depth = frame.f_back, depth + 1
    return depth


def rethrow(error: BaseException, trace: TracebackType | None) -> NoReturn:
    """Raise an exception that was raised elsewhere before, with what it had there.

    Python would have its context be whatever the caller is handling at this moment. In a plain loop the two would be a
    chain: what failed in the function, and then what the caller is handling.

    Args:
        error: is raised.
        trace: where it was raised; if it was raised here before, what that added is not wanted.
    """
    before: BaseException | None = give_field(error, "__context__")
    set_field(error, "__traceback__", trace)
    try:
        raise error
    finally:
        handled: BaseException | None = give_field(error, "__context__")
        if before is not None and handled is not before:
            set_field(error, "__context__", before)
            _append(error, handled)


def _append(error: BaseException, handled: BaseException | None) -> None:
    """Put an exception at the end of a chain of contexts, unless the two are linked already."""
    seen, last = {id(error)}, error
    while (following := give_field(last, "__context__")) is not None:
        if id(following) in seen or following is handled:
            return
        seen.add(id(following))
        last = following
    set_field(last, "__context__", handled)


def cut_frames(error: BaseException) -> None:
    """Cut what lies between the outermost frame of a traceback, an entry point's, and the user's.

    Called by itself where ``with one_frame:`` would cost something for every item.
    """
    entries = list(_entries(give_field(error, "__traceback__")))
    last = _last_of_ours(entries)
    if _is_meant(error, entries, last):
        rest = [] if _is_mere_interrupt(error, entries) else entries[last + 1 :]
        _link([entries[0], *(entry for entry in rest if entry.tb_frame.f_code.co_filename != INTERRUPTS)])
        _tidy_chain(error)


def _link(entries: list[TracebackType]) -> None:
    for entry, following in zip(entries, [*entries[1:], None], strict=True):
        if entry.tb_next is not following:
            entry.tb_next = following


def _entries(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _last_of_ours(entries: list[TracebackType]) -> int:
    """Find our innermost frame above those of the user's; what we have called of the library may lie between ours."""
    last = -1
    for at, entry in enumerate(entries):
        if _is_ours(entry):
            last = at
        elif _is_users(entry):
            break
    return last


def _is_ours(entry: TracebackType) -> bool:
    return entry.tb_frame.f_code.co_filename.startswith(OUR_FOLDER)


def _is_users(entry: TracebackType) -> bool:
    name = entry.tb_frame.f_code.co_filename
    is_library = name.startswith((LIBRARY, "<frozen ")) or any(folder in name for folder in INSTALLED)
    return not (is_library or name.startswith(OUR_FOLDER))


def _is_meant(error: BaseException, entries: list[TracebackType], last: int) -> bool:
    """Whether an error is no bug of ours."""
    if not is_a(error, Exception) or any(map(_is_users, entries[last + 1 :])):
        return True
    innermost = entries[last]
    if innermost.tb_frame.f_code.co_qualname in CALLS_OUT:
        return True
    is_assertion = is_a(error, AssertionError) and innermost is entries[-1]
    return not (is_assertion or is_a(error, InternalError)) and _stands_at_raise(innermost)


def _stands_at_raise(entry: TracebackType) -> bool:
    from opcode import opmap  # only when something has failed

    return entry.tb_frame.f_code.co_code[entry.tb_lasti] == opmap["RAISE_VARARGS"]


def _is_mere_interrupt(error: BaseException, entries: list[TracebackType]) -> bool:
    """Whether it is Ctrl-C, or the end of a task, that came while nothing of the user's ran here."""
    return not is_a(error, Exception) and not any(map(_is_users, entries))


def _tidy_chain(error: BaseException) -> None:
    """Leave out of a chain what was caught inside of ours, or our frames if code of the user's raised it there."""
    context = give_field(error, "__context__")
    while context is not None and _is_internal(context):
        context = give_field(context, "__context__")
    set_field(error, "__context__", context)
    for other in (give_field(error, "__cause__"), context):
        if other is not None:
            _strip(other)


def _is_internal(error: BaseException) -> bool:
    entries = list(_entries(give_field(error, "__traceback__")))
    return bool(entries) and _is_ours(entries[0]) and not any(map(_is_users, entries))


def _strip(error: BaseException) -> None:
    entries = list(_entries(give_field(error, "__traceback__")))
    if entries and _is_ours(entries[0]):
        rest = entries[_last_of_ours(entries) + 1 :]
        set_field(error, "__traceback__", rest[0] if rest else None)
