"""Run a suite of the standard library's own tests: ``python -m foreign.run pool --start fork``.

It prints a line for each test. The exit code is 1 if one fails, none passes, or they leave threads or processes behind.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from test import support

from foreign.door import Door, replace_executor, replace_pool
from foreign.ledger import Ledger, Test


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests of what stands in one place of the standard library.

    Args:
        door: what takes that place, as ``"module:name"``.
        replace: puts it there.
        modules: hold the tests. They must not be imported before that.
        left_out: is the module with the names of the tests that are left out, and why they are.
    """

    door: str
    replace: Callable[[Door], None]
    modules: tuple[str, ...]
    left_out: str


EXECUTOR_PARTS = ("process_pool", "wait", "as_completed", "shutdown", "init", "deadlock")
EXECUTOR_MODULES = tuple(f"test.test_concurrent_futures.test_{part}" for part in EXECUTOR_PARTS)

SUITES = {
    "pool": Suite("allcores:Pool", replace_pool, ("foreign.pool",), "foreign.pool"),
    "executor": Suite("allcores:Executor", replace_executor, EXECUTOR_MODULES, "foreign.executor"),
}


def main() -> int:
    """Run a suite and give the exit code."""
    arguments = _parser().parse_args()
    suite = SUITES[arguments.suite]
    faulthandler.enable()  # for whoever aborts a run that hangs, to see where it does
    support.verbose = 0
    if arguments.quick:
        support.use_resources = []  # nor time, as the tests see it
    suite.replace(Door(*(arguments.door or suite.door).split(":"), arguments.start))
    tests = dict(_tests(suite, arguments.start))
    left_out = {} if arguments.all else _left_out(suite, tests)
    unknown = [f"{name}: left out, but there is no such test" for name in left_out.keys() - tests.keys()]
    tests = {
        name: test
        for name, test in tests.items()
        if arguments.only in name and test.__module__.endswith(arguments.part)
    }
    troubles = unknown + _play(tests, left_out)
    print(*troubles, sep="\n")
    return 1 if troubles else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m foreign.run", description=__doc__)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--start", choices=("fork", "forkserver", "spawn"), default="fork")
    parser.add_argument("--door", help="module:name, in the place of allcores': multiprocessing:Pool, for one")
    parser.add_argument("--part", default="", help="tests of modules whose names end so: shutdown, for one")
    parser.add_argument("--only", default="", help="tests that have this in their names")
    parser.add_argument("--quick", action="store_true", help="without tests that the standard library says take long")
    parser.add_argument("--all", action="store_true", help="leave out nothing else")
    return parser


def _tests(suite: Suite, start: str) -> Iterator[tuple[str, Test]]:
    """Give tests with their names, which are the same for every start method."""
    for module in map(import_module, suite.modules):
        for case in vars(module).values():
            if _is_for(start, case):
                name = case.__name__.removeprefix(f"ProcessPool{start.capitalize()}")
                yield from (
                    (f"{name}.{method}", case(method)) for method in unittest.TestLoader().getTestCaseNames(case)
                )


def _left_out(suite: Suite, tests: dict[str, Test]) -> dict[str, str]:
    module = import_module(suite.left_out)
    if_there = getattr(module, "LEFT_OUT_IF_THERE", {})
    return module.LEFT_OUT | {name: why for name, why in if_there.items() if name in tests}


def _is_for(start: str, case: object) -> bool:
    """Whether something in a module is tests under a start method, not those of another or of threads."""
    if not isinstance(case, type) or not issubclass(case, unittest.TestCase):
        return False
    return case.__module__ == "foreign.pool" or getattr(case, "ctx", None) == start


def _play(tests: dict[str, Test], left_out: dict[str, str]) -> list[str]:
    """Run tests and give what is wrong."""
    for name in sorted(tests.keys() & left_out.keys()):
        print(f"{name} ... left out: {left_out[name]}")
    names = {test: name for name, test in tests.items()}
    ledger = Ledger(lambda test: names.get(test) or test.id())  # the set-up of a class has only an id
    unittest.TestSuite(test for name, test in tests.items() if name not in left_out)(ledger)
    troubles = [f"{name}: failed" for name in ledger.failed]
    if not ledger.passed:
        troubles.append("no test passed")
    if support.environment_altered:
        troubles.append("threads or processes are left behind: a warning above tells which")
    return troubles


if __name__ == "__main__":
    sys.exit(main())
