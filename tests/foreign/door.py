"""What takes the place of a class of the standard library, while that library's own tests run."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from test.support import script_helper

STANDARD = ("multiprocessing", "concurrent.futures")


@dataclass(frozen=True, slots=True)
class Door:
    """A class that opens workers, as tests call it: ``Door("allcores", "Pool", "fork")``."""

    module: str
    name: str
    start: str

    @property
    def is_standard(self) -> bool:
        """Whether it is in its place already."""
        return self.module in STANDARD

    def load(self) -> Callable[..., Any]:
        """Give the class itself."""
        return getattr(import_module(self.module), self.name)


def replace_pool(door: Door) -> None:
    """Put a door in the place of ``multiprocessing.Pool``, which knows its start method from elsewhere."""
    multiprocessing.set_start_method(door.start)
    if not door.is_standard:
        multiprocessing.Pool = partial(door.load(), start=door.start)
        call = f"partial({door.module}.{door.name}, start={door.start!r})"
        _rewrite_programs(
            "from multiprocessing import Pool", f"import {door.module}; from functools import partial; Pool = {call}"
        )


def replace_executor(door: Door) -> None:
    """Put a door in the place of ``ProcessPoolExecutor``; tests give it the start method, as an `mp_context`."""
    if not door.is_standard:
        futures.ProcessPoolExecutor = door.load()
        _rewrite_programs(f"from concurrent.futures import {door.name}", f"from {door.module} import {door.name}")


def _rewrite_programs(standard: str, ours: str) -> None:
    """Have the programs that tests run in an interpreter of their own import the door, too."""
    run = script_helper.assert_python_ok

    def assert_python_ok(flag: str, program: str, **variables: str) -> Any:
        assert standard in program, f"{standard!r} is not in the program:\n{program}"
        return run(flag, program.replace(standard, ours), **variables)

    script_helper.assert_python_ok = assert_python_ok
