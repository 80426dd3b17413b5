"""A worker that shares the caller's ``__main__``, with nothing around it but a pipe."""

from __future__ import annotations

import atexit
import functools
import os
import pickle
import sys
from collections.abc import Callable, Iterable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from allcores._codec.codec import decode_outcomes, encode_definitions, encode_items, encode_job, encode_outcomes
from allcores._codec.definitions.classes import inherit, learn
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known
from allcores._codec.pickling import decode


class PlayedWorker:
    """The driver's side.

    Args:
        how: whether the worker is a ``"forked"`` process or a fresh interpreter.
    """

    def __init__(self, how: Literal["forked", "clean"]) -> None:
        self.known = Known(vars(sys.modules["__main__"]) if how == "forked" else {})
        self.sizes: list[int] = []  # of the messages sent, in bytes
        self._pipe, theirs = Pipe()
        start = self._fork if how == "forked" else _start_interpreter
        self._pid = start(theirs)
        theirs.close()
        atexit.register(self.close)

    def close(self) -> None:
        """End the worker, and wait for its end."""
        self._pipe.close()
        os.waitpid(self._pid, 0)

    def _fork(self, theirs: Connection) -> int:
        pid = os.fork()
        if pid == 0:
            self._pipe.close()
            inherit()
            serve(theirs)
            os._exit(0)
        return pid

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have the worker call a function; the arguments are part of the job."""
        self.bring(functools.partial(_call_without_item, function, *arguments))
        return self.run([None])[0]

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """Have the worker call a function with each item."""
        self.bring(function)
        return self.run(list(items))

    def bring(self, job: Callable[[Any], Any]) -> None:
        """Send what to call."""
        self._send("job", encode_job(job, self.known, Inspection()).frames)

    def run(self, items: list[Any]) -> list[Any]:
        """Send items, and what they need; raise what the first of them raises."""
        inspection = Inspection()
        encoded = encode_items(items, self.known, inspection)
        if encoded.definitions:
            self._send("teach", encode_definitions(encoded.definitions, self.known, inspection))
        self._send("items", encoded.frames)
        values, raised = decode_outcomes(pickle.loads(self._pipe.recv_bytes()))
        for told in raised.values():
            raise told.exception
        return values

    def _send(self, kind: str, frames: list[Any]) -> None:
        message = pickle.dumps((kind, [bytes(frame) for frame in frames]))
        self.sizes.append(len(message))
        self._pipe.send_bytes(message)


def _start_interpreter(theirs: Connection) -> int:
    code = f"from played_worker import *; serve(Connection({theirs.fileno()}))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    os.set_inheritable(theirs.fileno(), True)
    return os.posix_spawn(sys.executable, [sys.executable, "-c", code], environment)


def serve(pipe: Connection) -> None:
    """The worker's side."""
    job = None
    while True:
        try:
            kind, frames = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        content = decode(frames)
        if kind == "job":
            job, definitions = content
            learn(definitions)
        elif kind == "teach":
            learn(content)
        else:
            pipe.send_bytes(pickle.dumps([bytes(frame) for frame in _run(job, content)]))


def _run(job: Any, items: list[Any]) -> list[Any]:
    values, raised = [], {}
    for index, item in enumerate(items):
        try:
            values.append(job(item))
        except Exception as error:
            values.append(None)
            raised[index] = error
    return encode_outcomes(0, values, raised)


def _call_without_item(function: Callable[..., Any], *arguments: Any) -> Any:
    *arguments, _ = arguments
    return function(*arguments)
