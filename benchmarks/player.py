"""The benchmark's side of a stage: starts it, tells it what to do, and ends it with all that it has started."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.memory import descendants
from benchmarks.peers import make_peer

__all__ = ["Player", "Reason", "TooSlow"]

ROOT = Path(__file__).parent.parent
END_SECONDS = 15.0  # for a peer to end its workers by itself, unless it has proved slow already


class Reason(Exception):
    """Why a peer has no figure for a case."""


class TooSlow(Reason):
    """A step has taken longer than anybody waits."""


class Player:
    """A running stage.

    Args:
        peer: its name.
        workers: how many workers the peer may have.
        patience: how many seconds a step may take.

    Raises:
        Reason: it cannot be started; so do all steps that fail.
    """

    def __init__(self, peer: str, workers: int, patience: float) -> None:
        self._patience = patience
        self._grace = END_SECONDS
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- as long as the process
        command = [*make_peer(peer).wrapper, sys.executable, "-m", "benchmarks.stage", peer, str(workers)]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=self._errors, start_new_session=True, env=_environment()
            )
        except OSError as error:  # no such wrapper here
            self._errors.close()
            raise Reason(str(error)) from None

    @property
    def pid(self) -> int:
        """The stage's own process, inside whatever it is wrapped in."""
        own = [pid for pid in descendants(self._process.pid) if _arguments(pid).startswith(b"-m\0benchmarks.stage")]
        return own[0] if own else self._process.pid

    def prepare(self, case: str, count: int) -> None:
        """Have it make its items."""
        self._ask({"step": "prepare", "case": case, "count": count})

    def round(self) -> tuple[float, Any]:
        """Have it do its case once; give the seconds, and the summary of what came of it."""
        answer = self._ask({"step": "round"})
        return answer["seconds"], answer["summary"]

    def close(self) -> None:
        """End it, gently if possible, and whatever it has left in its session."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._grace)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _ask(self, step: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(step).encode() + b"\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._read_line())
        except BrokenPipeError:
            raise Reason(self._last_words()) from None
        if "reason" in answer:
            raise Reason(answer["reason"])
        return answer

    def _read_line(self) -> bytes:
        """Read an answer; what a peer's forked processes hold open does not keep this waiting."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], self._patience)[0]:
            self._grace = 0.0
            raise TooSlow(f"no result within {self._patience:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise Reason(self._last_words())
        return line

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "its process ended without a word"


def _arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[2]
    except OSError:  # it has ended
        return b""


def _environment() -> dict[str, str]:
    """Give a user's environment: modules are compiled once, and found wherever a peer starts its workers."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": path}
