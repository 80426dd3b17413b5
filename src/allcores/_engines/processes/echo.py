"""What workers say, said again here: prints by the caller's streams, records by its handlers, each warning once."""

from __future__ import annotations

import pickle
import sys
from contextlib import suppress

from allcores._core.hints import Any
from allcores._transport.wire import Message
from allcores._worker.said import Echo, Logged, Printed, Utterance, Warned

__all__ = ["Repeater", "find_echo"]


def find_echo() -> Echo | None:
    """Say what of it workers must tell, as they could not have it said here by themselves; None if nothing."""
    echo = Echo(_is_here_alone("stdout", 1), _is_here_alone("stderr", 2), _has_handlers())
    return echo if any(echo) else None


def _is_here_alone(name: str, descriptor: int) -> bool:
    """Whether a stream of Python's is not the descriptor that workers have, too."""
    stream = getattr(sys, name)
    try:
        return stream is not None and stream.fileno() != descriptor
    except (AttributeError, OSError, ValueError):  # it is no file at all, or closed
        return not getattr(stream, "closed", False)


def _has_handlers() -> bool:
    logging: Any = sys.modules.get("logging")
    if logging is None:
        return False
    loggers = (logging.root, *list(logging.root.manager.loggerDict.values()))
    return any(
        type(handler) is not logging.NullHandler for logger in loggers for handler in getattr(logger, "handlers", ())
    )


class Repeater:
    """Says here what workers have said."""

    def __init__(self) -> None:
        self._shown: set[Warned] = set()

    def hear(self, message: Message) -> None:
        """Repeat what a message tells; that a stream is closed or a handler raises is no reason to end a run."""
        utterances: list[Utterance] = pickle.loads(message.frames[0])  # from our own worker, of plain types
        for said in utterances:
            with suppress(Exception):
                self._repeat(said)

    def _repeat(self, said: Utterance) -> None:
        if isinstance(said, Printed):
            stream = getattr(sys, said.stream)
            stream.write(said.text)
            stream.flush()
        elif isinstance(said, Logged):
            _log(said)
        elif said not in self._shown:
            self._shown.add(said)
            _warn(said)


def _log(said: Logged) -> None:
    import logging  # as in the worker

    record = logging.makeLogRecord(said.attributes)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def _warn(said: Warned) -> None:
    import warnings  # there are none, mostly

    category = getattr(sys.modules.get(said.module), said.name, None)
    if isinstance(category, type) and issubclass(category, Warning):
        warnings.showwarning(said.text, category, said.filename, said.line)
    else:  # of the worker's own
        warnings.showwarning(f"{said.name}: {said.text}", UserWarning, said.filename, said.line)
