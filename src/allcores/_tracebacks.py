"""Tracebacks that travel: taken apart in the worker, put together again in the driver.

A traceback object cannot be pickled, and pasting its text into a message shows the user two tracebacks of which one
is ours. So each of the user's frames travels as plain data, and is rebuilt as a real frame of a code object that bears
the original's name, file and position and does nothing but raise. Python, debuggers and notebooks then print the
user's own lines, carets included.
"""

from __future__ import annotations

import os
from types import CodeType, TracebackType
from typing import NamedTuple

from allcores._errors import InternalError

__all__ = ["FrameData", "format_traceback", "rebuild_traceback", "take_apart", "without_our_frames"]

OUR_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
FRAMES_KEPT = 40  # at each end: endless recursion leaves a thousand frames that say the same


class FrameData(NamedTuple):
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
        trace = trace.tb_next
    return trace


def format_traceback(error: BaseException) -> str:
    """Give the traceback as text, chained exceptions included."""
    import traceback  # heavy: only when something has failed

    try:
        return "".join(traceback.format_exception(error))
    except Exception as trouble:  # an exception's own __str__ may raise anything
        return f"{type(error).__name__} (its traceback cannot be formatted: {type(trouble).__name__})"


def take_apart(trace: TracebackType | None) -> list[FrameData]:
    """Turn a traceback into plain data, outermost frame first."""
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        line, end_line, column, end_column = _position(code, trace)
        frames.append(FrameData(code.co_filename, code.co_name, code.co_qualname, line, end_line, column, end_column))
        trace = trace.tb_next
    if len(frames) > 2 * FRAMES_KEPT:
        frames[FRAMES_KEPT:-FRAMES_KEPT] = []
    return frames


def rebuild_traceback(frames: list[FrameData]) -> TracebackType | None:
    """Turn plain data into a traceback again, whose frames can be printed but not inspected."""
    rebuilt: TracebackType | None = None
    for frame in reversed(frames):
        stand_in = _raise_at(frame)
        rebuilt = TracebackType(rebuilt, stand_in.tb_frame, stand_in.tb_lasti, frame.line)
    return rebuilt


def _position(code: CodeType, trace: TracebackType) -> tuple[int, int | None, int | None, int | None]:
    for index, (line, end_line, column, end_column) in enumerate(code.co_positions()):
        if index == trace.tb_lasti // 2 and line is not None:
            return line, end_line, column, end_column
    return trace.tb_lineno, None, None, None


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
    statement = ast.Raise(exc=ast.Name(id="stop", ctx=ast.Load(), **where), cause=None, **where)
    code = compile(ast.Module(body=[statement], type_ignores=[]), frame.filename, "exec")
    code = code.replace(co_name=frame.name, co_qualname=frame.qualified_name)
    try:
        exec(code, {"stop": _Stop, "__name__": frame.qualified_name})  # noqa: S102 - the code is ours
    except _Stop as stop:
        if stop.__traceback__ is not None and stop.__traceback__.tb_next is not None:
            return stop.__traceback__.tb_next
    raise InternalError(f"no frame could be made for {frame}")
