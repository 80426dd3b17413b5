"""The file of a journal: what is in it, and how it is opened.

It is a SQLite file. SQLite notices damage to its own structure, but not to what it stores, so every outcome has a
checksum; and in a damaged file a column may hold anything, whatever its type is said to be.

While a run records, the file is in write-ahead mode: what is committed goes to a file with ``-wal`` after its name,
and from there into the journal every 16 MB. Commits survive the process, whatever kills it; if the machine itself goes
down, the last ones may be missing, but none is there by half. At the end of a run the file is put back into the mode in
which it is all there is, so that it can be read from where nothing can be written.
"""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from allcores._codec.pickling import decode
from allcores._core.errors import JournalDamaged, JournalMismatch
from allcores._journal.explanations import damaged, foreign, is_busy
from allcores._objects.asking import ask, describe
from allcores._transport.wire import Buffer

__all__ = [
    "About",
    "JournalFile",
    "Move",
    "NewRow",
    "Place",
    "Row",
    "checksum",
    "unpickle",
]

APPLICATION_ID = int.from_bytes(b"acor", "big")
FORMAT = 2

INLINE_BYTES = 1 << 16  # larger pickles get rows of their own, or looking for small ones would be slow
PIECE_BYTES = 16 << 20  # SQLite takes at most 1 GB at a time, and copies what it is given
CHECKPOINT_PAGES = 4000  # 16 MB: each checkpoint waits for the disk
BUSY_SECONDS = 5.0  # for another program that reads or writes the file
PAUSE_SECONDS = 0.01  # where SQLite does not wait by itself
LOOKUP = 64  # keys at a time: four times as fast as one by one

SCHEMA = (
    "CREATE TABLE about (text BLOB NOT NULL, checksum INTEGER NOT NULL)",
    """CREATE TABLE outcomes (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        position INTEGER NOT NULL,
        is_failure INTEGER NOT NULL,
        seconds REAL NOT NULL,
        tries INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        pickle BLOB -- NULL: in pieces
    )""",
    "CREATE INDEX outcomes_in_order ON outcomes (is_failure, position)",
    "CREATE TABLE pieces (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, frame INTEGER NOT NULL, data BLOB NOT NULL)",
    "CREATE INDEX pieces_of_owner ON pieces (owner)",
    """CREATE TRIGGER no_piece_without_owner AFTER DELETE ON outcomes WHEN old.pickle IS NULL
        BEGIN DELETE FROM pieces WHERE owner = old.id; END""",
)
JOB = 0  # the owner of the job's pieces; an outcome's is its id, which is never 0

SELECT = """
    SELECT id, CAST(key AS BLOB), ifnull(CAST(position AS INTEGER), 0), is_failure IS 1, CAST(checksum AS INTEGER),
    CAST(pickle AS BLOB) FROM outcomes
"""
IN_ORDER = f"{SELECT} WHERE is_failure = ? AND (position, id) > (?, ?) ORDER BY position, id"
RECORD = """
    INSERT OR REPLACE INTO outcomes (key, position, is_failure, seconds, tries, checksum, pickle)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""

Place: TypeAlias = tuple[int, int]  # a position and an id


@dataclass(frozen=True, slots=True)
class About:
    """Which runs a journal is of."""

    function: str
    digest: str  # the function's, in hexadecimal digits
    python: str
    created: str  # as ISO 8601 has it, UTC
    entropy: int
    is_seeded: bool
    has_job: bool
    job_checksum: int

    @property
    def day(self) -> str:
        """When the first run began, for people."""
        return f"{datetime.fromisoformat(self.created):%Y-%m-%d %H:%M} UTC"


class Row(NamedTuple):
    """An outcome as it is stored."""

    id: int
    key: bytes
    position: int
    is_failure: int
    checksum: int
    pickle: bytes | None  # None: it is in pieces

    @property
    def place(self) -> Place:
        """What outcomes are ordered by."""
        return self.position, self.id


class NewRow(NamedTuple):
    """An outcome to be stored; what is large goes in pieces."""

    key: bytes
    position: int
    is_failure: bool
    seconds: float
    tries: int
    frames: list[Buffer]


class Move(NamedTuple):
    """A new position of an outcome that is stored."""

    position: int
    checksum: int
    id: int


class JournalFile:
    """An open journal file.

    The methods raise `sqlite3.Error`; `explaining` turns that into what a user understands.

    Args:
        path: an existing file, absolute.
        parameters: of its URI, as SQLite has them.
    """

    def __init__(self, path: str, parameters: str) -> None:
        self.path = path
        self._connection = sqlite3.connect(
            f"file:{quote(path)}?{parameters}",
            uri=True,
            isolation_level=None,  # transactions begin where we say
            timeout=BUSY_SECONDS,
            check_same_thread=False,
        )

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        """Write all of what happens inside, or nothing; what is read inside is of one moment."""
        try:
            self._connection.execute(f"BEGIN {kind}")
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise

    # ------------------------------------------------------------------------------------------------ what it is of

    def is_empty(self) -> bool:
        """Whether nothing is in it, neither ours nor another program's."""
        return not self._pragma("application_id") and self._first("SELECT 1 FROM sqlite_master") is None

    def lay_out(self, about: About, job: Iterable[Buffer]) -> None:
        """Make an empty file a journal."""
        self._connection.execute("PRAGMA synchronous = NORMAL")
        with self.transaction():
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {FORMAT}")
            for statement in SCHEMA:
                self._connection.execute(statement)
            self._write_about(about, job)

    def require_journal(self) -> None:
        """Raise JournalDamaged or JournalMismatch unless it is a journal that this allcores knows how to read."""
        if self._pragma("application_id") != APPLICATION_ID:
            what = "nothing is in it" if self.is_empty() else "it is a database of another program"
            raise foreign(self.path, what)
        version = self._pragma("user_version")
        if version != FORMAT:
            raise JournalMismatch(
                f"{self.path} is of format {version}, and this allcores knows format {FORMAT}: use the allcores that"
                f" recorded it, or give another path"
            )

    def require_whole(self) -> None:
        """Raise JournalDamaged if its structure is damaged."""
        verdict = self._pragma("quick_check(1)")
        if verdict != "ok":
            raise damaged(self.path, verdict)

    def read_about(self) -> About:
        """Say what it is of."""
        row = self._first("SELECT CAST(text AS BLOB), CAST(checksum AS INTEGER) FROM about")
        if row is None or row[0] is None or checksum([row[0]]) != row[1]:
            raise damaged(self.path, "what it is of cannot be read")
        return About(**json.loads(row[0]))

    def read_job(self) -> list[Buffer]:
        """Give the pickled job of the last run."""
        frames = self._read_pieces(JOB)
        if checksum(frames) != self.read_about().job_checksum:
            raise damaged(self.path, "its job is not what was recorded")
        return frames

    def change_about(self, about: About, job: Iterable[Buffer]) -> None:
        """Write down what it is of now."""
        with self.transaction():
            self._connection.execute("DELETE FROM about")
            self._connection.execute("DELETE FROM pieces WHERE owner = ?", (JOB,))
            self._write_about(about, job)

    def _write_about(self, about: About, job: Iterable[Buffer]) -> None:
        text = json.dumps(asdict(about)).encode()
        self._connection.execute("INSERT INTO about VALUES (?, ?)", (text, checksum([text])))
        self._write_pieces(JOB, job)

    # ----------------------------------------------------------------------------------------------------- reading

    def keep_index_in_memory(self) -> None:
        """Make no file for the index of the write-ahead file; only for who needs no locks."""
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")

    def count(self, *, is_failure: bool | None = None) -> int:
        """Say how many outcomes there are, of one kind or of both."""
        kinds = (False, True) if is_failure is None else (is_failure, is_failure)
        return int(self._first("SELECT count(*) FROM outcomes WHERE is_failure IN (?, ?)", kinds)[0])

    def look_up(self, keys: Sequence[bytes]) -> Iterator[Row]:
        """Yield what is recorded under some of the keys, in any order."""
        for start in range(0, len(keys), LOOKUP):
            some = keys[start : start + LOOKUP]
            marks = ",".join("?" * len(some))
            yield from map(Row._make, self._connection.execute(f"{SELECT} WHERE key IN ({marks})", some))

    def in_order(self, after: Place, *, is_failure: bool) -> Iterator[Row]:
        """Yield the outcomes of one kind that come after a place."""
        for row in map(Row._make, self._connection.execute(IN_ORDER, (is_failure, *after))):
            if row.place <= after:  # a reader would go round in circles
                raise damaged(self.path, "its index is out of order")
            after = row.place
            yield row

    def read_frames(self, row: Row) -> list[Buffer]:
        """Give the pickled outcome. Raises JournalDamaged if it is not what was recorded."""
        frames: list[Buffer] = self._read_pieces(row.id) if row.pickle is None else [row.pickle]
        if checksum(frames, row.key, row.position, row.is_failure) != row.checksum:
            raise damaged(self.path, f"what came of item {row.position} is not what was recorded")
        return frames

    def _read_pieces(self, owner: int) -> list[Buffer]:
        frames: list[Buffer] = []
        last = None
        for frame, data in self._connection.execute(
            "SELECT frame, ifnull(CAST(data AS BLOB), x'') FROM pieces WHERE owner = ? ORDER BY id", (owner,)
        ):
            if frame != last:
                frames.append(bytearray())  # not bytes: an array made of it must be writable
            frames[-1] += data
            last = frame
        return frames

    # ----------------------------------------------------------------------------------------------------- writing

    def begin_recording(self) -> None:
        """Go into write-ahead mode."""
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self._connection.execute("PRAGMA recursive_triggers = ON")  # for what is replaced, too

    def end_recording(self) -> None:
        """Put everything into the one file; where a reader stays for long, that is left to the next run."""
        give_up_at = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < give_up_at:
            try:
                self._connection.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.Error as error:
                if not is_busy(error):
                    return  # a full disk, for one; what is recorded is safe where it is
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def record(self, rows: Sequence[NewRow]) -> None:
        """Write outcomes, each instead of what was recorded under its key before."""
        self._connection.executemany(RECORD, (_stored(row, row.frames[0]) for row in rows if _is_inline(row)))
        for row in rows:
            if not _is_inline(row):
                owner = self._connection.execute(RECORD, _stored(row, None)).lastrowid
                assert owner is not None
                self._write_pieces(owner, row.frames)

    def move(self, moves: Iterable[Move]) -> None:
        """Change outcomes' positions."""
        self._connection.executemany("UPDATE outcomes SET position = ?, checksum = ? WHERE id = ?", moves)

    def _write_pieces(self, owner: int, frames: Iterable[Buffer]) -> None:
        for number, frame in enumerate(frames):
            self._connection.executemany(
                "INSERT INTO pieces (owner, frame, data) VALUES (?, ?, ?)",
                ((owner, number, piece) for piece in _in_pieces(memoryview(frame))),
            )

    # ------------------------------------------------------------------------------------------------------ queries

    def _first(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        return self._connection.execute(sql, parameters).fetchone()

    def _pragma(self, name: str) -> Any:
        return self._first(f"PRAGMA {name}")[0]


def checksum(frames: Iterable[Buffer], key: bytes = b"", position: int = 0, is_failure: int = 0) -> int:
    """Sum frames up, and what they are stored under."""
    total = zlib.crc32(key, position << 1 & 0xFFFFFFFF | is_failure)
    for frame in frames:
        total = zlib.crc32(frame, total)
    return total


def unpickle(path: str, what: str, frames: list[Buffer]) -> Any:
    """Unpickle what was read. Raises JournalDamaged."""
    try:
        return ask(decode, frames)
    except Exception as error:  # an object's unpickling may raise anything
        raise JournalDamaged(
            f"{what} in {path} cannot be unpickled: {describe(error)}; its class may have been moved or"
            f" renamed since, or be of a program that is not running here: see that it can be imported under that name,"
            f" or delete the file to have everything run again"
        ) from error


def _is_inline(row: NewRow) -> bool:
    return len(row.frames) == 1 and len(row.frames[0]) <= INLINE_BYTES


def _stored(row: NewRow, pickle: Buffer | None) -> tuple[Any, ...]:
    key, position, is_failure, seconds, tries, frames = row
    return key, position, is_failure, seconds, tries, checksum(frames, key, position, is_failure), pickle


def _in_pieces(frame: memoryview) -> Iterator[memoryview]:
    return (frame[at : at + PIECE_BYTES] for at in range(0, frame.nbytes, PIECE_BYTES))
