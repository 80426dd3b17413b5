"""Measure allcores beside its peers: `python -m benchmarks`, from the project's folder.

Each peer does each case in a process of its own, cold (from the import of its library) and warm; all in turn, several
rounds. What comes of it is printed, and with `--out` written as a table, as raw numbers and as a plot.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.machine import machine_facts, versions, workers_here
from benchmarks.peers import ALWAYS, PEERS
from benchmarks.rounds import Pace, Performance, Players
from benchmarks.table import case_table

QUICK = Pace(cold=1, warm=3, budget=2.0)


def main() -> None:
    arguments = parse()
    pace = QUICK if arguments.quick else Pace()
    workers = workers_here()
    print(machine_facts(), versions(arguments.peers), sep="\n", flush=True)
    measured = {}
    with Players(workers, pace) as players:
        for name in arguments.cases:
            case = CASES[name]
            taking_part = [peer for peer in PEERS if peer in arguments.peers and peer in {*ALWAYS, *case.extras}]
            measured[name] = Performance(case, taking_part, players, pace).measure()
            print(case_table(case, measured[name], workers), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--out", type=Path, help="folder for the table, the numbers and the plot")
    return parser.parse_args()


if __name__ == "__main__":
    main()
