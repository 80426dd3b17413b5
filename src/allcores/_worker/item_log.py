"""What items print, warn of and log, each in a file of its own: the option `log`.

While an item runs, descriptors 1 and 2 lead into its file. So what C code writes is there, too, and what programs write
that the item starts. All is written at once: when a worker dies, the file has what the item said until then, and
whatever its length it takes no memory.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from allcores._core.hints import TYPE_CHECKING, Any
from allcores._worker.current import RunningItem
from allcores._worker.exit import flush, flush_output

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["flush_native", "last_lines", "log_path", "logging_to"]

LAST_BYTES = 4096  # of a file that a failure carries, at most
LAST_LINES = 20
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_path(folder: str, index: int) -> str:
    """Give the path of an item's file; there is one only if the item says anything."""
    return os.path.join(folder, f"{index:06}.log")


def last_lines(folder: str, index: int) -> str:
    """Give the last lines of what an item has said, a screen of them at most; empty if it has said nothing."""
    try:
        with open(log_path(folder, index), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LAST_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:  # it has said nothing, or somebody has removed the file
        return ""
    lines = text.splitlines(keepends=True)
    if size > LAST_BYTES and len(lines) > 1:  # the first has lost its beginning
        del lines[0]
    return "".join(lines[-LAST_LINES:])


def logging_to(folder: str, call: Callable[[Any], Any], running: RunningItem) -> Callable[[Any], Any]:
    """Give a function that has what it says in its item's file.

    Args:
        folder: where the files lie.
        call: the function.
        running: says which item it is.
    """

    def call_logged(item: Any) -> Any:
        about = running.describe()
        with _everything_to(log_path(folder, about.index), is_new=about.tries == 1):
            return call(item)

    return call_logged


def flush_native() -> None:
    """Bring out what C code has printed: it is buffered by the C library, which a fork copies, and an end forgets."""
    import ctypes  # for this option alone

    with suppress(OSError, AttributeError):  # a C library that is not to be had so
        ctypes.CDLL(None).fflush(None)


@contextmanager
def _everything_to(path: str, *, is_new: bool) -> Iterator[None]:
    """Have all that this process writes to its standard output and error in a file, within the block.

    Args:
        path: the file's; nothing stays there if nothing was written.
        is_new: whether to write it anew; else it goes on, as an item's later try does.
    """
    flush_output()
    flush_native()
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if is_new else 0)
    file = os.open(path, how, 0o666)
    with ExitStack() as way_back:
        way_back.callback(_close_or_remove, file, path)
        for number, name in ((1, "stdout"), (2, "stderr")):
            way_back.callback(_lead_back, number, _copy_of(number))
            os.dup2(file, number)
            way_back.enter_context(_python_stream(name, number))
        way_back.enter_context(_warnings_shown())
        way_back.enter_context(_records_shown())
        try:
            yield
        finally:
            flush_native()


def _copy_of(number: int) -> int | None:
    """Copy a descriptor; None if it is closed."""
    try:
        return os.dup(number)
    except OSError:
        return None


def _lead_back(number: int, before: int | None) -> None:
    if before is None:
        os.close(number)
    else:
        os.dup2(before, number)
        os.close(before)


def _close_or_remove(file: int, path: str) -> None:
    if os.fstat(file).st_size == 0:
        with suppress(OSError):  # somebody was quicker
            os.unlink(path)
    os.close(file)


@contextmanager
def _python_stream(name: str, number: int) -> Iterator[None]:
    """Have Python's stream of that name write to the descriptor, whatever stood in its place, by whole lines."""
    before = getattr(sys, name)
    file = io.FileIO(number, "w", closefd=False)
    stream = io.TextIOWrapper(io.BufferedWriter(file), "utf-8", errors="backslashreplace", line_buffering=True)
    setattr(sys, name, stream)
    try:
        yield
    finally:
        if getattr(sys, name) is stream:  # else the item has put another there, to stay
            setattr(sys, name, before)
        for each in (stream, before):  # the item may have come by either
            flush(each)


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """Have warnings written to standard error, where the caller has had them shown or caught otherwise, too."""
    before, warnings.showwarning = warnings.showwarning, _show
    try:
        yield
    finally:
        if warnings.showwarning is _show:  # else the item has put another there, to stay
            warnings.showwarning = before


def _show(  # noqa: PLR0917 - as it is called
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=file or sys.stderr)


@contextmanager
def _records_shown() -> Iterator[None]:
    """Have records of logging written to standard error, unless a handler does that already."""
    if any(_is_shown(handler) for handler in logging.root.handlers):
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        handler.close()


def _is_shown(handler: logging.Handler) -> bool:
    """Whether a handler writes to standard output or error, as descriptors."""
    stream = getattr(handler, "stream", None)
    try:
        file = getattr(stream.buffer, "raw", stream.buffer)  # type: ignore[union-attr]
        return isinstance(file, io.FileIO) and file.fileno() in {1, 2}
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file, or is closed
        return False
