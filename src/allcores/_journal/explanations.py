"""Explanations: what is wrong with a journal's file, as errors that a user understands; most are SQLite's by origin."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from allcores._core.bytes import format_bytes
from allcores._core.errors import JournalDamaged, JournalError, JournalFull, JournalInUse

__all__ = ["damaged", "explaining", "foreign", "full", "is_busy", "require_file"]

WRITE_ERRORS = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_SHMSIZE")
BUSY_ERRORS = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
ACCESS_ERRORS = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")


def require_file(path: str) -> None:
    """Raise JournalError for a folder, of which SQLite would say that it is damaged."""
    if os.path.isdir(path):
        raise JournalError(f"{path} is a folder, and a journal is a file: give the path of one")


@contextmanager
def explaining(path: str, count: Callable[[], int] | None = None) -> Iterator[None]:
    """Turn SQLite's errors into ours.

    Args:
        path: of the journal.
        count: gives how many outcomes are recorded, once that can be told: for when the disk is full.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        raise  # ours: no file is to blame
    except sqlite3.DatabaseError as error:
        raise _explanation(path, error, count) from error


def _explanation(path: str, error: sqlite3.DatabaseError, count: Callable[[], int] | None) -> JournalError:
    name = _name(error)
    if name.startswith(WRITE_ERRORS):
        return full(path, f"{error}", count)
    if is_busy(error):
        return JournalInUse(f"{path} is in use: another program has it open ({error}); wait for it, or end it")
    if name.startswith(ACCESS_ERRORS):
        return JournalError(f"{path} cannot be opened: {error}; is it a file that you may read and write?")
    if name == "SQLITE_NOTADB":
        return foreign(path, f"{error}")
    return damaged(path, f"{error}")


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "")  # an error of Python's own part of the module has none


def is_busy(error: sqlite3.Error) -> bool:
    """Whether it would go well if nobody else had the file open."""
    return _name(error).startswith(BUSY_ERRORS)


def full(path: str, reason: str, count: Callable[[], int] | None = None) -> JournalFull:
    """Say that the disk takes no more."""
    recorded = "what was recorded before is" if count is None else f"{count()} recorded outcomes are"
    disk = os.statvfs(os.path.dirname(path))
    return JournalFull(
        f"{path} cannot grow: {reason}, with {format_bytes(disk.f_bavail * disk.f_frsize)} free on its disk; {recorded}"
        f" safe. Make room, and run the same line again: it runs only what is missing"
    )


def foreign(path: str, what: str) -> JournalDamaged:
    """Say that the file is something else."""
    return JournalDamaged(f"{path} is no journal of allcores: {what}; give another path")


def damaged(path: str, what: str) -> JournalDamaged:
    """Say that the file is not as it was written."""
    return JournalDamaged(
        f"{path} is damaged: {what}; put a copy in its place, or delete it to have everything run again"
    )
