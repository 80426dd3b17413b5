"""A run in a thread of its own: whatever is handed in is done, or somebody hears why not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores._core.options import Options
from allcores._objects.outcomes import DROPPED
from allcores._run.service import Service

pytestmark = pytest.mark.once

Serve = Callable[..., Service]


class Listener:
    """Waits for what comes of a submission."""

    def __init__(self, count: int = 1, *, is_wanted: bool = True) -> None:
        self._outcomes: list[Any] = [None] * count
        self._left = count
        self._is_over = threading.Event()
        self._is_wanted = is_wanted
        self.abandoned: BaseException | None = None

    def begin(self) -> bool:
        return self._is_wanted

    def put(self, start: int, outcomes: list[Any]) -> None:
        self._outcomes[start : start + len(outcomes)] = outcomes
        self._left -= len(outcomes)
        if not self._left:
            self._is_over.set()

    def abandon(self, error: BaseException) -> None:
        self.abandoned = error
        self._is_over.set()

    def is_over(self) -> bool:
        return self._is_over.is_set()

    def outcomes(self) -> list[Any]:
        assert self._is_over.wait(20)
        return self._outcomes

    def end(self) -> BaseException | None:
        assert self._is_over.wait(20)
        return self.abandoned


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Make services that are ended after the test: ``serve(**options)``."""
    with ExitStack() as services:

        def make(**options: Any) -> Service:
            service = Service(Options(**{"workers": 2, **options}), name="test", is_patient=False)
            services.callback(service.join, 20)
            services.callback(service.stop)
            return service

        yield make


def call(service: Service, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    listener = Listener()
    service.call(function, args, kwargs, listener)
    return listener.outcomes()[0]


def run_items(service: Service, function: Callable[..., Any], items: Any, **how: Any) -> list[Any]:
    listener = Listener(len(items))
    service.submit(service.line(function, **how), items, listener)
    return listener.outcomes()


def test_items_of_several_functions_and_calls_are_done_side_by_side(serve, home):
    service = serve(**home)
    listeners = [Listener(1000) for _ in range(4)]
    for factor, listener in enumerate(listeners):
        service.submit(service.line(lambda x, factor=factor: x * factor), range(1000), listener)
    assert call(service, divmod, 7, 3) == (2, 1)
    assert call(service, int, "11", base=2) == 3
    for factor, listener in enumerate(listeners):
        assert listener.outcomes() == [x * factor for x in range(1000)]
    assert run_items(service, pow, [(2, 3), (3, 2)], is_star=True) == [8, 9]


def test_an_item_that_fails_hurts_no_other(serve, home):
    def invert(x: int) -> float:
        return 1 / x

    outcomes = run_items(serve(**home), invert, [1, 0, 2])
    assert (outcomes[0], outcomes[2]) == (1.0, 0.5)
    assert outcomes[1].index == 1
    assert isinstance(outcomes[1].exception, ZeroDivisionError)
    assert "allcores: item 1 (0) failed on worker" in outcomes[1].exception.__notes__[0]


def test_a_call_that_kills_its_worker_fails_alone(serve, start):
    service = serve(start=start)
    waiting = Listener(50)
    service.submit(service.line(str), range(50), waiting)
    failure = call(service, os._exit, 3)
    assert isinstance(failure.exception, allcores.WorkerDied)
    assert str(failure.exception).endswith("while it ran the call of _exit with (3,)")
    assert waiting.outcomes() == [str(x) for x in range(50)]
    assert call(service, abs, -1) == 1


def test_what_runs_can_be_cancelled_and_what_waits_does_not_run(serve, start, tmp_path):
    service = serve(start=start, workers=1)
    running, waiting = Listener(), Listener()
    os.mkfifo(tmp_path / "begun")
    hanging = service.call(hang, (str(tmp_path / "begun"),), {}, running)
    pending = service.call(Path.touch, (tmp_path / "ran",), {}, waiting)
    (tmp_path / "begun").read_text()
    service.cancel(pending)
    service.cancel(hanging)
    assert isinstance(running.outcomes()[0].exception, allcores._core.errors.ItemCancelled)
    assert call(service, abs, -1) == 1
    assert isinstance(waiting.end(), allcores._core.errors.ItemCancelled)
    assert not (tmp_path / "ran").exists()


def hang(path: str) -> None:
    Path(path).write_text("begun")
    signal.pause()


def test_what_nobody_wants_any_more_when_its_turn_comes_does_not_run(serve, home, tmp_path):
    service, unwilling = serve(**home), Listener(is_wanted=False)
    service.call(Path.touch, (tmp_path / "ran",), {}, unwilling)
    assert unwilling.outcomes() == [DROPPED]
    assert not (tmp_path / "ran").exists()


def test_limits_and_tries_hold_for_every_item(serve, start):
    service = serve(start=start, timeout=0.2, retries=1, retry_on=ValueError)
    assert isinstance(call(service, time.sleep, 30).exception, allcores.ItemTimeout)
    failure = call(service, int, "x")
    assert (type(failure.exception), failure.tries) == (ValueError, 2)


class Counting:
    """A function that writes down where it arrives."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        with self._log.open("a") as log:
            log.write(f"{os.getpid()}\n")

    def __call__(self, x: int) -> int:
        return x + 1


def test_a_function_travels_once_to_each_worker(serve, start, tmp_path):
    log = tmp_path / "log"
    outcomes = run_items(serve(start=start), Counting(log), range(500), batch=5)
    assert outcomes == list(range(1, 501))
    arrived = log.read_text().split()
    assert len(arrived) == len(set(arrived)) <= 2


def test_a_function_that_cannot_travel_is_refused_where_it_is_handed_in(serve, start):
    lock = threading.Lock()
    with pytest.raises(allcores.UnpicklableError, match="variable 'lock'"):
        serve(start=start).line(lambda x: (lock, x))


def test_closing_lets_everything_finish(serve, home):
    service, listener = serve(**home), Listener(2000)
    service.submit(service.line(abs), range(2000), listener)
    service.close()
    assert service.join(20)
    assert listener.outcomes() == list(range(2000))
    assert service.error is None
    with pytest.raises(RuntimeError, match="closed"):
        service.call(abs, (1,), {}, Listener())


def test_whoever_waits_when_it_is_stopped_hears_of_it(serve, start, tmp_path):
    service, listeners = serve(start=start), [Listener() for _ in range(10)]
    os.mkfifo(tmp_path / "begun")
    service.call(hang, (str(tmp_path / "begun"),), {}, listeners[0])
    for listener in listeners[1:]:
        service.call(signal.pause, (), {}, listener)
    (tmp_path / "begun").read_text()
    service.stop()
    assert service.join(20)
    assert [type(listener.end()) for listener in listeners] == [allcores._core.errors.Terminated] * 10


def fail_to_begin() -> None:
    raise LookupError("no model")


def test_an_initializer_that_fails_ends_everything_and_says_so(serve, home):
    service, listener = serve(**home, initializer=fail_to_begin), Listener()
    service.call(abs, (1,), {}, listener)
    assert isinstance(listener.end(), LookupError)
    assert service.join(20)
    with pytest.raises(LookupError, match="no model"):
        service.call(abs, (1,), {}, Listener())


def test_a_forked_child_is_refused(serve):
    service = serve()
    child = os.fork()
    if child == 0:
        try:
            service.call(abs, (1,), {}, Listener())
        except RuntimeError as error:
            os._exit("a forked child cannot use it" in str(error))
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert call(service, abs, -1) == 1


def test_it_forks_only_if_it_is_told_to(serve):
    assert serve().plan.start != "fork"
    assert serve(start="fork").plan.start == "fork"


@pytest.mark.parametrize("attends", [False, True])
def test_it_knows_who_must_not_wait_for_it(serve, attends):
    service, seen = serve(), []

    class Curious(Listener):
        def put(self, start: int, outcomes: list[Any]) -> None:
            seen.append(service.is_inside)
            super().put(start, outcomes)

    listener = Curious()
    service.call(abs, (1,), {}, listener)
    if attends:
        service.attend(listener.is_over, 20)
    listener.outcomes()
    assert (seen, service.is_inside) == ([True], False)


AT_EXIT = """
import time
from allcores._core.options import Options
from allcores._run.service import Service

class Listener:
    def begin(self): return True
    def put(self, start, outcomes): print(outcomes, flush=True)
    def abandon(self, error): print(type(error).__name__, flush=True)

service = Service(Options(workers=1), name="test", is_patient={is_patient})
service.call(abs, (-1,), {{}}, Listener())
if not {is_patient}:
    service.call(time.sleep, (60,), {{}}, Listener())
"""


@pytest.mark.parametrize(("is_patient", "told"), [(True, {"[1]"}), (False, {"[1]", "Terminated"})])
def test_the_interpreter_ends_as_soon_as_it_should(run_python, is_patient, told):
    lines = run_python(AT_EXIT.format(is_patient=is_patient), timeout=20).stdout.split("\n")[:-1]
    assert lines[-1] in told
    assert set(lines) <= told


# -------------------------------------------------------------------------------------------- the caller's own module

CLASSIC = """
import sys
from allcores._core.options import Options
from allcores._run.service import Service
sys.path.insert(0, {tests!r})
from test_service import call, run_items

counter = None
factor = 10

def begin(value):
    global counter
    counter = value

def helper(x):
    return x * factor

def work(x):
    return counter + helper(x)

options = Options(workers=2, start=sys.argv[1], initializer=begin, initargs=(5,))
service = Service(options, name="test", is_patient=False)
print(run_items(service, work, range(4)))
print(run_items(service, lambda x: counter - x, range(4)))
print(call(service, work, 7))
factor = 100
print(run_items(service, work, range(4)))

def helper(x):
    return -x

print(run_items(service, work, range(4)), call(service, work, 7))

def early(x):
    return late(x)

print({str(call(service, early, 1).exception) for _ in range(3)})

def late(x):
    return later + x

later = 1
print(call(service, early, 1))
later = 2
print(call(service, early, 1), call(service, early, 1))
service.stop()
service.join()
"""


@pytest.fixture
def run_with(tmp_path: Path, start: str) -> Callable[[str], list[str]]:
    """Run a program with the start method as its argument; give the lines it prints."""

    def run(source: str) -> list[str]:
        program = tmp_path / "program.py"
        program.write_text(source.replace("{tests!r}", repr(str(Path(__file__).parent))))
        done = subprocess.run(
            [sys.executable, "-W", "error", program, start], capture_output=True, text=True, timeout=40, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


def test_functions_find_what_the_initializer_left_and_what_has_changed_since(run_with):
    assert run_with(CLASSIC) == [
        "[5, 15, 25, 35]",
        "[5, 4, 3, 2]",
        "75",
        "[5, 105, 205, 305]",
        "[5, 4, 3, 2] -2",
        """{"name 'late' is not defined"}""",
        "2",
        "3 3",
    ]


MANAGED = """
import multiprocessing, sys
from allcores._core.options import Options
from allcores._run.service import Service
sys.path.insert(0, {tests!r})
from test_service import run_items

with multiprocessing.get_context("fork").Manager() as manager:
    shared = manager.dict()
    service = Service(Options(workers=2, start=sys.argv[1]), name="test", is_patient=False)
    run_items(service, lambda x: shared.update({x: x * x}), range(10))
    print(dict(sorted(shared.items())) == {x: x * x for x in range(10)})
    service.stop()
    service.join()
"""


def test_workers_may_talk_to_a_manager(run_with):
    assert run_with(MANAGED) == ["True"]
