"""A Dask scheduler and two workers, started as from a shell, on loopback alone; for programs that tests run."""

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

    Attributes:
        address: of the scheduler.
    """

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        common = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
        self._processes = [self._start("scheduler", "--port", str(port), *common)]
        self._processes += [self._start("worker", self.address, "--nthreads", "1", *common) for _ in range(2)]
        return self

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
        """Give a client, once both workers are there."""
        from distributed import Client

        client = Client(self.address, timeout=SECONDS)
        client.wait_for_workers(2, timeout=SECONDS)
        return client

    def kill_scheduler(self) -> None:
        """Kill it."""
        self._processes[0].kill()
        self._processes[0].wait()

    def _start(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            command, stdout=quiet, stderr=quiet, env={**os.environ, "DASK_LOGGING__DISTRIBUTED": "error"}
        )


def _children_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)
