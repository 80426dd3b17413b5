"""What came of each test."""

from __future__ import annotations

import time
import unittest
from collections.abc import Callable
from typing import Any

Test = unittest.TestCase
Trouble = Any  # what `sys.exc_info` gives


class Ledger(unittest.TestResult):
    """Prints a line for each test, and the traceback of one that fails.

    Args:
        name_of: gives the name of a test.
    """

    def __init__(self, name_of: Callable[[Test], str]) -> None:
        super().__init__()
        self._name_of = name_of
        self._began = time.monotonic()
        self.passed: list[str] = []
        self.failed: list[str] = []

    def startTest(self, test: Test) -> None:  # noqa: N802
        super().startTest(test)
        self._began = time.monotonic()
        print(f"{self._name_of(test)} ... ", end="", flush=True)  # now, as it may never end

    def addSuccess(self, test: Test) -> None:  # noqa: N802
        self.passed.append(self._name_of(test))
        print(f"ok, {time.monotonic() - self._began:.1f} s", flush=True)

    def addSkip(self, test: Test, reason: str) -> None:  # noqa: N802
        print(f"skips itself: {reason}", flush=True)

    def addError(self, test: Test, trouble: Trouble) -> None:  # noqa: N802
        self.failed.append(self._name_of(test))
        print(f"FAILED\n{self._exc_info_to_string(trouble, test)}", flush=True)

    def addFailure(self, test: Test, trouble: Trouble) -> None:  # noqa: N802
        self.addError(test, trouble)

    def addSubTest(self, test: Test, subtest: Test, trouble: Trouble | None) -> None:  # noqa: N802
        if trouble is not None:
            self.addError(test, trouble)
