"""A process in which one peer does its cases: nothing that one library does to a process can touch another.

It is told what to do on its standard input and answers on its standard output, in lines of JSON. The first round after
a start is the cold one: the library is imported and its workers are started by the clock.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.case import Case
from benchmarks.cases import CASES
from benchmarks.peers import Peer, Unable, make_peer

__all__ = ["Stage", "main"]


class Stage:
    """One peer at its cases.

    Args:
        peer: the peer.
        workers: how many workers it may have.
    """

    def __init__(self, peer: Peer, workers: int) -> None:
        self._peer = peer
        self._workers = workers
        self._case: Case | None = None
        self._is_open = False

    def prepare(self, case: str, count: int) -> dict[str, Any]:
        """Make the items; say for how many the summary of each round will hold."""
        self._case = CASES[case]
        self._case.prepare(count)
        return {}

    def round(self) -> dict[str, Any]:
        """Do it once; give the seconds that it took, and the summary of what came of it."""
        assert self._case is not None
        begun = time.perf_counter()
        if not self._is_open and not self._case.is_whole_process:
            self._is_open = True
            self._peer.open(self._workers)
        result = self._case.run(self._peer)
        seconds = time.perf_counter() - begun
        return {"seconds": seconds, "summary": self._case.summary(result)}

    def close(self) -> dict[str, Any]:
        """End what the peer has started."""
        if self._is_open:
            self._peer.close()
            self._is_open = False
        return {}


def main() -> None:
    """Do what standard input says, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the errors
    stage = Stage(make_peer(sys.argv[1]), workers=int(sys.argv[2]))
    steps: dict[str, Callable[..., dict[str, Any]]] = {"prepare": stage.prepare, "round": stage.round}
    try:
        for line in sys.stdin:
            step = json.loads(line)
            print(json.dumps(_try(steps[step.pop("step")], step)), file=answers, flush=True)
    finally:
        stage.close()


def _try(step: Callable[..., dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return step(**arguments)
    except Unable as error:
        return {"reason": str(error)}
    except Exception as error:
        return {"reason": f"{type(error).__name__}: {error}".partition("\n")[0]}


if __name__ == "__main__":
    main()
