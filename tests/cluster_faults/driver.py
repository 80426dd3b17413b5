"""The driver of a scenario on a cluster: one call, which faults come into, and what came of it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from faults.driver import Word, open_board

import allcores

MANY = 1 << 20  # tries: enough for whatever faults there are
END = "end.json"  # what came of the call
ENTERED = "entered"  # a file for each process that has run an item
ENDS = {"done": 0, "interrupted": 3, "cluster is gone": 4}  # exit codes


class Lasting(Exception):
    """What an item raises each time."""


class Scenario(NamedTuple):
    """One call, the same for all of its drivers.

    Attributes:
        count: of the items.
        batch: items per batch; None to adapt.
        is_lazy: whether results are taken one by one.
        seconds: that items take, by index.
        raises: the items that raise each time.
        ends: the items that end their process at the first try.
    """

    count: int
    batch: int | None
    is_lazy: bool
    seconds: dict[int, float]
    raises: frozenset[int]
    ends: frozenset[int]

    def expected(self, index: int) -> Any:
        """Say what comes of an item; None where it raises."""
        return None if index in self.raises else (index, 3 * index + 1)


def draw_scenario(seed: int, number: int) -> Scenario:
    """Draw one."""
    chance = Random(f"{seed} {number}")
    count = chance.randrange(200, 800)
    indices = range(count)
    return Scenario(
        count,
        chance.choice([None, None, 1, 7]),
        chance.random() < 0.4,
        {index: chance.uniform(0, 0.02) for index in chance.sample(indices, count // 2)},
        frozenset(chance.sample(indices, chance.randrange(4))),
        frozenset(chance.sample(indices, chance.choice([0, 0, 1]))),
    )


class Work:
    """The function of the call.

    Args:
        scenario: says what items do.
        folder: where processes leave their numbers.
    """

    def __init__(self, scenario: Scenario, folder: str) -> None:
        self._scenario = scenario
        self._folder = folder

    def __call__(self, index: int) -> tuple[int, int]:
        Path(self._folder, ENTERED, f"{os.getpid()}").touch()
        time.sleep(self._scenario.seconds.get(index, 0.0))
        if index in self._scenario.ends and allcores.current_item().tries == 1:
            os._exit(7)
        if index in self._scenario.raises:
            raise Lasting(index)
        return index, 3 * index + 1


def complaints_about(scenario: Scenario, outcomes: dict[int, Any]) -> list[str]:
    """Say what is wrong with what came of items."""
    wrong = []
    for index, outcome in outcomes.items():
        if isinstance(outcome, allcores.Failure):
            is_right = outcome.index == index in scenario.raises and isinstance(outcome.exception, Lasting)
        else:
            is_right = outcome == scenario.expected(index)
        if not is_right:
            wrong.append(f"item {index} came to {outcome!r}")
    return wrong


def run(place: str, folder: Path, scenario: Scenario) -> tuple[str, list[str]]:
    """Make the call; give how it ended, and what is wrong with what came of it."""
    board = open_board(folder)
    board[Word.SETTLED] = 0
    outcomes: dict[int, Any] = {}

    def hear(settled: int, total: int | None) -> None:
        board[Word.SETTLED] = settled
        board[Word.PID] = os.getpid()

    options: dict[str, Any] = {
        "on": place,
        "workers": 2,
        "batch": scenario.batch,
        "errors": "collect",
        "retries": MANY,
        "retry_on": (allcores.WorkerDied,),
        "resume": folder / "journal",
        "progress": hear,
    }
    work = Work(scenario, str(folder))
    try:
        if scenario.is_lazy:
            with allcores.imap_unordered(work, range(scenario.count), **options) as results:
                outcomes.update(results)
        else:
            outcomes = dict(enumerate(allcores.map(work, range(scenario.count), **options)))
    except (KeyboardInterrupt, allcores.WorkersUnavailable) as error:
        finished = allcores.finished(error)
        wrong = [f"taken, and finished as well: {index}" for index in finished.keys() & outcomes.keys()]
        wrong += complaints_about(scenario, {**outcomes, **finished})
        return "interrupted" if isinstance(error, KeyboardInterrupt) else "cluster is gone", wrong
    wrong = complaints_about(scenario, outcomes)
    if missing := set(range(scenario.count)) - outcomes.keys():
        wrong.append(f"items are missing: {sorted(missing)[:20]}")
    return "done", wrong


def main() -> None:
    """Run as ``python -m cluster_faults.driver PLACE FOLDER SEED NUMBER``."""
    place, folder, seed, number = sys.argv[1:]
    end, wrong = run(place, Path(folder), draw_scenario(int(seed), int(number)))
    Path(folder, END).write_text(json.dumps(wrong))
    sys.exit(ENDS[end])


if __name__ == "__main__":
    main()
