"""A fault campaign on a Dask cluster: what takes part in runs is killed, stopped and interrupted, and nothing is lost.

Each scenario is one call on a cluster of two workers. Its driver runs until something ends it: Ctrl-C, a signal, the
end of the scheduler. Then another one goes on from the journal, on a new cluster if need be. In the end every item must
have come to what it should, and none be blamed for what was done to its process; and of no driver, however it has
ended, may anything be left on the scheduler: no task, and no client.
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
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Self

from cluster_faults.driver import END, ENDS, ENTERED
from dask_cluster import DaskCluster
from faults.driver import Word, open_board

FAULTS = 3  # in a scenario
GAPS = (0.05, 0.5)  # seconds between two faults
STOPS = (0.1, 2.0)  # seconds for which a process is stopped
PROGRESS_SECONDS = 30.0  # until a driver has settled something more, or has ended
END_SECONDS = 120.0  # until a driver has ended that is left alone
GONE_SECONDS = 10.0  # until a scheduler has forgotten a driver


class Fault(StrEnum):
    """What is injected."""

    WORKER_KILLED = "worker killed"
    WORKER_STOPPED = "worker stopped for a while"
    SCHEDULER_STOPPED = "scheduler stopped for a while"
    SCHEDULER_KILLED = "scheduler killed"
    DRIVER_KILLED = "driver killed"
    DRIVER_STOPPED = "driver stopped for a while"
    INTERRUPT = "Ctrl-C"


ENDING = {Fault.SCHEDULER_KILLED, Fault.DRIVER_KILLED, Fault.INTERRUPT}  # a driver's life


class Clusters:
    """One cluster after another, as schedulers are killed; all of them end with the ``with`` block."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._present: DaskCluster | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def present(self) -> DaskCluster:
        """Give one whose scheduler is alive."""
        if self._present is None or not is_alive(self._present):
            self._present = self._stack.enter_context(DaskCluster(2))
        return self._present


def is_alive(cluster: DaskCluster) -> bool:
    """Whether its scheduler is."""
    return _send(cluster.scheduler_pid, 0)


class Play:
    """Plays one scenario.

    Args:
        seed: of the campaign.
        number: in the campaign: those of consecutive numbers are about all the faults in turn.
        folder: its own, new and empty.
        clusters: where to play it.

    Attributes:
        faults: what was done.
        losses: what came of it that should not have.
    """

    def __init__(self, seed: int, number: int, folder: Path, clusters: Clusters) -> None:
        self.faults: Counter[Fault] = Counter()
        self.losses: list[str] = []
        self._seed, self._number, self._folder = seed, number, folder
        self._clusters = clusters
        self._chance = Random(f"{seed} {number} faults")
        others = [Fault.WORKER_KILLED, Fault.WORKER_STOPPED]
        self._agenda = [list(Fault)[number % len(Fault)], *self._chance.choices(others, k=FAULTS - 1)]
        self._chance.shuffle(self._agenda)
        self._board = open_board(folder)
        (folder / ENTERED).mkdir()

    def run(self) -> None:
        """Play it to its end."""
        while not self._driver_is_done(self._clusters.present()) and not self.losses:
            pass

    def _driver_is_done(self, cluster: DaskCluster) -> bool:
        """Start a driver, and do harm until it has ended; say whether there is nothing left to do."""
        arguments = [cluster.address, f"{self._folder}", f"{self._seed}", f"{self._number}"]
        with (
            (self._folder / "error").open("ab") as output,
            subprocess.Popen(
                [sys.executable, "-m", "cluster_faults.driver", *arguments],
                stdin=subprocess.DEVNULL,
                stderr=output,
                cwd=Path(__file__).parent.parent,
                start_new_session=True,
            ) as driver,
        ):
            try:
                expected = self._harm(driver, cluster)
                driver.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.losses.append(f"it hangs, with {self._board[Word.SETTLED]} items settled")
                return False
            finally:
                driver.kill()
        self._check(driver.returncode, expected, cluster)
        return driver.returncode == ENDS["done"]

    # ------------------------------------------------------------------------------------------------ doing harm

    def _harm(self, driver: subprocess.Popen[bytes], cluster: DaskCluster) -> set[int]:
        """Do what is on the agenda until that ends the driver; give the codes with which it may exit."""
        while self._agenda and self._waits_for_progress(driver):
            time.sleep(self._chance.uniform(*GAPS))
            fault = self._agenda.pop()
            if driver.poll() is None and self._WAYS[fault](self, driver, cluster):
                self.faults[fault] += 1
                if fault in ENDING:
                    return {
                        Fault.SCHEDULER_KILLED: {ENDS["cluster is gone"], ENDS["done"]},
                        Fault.DRIVER_KILLED: {-signal.SIGKILL},
                        Fault.INTERRUPT: {ENDS["interrupted"], ENDS["done"]},
                    }[fault]
        return {ENDS["done"]}

    def _waits_for_progress(self, driver: subprocess.Popen[bytes]) -> bool:
        """Wait until something more is settled, so that there are never many deaths without; whether it may go on."""
        board, before = self._board, self._board[Word.SETTLED]
        return _wait_until(
            lambda: driver.poll() is not None or (board[Word.PID] == driver.pid and board[Word.SETTLED] != before),
            PROGRESS_SECONDS,
        )

    def _kill_worker(self, driver: subprocess.Popen[bytes], cluster: DaskCluster) -> bool:
        return any(_send(pid, signal.SIGKILL) for pid in self._workers()[:1])

    def _stop_worker(self, driver: subprocess.Popen[bytes], cluster: DaskCluster) -> bool:
        return any(self._stop(pid) for pid in self._workers()[:1])

    def _stop_scheduler(self, driver: subprocess.Popen[bytes], cluster: DaskCluster) -> bool:
        return self._stop(cluster.scheduler_pid)

    def _kill_scheduler(self, driver: subprocess.Popen[bytes], cluster: DaskCluster) -> bool:
        cluster.kill_scheduler()
        return True

    def _kill_driver(self, driver: subprocess.Popen[bytes], cluster: DaskCluster) -> bool:
        return _send(driver.pid, signal.SIGKILL)

    def _stop_driver(self, driver: subprocess.Popen[bytes], cluster: DaskCluster) -> bool:
        return self._stop(driver.pid)

    def _interrupt(self, driver: subprocess.Popen[bytes], cluster: DaskCluster) -> bool:
        return _send(driver.pid, signal.SIGINT)

    _WAYS: dict[Fault, Callable[..., bool]] = {  # noqa: RUF012 - it is never changed
        Fault.WORKER_KILLED: _kill_worker,
        Fault.WORKER_STOPPED: _stop_worker,
        Fault.SCHEDULER_STOPPED: _stop_scheduler,
        Fault.SCHEDULER_KILLED: _kill_scheduler,
        Fault.DRIVER_KILLED: _kill_driver,
        Fault.DRIVER_STOPPED: _stop_driver,
        Fault.INTERRUPT: _interrupt,
    }

    def _workers(self) -> list[int]:
        """Give the processes that have run items and are alive, in random order."""
        pids = sorted(int(name) for name in os.listdir(self._folder / ENTERED))
        self._chance.shuffle(pids)
        return [pid for pid in pids if _send(pid, 0)]

    def _stop(self, pid: int) -> bool:
        is_there = _send(pid, signal.SIGSTOP)
        time.sleep(self._chance.uniform(*STOPS))
        _send(pid, signal.SIGCONT)
        return is_there

    # ------------------------------------------------------------------------------------------- looking into it

    def _check(self, code: int, expected: set[int], cluster: DaskCluster) -> None:
        if code not in expected:
            self.losses.append(f"the driver ended with {code}: {(self._folder / 'error').read_text()[-3000:]}")
        report = self._folder / END
        if report.exists():
            self.losses += json.loads(report.read_text())
            report.unlink()
        if is_alive(cluster):
            self._check_scheduler(cluster)

    def _check_scheduler(self, cluster: DaskCluster) -> None:
        """See that nothing of a driver is left there."""
        from distributed import Client

        with Client(cluster.address, timeout=GONE_SECONDS, name="campaign") as client:
            left: Any = None

            def is_empty() -> bool:
                nonlocal left
                left = client.run_on_scheduler(_find_left)
                return not any(left)

            if not _wait_until(is_empty, GONE_SECONDS):
                self.losses.append(f"tasks and clients are left on the scheduler: {left}")


def _find_left(dask_scheduler: Any) -> tuple[list[str], list[str]]:
    return list(dask_scheduler.tasks), [name for name in dask_scheduler.clients if name.startswith("allcores")]


def _send(pid: int, number: int) -> bool:
    """Send a signal; say whether the process was still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Poll, since nothing of this gives an event; say whether it came so."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def play_campaign(seed: int, numbers: range, *, seconds: float) -> tuple[Counter[Fault], list[str]]:
    """Play scenarios one after another until time is up; give the faults, and what was lost."""
    faults: Counter[Fault] = Counter()
    losses: list[str] = []
    deadline = time.monotonic() + seconds
    with Clusters() as clusters:
        for number in numbers:
            if time.monotonic() > deadline:
                break
            folder = Path(tempfile.mkdtemp(prefix="cluster-faults-"))
            play = Play(seed, number, folder, clusters)
            began = time.monotonic()
            play.run()
            faults += play.faults
            told = ", ".join(f"{count} {fault}" for fault, count in play.faults.items())
            print(f"scenario {number}: {time.monotonic() - began:.0f} s, {told}", flush=True)
            if play.losses:
                losses += [f"scenario {number}, in {folder}: {loss}" for loss in play.losses]
                print("\n".join(play.losses), flush=True)
            else:
                shutil.rmtree(folder)
    return faults, losses


def main() -> None:
    """Play a campaign; the exit code says whether something was lost."""
    parser = argparse.ArgumentParser(prog="cluster_faults", description=main.__doc__)
    parser.add_argument("--scenarios", type=int, default=21, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long it may take, about")
    parser.add_argument("--seed", type=int, default=Random().randrange(1_000_000), help="of all that is drawn")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    numbers = range(asked.first, asked.first + asked.scenarios)
    faults, losses = play_campaign(asked.seed, numbers, seconds=60 * asked.minutes)
    for fault in Fault:
        print(f"{fault:32}{faults[fault]:6}")
    print(f"seed {asked.seed}: {faults.total()} faults, {len(losses)} losses")
    sys.exit(bool(losses))


if __name__ == "__main__":
    main()
