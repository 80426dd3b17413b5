"""A fault campaign: kills, stops and interrupts whatever takes part in runs, and checks that nothing is lost.

It plays seeded scenarios, a few side by side. In each, a driver makes calls, one after another (see `driver`), and this
process does harm to it, its workers and their fork server, at random moments, until it has done enough; the driver
checks the results. Then nothing of the scenario may be left: no process, no file.

Nothing has to be excused: there are never so many deaths in a row without progress that a run would be right to give
up, so a run that gives up is a loss like any other. So is a hang, and so is whatever a driver says on standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count, repeat
from pathlib import Path
from random import Random
from typing import ClassVar

from faults.driver import Word, open_board
from faults.scenario import EXIT_CODE, OF_FORK_SERVERS, OF_INTERRUPTS, Fault, Scenario, draw_scenario

import allcores

FAULTS = 30  # of the kind that leads, in a scenario
FACTORS = {Fault.DRIVER_KILLED: 0.3, **dict.fromkeys((*OF_INTERRUPTS, *OF_FORK_SERVERS), 0.5)}  # of that, by what leads
FAULTS_PER_LEADING = 3  # in a scenario, at most, once there was one that leads

GAPS = (0.002, 0.030)  # seconds between two faults
STOPS = (0.001, 0.030)  # seconds for which a process is stopped
WORK_SECONDS = 1.0  # for the workers of a driver that is to be killed to run something
LIFE_SECONDS = 0.3  # that it lives from then on, at most
BIRTH_SECONDS = 0.05  # for another worker to be born
YOUTH_SECONDS = {"fork": 0.005, "forkserver": 0.010, "spawn": 0.100}  # of a worker that is killed at birth, at most
SEND_SECONDS = 0.5  # for a worker to come to the middle of a message
SENDING = (b"alloc_send",)  # is part of the name of the place in the kernel where a sender waits,
RECEIVING = (b"stream_read", b"poll")  # and this is where a worker waits for the driver
TEAR_SECONDS = 1.0  # for a driver to hear of a message that ends in the middle
HEAR_SECONDS = 0.02  # for a driver to hear Ctrl-C
SECOND_INTERRUPT_SECONDS = 0.02  # after the first, at most
DEATHS_IN_A_ROW = 4  # without progress: a run gives up at ten
BIRTHS_IN_A_ROW = 4  # of workers that were killed before they ran an item: a run gives up at eight

HANG_SECONDS = 30.0  # without any progress
GONE_SECONDS = 5.0  # for the system to show that processes have ended
SPEAK_SECONDS = 10.0  # between two lines of progress
AGAIN = 1_000  # faults, when a scenario is played again to see what was lost
MOST_LANES = 16  # scenarios side by side

# An interrupt may come between the opening of a file and the `with` that closes it; then the collector does.
INTERPRETER = (sys.executable, "-W", "error", "-W", "ignore::ResourceWarning")


# -------------------------------------------------------------------------------------------------------- processes


def children(pid: int) -> list[int]:
    """Give the processes that a process of one thread has started and that have not ended, oldest first."""
    with suppress(OSError):  # it has just ended
        pids = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split())
        return [child for child in pids if not _has_ended(child)]
    return []


def _has_ended(pid: int) -> bool:
    with suppress(OSError):
        return _status(pid)[0] in "ZX"
    return True


def _status(pid: int) -> list[str]:
    """Give what the system says of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def members(session: int) -> list[int]:
    """Give the processes of a session that have not ended."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has just ended
            state, _, _, its_session = _status(int(name))[:4]
            if int(its_session) == session and state not in "ZX":
                found.append(int(name))
    return found


def waits_in(places: tuple[bytes, ...], pid: int) -> bool:
    """Whether a process waits at one of these places in the kernel."""
    with suppress(OSError):
        where = Path(f"/proc/{pid}/wchan").read_bytes()
        return any(place in where for place in places)
    return False


is_sending = partial(waits_in, SENDING)
is_receiving = partial(waits_in, RECEIVING)


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; say whether the process was still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def describe(pid: int) -> str:
    """Say what a process is and what it waits for."""
    folder = Path(f"/proc/{pid}")
    with suppress(OSError):
        state, parent = _status(pid)[:2]
        command = (folder / "cmdline").read_text().replace("\0", " ")
        return f"{pid} of {parent}, state {state}, in {(folder / 'wchan').read_text()}: {command[-80:]}"
    return f"{pid}, which has ended"


def wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Poll, since nothing of this gives an event; say whether it came so."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()) and time.monotonic() < deadline:
        time.sleep(0.002)
    return found


# ------------------------------------------------------------------------------------------------------- doing harm


class Saboteur:
    """Does harm to the drivers of one scenario and to their workers.

    Args:
        scenario: which faults, how often.
        folder: its own.
        board: tells how far the driver is.

    Attributes:
        faults: what was done.
        killed: the processes that were.
        diary: what was done, in order, for people.
        progress_at: when the driver was last seen to make progress.
    """

    def __init__(self, scenario: Scenario, folder: Path, board: memoryview) -> None:
        self.faults: Counter[Fault] = Counter()
        self.killed: set[int] = set()
        self.diary: list[str] = []
        self.progress_at = time.monotonic()
        self._progress: tuple[int, ...] = ()
        self._scenario = scenario
        self._chance = Random(f"{scenario.seed} {scenario.number} faults")
        self._folder = folder
        self._board = board
        self._deaths_in_a_row = self._births_in_a_row = 0
        self._entered: set[int] = set()  # workers that have run an item
        self._elders: set[int] = set()  # workers that there were when one was last killed before it ran an item
        self._entered_before = 0  # when the driver was started: how many

    def attend(self, driver: subprocess.Popen[bytes]) -> None:
        """Turn to another driver."""
        self._driver = driver
        self.look()
        self._entered_before = len(self._entered)

    def look(self) -> None:
        """See how far the driver is, and who has run an item."""
        progress = (self._driver.pid, self._board[Word.CALLS], self._board[Word.SETTLED])
        if progress != self._progress:
            self._progress, self.progress_at = progress, time.monotonic()
            self._deaths_in_a_row = 0
        with suppress(FileNotFoundError):
            entered = set(array("q", (self._folder / "entered").read_bytes()))
            if entered - self._entered - self._elders:
                self._births_in_a_row = 0
            self._entered = entered

    def pause(self, bounds: tuple[float, float] = GAPS) -> None:
        """Do nothing for a while."""
        time.sleep(self._chance.uniform(*bounds))

    def harm(self) -> None:
        """Do harm once, or fail to."""
        if self._board[Word.PID] == self._driver.pid:  # it makes calls
            weights = self._scenario.weights
            self._WAYS[self._chance.choices([*weights], [*weights.values()])[0]](self)

    # ------------------------------------------------------------------------------------------------ to workers

    def _workers(self) -> list[int]:
        mine = children(self._driver.pid)
        return (
            mine if self._scenario.start == "fork" else [pid for fork_server in mine for pid in children(fork_server)]
        )

    def _some_worker(self) -> int | None:
        workers = self._workers()
        return self._chance.choice(workers) if workers else None

    def _kill_worker(self) -> None:
        worker = self._some_worker()
        if worker is not None and self._chance.random() < 0.2:  # what is sent to it meanwhile gets stuck half way
            send(worker, signal.SIGSTOP)
            self.pause(STOPS)
        self._kill(worker, Fault.WORKER_KILLED)

    def _terminate_worker(self) -> None:
        self._kill(self._some_worker(), Fault.WORKER_TERMINATED, signal.SIGTERM)

    def _kill_at_birth(self) -> None:
        known = set(self._workers())
        if not wait_until(lambda: not known.issuperset(self._workers()), BIRTH_SECONDS):
            self._kill_worker()
        if wait_until(lambda: not known.issuperset(self._workers()), BIRTH_SECONDS):
            self.pause((0, YOUTH_SECONDS[self._scenario.start]))
            self._kill(min(set(self._workers()) - known, default=None), Fault.KILLED_AT_BIRTH)

    def _kill_mid_message(self) -> None:
        """Kill a worker that gets no further, as the driver does not read; if the driver has a part, that is it."""
        with self._stopped(self._driver.pid, Fault.DRIVER_STOPPED):
            wait_until(self._have_workers_come_to_a_stop, SEND_SECONDS)
            sender = next(filter(is_sending, self._workers()), None)
            is_killed = self._end(sender)
        if is_killed:
            is_torn = wait_until(lambda: self._board[Word.TORN] == sender, TEAR_SECONDS)
            self._note(Fault.KILLED_MID_MESSAGE if is_torn else Fault.WORKER_KILLED, sender)

    def _have_workers_come_to_a_stop(self) -> bool:
        workers = self._workers()
        return any(map(is_sending, workers)) or all(map(is_receiving, workers))

    def _stop_worker(self) -> None:
        worker = self._some_worker()
        if worker is not None:
            with self._stopped(worker, Fault.WORKER_STOPPED):
                self.pause(STOPS)

    # --------------------------------------------------------------------------------------------- to the fork server

    def _kill_fork_server(self) -> None:
        self._kill(min(children(self._driver.pid), default=None), Fault.FORK_SERVER_KILLED)

    def _stop_fork_server(self) -> None:
        for fork_server in children(self._driver.pid)[:1]:
            with self._stopped(fork_server, Fault.FORK_SERVER_STOPPED):
                self.pause(STOPS)

    # ---------------------------------------------------------------------------------------------- to the driver

    def _stop_driver(self) -> None:
        with self._stopped(self._driver.pid, Fault.DRIVER_STOPPED):
            self.pause(STOPS)

    def _kill_driver(self) -> None:
        if self._chance.random() < 0.8:
            wait_until(self._has_run_something, WORK_SECONDS)
        self.pause((0, LIFE_SECONDS))
        if self._driver.poll() is None:
            self._note(Fault.DRIVER_KILLED, self._driver.pid)
            self.killed.add(self._driver.pid)
            self._driver.kill()
            self._driver.wait()

    def _has_run_something(self) -> bool:
        self.look()
        return len(self._entered) > self._entered_before or self._driver.poll() is not None

    def _interrupt(self) -> None:
        if self._is_heard():
            self._note(Fault.INTERRUPT, self._driver.pid)

    def _interrupt_twice(self) -> None:
        if self._is_heard():
            self.pause((0, SECOND_INTERRUPT_SECONDS))
            self._note(Fault.TWO_INTERRUPTS if self._is_heard() else Fault.INTERRUPT, self._driver.pid)

    def _is_heard(self) -> bool:
        """Send Ctrl-C as a terminal does; say whether the driver was in the middle of a call."""
        before = self._board[Word.HEARD]
        with suppress(ProcessLookupError):
            os.killpg(self._driver.pid, signal.SIGINT)
        return wait_until(lambda: self._board[Word.HEARD] > before, HEAR_SECONDS)

    # ------------------------------------------------------------------------------------------------------- ways

    _WAYS: ClassVar[dict[Fault, Callable[[Saboteur], None]]] = {
        Fault.WORKER_KILLED: _kill_worker,
        Fault.WORKER_TERMINATED: _terminate_worker,
        Fault.KILLED_AT_BIRTH: _kill_at_birth,
        Fault.KILLED_MID_MESSAGE: _kill_mid_message,
        Fault.WORKER_STOPPED: _stop_worker,
        Fault.DRIVER_STOPPED: _stop_driver,
        Fault.FORK_SERVER_KILLED: _kill_fork_server,
        Fault.FORK_SERVER_STOPPED: _stop_fork_server,
        Fault.DRIVER_KILLED: _kill_driver,
        Fault.INTERRUPT: _interrupt,
        Fault.TWO_INTERRUPTS: _interrupt_twice,
    }

    def _kill(self, pid: int | None, fault: Fault, how: signal.Signals = signal.SIGKILL) -> None:
        if self._end(pid, how):
            self._note(fault, pid)

    def _end(self, pid: int | None, how: signal.Signals = signal.SIGKILL) -> bool:
        """Kill a worker or a fork server, unless a run would be right to give up then; say whether it was."""
        self.look()
        if pid is None:
            return False
        is_born = pid in self._entered
        may_be = self._deaths_in_a_row < DEATHS_IN_A_ROW and (is_born or self._births_in_a_row < BIRTHS_IN_A_ROW)
        if may_be:
            self.killed.add(pid)
            may_be = send(pid, how)
        if may_be:
            self._deaths_in_a_row += 1
            if not is_born:
                self._births_in_a_row += 1
                self._elders = set(self._workers())
        send(pid, signal.SIGCONT)  # it may have been stopped before
        return may_be

    @contextmanager
    def _stopped(self, pid: int, fault: Fault) -> Iterator[None]:
        """Stop a process for a while."""
        if send(pid, signal.SIGSTOP):
            self._note(fault, pid)
        try:
            yield
        finally:
            send(pid, signal.SIGCONT)

    def _note(self, fault: Fault, pid: int | None) -> None:
        self.faults[fault] += 1
        self.diary.append(f"{time.monotonic():.4f} {fault} ({pid}), at {self._progress}")


# ------------------------------------------------------------------------------------------------------- a scenario


class Play:
    """Plays one scenario.

    Args:
        scenario: what is done.
        folder: its own, new and empty.
        faults: of the kind that leads.
        is_over: says whether time is up.

    Attributes:
        losses: what came of it that should not have.
    """

    def __init__(self, scenario: Scenario, folder: Path, faults: int, is_over: Callable[[], bool]) -> None:
        self.losses: list[str] = []
        self._scenario = scenario
        self._folder = folder
        self._quota = max(1, round(faults * FACTORS.get(scenario.leading, 1.0)))
        self._is_over = is_over
        self._board = open_board(folder)
        self._saboteur = Saboteur(scenario, folder, self._board)

    @property
    def faults(self) -> Counter[Fault]:
        """What was done so far."""
        return self._saboteur.faults

    def run(self) -> None:
        """Play it to its end."""
        temporary, shared = self._folder / "temporary", _shared_memory()
        temporary.mkdir()
        while self._driver_was_killed():
            pass
        self._check_findings()
        if said := (self._folder / "error").read_text():
            self.losses.append(f"on standard error there is:\n{said}")
        if left := os.listdir(temporary):
            self.losses.append(f"temporary files are left: {left}")
        if not wait_until(lambda: _shared_memory() <= shared, GONE_SECONDS):
            self.losses.append(f"shared memory is left: {_shared_memory() - shared}")
        if self.losses:
            self.losses.append("\n".join(["the faults were:", *self._saboteur.diary]))

    def _driver_was_killed(self) -> bool:
        """Start a driver, and do harm until it has ended; say whether that is because it was killed."""
        arguments = [f"{self._scenario.seed}", f"{self._scenario.number}", f"{self._folder}"]
        more = {"TMPDIR": f"{self._folder / 'temporary'}", "OPENBLAS_NUM_THREADS": "1"}
        with (
            open(self._folder / "error", "ab") as error,
            subprocess.Popen(
                [*INTERPRETER, "-m", "faults.driver", *arguments],
                stdin=subprocess.DEVNULL,
                stderr=error,
                cwd=Path(__file__).parent.parent,
                env=os.environ | more,
                start_new_session=True,
            ) as driver,
        ):
            try:
                self._harm(driver)
                self._check_end(driver)
            finally:
                for pid in members(driver.pid):
                    send(pid, signal.SIGKILL)
        return driver.pid in self._saboteur.killed and not self.losses

    def _harm(self, driver: subprocess.Popen[bytes]) -> None:
        """Do harm now and then, until there was enough and the driver has ended, or it hangs."""
        saboteur = self._saboteur
        saboteur.attend(driver)
        while driver.poll() is None:
            self._board[Word.IS_ENOUGH] = is_enough = self._is_enough()
            saboteur.pause()
            saboteur.look()
            if time.monotonic() - saboteur.progress_at > HANG_SECONDS:
                self._explain_hang(driver)
                return
            if not is_enough:
                saboteur.harm()

    def _is_enough(self) -> bool:
        leading, others = self.faults[self._scenario.leading], self.faults.total()
        has_many = leading > 0 and others >= FAULTS_PER_LEADING * self._quota
        return leading >= self._quota or has_many or self._is_over()

    # -------------------------------------------------------------------------------------------- looking into it

    def _explain_hang(self, driver: subprocess.Popen[bytes]) -> None:
        """Have every process that can tell write down where it is."""
        pids = members(driver.pid)
        self.losses.append("\n".join(["it hangs, with these processes:", *map(describe, pids)]))
        for pid in pids:
            send(pid, signal.SIGUSR1)
            time.sleep(0.2)  # one after another, as they write to one file

    def _check_end(self, driver: subprocess.Popen[bytes]) -> None:
        """See that the driver has ended as it should, and that nobody outlives it."""
        if driver.returncode is None:
            return
        if driver.returncode != (-signal.SIGKILL if driver.pid in self._saboteur.killed else 0):
            self.losses.append(f"the driver ended with the exit code {driver.returncode}")
        if not wait_until(lambda: not members(driver.pid), GONE_SECONDS):
            self.losses.append(f"processes are left: {[describe(pid) for pid in members(driver.pid)]}")

    def _check_findings(self) -> None:
        findings = self._folder / "findings"
        for line in findings.read_text().splitlines() if findings.exists() else ():
            finding = json.loads(line)
            self.losses += finding["complaints"]
            deaths = Counter((pid, end) for pid, end in finding["deaths"])
            for (pid, end), times in deaths.items():
                if not self._is_ours(pid, end):
                    self.losses.append(f"nobody has killed process {pid}: {end}")
                if times > 1 and pid is not None:
                    self.losses.append(f"process {pid} died once, and {times} items are blamed")

    def _is_ours(self, pid: int | None, end: str) -> bool:
        """Whether we have caused a death."""
        went_with_fork_server = end == "unknown" and self.faults[Fault.FORK_SERVER_KILLED] > 0
        return pid in self._saboteur.killed or end == f"exit code {EXIT_CODE}" or went_with_fork_server


def _shared_memory() -> set[str]:
    """Give the names of shared memory that may be ours: our own ones, and those that Python makes up."""
    return {name for name in os.listdir("/dev/shm") if "allcores" in name or name.startswith(("psm_", "sem.mp-"))}


# ----------------------------------------------------------------------------------------------------- the campaign


class Tally:
    """What was done, and what came of it."""

    def __init__(self) -> None:
        self.scenarios = self.losses = 0  # losses: scenarios that lost something
        self.faults: Counter[Fault] = Counter()
        self.survived: Counter[Fault] = Counter()  # in scenarios that lost nothing
        self._began = time.monotonic()

    def add(self, faults: Counter[Fault], *, is_lost: bool) -> None:
        """Take in a scenario."""
        self.scenarios += 1
        self.losses += is_lost
        self.faults += faults
        if not is_lost:
            self.survived += faults

    def __str__(self) -> str:
        seconds = time.monotonic() - self._began
        return (
            f"{self.scenarios} scenarios, {self.faults.total():,} faults in {seconds:.0f} s"
            f" ({self.faults.total() / seconds:.0f} per second), {self.losses} scenarios lost something"
        )

    def table(self) -> str:
        """Give the faults by kind, and how many were survived."""
        rows = [f"{'fault':44}{'injected':>10}{'survived':>10}"]
        rows += [f"{fault:44}{self.faults[fault]:10,}{self.survived[fault]:10,}" for fault in Fault]
        return "\n".join(rows)


class Campaign:
    """Plays scenarios until there were enough faults.

    Args:
        seed: of all.
        numbers: of the scenarios.
        enough: faults.
        seconds: how long it may take, about.
        per_scenario: how many faults of the kind that leads there are in a scenario.
    """

    def __init__(
        self, seed: int, numbers: Iterable[int], *, enough: int, seconds: float, per_scenario: int = FAULTS
    ) -> None:
        self.tally = Tally()
        self._seed = seed
        self._numbers = iter(numbers)
        self._enough = enough
        self._deadline = time.monotonic() + seconds
        self._per_scenario = per_scenario
        self._playing: list[int] = []  # numbers
        self._lock = threading.Lock()

    def run(self) -> None:
        """Play, some scenarios side by side, and tell how it goes."""
        lanes = min(MOST_LANES, allcores.plan().workers + 1)
        with ThreadPoolExecutor(lanes) as executor:
            try:
                playing = [executor.submit(self._play_on) for _ in range(lanes)]
                while wait(playing, SPEAK_SECONDS).not_done:
                    print(f"{self.tally}; now there are {sorted(self._playing)}", flush=True)
            except BaseException:
                self._deadline = 0.0
                raise
        for lane in playing:
            lane.result()

    def is_over(self) -> bool:
        """Whether there were enough faults, or time is up."""
        return time.monotonic() > self._deadline or self.tally.faults.total() >= self._enough

    def _play_on(self) -> None:
        while not self.is_over():
            with self._lock:
                number = next(self._numbers, None)
                if number is None:
                    return
                self._playing.append(number)
            self._play(draw_scenario(self._seed, number))

    def _play(self, scenario: Scenario) -> None:
        folder = Path(tempfile.mkdtemp(prefix="faults-"))
        play = Play(scenario, folder, self._per_scenario, self.is_over)
        play.run()
        with self._lock:
            self._playing.remove(scenario.number)
            self.tally.add(play.faults, is_lost=bool(play.losses))
        if play.losses:
            where = f"LOST: scenario {scenario.number} ({scenario.start}, {scenario.leading}), in {folder}"
            again = f"again: make faults SEED={scenario.seed} SCENARIO={scenario.number} FAULTS={AGAIN}"
            print("\n".join([where, *play.losses, again]), flush=True)
        else:
            shutil.rmtree(folder)


def main() -> None:
    """Play a campaign; the exit code says whether something was lost."""
    parser = argparse.ArgumentParser(prog="faults", description=main.__doc__)
    parser.add_argument("--faults", type=int, default=10_000, help="how many are enough")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long it may take, about")
    parser.add_argument("--seed", type=int, default=Random().randrange(1_000_000), help="of all that is drawn")
    parser.add_argument("--scenario", type=int, help="the number of one to play again and again, instead of all")
    asked = parser.parse_args()
    numbers = count() if asked.scenario is None else repeat(asked.scenario)
    campaign = Campaign(asked.seed, numbers, enough=asked.faults, seconds=60 * asked.minutes)
    print(f"seed {asked.seed}", flush=True)
    campaign.run()
    print(campaign.tally.table())
    print(f"seed {asked.seed}: {campaign.tally}")
    sys.exit(campaign.tally.losses > 0)


if __name__ == "__main__":
    main()
