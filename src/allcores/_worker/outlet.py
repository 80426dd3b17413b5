"""Tells the driver what items print, log and warn of, for the caller's streams, handlers and hooks.

Where the caller's standard output is a descriptor, workers have it, and prints need no help. In a notebook, within
`contextlib.redirect_stdout` or a test that captures, it is an object of the caller's process alone: then workers have
streams of this kind, which send whole lines. Records of logging go to the caller's handlers in the same way, and
warnings to whatever shows the caller's.

The worker's own thread sends at once what it says, and waits while the driver is busy, so that however much is said
takes no memory. What other threads say, or is said while something is being sent, goes along with what comes next.
"""

from __future__ import annotations

import io
import os
import sys
from _thread import get_ident
from collections import deque
from collections.abc import Callable

from allcores._core.hints import TYPE_CHECKING, Any
from allcores._worker.current import current_item, is_inside_item
from allcores._worker.exit import flush_output
from allcores._worker.said import Echo, Logged, Printed, Utterance, Warned

if TYPE_CHECKING:
    from logging import Handler, Logger, LogRecord

__all__ = ["Outlet", "warned"]

LONGEST_TEXT = 1 << 14  # characters that are sent together, so that a message stays small
MOST_WAITING = 10_000  # utterances that wait for their thread to send; the oldest are dropped
DESCRIPTORS = {"stdout": 1, "stderr": 2}
PLAIN = (str, int, float, bool, type(None))


class Outlet:
    """Takes what this process says.

    Args:
        send: sends utterances; False where that cannot be done now.
        thread: which alone may send.
        pid: of the worker.
    """

    def __init__(self, send: Callable[[list[Utterance]], bool], thread: int, pid: int) -> None:
        self._send = send
        self._thread = thread
        self._pid = pid
        self._waiting: deque[Utterance] = deque(maxlen=MOST_WAITING)
        self._streams: dict[str, tuple[_Stream, Any]] = {}  # {name: with what stood there before}
        self._handlers: list[tuple[Logger, list[Handler]]] = []  # those that loggers had

    def install(self, echo: Echo) -> None:
        """Stand in for the streams and the handlers whose caller is to have what they are given."""
        for name in [name for name in DESCRIPTORS if getattr(echo, name)]:
            stream = _Stream(self, name)
            self._streams[name] = stream, getattr(sys, name)
            text = io.TextIOWrapper(io.BufferedWriter(stream), "utf-8", errors="surrogatepass", line_buffering=True)
            setattr(sys, name, text)
        if echo.records:
            self._take_records()

    def remove(self) -> None:
        """Put back what was there, and say nothing any more: who would hear it has another run by now."""
        self._send = _send_nothing
        for name, (_, before) in self._streams.items():
            setattr(sys, name, before)
        for logger, handlers in self._handlers:
            logger.handlers[:] = handlers
        self._streams.clear()
        self._handlers.clear()

    def bring_out(self) -> None:
        """Send all that waits, unfinished lines, too."""
        flush_output()
        for stream, _ in self._streams.values():
            stream.end_line()
        self._send_waiting()

    def say(self, utterance: Utterance) -> None:
        """Have the driver hear of it, at once if that can be."""
        self._waiting.append(utterance)
        if get_ident() == self._thread:
            self._send_waiting()

    def is_ours(self) -> bool:
        """Whether this is the worker, and not a process that its items have forked."""
        return os.getpid() == self._pid

    def _send_waiting(self) -> None:
        said = list(self._waiting)
        if said and self._send(said):
            for _ in said:
                self._waiting.popleft()

    def _take_records(self) -> None:
        import logging  # the caller has it, too

        handler = _make_handler(self)
        others = list(logging.root.manager.loggerDict.values())
        for logger in (logging.root, *(each for each in others if isinstance(each, logging.Logger))):
            is_last = logger is logging.root or bool(logger.handlers and not logger.propagate)
            if is_last or logger.handlers:
                self._handlers.append((logger, logger.handlers[:]))
                logger.handlers[:] = [handler] if is_last else []


def _send_nothing(said: list[Utterance]) -> bool:  # noqa: ARG001 - as it is called
    return False


class _Stream(io.RawIOBase):
    """What is written to it goes to the outlet by whole lines."""

    def __init__(self, outlet: Outlet, name: str) -> None:
        self._outlet = outlet
        self._name = name
        self._begun = b""  # a line

    def writable(self) -> bool:
        """It is for that."""
        return True

    def fileno(self) -> int:
        """Give the descriptor by which programs write that an item starts."""
        return DESCRIPTORS[self._name]

    def write(self, data: Any, /) -> int:
        """Take bytes."""
        new = bytes(data)
        if not self._outlet.is_ours():
            return os.write(self.fileno(), new)
        lines, newline, self._begun = (self._begun + new).rpartition(b"\n")
        self._say(lines + newline)
        if len(self._begun) > LONGEST_TEXT:
            self.end_line()
        return len(new)

    def end_line(self) -> None:
        """Send what was begun as it is."""
        begun, self._begun = self._begun, b""
        self._say(begun)

    def _say(self, said: bytes) -> None:
        text = said.decode(errors="replace")
        for start in range(0, len(text), LONGEST_TEXT):
            self._outlet.say(Printed(self._name, text[start : start + LONGEST_TEXT]))


def warned(message: Warning | str, category: type[Warning], filename: str, line: int) -> Warned:
    """Give a warning in words that travel."""
    return Warned(str(message), category.__module__, category.__qualname__, filename, line)


def _make_handler(outlet: Outlet) -> Handler:
    from logging import Handler, lastResort

    class OutletHandler(Handler):
        """Gives the outlet what it is told."""

        def emit(self, record: LogRecord) -> None:
            if outlet.is_ours():
                outlet.say(Logged(_attributes(record)))
            elif lastResort is not None:
                lastResort.handle(record)

    return OutletHandler()


def _attributes(record: LogRecord) -> dict[str, Any]:
    """Give a record's attributes as plain types: the message put together, an exception as its text."""
    import logging

    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    made = vars(record) | {"msg": record.getMessage(), "args": None, "exc_info": None}
    index = current_item().index if is_inside_item() else None
    return {name: value if isinstance(value, PLAIN) else str(value) for name, value in made.items()} | {"item": index}
