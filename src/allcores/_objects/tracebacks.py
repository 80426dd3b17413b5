"""Tracebacks that travel: taken apart in the worker, put together again in the driver.

A traceback object cannot be pickled, and pasting its text into a message shows the user two tracebacks of which one
is ours. So each of the user's frames travels as plain data, and is rebuilt as a real frame of a code object that bears
the original's name, file and position and does nothing but raise. Python, debuggers and notebooks then print the
user's own lines, carets included.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from types import CodeType, TracebackType

from allcores._core.errors import InternalError
from allcores._core.records import Record
from allcores._objects.asking import ask, describe, give_field

__all__ = [
    "OUR_FOLDER",
    "FrameData",
    "format_frames",
    "format_traceback",
    "rebuild_traceback",
    "take_apart",
    "tell_place",
    "without_our_frames",
]

# As our code has it, which in a frozen program is not where the files are.
OUR_FOLDER = os.path.dirname(os.path.dirname((lambda: None).__code__.co_filename)) + os.sep
STOP, CALLER = "(stop)", "(caller)"  # in a stand-in's frame: no names that Python could take a misspelt one for
FRAMES_KEPT = 40  # at each end: endless recursion leaves a thousand frames that say the same


class FrameData(Record):
    """What a traceback shows of one frame. Columns are in UTF-8 bytes, None where unknown."""

    filename: str
    name: str
    qualified_name: str
    line: int
    end_line: int | None
    column: int | None
    end_column: int | None


def without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """Skip the frames of allcores at the top: they called the user's function and explain nothing."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(OUR_FOLDER):
        _forget_earlier_raises(trace)
        trace = trace.tb_next
    return trace


def _forget_earlier_raises(outermost: TracebackType) -> None:
    """Cut a traceback where the frame that called the user's function comes again.

    An exception that is kept, and raised for one item after another, collects the frames of all of them.
    """
    entry = outermost
    while entry.tb_next is not None:
        if entry.tb_next.tb_frame is outermost.tb_frame:
            entry.tb_next = None
            return
        entry = entry.tb_next


def format_traceback(error: BaseException) -> str:
    """Give the traceback as text, chained exceptions included."""
    import traceback  # heavy: only when something has failed

    try:
        return "".join(ask(traceback.format_exception, error))
    except Exception as trouble:  # its text, its notes, its chain and the loader of its source may be anything
        summary = f"{describe(error)} (the rest cannot be told: {describe(trouble)})"
        return format_frames(take_apart(give_field(error, "__traceback__")), summary)


def tell_place(trace: TracebackType | None) -> str:
    """Say in one line where something was raised, source included, for who shows the traceback itself elsewhere."""
    import traceback  # heavy: only when something has failed

    for frame in traceback.extract_tb(trace, limit=-1):
        source = f": {frame.line}" if frame.line else ""
        return f"at line {frame.lineno} of {frame.filename}{source}"
    return "in code that has no lines"


def format_frames(frames: list[FrameData], summary: str) -> str:
    """Give a traceback as text, without a look at the source, for an exception of which there is but a summary."""
    heading = ["Traceback (most recent call last):\n"] if frames else []
    lines = [f'  File "{frame.filename}", line {frame.line}, in {frame.name}\n' for frame in frames]
    return "".join([*heading, *lines, f"{summary}\n"])


def take_apart(trace: TracebackType | None) -> list[FrameData]:
    """Turn a traceback into plain data, outermost frame first."""
    entries = []
    while trace is not None:
        entries.append(trace)
        trace = trace.tb_next
    if len(entries) > 2 * FRAMES_KEPT:
        entries[FRAMES_KEPT:-FRAMES_KEPT] = []
    return [_frame_data(entry) for entry in entries]


def _frame_data(entry: TracebackType) -> FrameData:
    code = entry.tb_frame.f_code
    return FrameData(code.co_filename, code.co_name, code.co_qualname, *_position(code, entry))


def rebuild_traceback(frames: list[FrameData]) -> TracebackType | None:
    """Turn plain data into a traceback again, whose frames can be printed but not inspected."""
    rebuilt: TracebackType | None = None
    for frame in reversed(frames):
        stand_in = _raise_at(frame)
        rebuilt = TracebackType(rebuilt, stand_in.tb_frame, stand_in.tb_lasti, frame.line)
    return rebuilt


def _position(code: CodeType, trace: TracebackType) -> tuple[int, int | None, int | None, int | None]:
    positions = islice(code.co_positions(), trace.tb_lasti // 2, None)
    line, end_line, column, end_column = next(positions, (None, None, None, None))
    return (trace.tb_lineno, None, None, None) if line is None else (line, end_line, column, end_column)


class _Stop(Exception):  # never seen by anyone
    """Raised by the stand-in's code, to get hold of its frame."""


def _raise_at(frame: FrameData) -> TracebackType:
    """Raise from a code object that looks like the frame's, and give the traceback entry."""
    import ast  # heavy: only when something has failed

    line = max(frame.line, 1)
    end_line = max(frame.end_line or line, line)
    column = frame.column if frame.column is not None and frame.end_column is not None else 0
    end_column = frame.end_column if frame.column is not None and frame.end_column is not None else 0
    if end_line == line:
        end_column = max(column, end_column)
    where = {"lineno": line, "end_lineno": end_line, "col_offset": column, "end_col_offset": end_column}
    statement = ast.Raise(exc=ast.Name(id=STOP, ctx=ast.Load(), **where), cause=None, **where)
    code = compile(ast.Module(body=[statement], type_ignores=[]), "", "exec")  # to which not every name would do
    code = code.replace(co_filename=frame.filename, co_name=frame.name, co_qualname=frame.qualified_name)
    names: dict[str, object] = {STOP: _Stop, "__name__": frame.qualified_name}
    names[CALLER] = caller = _entries(code, names)  # it must not end before the frame does
    return next(caller)


def _entries(code: CodeType, names: dict[str, object]) -> Iterator[TracebackType]:
    """Run code that raises; give its traceback entry, once.

    A frame holds those of all its callers for good, with whatever they were at: batches, messages, the run itself. But
    a generator that waits has no caller. What it still holds itself must not lead back to the frame.
    """
    found: list[TracebackType] = []
    try:
        exec(code, names)  # noqa: S102 - the code is ours
    except _Stop as stop:
        if stop.__traceback__ is not None and stop.__traceback__.tb_next is not None:
            found.append(stop.__traceback__.tb_next)
    if not found:
        raise InternalError(f"no frame could be made for {code}")
    del names
    yield found.pop()
