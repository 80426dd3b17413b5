"""What this machine and this process allow: above all forks."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import ModuleType

import pytest

from allcores._core.options import Options
from allcores._system.cores import usable_cores
from allcores._system.machine import FORK_BREAKERS, find_facts, fork_hazard

# --------------------------------------------------------------------------------------------------------------- forks


def test_a_fork_is_safe_in_a_plain_process(run_python: Callable[..., object]) -> None:
    run_python("from allcores._system.machine import fork_hazard; assert fork_hazard() is None, fork_hazard()")


def test_a_running_thread_makes_a_fork_unsafe() -> None:
    end = threading.Event()
    threads = [threading.Thread(target=end.wait) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        assert fork_hazard() == f"{threading.active_count()} Python threads are running"
        assert find_facts(Options()).fork_hazard == fork_hazard()
    finally:
        end.set()
        for thread in threads:
            thread.join()


JOINED = """
import threading
from allcores._system.machine import fork_hazard

for _ in range(100):
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert fork_hazard() is None, fork_hazard()
"""


def test_a_thread_that_was_joined_is_no_hazard_though_the_system_still_shows_it(
    run_python: Callable[..., object],
) -> None:
    run_python(JOINED)


INTERPRETERS = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import allcores

inner = interpreters.create()
plan = allcores.map(abs, range(3)).report.plan
assert plan.start == "forkserver" and "2 interpreters are open in this process" in plan.start_reason, plan
interpreters.destroy(inner)
assert allcores.map(abs, range(3)).report.plan.start == "fork"
"""


def test_a_second_interpreter_makes_a_fork_unsafe(run_python: Callable[..., object]) -> None:
    run_python(INTERPRETERS)


@pytest.mark.parametrize("name", FORK_BREAKERS)
def test_a_library_that_does_not_survive_a_fork_makes_it_unsafe(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for breaker in FORK_BREAKERS:
        monkeypatch.delitem(sys.modules, breaker, raising=False)
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert fork_hazard() == f"{name} is imported, which does not survive a fork"


def test_facts_say_what_this_platform_can() -> None:
    facts = find_facts(Options())
    assert facts.can_fork == facts.can_start_clean == hasattr(os, "fork")
    assert (facts.cores, facts.cores_bound) == (usable_cores(), usable_cores().bound)
