"""The journal as its owner sees it: what has finished, what has failed, while a run records or long after."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, TypeVar

from allcores._core.errors import JournalError
from allcores._journal.explanations import explaining, require_file
from allcores._journal.failures import decode_failure
from allcores._journal.file import About, JournalFile, Place, Row, unpickle
from allcores._objects.entry import one_frame
from allcores._objects.outcomes import Chance, Failure, Origin
from allcores._transport.wire import Buffer

__all__ = ["Journal"]

T = TypeVar("T")

CHUNK_BYTES = 1 << 20  # that are read at a time, and one outcome more
ROW_BYTES = 100  # what an outcome takes besides its pickle
WAL_HEADER_BYTES = 32  # SQLite's; a reader that may not write waits in vain for what should come after it


class Journal:
    """What a journal holds; it can be read while a run records into it, and without the run's function.

    Nothing is changed, made or kept open. A journal holds pickles, and to unpickle is to run code: open only your own.

    Args:
        path: the file that was given as ``resume=``.

    Attributes:
        function: the name of the function that ran.
        created: when its first run began, in UTC.

    Raises:
        FileNotFoundError: there is no such file.
        JournalMismatch: it was written by a newer allcores.
        JournalDamaged: it is no journal, or cannot be read.

    Example:
        >>> import allcores, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "run.journal")
        >>> results = allcores.map(int, ["1", "x", "3"], on="serial", errors="collect", resume=path)
        >>> with allcores.Journal(path) as journal:
        ...     print(len(journal), dict(journal.results()), journal.failures)
        3 {0: 1, 2: 3} [<Failure of item 1 ('x'): ValueError: invalid literal for int() with base 10: 'x'>]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._name = os.fspath(path)
        self._path = os.path.realpath(path)
        self._is_closed = False
        with one_frame:
            require_file(self._path)
            self._about: About = self._read(JournalFile.read_about)
        self.function = self._about.function
        self.created = datetime.fromisoformat(self._about.created)

    @property
    def finished(self) -> int:
        """How many items have finished."""
        return self._read(functools.partial(JournalFile.count, is_failure=False))

    @property
    def failed(self) -> int:
        """How many items have failed, and not finished since."""
        return self._read(functools.partial(JournalFile.count, is_failure=True))

    @property
    def failures(self) -> list[Failure]:
        """The failures, by index; `replay` can run their items again."""
        chance = Chance(self._about.entropy, self._about.is_seeded)
        origin = Origin(functools.partial(_load_job, self._path), chance) if self._about.has_job else None
        return [decode_failure(row.position, frames, origin) for row, frames in self._outcomes(is_failure=True)]

    def results(self) -> Iterator[tuple[int, Any]]:
        """Yield ``(index, value)`` of the items that have finished, by index, reading a few at a time.

        An index is the item's position in the input of the last run that came to it.

        Raises:
            JournalDamaged: a value cannot be read, or cannot be unpickled: its class must be importable.
        """
        for row, frames in self._outcomes(is_failure=False):
            yield row.position, unpickle(self._path, f"the value of item {row.position}", frames)

    def close(self) -> None:
        """Read no more."""
        self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._read(JournalFile.count)

    def __repr__(self) -> str:
        return f"<Journal {self._name}: {self._status()}>"

    def _status(self) -> str:
        if self._is_closed:
            return "closed"
        try:
            return f"{self.finished} finished, {self.failed} failed, of {self.function}"
        except (OSError, JournalError) as error:
            return f"{type(error).__name__}"

    def _read(self, read: Callable[[JournalFile], T]) -> T:
        if self._is_closed:
            raise ValueError(f"the journal {self._name} is closed")
        return _read(self._path, read)

    def _outcomes(self, *, is_failure: bool) -> Iterator[tuple[Row, list[Buffer]]]:
        """Yield what is stored; between two chunks the file is not open, so that a run can end meanwhile."""
        place = (-1, 0)
        while chunk := self._read(functools.partial(_read_chunk, after=place, is_failure=is_failure)):
            yield from chunk
            place = chunk[-1][0].place


def _read_chunk(file: JournalFile, *, after: Place, is_failure: bool) -> list[tuple[Row, list[Buffer]]]:
    """Read the next outcomes: at least one, where there are any, but not too much."""
    chunk: list[tuple[Row, list[Buffer]]] = []
    size = 0
    for row in file.in_order(after, is_failure=is_failure):
        frames = file.read_frames(row)
        chunk.append((row, frames))
        size += sum(map(len, frames)) + ROW_BYTES
        if size > CHUNK_BYTES:
            break
    return chunk


def _load_job(path: str) -> Any:
    job, _definitions = unpickle(path, "the job", _read(path, JournalFile.read_job))
    return job


# ------------------------------------------------------------------------------------------------ reading, no trace


def _read(path: str, read: Callable[[JournalFile], T]) -> T:
    """Call `read` with a file that it cannot change, and that shows one moment; again, if the file changed too much."""
    while True:
        before = _State.of(path)
        try:
            with explaining(path), closing(_open(path, before)) as file, file.transaction("DEFERRED"):
                file.require_journal()
                result = read(file)
        except JournalError:
            if _State.of(path) == before:
                raise
        else:
            if before.is_recording or _State.of(path) == before:
                return result


@dataclass(frozen=True, slots=True)
class _State:
    """What the file system says about a journal and what is beside it."""

    stamp: tuple[int, int, int]  # which file it is, its size, and when it was changed
    is_recording: bool  # or was, when the run was killed: there is something in the write-ahead file
    has_index: bool  # of the write-ahead file

    @classmethod
    def of(cls, path: str) -> _State:
        status = os.stat(path)
        is_recording = False
        with suppress(FileNotFoundError):
            is_recording = os.stat(f"{path}-wal").st_size > WAL_HEADER_BYTES
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        return cls(stamp, is_recording, os.path.exists(f"{path}-shm"))


def _open(path: str, state: _State) -> JournalFile:
    """Open a journal so that SQLite makes no file beside it, and does not write to those that are there."""
    if not state.is_recording:
        return JournalFile(path, "mode=ro&immutable=1")  # no locks; that it did not change is seen afterwards
    if state.has_index:
        return JournalFile(path, "mode=ro&readonly_shm=1")
    file = JournalFile(path, "mode=ro&vfs=unix-none")  # somebody copied it from under a run, without the index
    file.keep_index_in_memory()
    return file
