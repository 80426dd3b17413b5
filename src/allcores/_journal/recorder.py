"""The recorder: writes what comes of items into a journal, so that a rerun runs only what is missing.

An item is known by its **key**: its digest and, for the second and later ones of equal items, how many came before. So
the input may grow or change its order, and what is recorded still finds its items.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from allcores._codec.pickling import encode
from allcores._core.errors import JournalError, JournalInUse, JournalMismatch
from allcores._journal.digest.digest import Classes, digest_item
from allcores._journal.digest.undigestible import Undigestible
from allcores._journal.explanations import explaining, full, require_file
from allcores._journal.failures import encode_failure
from allcores._journal.file import About, JournalFile, Move, NewRow, checksum, unpickle
from allcores._journal.occurrences import Occurrences
from allcores._objects.asking import ask
from allcores._objects.outcomes import Failure
from allcores._system.lockfile import LockFile
from allcores._transport.wire import Buffer

__all__ = ["Recorder"]

FLUSH_SECONDS = 0.05  # between two commits: what a killed run can lose of what had finished
FLUSH_BYTES = 8 << 20  # pending outcomes beyond that are written at once
ROW_BYTES = 100  # what an outcome takes besides its pickle


class Recorder:
    """Records what comes of the items of a run, and gives what earlier runs of the same function have recorded.

    One thread at a time may use it. In a process that was forked meanwhile it does nothing.

    Args:
        path: the file; it is made, readable by its owner alone, where there is none.
        function_digest: tells the run's function from others.
        function_name: what messages call it.
        job: the pickled job, for `replay`; no frames if it cannot be pickled.
        entropy: what the run's random numbers come from, if the journal is new.
        is_seeded: whether the caller gave that.
        clock: seconds that never go back.

    Attributes:
        entropy: what the run's random numbers must come from: what the first run's did.
        is_seeded: whether the first run's caller gave that.
        unrecognised: how many items cannot be told from others, and so always run.
        unrecorded: how many values could not be pickled, and so were not recorded.

    Raises:
        JournalMismatch: the file was recorded for another function, with another seed, or by a newer allcores.
        JournalInUse: another run records into it.
        JournalDamaged: it is no journal, or cannot be read.
        JournalFull: the disk is full.
        JournalError: it can be neither read nor made, for example because its folder does not exist.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        function_digest: bytes,
        function_name: str,
        job: Sequence[Buffer],
        entropy: int,
        is_seeded: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unrecognised = self.unrecorded = 0
        self._path = os.path.realpath(path)
        self._clock = clock
        self._classes: Classes = {}
        self._occurrences = Occurrences()
        self._keys: dict[int, bytes] = {}  # {index: key} of the items that nothing has come of yet
        self._pending: list[NewRow] = []
        self._pending_bytes = 0
        self._moves: list[Move] = []  # pending too
        self._flushed_at = -FLUSH_SECONDS
        self._has_failed = False
        about = _describe(function_name, function_digest, entropy, is_seeded=is_seeded, job=job)
        with ExitStack() as if_it_fails:
            self._lock = _lock(self._path)
            if_it_fails.callback(self._lock.release)
            with explaining(self._path):
                self._file = _open(self._path)
                if_it_fails.callback(self._file.close)
                recorded = _begin(self._file, about, job)
                self._has_history = self._file.count() > 0
            if_it_fails.pop_all()
        self.entropy, self.is_seeded = recorded.entropy, recorded.is_seeded

    @property
    def due(self) -> float | None:
        """When to `flush`, by the clock; it may have passed. None: nothing is pending."""
        return self._flushed_at + FLUSH_SECONDS if self._pending or self._moves else None

    def recall(self, start: int, items: Sequence[Any]) -> dict[int, Any]:
        """Hear of items of the input, from index `start` on; to be called in order, once for each item.

        Returns:
            ``{index: value}`` of those that are recorded as finished, by index. Those that failed are to run again.

        Raises:
            JournalDamaged: a value cannot be read, or cannot be unpickled.
        """
        keys = dict(self._identify(start, items))
        self._keys.update(keys)
        if not self._has_history:
            return {}
        with explaining(self._path):
            return dict(sorted(self._look_up({key: index for index, key in keys.items()}), key=itemgetter(0)))

    def record(self, index: int, value: Any, seconds: float, tries: int) -> None:
        """Take an item's value, as it is now; an index that was not recalled, or was recorded, is passed over.

        Raises:
            JournalError: so much was pending that it was written at once, and that failed; see `flush`.
        """
        if index not in self._keys:
            return
        try:
            frames = ask(encode, value)
        except Exception:  # a value's pickling may raise anything
            self.unrecorded += 1
            del self._keys[index]
        else:
            self._put(NewRow(self._keys.pop(index), index, False, seconds, tries, frames))

    def record_failure(self, failure: Failure, seconds: float) -> None:
        """Take an item's failure; otherwise as `record`."""
        if failure.index in self._keys:
            frames = encode_failure(failure)
            self._put(NewRow(self._keys.pop(failure.index), failure.index, True, seconds, failure.tries, frames))

    def flush(self) -> None:
        """Write what is pending; once that was not possible, nothing more is written.

        Raises:
            JournalFull: the disk takes no more.
            JournalError: it cannot be written for another reason.
        """
        if self._has_failed or self.due is None or not self._lock.is_held:
            return
        try:
            with explaining(self._path, self._file.count), self._file.transaction():
                self._file.record(self._pending)
                self._file.move(self._moves)
        except JournalError:
            self._has_failed = True
            self._forget_pending()
            raise
        self._forget_pending()
        self._flushed_at = self._clock()

    def close(self) -> None:
        """Write what is pending, leave nothing but the one file, and let others record into it.

        Raises:
            JournalError: what was pending cannot be written; see `flush`.
            KeyboardInterrupt: pressed meanwhile; call again for the rest.
        """
        if not self._lock.is_held:
            return
        try:
            self.flush()
            if not self._has_failed:
                self._file.end_recording()
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._let_go()
            raise
        self._let_go()

    def _let_go(self) -> None:
        self._file.close()
        self._lock.release()

    def _identify(self, start: int, items: Sequence[Any]) -> Iterator[tuple[int, bytes]]:
        for index, item in enumerate(items, start):
            try:
                digest = digest_item(item, self._classes)
            except Undigestible:
                self.unrecognised += 1
            else:
                before = self._occurrences.count(digest)
                yield index, digest + before.to_bytes(8, "big") if before else digest

    def _look_up(self, indexes: dict[bytes, int]) -> Iterator[tuple[int, Any]]:
        for row in self._file.look_up(list(indexes)):
            if row.is_failure or row.key not in indexes:
                continue
            index, frames = indexes[row.key], self._file.read_frames(row)
            yield index, unpickle(self._path, f"the value of item {index}", frames)
            del self._keys[index]
            if row.position != index:
                self._moves.append(Move(index, checksum(frames, row.key, index), row.id))

    def _put(self, row: NewRow) -> None:
        if self._has_failed:
            return
        self._pending_bytes += sum(memoryview(frame).nbytes for frame in row.frames) + ROW_BYTES
        if self._pending_bytes > FLUSH_BYTES:
            self._pending.append(row)
            self.flush()
        else:  # the buffers are the value's own, which may change until they are written
            self._pending.append(row._replace(frames=[bytes(frame) for frame in row.frames]))

    def _forget_pending(self) -> None:
        self._pending.clear()
        self._pending_bytes = 0
        self._moves.clear()


def _describe(name: str, digest: bytes, entropy: int, *, is_seeded: bool, job: Sequence[Buffer]) -> About:
    return About(
        function=name,
        digest=digest.hex(),
        python="Python {}.{}".format(*sys.version_info),
        created=datetime.now(UTC).isoformat(),
        entropy=entropy,
        is_seeded=is_seeded,
        has_job=bool(job),
        job_checksum=checksum(job),
    )


def _lock(path: str) -> LockFile:
    require_file(path)
    try:
        return LockFile(f"{path}-lock")
    except BlockingIOError as error:
        raise JournalInUse(
            f"{path} is in use: {error.strerror} records into it; wait for its end, or give resume= another path"
        ) from None
    except OSError as error:
        raise _refusal(path, error) from error


def _open(path: str) -> JournalFile:
    """Open the file, made private before SQLite sees it: what SQLite makes beside it is as private."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass  # left to SQLite: to open and close it here would undo the locks that this process has on it
    except OSError as error:
        raise _refusal(path, error) from error
    return JournalFile(path, "mode=rw")


def _refusal(path: str, error: OSError) -> JournalError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return full(path, f"{error.strerror}")
    if error.errno == errno.ENOENT:
        return JournalError(f"{path} cannot be made, as its folder does not exist: make the folder first")
    return JournalError(
        f"{path} cannot be used: {error.strerror}; in its folder, files must be made, written and locked"
    )


def _begin(file: JournalFile, about: About, job: Sequence[Buffer]) -> About:
    """Make an empty file a journal, or see that the run can go on with what is there; give what it is of."""
    if file.is_empty():
        file.lay_out(about, job)
        recorded = about
    else:
        file.require_journal()
        file.require_whole()
        recorded = file.read_about()
        _require_same(file.path, recorded, about)
    file.begin_recording()
    if recorded.job_checksum != about.job_checksum:
        file.change_about(replace(recorded, has_job=about.has_job, job_checksum=about.job_checksum), job)
    return recorded


def _require_same(path: str, recorded: About, about: About) -> None:
    """Raise JournalMismatch unless the recorded runs and this one give the same."""
    if recorded.digest != about.digest:
        raise JournalMismatch(
            f"{path} was recorded on {recorded.day} for {_difference(recorded, about)}; give resume= another path,"
            f" delete the file to have everything run again, or undo the change"
        )
    if about.is_seeded and about.entropy != recorded.entropy:
        seed = f"seed={recorded.entropy}" if recorded.is_seeded else "no seed"
        raise JournalMismatch(
            f"{path} was recorded on {recorded.day} with {seed}, and this run has seed={about.entropy}, so that their"
            f" results do not go together; leave the seed as it was, or give resume= another path"
        )


def _difference(recorded: About, about: About) -> str:
    if recorded.function != about.function:
        text = f"{recorded.function}, and this run is of {about.function}"
    else:
        text = f"{recorded.function} as it was then; since, it has changed, or something that it uses"
    if recorded.python != about.python:
        text += f" (Python has: that was {recorded.python}, and this is {about.python})"
    return text
