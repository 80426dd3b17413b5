"""A Ray cluster of one node in a network namespace that has loopback alone, for programs that tests run there.

Ray opens ports on all interfaces that it finds, so it is never started outside of such a namespace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psutil

SECONDS = 60  # for Ray to come up, or to end
PORT, CLIENT_PORT = 6399, 10001
ENVIRONMENT = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}


def missing_part() -> str | None:
    """Say what is missing to start one here; None where nothing is."""
    if find_spec("ray") is None:
        return "not installed: ray"
    if shutil.which("ip") is None:
        return "not installed: ip"
    if os.geteuid() != 0:
        return "not allowed: to make a network namespace, which takes root"
    made = subprocess.run(["ip", "netns", "add", _name()], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"not allowed: to make a network namespace: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", _name()], check=True)
    return None


def _name() -> str:
    return f"allcores-{os.getpid()}"


class RayHead:
    """Runs within a ``with`` block, with two CPUs."""

    def __enter__(self) -> Self:
        self._head: subprocess.Popen[str] | None = None
        self._folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # a short path: Ray has sockets there
        subprocess.run(["ip", "netns", "add", _name()], check=True)
        try:
            subprocess.run(["ip", "-n", _name(), "link", "set", "lo", "up"], check=True)
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        inside = subprocess.run(["ip", "netns", "pids", _name()], capture_output=True, text=True, check=True)
        processes = []
        for pid in map(int, inside.stdout.split()):
            with suppress(psutil.NoSuchProcess):
                processes.append(psutil.Process(pid))
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, SECONDS)
        if self._head is not None:
            self._head.communicate()
        subprocess.run(["ip", "netns", "del", _name()], check=True)
        shutil.rmtree(self._folder)

    def run(self, command: list[str], timeout: float = SECONDS) -> subprocess.CompletedProcess[str]:
        """Run a program there."""
        output = Path(self._folder, "output")
        with output.open("w+") as file:  # and no pipe, which what goes on in the background would hold
            done = subprocess.run(
                ["ip", "netns", "exec", _name(), *command],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=timeout,
                env=ENVIRONMENT,
                check=False,
            )
        return subprocess.CompletedProcess(command, done.returncode, output.read_text(), "")

    def _start(self) -> None:
        """Start it, and read what it prints until it has come up."""
        ray = str(Path(sys.executable).with_name("ray"))
        arguments = [
            "--block", "--head", "--node-ip-address=127.0.0.1", f"--port={PORT}", "--num-cpus=2",
            "--disable-usage-stats", "--include-dashboard=false", f"--ray-client-server-port={CLIENT_PORT}",
            f"--temp-dir={self._folder}",
        ]  # fmt: skip
        self._head = subprocess.Popen(
            ["ip", "netns", "exec", _name(), ray, "start", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=ENVIRONMENT,
        )
        assert self._head.stdout is not None
        said = ""
        while "will now block" not in said:
            line = self._head.stdout.readline()
            assert line, f"Ray did not come up: {said}"
            said += line
