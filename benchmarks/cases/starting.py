"""What it costs to begin: an import, and a whole script of four trivial items, each in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.case import Target
from benchmarks.peers import Peer, Unable


@dataclass(kw_only=True)
class WholeProcess:
    """A program, from the start of its interpreter to its end.

    Args:
        program: which of a peer's programs.
    """

    name: str
    title: str
    program: Literal["statement", "script"]
    targets: tuple[Target, ...]
    count: int = 4
    extras: tuple[str, ...] = ()
    is_whole_process: bool = True

    def prepare(self, count: int) -> None:
        """There is nothing to prepare."""

    def run(self, peer: Peer) -> str:
        source = getattr(peer, self.program)
        if not source:
            raise Unable("is no library")
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
        return done.stdout

    def summary(self, result: str) -> object:
        return result

    def lower_bound(self, workers: int) -> Any:
        return None


CASES = (
    WholeProcess(
        name="import",
        title="import of the library, whole process",
        program="statement",
        targets=(Target(versus="Pool", most=1.0, temperature="cold"),),
    ),
    WholeProcess(
        name="script",
        title="script of 4 trivial items, whole process",
        program="script",
        targets=(
            Target(versus="Pool", most=1.0, temperature="cold"),
            Target(versus="joblib", most=1 / 8, temperature="cold"),
        ),
    ),
)
