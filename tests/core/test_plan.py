"""The plan follows from options and facts alone, and says why."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from allcores._core.options import Options
from allcores._core.plan import OWN_THREAD, Facts, Plan, make_plan

SAFE = Facts(cores=6, cores_bound="this test", can_fork=True, fork_hazard=None, can_start_clean=True)
THREADED = SAFE._replace(fork_hazard="2 Python threads are running")
FORKLESS = SAFE._replace(can_fork=False, fork_hazard="there is no fork here")
PROCESSLESS = FORKLESS._replace(can_start_clean=False)


def plan(facts: Facts = SAFE, **options: Any) -> Plan:
    return make_plan(Options(**options), facts)


def test_by_default_there_are_as_many_workers_as_usable_cores() -> None:
    made = plan()
    assert (made.workers, made.workers_reason) == (6, "usable cores, bounded by this test")


def test_as_many_workers_as_were_asked_for_even_if_there_are_fewer_cores() -> None:
    made = plan(workers=64)
    assert (made.workers, made.workers_reason) == (64, "workers=64 was asked for")


def test_an_executor_has_as_many_workers_as_it_tells() -> None:
    made = plan(SAFE._replace(slots=3), on=ThreadPoolExecutor)
    assert (made.on, made.workers, made.start, made.threads) == ("executor", 3, None, None)
    assert str(made).splitlines()[0] == "3 on executor: as many as the executor has"
    assert plan(on=ThreadPoolExecutor).workers == 6
    assert "workers= says so" in plan(on=ThreadPoolExecutor).workers_reason
    assert (
        plan(SAFE._replace(slots=3), on="tcp://a:1").workers_reason
        == "as many as the cluster has, and more as they come"
    )
    assert plan(SAFE._replace(slots=3), on=ThreadPoolExecutor, workers=5).workers == 5


@pytest.mark.parametrize("on", [ThreadPoolExecutor, "dask"])
@pytest.mark.parametrize(
    "option",
    [
        {"timeout": 1},
        {"memory": 1},
        {"recycle": 1},
        {"devices": [0]},
        {"finalizer": print},
        {"start": "fork"},
        {"threads": 1},
    ],
    ids=str,
)
def test_what_workers_of_others_cannot_keep_is_refused_by_name(on: Any, option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(option))}="):
        plan(on=on, **option)


def test_serial_is_one_worker_whatever_was_asked_for() -> None:
    made = plan(on="serial", workers=64)
    assert (made.on, made.workers) == ("serial", 1)
    assert "caller's own thread" in made.workers_reason


@pytest.mark.parametrize("on", ["threads", "serial"])
@pytest.mark.parametrize("facts", [SAFE, PROCESSLESS])
def test_without_processes_nothing_is_started_and_every_platform_will_do(on: str, facts: Facts) -> None:
    assert plan(facts, on=on).start is None


def test_a_fork_where_it_is_safe() -> None:
    made = plan()
    assert made.start == "fork"
    assert "safe here" in made.start_reason


@pytest.mark.parametrize("facts", [THREADED, FORKLESS])
def test_a_clean_start_where_a_fork_is_not_safe_or_not_possible(facts: Facts) -> None:
    made = plan(facts)
    assert made.start == "forkserver"
    assert str(facts.fork_hazard) in made.start_reason


@pytest.mark.parametrize("start", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("facts", [SAFE, THREADED])
def test_the_way_of_starting_that_was_asked_for(start: str, facts: Facts) -> None:
    made = plan(facts, start=start)
    assert made.start == start
    assert made.start_reason.startswith("asked for")


def test_a_fork_that_was_asked_for_although_it_is_not_safe_says_so() -> None:
    made = plan(THREADED, start="fork")
    assert made.start_reason == "asked for, although 2 Python threads are running"
    assert made.fork_hazard == "2 Python threads are running"


NEEDY = SAFE._replace(fork_need="initargs[0], a Lock,")


@pytest.mark.parametrize("facts", [THREADED, SAFE._replace(has_own_thread=True)])
def test_a_fork_where_nothing_else_will_do_though_it_is_not_known_to_be_safe(facts: Facts) -> None:
    made = plan(facts._replace(fork_need=NEEDY.fork_need))
    assert made.start == "fork"
    assert made.start_reason.startswith("initargs[0], a Lock, can be had by forked workers alone")
    assert (made.fork_hazard or "") in made.start_reason
    assert plan(NEEDY, start="spawn").start == "spawn"


def test_a_run_in_a_thread_of_its_own_starts_clean_unless_multiprocessing_forks_in_this_program() -> None:
    own = SAFE._replace(has_own_thread=True)
    assert plan(own).start == "forkserver"
    assert OWN_THREAD in plan(own).start_reason
    assert plan(own._replace(start_used="forkserver")).start == "forkserver"
    made = plan(own._replace(start_used="fork"))
    assert (made.start, made.fork_hazard) == ("fork", None)
    assert "multiprocessing" in made.start_reason
    assert plan(own._replace(start_used="fork", fork_hazard="2 Python threads are running")).start == "forkserver"


@pytest.mark.parametrize("start", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("facts", [SAFE, THREADED, NEEDY, SAFE._replace(has_own_thread=True)])
def test_what_multiprocessing_was_told_is_the_default(start: Any, facts: Facts) -> None:
    told = facts._replace(start_set=start)
    assert plan(told).start == start
    assert plan(told).start_reason.startswith("multiprocessing was told to start processes so")
    assert ("although" in plan(told).start_reason) == (start == "fork" and facts is THREADED)
    assert plan(told, start="fork").start_reason.startswith("asked for")
    assert plan(told, on="threads").start is None


FROZEN = SAFE._replace(clean_hazard="this program is frozen")


def test_a_fork_where_no_worker_can_start_clean() -> None:
    own = FROZEN._replace(has_own_thread=True)
    needy = FROZEN._replace(fork_hazard="2 Python threads are running", fork_need="initargs[0], a Lock,")
    told = FROZEN._replace(fork_hazard="2 Python threads are running", start_set="fork")
    for facts in (FROZEN, own, needy, told, FROZEN._replace(start_set="spawn")):
        made = plan(facts)
        assert made.start == plan(facts, start="fork").start == "fork"
        assert made.start_reason.startswith("this program is frozen")


@pytest.mark.parametrize("start", ["forkserver", "spawn"])
def test_a_clean_start_where_there_is_none_is_refused_with_what_to_do(start: str) -> None:
    with pytest.raises(RuntimeError, match="this program is frozen; use start='fork', or on='threads'"):
        plan(FROZEN, start=start)
    assert plan(FROZEN, start=start, on="threads").start is None


def test_where_neither_is_safe_the_caller_is_to_decide() -> None:
    with pytest.raises(RuntimeError, match=r"as 2 Python threads are running, and this program is frozen; use on="):
        plan(FROZEN._replace(fork_hazard="2 Python threads are running"))


def test_a_fork_where_there_is_none_names_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="start='fork' is not possible on this platform") as caught:
        plan(FORKLESS, start="fork")
    assert all(repr(start) in str(caught.value) for start in ("auto", "forkserver", "spawn"))


@pytest.mark.parametrize("start", ["auto", "forkserver", "spawn"])
def test_processes_where_there_are_none_names_what_is_allowed(start: str) -> None:
    with pytest.raises(ValueError, match="on='processes' does not run on this platform") as caught:
        plan(PROCESSLESS, start=start)
    assert all(repr(on) in str(caught.value) for on in ("threads", "serial"))


def test_what_was_asked_for_is_in_the_plan() -> None:
    made = plan(batch=5, ahead=100, errors="collect", on="threads")
    assert (made.batch, made.ahead, made.errors, made.on) == (5, 100, "collect", "threads")


def test_limits_are_in_the_plan() -> None:
    made = plan(timeout=1.5, retries=2, memory="2GB", recycle=100, resume="run.journal")
    assert (made.timeout, made.retries, made.memory) == (1.5, 2, 2_000_000_000)
    assert (made.recycle_items, made.recycle_bytes) == (100, None)
    assert made.resume == "run.journal"


def test_recycling_is_after_items_or_after_growth() -> None:
    made = plan(recycle="500MB")
    assert (made.recycle_items, made.recycle_bytes) == (None, 500_000_000)


def test_without_limits_there_are_none() -> None:
    made = plan()
    limits = (made.timeout, made.memory, made.recycle_items, made.recycle_bytes, made.resume)
    assert (set(limits), made.retries) == ({None}, 0)


KILLING = {"timeout": 2.0, "memory": 10**9, "recycle": 5}


@pytest.mark.parametrize(("name", "value"), [*KILLING.items(), ("recycle", "500MB")])
def test_threads_refuse_what_only_workers_that_can_be_killed_keep(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="needs workers that can be killed, and threads cannot") as caught:
        plan(on="threads", **{name: value})
    assert f"{name}={value!r}" in str(caught.value)
    assert "on='processes'" in str(caught.value)


def test_serial_takes_every_option_since_it_is_for_debugging() -> None:
    made = plan(on="serial", retries=2, **KILLING)
    assert (made.on, made.retries) == ("serial", 2)


@pytest.mark.parametrize("on", ["processes", "threads"])
def test_only_workers_that_others_start_are_waited_for(on: str) -> None:
    with pytest.raises(ValueError, match=r"^timeout_start=5\.0 is for workers that others start.*leave it out"):
        plan(on=on, timeout_start=5)
    made = plan(on="tcp://scheduler:8786", timeout_start=5)
    assert made.timeout_start == 5.0
    assert "timeout_start 5 s for workers to be there" in str(made).splitlines()
    assert plan(on="serial", timeout_start=5).timeout_start is None


def test_threads_try_again_and_record() -> None:
    made = plan(on="threads", retries=2, resume="run.journal")
    assert (made.retries, made.resume) == (2, "run.journal")


def test_a_plan_is_frozen() -> None:
    with pytest.raises(AttributeError):
        plan().workers = 3  # type: ignore[misc]  # that is the point


def test_a_plan_reads_as_a_few_lines() -> None:
    assert str(plan(workers=2, batch=5, ahead=100)).splitlines() == [
        "2 on processes: workers=2 was asked for",
        "start fork: safe here, and workers inherit the function and the dataset",
        "native threads 3: each worker's share of 6 usable cores",
        "batch 5, ahead 100",
    ]
    assert str(plan(on="threads")).splitlines() == [
        "10 on threads: threads mostly wait, so a few more than 6 usable cores, bounded by this test",
        "native threads 1: each worker's share of 6 usable cores",
        "batch adaptive, ahead a few batches per worker",
    ]


def test_a_plan_tells_its_limits_each_in_a_line() -> None:
    limits = plan(timeout=0.5, retries=2, memory="2GB", recycle=100, resume="run.journal")
    assert str(limits).splitlines()[4:] == [
        "timeout 0.5 s per item",
        "retries 2 per item",
        "memory 2 GB per worker",
        "recycle each worker after 100 items",
        "resume from run.journal",
    ]
    assert str(plan(recycle="512MiB")).splitlines()[4:] == ["recycle each worker that has grown by 537 MB"]


# --------------------------------------------------------------------------------------------------------- settings


def test_what_clean_workers_are_given_and_what_they_lack(start: str) -> None:
    is_told = start != "fork"
    facts = SAFE._replace(settings=("decimal context", "recursion limit 5000"), left=("sys.excepthook",))
    made = plan(facts, start=start)
    assert (made.carried, made.not_carried) == ((facts.settings, facts.left) if is_told else ((), ()))
    told = [line for line in str(made).splitlines() if "carried" in line]
    lines = ["carried: decimal context, recursion limit 5000", "not carried: sys.excepthook"]
    assert told == (lines if is_told else [])


def test_what_is_found_here_is_told(run_python: Any) -> None:
    program = """
import allcores
print(allcores.plan(start="spawn"))
import decimal, logging, signal, sys, threading
import numpy as np
decimal.getcontext().prec = 50
sys.setrecursionlimit(5000)
np.seterr(all="raise")
np.seterrcall(type("Log", (), {"__call__": print, "lock": threading.Lock()})())
logging.basicConfig(level="DEBUG")
signal.signal(signal.SIGUSR1, print)
sys.excepthook = print
print(allcores.plan(start="spawn"))
print(allcores.plan(start="fork"))
"""
    told = [line for line in run_python(program, warnings="ignore").stdout.splitlines() if "carried" in line]
    assert told == [
        "carried: warning filters",
        "carried: recursion limit 5000, decimal context, logging levels, warning filters, NumPy error state",
        "not carried: NumPy error callback, sys.excepthook, the handler of SIGUSR1",
    ]


# ---------------------------------------------------------------------------------------------- how many workers


@pytest.mark.parametrize(
    ("asked", "workers", "why"),
    [
        (-1, 6, "workers=-1, counted from 6 usable cores"),
        (-2, 5, "workers=-2"),
        (-100, 1, "workers=-100"),
        (0.5, 3, "workers=0.5 of 6 usable cores"),
        (0.1, 1, "workers=0.1"),
        ("physical", 6, "nobody knows"),
    ],
)
def test_workers_can_be_counted_from_the_usable_cores(asked: Any, workers: int, why: str) -> None:
    made = plan(workers=asked)
    assert made.workers == workers
    assert why in made.workers_reason


def test_physical_cores_count_where_they_are_known() -> None:
    assert plan(SAFE._replace(physical=3), workers="physical").workers == 3
    assert plan(SAFE._replace(physical=12), workers="physical").workers == SAFE.cores


@pytest.mark.parametrize(("cores", "workers"), [(1, 5), (6, 10), (28, 32), (100, 32)])
def test_threads_are_a_few_more_than_the_cores(cores: int, workers: int) -> None:
    made = plan(SAFE._replace(cores=cores), on="threads")
    assert made.workers == workers
    assert "wait" in made.workers_reason


# ------------------------------------------------------------------------------------------------ native threads


@pytest.mark.parametrize(("workers", "share"), [(1, 6), (2, 3), (4, 1), (6, 1), (100, 1)])
def test_workers_times_native_threads_stay_within_the_cores(workers: int, share: int) -> None:
    made = plan(workers=workers)
    assert (made.threads, made.cores) == (share, share)


def test_what_was_asked_of_native_threads_goes_before_the_share_and_the_environment() -> None:
    facts = SAFE._replace(native_set=(("OMP_NUM_THREADS", "4"),))
    assert plan(facts, threads=5).threads == 5
    assert plan(facts, threads=5).native_set == ()
    assert plan(facts, threads=None).threads is None
    assert "left alone" in str(plan(facts, threads=None))
    assert plan(facts).native_set == facts.native_set
    assert "OMP_NUM_THREADS=4, as the environment says" in str(plan(facts))


def test_serial_leaves_the_callers_native_threads_alone() -> None:
    assert plan(on="serial").threads is None
    assert plan(on="serial", threads=2).threads == 2


def test_a_plan_is_a_line_to_look_at() -> None:
    assert repr(plan()).startswith("<Plan: ")
    made = plan(workers=3, retries=2, timeout=5)
    assert repr(made) == "<Plan: 3 on processes, start fork, batch adaptive, timeout 5 s per item, retries 2 per item>"
    assert repr(plan(on="serial", batch=4)) == "<Plan: 1 on serial, batch 4>"


def test_a_notebook_shows_a_plan_as_a_table() -> None:
    made = plan(retries=2)
    assert made._repr_html_().count("<tr>") == len(str(made).splitlines())
