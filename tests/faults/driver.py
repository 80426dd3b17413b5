"""The driver of a scenario: makes its calls one after another, while faults come, and checks what comes of them.

It is a process of one thread, as a program that forks should be. It tells the campaign how things stand over a board
of shared memory, and what it has found in a file, with a line for each attempt at a call.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import mmap
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
from array import array
from collections.abc import Callable, Iterator
from enum import IntEnum
from importlib import import_module
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from faults.scenario import Call, Fault, Lasting, Passing, Scenario, Trouble, Work, draw_call, draw_scenario, key_of

import allcores
from allcores._engines.processes.engine import ProcessEngine
from allcores._engines.processes.warm_set import warm_set
from allcores._objects.outcomes import failure_of

GONE_SECONDS = 5.0  # for the system to show that processes have ended
INTERRUPTS = 2  # that a call hears, at most
LAZY = ("cloudpickle", "threadpoolctl")  # would be imported later, and no interrupt shall come into that
MOST_COMPLAINTS = 5  # that are told of an attempt
CLOSING = 0.3  # share of the calls after which the warm workers are let go, so that nothing may be left


class Word(IntEnum):
    """A place on the board."""

    PID = 0  # of the driver, once it makes calls
    CALLS = 1  # that are done with
    SETTLED = 2  # items of the present call
    TAKEN = 3  # results of the present call
    HEARD = 4  # interrupts of all calls
    IS_ENOUGH = 5  # whether there were enough faults
    TORN = 6  # the process id of the last worker of which the driver has got a part of a message, and then its end


def open_board(folder: Path) -> memoryview:
    """Give what the campaign and its driver tell each other: a number for each `Word`."""
    descriptor = os.open(folder / "board", os.O_RDWR | os.O_CREAT)
    try:
        os.ftruncate(descriptor, mmap.PAGESIZE)
        return memoryview(mmap.mmap(descriptor, mmap.PAGESIZE)).cast("q")
    finally:
        os.close(descriptor)


# ----------------------------------------------------------------------------------------------------------- a call


class Ear:
    """Hears Ctrl-C in the middle of a call, a few times at most, so that what comes of it can be told for certain."""

    def __init__(self, board: memoryview) -> None:
        self.heard = INTERRUPTS  # in this call
        self._board = board

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        if self.heard < INTERRUPTS and _is_in_call(frame):
            self.heard += 1
            self._board[Word.HEARD] += 1
            raise KeyboardInterrupt


def _is_in_call(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not make_call.__code__:
        frame = frame.f_back
    return frame is not None


def make_call(call: Call, work: Work, options: dict[str, Any], take: Callable[[Any], None]) -> Any:
    """Make a call and consume its results; interrupts are heard in here alone."""
    if call.entry == "map":
        return allcores.map(work, call.dataset(), **options)
    with getattr(allcores, call.entry)(work, call.dataset(), **options) as results:
        for count, result in enumerate(results, 1):
            take(result)
            if count == call.leaves_after:
                break
            if call.pause:
                time.sleep(call.pause)
        return results


class Attempt:
    """A call that is made once, and what comes of it.

    Args:
        call: what to do.
        work: its function.
        board: to tell how far it is.

    Attributes:
        error: what it raised.
        results: what it returned, or the iterator.
        taken: what the iterator gave.
    """

    def __init__(self, call: Call, work: Work, board: memoryview) -> None:
        self.error: BaseException | None = None
        self.results: Any = None
        self.taken: list[Any] = []
        self._call = call
        self._work = work
        self._board = board

    def make(self, ear: Ear, resume: Path | None) -> None:
        """Make the call."""
        self._board[Word.SETTLED] = self._board[Word.TAKEN] = ear.heard = 0
        options = self._call.options | {"progress": self._hear, "resume": resume}
        try:
            self.results = make_call(self._call, self._work, options, self._take)
        except BaseException as error:  # whatever it is, it is looked into
            self.error = error

    def _hear(self, settled: int, total: int | None) -> None:
        self._board[Word.SETTLED] = settled

    def _take(self, result: Any) -> None:
        self.taken.append(result)
        self._board[Word.TAKEN] = len(self.taken)


# ------------------------------------------------------------------------------------------------- what came of it


class Audit:
    """Checks an attempt.

    Args:
        call: what was to be done.
        work: its function.
        attempt: it was made.
        interrupts: how many were heard.
        settled: how many items were, as it told.

    Attributes:
        complaints: what is wrong.
        deaths: ``(process id, exit)`` of those that items were blamed for.
        values: those that items gave, by index.
        is_over: whether the call need not be made again.
    """

    def __init__(self, call: Call, work: Work, attempt: Attempt, *, interrupts: int, settled: int) -> None:
        self.complaints: list[str] = []
        self.deaths: list[tuple[int | None, str]] = []
        self.values: dict[int, Any] = {}
        self.is_over = not call.resumes
        self._call = call
        self._work = work
        self._attempt = attempt
        self._interrupts = interrupts
        self._settled = settled

    @property
    def error(self) -> BaseException | None:
        """What the attempt ended with."""
        return self._attempt.error

    def check(self) -> None:
        """Look into everything."""
        error = self.error
        outcomes = self._outcomes()
        for index, outcome in outcomes.items():
            self.check_outcome(index, outcome)
        if error is None:
            self._check_end(outcomes)
        elif self._interrupts and isinstance(error, KeyboardInterrupt):
            self._check_interrupt(error, len(outcomes))
        elif self._call.options["errors"] == "raise" and (failure := failure_of(error)) is not None:
            self._check_failure(failure.index, failure)
        else:
            self.complain("it raised", error)
            self.is_over = True

    def check_outcome(self, index: int, outcome: Any) -> None:
        """Look into what came of an item."""
        if not 0 <= index < len(self._call.items):
            self.complain(f"there is no item {index}")
        elif isinstance(outcome, allcores.Failure):
            self._check_failure(index, outcome)
        else:
            self._check_value(index, outcome)
            self.values[index] = outcome

    def _outcomes(self) -> dict[int, Any]:
        """Give what came of each item, as far as the call has told."""
        results, taken, error = self._attempt.results, self._attempt.taken, self._attempt.error
        if self._call.entry == "map":
            told = {} if results is None else dict(enumerate(results))
        else:
            told = dict(enumerate(taken) if self._call.entry == "imap" else taken)
            if len(told) < len(taken):
                self.complain("items came twice")
        finished = {} if error is None else allcores.finished(error)
        if finished.keys() & told.keys():
            self.complain(f"taken, and finished as well: {sorted(finished.keys() & told.keys())[:20]}")
        return told | finished

    def _check_end(self, outcomes: dict[int, Any]) -> None:
        self.is_over = True
        missing = set(range(len(self._call.items))) - outcomes.keys()
        if missing and self._call.leaves_after is None:
            self.complain(f"items are missing: {sorted(missing)[:20]}")
        if self._interrupts:
            self.complain("an interrupt was swallowed")
        listed = {id(failure) for failure in self._attempt.results.failures}
        if unlisted := [each for each in outcomes.values() if isinstance(each, allcores.Failure)]:
            unlisted = [failure for failure in unlisted if id(failure) not in listed]
        if unlisted:
            self.complain(f"failures are not listed: {unlisted[:20]}")

    def _check_interrupt(self, error: BaseException, count: int) -> None:
        """See that what had been settled before is there; what was on its way to the consumer may not."""
        way = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
        is_lazy = self._call.entry != "map"
        was_in_run = ("__next__" if is_lazy else "_collect") in way
        if was_in_run and self._call.options["errors"] == "collect" and count < self._settled - is_lazy:
            self.complain(f"{self._settled} items were settled before the interrupt, and {count} are there", error)

    def _check_value(self, index: int, value: Any) -> None:
        item = self._call.items[index]
        expected, act = self._work.value(item), self._call.acts.get(key_of(item))
        if type(value) is not type(expected) or _plain(value) != _plain(expected):
            self.complain(f"item {index} gave {_describe(value)}, not {_describe(expected)}")
        if act is not None and act.is_lasting:
            self.complain(f"item {index} gave a value, and should have been in trouble: {act}")

    def _check_failure(self, index: int, failure: allcores.Failure) -> None:
        error, item = failure.exception, self._call.items[index]
        if failure.index != index or failure.item != item:
            self.complain(f"{failure!r} stands for item {index}")
        if failure.tries > self._call.options["retries"] + 2:  # one that was lost to a lack of memory does not count
            self.complain(f"{failure!r} was tried {failure.tries} times")
        if not self._may_fail(key_of(item), error):
            self.complain(f"item {index} failed", error)
        if isinstance(error, allcores.WorkerDied):
            self.deaths.append((error.pid, error.exit))

    def _may_fail(self, key: int, error: BaseException) -> bool:
        act, is_patient = self._call.acts.get(key), self._call.is_patient
        if isinstance(error, Lasting | Passing):
            is_own = act is not None and act.trouble is Trouble.RAISES and error.args == (key,)
            return is_own and (isinstance(error, Lasting) or not is_patient)
        if isinstance(error, allcores.ItemTimeout):
            return self._call.options["timeout"] is not None and not is_patient
        return isinstance(error, allcores.WorkerDied) and not is_patient

    def complain(self, what: str, error: BaseException | None = None) -> None:
        """Take down what is wrong, and the exception that shows it."""
        self.complaints.append(what if error is None else f"{what}: {''.join(traceback.format_exception(error))}")


def _plain(value: Any) -> Any:
    """Give what can be compared."""
    return value.tobytes() if type(value).__name__ == "ndarray" else value


def _describe(value: Any) -> str:
    length = f" of {len(value)}" if hasattr(value, "__len__") else ""
    return f"{type(value).__name__}{length} {value!r:.80}"


# --------------------------------------------------------------------------------------------------------- journals


class Ledger:
    """Checks the journal of a call that is made until nothing ends it.

    Args:
        folder: the scenario's own.
        number: the call's.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.journal = folder / f"journal-{number}"
        self.log = folder / f"log-{number}"
        self._recorded: dict[int, Any] = {}
        self._logged = 0  # bytes
        self._beside: set[str] = set()

    def begin(self, audit: Audit, owed: dict[int, Any]) -> None:
        """See what is recorded before an attempt.

        Args:
            audit: hears of what is wrong.
            owed: what the last attempt had finished when it was interrupted.
        """
        self._recorded = self._read(audit)
        for index, value in self._recorded.items():
            audit.check_outcome(index, value)
        if missing := owed.keys() - self._recorded.keys():
            audit.complain(f"finished before the interrupt, and not recorded: {sorted(missing)[:20]}")
        self._logged = self.log.stat().st_size if self.log.exists() else 0
        self._beside = self._find_beside()

    def end(self, call: Call, audit: Audit) -> None:
        """See that nothing ran again in an attempt, that all is recorded after the last, and what is left."""
        ran = array("q", self.log.read_bytes()[self._logged :]) if self.log.exists() else array("q")
        recorded = {key_of(call.items[index]) for index in self._recorded}
        if again := recorded.intersection(ran):
            audit.complain(f"recorded, and run again: the items of the keys {sorted(again)[:20]}")
        if beside := self._find_beside() - (set() if audit.is_over else self._beside):
            audit.complain(f"beside the journal there is {beside}; the call ended with {audit.error!r}", audit.error)
        if audit.is_over:
            self._check_record(audit)

    def _find_beside(self) -> set[str]:
        """Give the files beside the journal; one of a driver that was killed stays until a run gets to opening it."""
        return {file.name for file in self.journal.parent.glob(f"{self.journal.name}?*")}

    def _check_record(self, audit: Audit) -> None:
        if missing := audit.values.keys() - self._read(audit).keys():
            audit.complain(f"not recorded in the end: {sorted(missing)[:20]}")
        for file in (self.journal, self.log):
            file.unlink(missing_ok=True)

    def _read(self, audit: Audit) -> dict[int, Any]:
        if not self.journal.exists() or not self.journal.stat().st_size:
            return {}
        try:
            with allcores.Journal(self.journal) as journal:
                return dict(journal.results())
        except allcores.JournalError as error:
            audit.complain("the journal cannot be read", error)
            return {}


# ------------------------------------------------------------------------------------------------------- the process


class Driver:
    """Makes a scenario's calls.

    Args:
        scenario: what to do.
        folder: the scenario's own.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self._scenario = scenario
        self._folder = folder
        self._board = open_board(folder)
        self._ear = Ear(self._board)
        self._campaign = os.getppid()
        self._findings = os.open(folder / "findings", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._descriptors = _descriptors()

    def run(self) -> None:
        """Make one call after another until there were enough faults, and the last call has come to its own end."""
        signal.signal(signal.SIGINT, self._ear)
        _tell_of_torn_messages(self._board)
        self._board[Word.PID] = os.getpid()
        is_over = False
        while not is_over and os.getppid() == self._campaign:
            number = self._board[Word.CALLS]
            was_interrupted = self._make(number)
            self._board[Word.CALLS] = number + 1
            is_over = bool(self._board[Word.IS_ENOUGH]) and not was_interrupted

    def _make(self, number: int) -> bool:
        """Make a call, again and again if it is one that resumes; say whether it was interrupted for good."""
        call = draw_call(self._scenario, number)
        if call.has_arrays:
            import_module("numpy")  # here, where no interrupt comes into it
        ledger = Ledger(self._folder, number)
        work = Work(
            call.acts,
            str(self._folder),
            str(ledger.log) if call.resumes else "",
            has_arrays=call.has_arrays,
            is_narrow=Fault.KILLED_MID_MESSAGE in self._scenario.weights,
        )
        owed: dict[int, Any] = {}
        while os.getppid() == self._campaign:
            attempt = Attempt(call, work, self._board)
            before = Audit(call, work, attempt, interrupts=0, settled=0)
            if call.resumes:
                ledger.begin(before, owed)
            attempt.make(self._ear, ledger.journal if call.resumes else None)
            audit = Audit(call, work, attempt, interrupts=self._ear.heard, settled=self._board[Word.SETTLED])
            audit.check()
            _forget(audit.error)
            if call.resumes:
                ledger.end(call, audit)
            audit.complaints += before.complaints + self._leftovers(number)
            self._tell(number, call, audit)
            if audit.is_over:
                break
            owed = audit.values
        return bool(self._ear.heard)

    def _leftovers(self, number: int) -> list[str]:
        """Say what is left of a call that should not be."""
        if self._scenario.start != "fork" and Random(number).random() < CLOSING:
            warm_set.close()
        if warm_set._fork_server is not None:
            return []
        return [
            *(f"process {pid} is left" for pid in _wait_until_empty(_children)),
            *(f"thread {thread} is left" for thread in threading.enumerate()[1:]),
            *(f"descriptor {each} is left" for each in _descriptors() - self._descriptors),
        ]

    def _tell(self, number: int, call: Call, audit: Audit) -> None:
        complaints = [f"call {number}, {call!r}: {complaint}" for complaint in audit.complaints[:MOST_COMPLAINTS]]
        line = json.dumps({"complaints": complaints, "deaths": audit.deaths}) + "\n"
        os.write(self._findings, line.encode())


def _tell_of_torn_messages(board: memoryview) -> None:
    """Have the campaign hear of a worker whose last message has not come whole."""
    mourn = ProcessEngine._mourn

    def mourn_and_tell(engine: ProcessEngine, state: Any) -> Iterator[Any]:
        if state.process.channel._partial is not None or state.process.channel._inbox:
            board[Word.TORN] = state.process.pid or 0
        return mourn(engine, state)

    ProcessEngine._mourn = mourn_and_tell  # type: ignore[method-assign]


def _forget(error: BaseException | None) -> None:
    """Let go of what the exception that ended a call holds: of an iterator, if Ctrl-C came just before its closing."""
    if isinstance(error, KeyboardInterrupt):
        traceback.clear_frames(error.__traceback__)
    gc.collect()  # it may be in a circle with what the call had open


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _wait_until_empty(find: Callable[[], list[int]]) -> list[int]:
    deadline = time.monotonic() + GONE_SECONDS
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return found


def _descriptors() -> set[tuple[str, str]]:
    """Give the descriptors that are open, less the mark board of clean workers, which this process keeps."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the listing's own
            continue
        if "allcores-marks" not in target:
            found.add((name, target))
    return found


def main() -> None:
    """Be the driver: ``python -m faults.driver SEED NUMBER FOLDER``."""
    seed, number, folder = sys.argv[1:]
    faulthandler.register(signal.SIGUSR1)
    for name in (*LAZY, *(module.name for module in pkgutil.walk_packages(allcores.__path__, "allcores."))):
        import_module(name)
    Driver(draw_scenario(int(seed), int(number)), Path(folder)).run()


if __name__ == "__main__":
    main()
