"""A Dask scheduler and workers, started as from a shell, on loopback alone; for programs that tests run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any, Self

import psutil

SECONDS = 20  # for processes to come up, and to end


class DaskCluster:
    """Runs within a ``with`` block.

    Args:
        workers: how many there are from the beginning.

    Attributes:
        address: of the scheduler.
    """

    def __init__(self, workers: int = 2) -> None:
        self._workers = workers

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self._processes = [self._start("scheduler", "--port", str(port))]
        for _ in range(self._workers):
            self.add_worker()
        return self

    def add_worker(self, **how: Any) -> None:
        """Start one more, in a way that `subprocess.Popen` knows: ``cwd=``, ``env=``."""
        self._processes.append(self._start("worker", self.address, "--nthreads", "1", **how))

    def __exit__(self, *_: object) -> None:
        scheduler, *workers = self._processes
        families = [one for worker in workers for one in (psutil.Process(worker.pid), *_children_of(worker))]
        if scheduler.poll() is None:  # else workers would wait for it
            for worker in workers:
                worker.terminate()
            psutil.wait_procs(families, SECONDS)
            scheduler.terminate()
        for process in families:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for each in self._processes:
            each.wait()

    def connect(self) -> Any:
        """Give a client, once all workers are there that there are from the beginning."""
        from distributed import Client

        client = Client(self.address, timeout=SECONDS)
        if self._workers:
            client.wait_for_workers(self._workers, timeout=SECONDS)
        return client

    @property
    def scheduler_pid(self) -> int:
        """Its process."""
        return self._processes[0].pid

    def kill_scheduler(self) -> None:
        """Kill it."""
        self._processes[0].kill()
        self._processes[0].wait()

    def _start(self, kind: str, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
        loopback = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, *loopback]
        quiet = subprocess.DEVNULL
        env = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "error", **how.pop("env", {})}
        return subprocess.Popen(command, stdout=quiet, stderr=quiet, env=env, **how)


def _children_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)
