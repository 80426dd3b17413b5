"""Measure allcores beside its peers: `python -m benchmarks`, from the project's folder.

Each peer does each case in a process of its own, cold (from the import of its library on) and warm; all in turn,
several rounds. What comes of it is printed, and with --out written as tables, as raw numbers and as a plot.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from benchmarks.case import Case
from benchmarks.cases import CASES
from benchmarks.machine import machine_facts, versions, workers_here
from benchmarks.peers import ALWAYS, PEERS
from benchmarks.plot import plot_cases
from benchmarks.rounds import Figures, Pace, Performance, Players
from benchmarks.table import case_table, target_table

Everything = dict[str, dict[str, Figures]]  # {case: {peer: figures}}

QUICK = Pace(cold=1, warm=3, budget=2.0)

# What has no peer, each a program of its own: what it prints is a part of the tables.
ALONE = {
    "features": "What features cost while they are off",
    "recovery": "What it costs to lose nothing",
    "scheduler": "The scheduler alone, against simulated workers",
}

INTRODUCTION = """\
# allcores beside its peers

Written by `make bench`. Every figure is the median of several rounds, in which all took turns; only ratios within this
one run mean anything. Each peer works in a process of its own and is used as its documentation tells. Cold is from the
import of the library to the last result in a fresh process; warm is any later call in the same one. Memory is that of a
further round: the peak of the main process, and that of all processes together, where what they share counts once.
Ray, which takes long to start, and the Pool whose chunk size is tuned first are measured cold only as a whole script.
What misses its target is a finding.
"""


def main() -> None:
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of the stages' ends
    pace = QUICK if arguments.quick else Pace()
    workers = workers_here()
    facts = {**machine_facts(), **versions(arguments.peers), "rounds": f"up to {pace.cold} cold, {pace.warm} warm"}
    print(tell(facts), flush=True)
    figures: Everything = {}
    with Players(workers, pace) as players:
        for name in arguments.cases:
            case = CASES[name]
            figures[name] = Performance(case, taking_part(case, arguments.peers), players, pace).measure()
            print(case_table(case, figures[name], workers), flush=True)
            if arguments.out is not None:  # after each, so that a run which is cut short has not been in vain
                write_down(arguments.out, facts, figures, workers)
    print(target_table([CASES[name] for name in figures], figures, workers))
    if arguments.out is not None:
        with (arguments.out / "peers.md").open("a") as file:
            for name, title in ALONE.items():
                file.write(f"\n## {title}\n\n{run_alone(name)}")


def write_down(folder: Path, facts: Mapping[str, str], figures: Everything, workers: int) -> None:
    """Write what has been measured so far."""
    cases = [CASES[name] for name in figures]
    folder.mkdir(parents=True, exist_ok=True)
    head = [INTRODUCTION, tell(facts) + "\n", "![times](peers.svg)\n"]
    targets = ["## Targets\n", target_table(cases, figures, workers)]
    tables = ["## Cases\n", *(case_table(case, figures[case.name], workers) for case in cases)]
    (folder / "peers.md").write_text("\n".join([*head, *targets, *tables]))
    raw = {case: {name: asdict(each) for name, each in peers.items()} for case, peers in figures.items()}
    (folder / "peers.json").write_text(json.dumps({"facts": facts, "cases": raw}, indent=1) + "\n")
    plot_cases(folder / "peers.svg", cases, figures)


def tell(facts: Mapping[str, str]) -> str:
    """Put facts into a sentence."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def taking_part(case: Case, names: list[str]) -> list[str]:
    """Give those of these peers that are measured in this case, in the order of the table."""
    return [name for name in PEERS if name in names and (name in ALWAYS or name in case.extras)]


def run_alone(name: str) -> str:
    """Run one of the programs that measure what has no peer; give what it prints."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip() + "\n"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases, peers = ", ".join(CASES), ", ".join(PEERS)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help=cases)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER", help=peers)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the tables, the numbers and the plot go")
    arguments = parser.parse_args()
    arguments.peers = list(dict.fromkeys(["loop", "allcores", *arguments.peers]))  # which all others are beside
    return arguments


if __name__ == "__main__":
    main()
