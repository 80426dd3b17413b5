"""A run in a thread of its own, that serves whoever hands items in: what `Pool` and `Executor` stand on.

The thread turns the very loop that `map` turns in its caller's. Everybody else posts into the run's inbox and wakes it;
but who hands in what a free worker can have sends it, too, and who waits for a result turns the loop meanwhile: see
`SharedLoop`.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Any
from weakref import WeakSet

from allcores._codec.captures import explain_unpicklable
from allcores._codec.codec import encode_job
from allcores._codec.definitions.classes import MAIN
from allcores._codec.definitions.contents import Inspection
from allcores._codec.definitions.globals import Known
from allcores._core.errors import Terminated
from allcores._core.functions import refuse_deferring
from allcores._core.options import OTHERS, Options
from allcores._core.plan import make_plan
from allcores._core.report import Report
from allcores._engines.chance import draw_chance, say_what_is_copied
from allcores._engines.launch import make_engine
from allcores._input.sharing.sharing import Belongings, Clearance
from allcores._run.calls import Calls, CallSnapshots, run_call, run_call_with_state, run_seeded_call
from allcores._run.driver import Run
from allcores._run.inbox import Inbox
from allcores._run.shared_loop import SharedLoop
from allcores._run.submission import Receiver, Submission
from allcores._settings.conditions import Conditions
from allcores._settings.snapshot import find_settings
from allcores._system.descriptors import Descriptors
from allcores._system.imports import offer_imports
from allcores._system.interrupts import hold_interrupts
from allcores._system.leadership import Leadership
from allcores._system.leaving import begin_to_leave, go_on_when_leaving, stop_if_left
from allcores._system.machine import find_facts
from allcores._system.program import start_used
from allcores._worker.job import Job
from allcores._worker.line import Line
from allcores._worker.reading import refuse_while_reading

__all__ = ["Service"]

CANCEL_SECONDS = 1.0  # for who cancels to wait until nobody else is in the loop


class Service:
    """Workers that serve until they are told to end.

    Any thread may call it. Receivers are called by whoever turns the loop; see `Receiver`, and `call_back`.

    Args:
        options: as of a run.
        name: of the thread.
        is_patient: whether the interpreter's exit waits for everything that was handed in; else it ends the workers.
        stands_in: whether it does so for the standard library, and its workers start as they would there.
        has_daemons: whether its workers are daemons for multiprocessing.

    Attributes:
        plan: how items run.
        calls: the line of what `call` hands in.

    Raises:
        ValueError: an option makes no sense here.
        UnpicklableError: the initializer cannot travel, or workers would share something through it; none has been
            started.
    """

    def __init__(
        self, options: Options, *, name: str, is_patient: bool, stands_in: bool = False, has_daemons: bool = False
    ) -> None:
        if options.resume is not None:
            raise ValueError(f"resume={options.resume!r} is for a run over one dataset: allcores.map has it")
        if options.engine in OTHERS:
            raise ValueError(f"on={options.on!r} is for a run over one dataset: allcores.map has it")
        here = Descriptors()
        belongings = Belongings.of(options)
        facts = find_facts(options, here, own_threads=_count_threads())
        facts = facts._replace(has_own_thread=True, start_used=start_used() if stands_in else None)
        if options.engine == "processes" and options.start == "auto":
            facts = belongings.weigh(facts, here)
        self.plan = make_plan(options, facts)
        if self.plan.start is not None:
            refuse_while_reading()
            belongings.require_unshared(self.plan.start, here)
        self._clearance = Clearance(self.plan.start, was_chosen=options.start == "auto")
        # What every worker has of the caller's: those that are forked, later than this, inherit it.
        self._born_with = Known(vars(sys.modules[MAIN]) if self.plan.start == "fork" else ())
        self.is_patient = is_patient
        self._chance = draw_chance(options.seed)
        self._initializer = options.initializer
        self._has_warned = False  # of generators; once is enough
        self._inbox = Inbox()
        self._look = find_settings if self.plan.on == "processes" else Conditions.here
        self._run_call = run_seeded_call if self._chance.is_seeded else run_call
        if options.state is not None:
            self._run_call = partial(run_call_with_state, self._run_call)
        base = self._job(self._run_call)._replace(
            initializer=options.initializer,
            initargs=options.initargs,
            is_daemon=has_daemons,
            settings=self._look(),
            state=options.state,
            finalizer=options.finalizer,
        )
        run = Run(
            self.plan._replace(errors="collect"),
            self._inbox,
            partial(make_engine, self.plan, base, self._inbox, self._inbox),
            self._inbox,
            retry_on=options.retry_on_types,
            inbox=self._inbox,
            is_lazy=False,
        )
        self.calls = self.line_for_calls()
        self._call_snapshots = CallSnapshots()
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a finalizer may close it amid anything, in the same thread, too
        self._is_closed = False
        self._error: BaseException | None = None
        self._leadership = Leadership()
        self._loop = SharedLoop(run, self._inbox, self._leadership)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        _services.add(self)

    @property
    def sends_items(self) -> bool:
        """Whether items go to other processes, and so must be what they were when they were handed in."""
        return self.plan.on == "processes"

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken, as somebody has said so."""
        return self._is_closed

    @property
    def error(self) -> BaseException | None:
        """Why nothing is taken any more, although it was not closed."""
        return self._error

    @property
    def report(self) -> Report:
        """What all that was handed in has cost so far."""
        return self._loop.report

    @property
    def is_running(self) -> bool:
        """Whether its thread is there."""
        return self._thread.is_alive()

    @property
    def is_inside(self) -> bool:
        """Whether the caller is the service's own thread, or turns its loop, and so must not wait for it."""
        return self._loop.is_inside

    def line(
        self,
        function: Callable[..., Any],
        *,
        is_star: bool = False,
        batch: int | None = None,
        is_awaited: bool = False,
    ) -> Line:
        """Prepare to run a function on items.

        Args:
            function: travels once to each worker that is to run it.
            is_star: whether an item is a tuple of arguments.
            batch: items per batch; None to measure and adapt.
            is_awaited: whether somebody takes the results one by one.

        Raises:
            UnpicklableError: it cannot travel, or leads to something that workers must not share.
        """
        refuse_deferring(function, self.plan.on)
        self._clearance.require(function)
        if not (self._has_warned or self._chance.is_seeded or self.plan.on != "processes"):
            self._has_warned = say_what_is_copied(function, self._initializer)
        job = self._job(function, is_star=is_star)._replace(is_awaited=is_awaited)
        if self.plan.on == "processes":
            try:
                encode_job(job, self._born_with.copy())
            except Exception as error:  # its captures may raise anything
                raise explain_unpicklable("the function", function, error) or error from None
        return Line(job, batch=batch or self.plan.batch, depth=2, inspection=Inspection(), conditions=self._look())

    def submit(self, line: Line, items: Sequence[Any], receiver: Receiver) -> Submission:
        """Hand items in, one or more.

        Raises:
            RuntimeError: it is closed, or belongs to another process.
            AllcoresError: it has broken down.
        """
        submission = Submission(line, items, receiver)
        self._hand_in(submission)
        self._inbox.wake()  # who hands in items one by one is faster than the loop: many will share a batch
        return submission

    def line_for_calls(self, inspection: Inspection | None = None) -> Line:
        """Prepare to have functions called that lead to what it is at one moment; None: each at its own."""
        job = self._job(self._run_call, is_star=True)
        if not self.sends_items:  # a call that waits behind another in a thread could not be cancelled
            return Calls(job, batch=1, depth=1, inspection=inspection)
        return Calls(job._replace(is_awaited=True), batch=self.plan.batch, depth=2, inspection=inspection)

    def call(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        receiver: Receiver,
        line: Line | None = None,
    ) -> Submission:
        """Have a function called once. Raises as `line` and `submit`."""
        submission = self._submission(line or self.calls, function, args, kwargs, receiver)
        self._send_at_once(submission)
        return submission

    def call_and_attend(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        receiver: Receiver,
        is_over: Callable[[], bool],
    ) -> None:
        """Have a function called, and `attend`; that the caller will wait is worth knowing before the call is sent."""
        self.require_open()  # first, as a forked child cannot turn the loop either
        submission = self._submission(self.calls, function, args, kwargs, receiver)
        if not self._loop.turn_here(is_over, inf, partial(self._hand_in, submission)):
            self._send_at_once(submission, may_change=False)

    def attend(self, is_over: Callable[[], bool], timeout: float | None = None) -> None:
        """Turn the loop in the caller's thread, for who waits for a result; returns at once if somebody else does.

        Args:
            is_over: whether there is nothing left to wait for.
            timeout: for how many seconds, at most.
        """
        if not (is_over() or self._pid != os.getpid() or self.is_inside):
            self._loop.turn_here(is_over, inf if timeout is None else time.monotonic() + timeout)

    def call_back(self, callback: Callable[[], object]) -> None:
        """Call the user's code, for a receiver: if that was called in the loop, later, in the own thread."""
        self._loop.call_back(callback)

    def cancel(self, submission: Submission) -> None:
        """Have no more of a submission's items run; a process that runs one is killed.

        What waits at a worker is asked back before this returns, unless the loop is busy for long.
        """
        self._inbox.cancel(submission)
        self._take_in_at_once()

    def withdraw(self) -> None:
        """Have nothing run that no worker has, but calls that one is being started for.

        Receivers of what has not begun hear `ItemCancelled`.
        """
        self._inbox.withdraw(self.plan.workers)
        self._take_in_at_once()

    def close(self) -> None:
        """Take nothing more; what was handed in is done, and then the workers end. A forked child closes nothing."""
        if self._pid != os.getpid():
            return
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._inbox.close()

    def stop(self) -> None:
        """End the workers at once; whoever waits for something hears `Terminated`. A forked child stops nothing."""
        if self._pid == os.getpid():
            self.close()
            self._inbox.stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until all is over; say whether it is."""
        if self._pid == os.getpid():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def require_open(self) -> None:
        """Raise what `submit` would raise."""
        if self._pid != os.getpid():
            raise RuntimeError(f"this belongs to process {self._pid}, and a forked child cannot use it: make a new one")
        if self._error is not None:
            raise self._error
        if self._is_closed:
            stop_if_left()
            raise RuntimeError("it is closed, and takes nothing more")

    def _job(self, function: Callable[..., Any], *, is_star: bool = False) -> Job:
        is_timed = self.plan.timeout is not None
        return Job(function, is_star, stops_at_failure=False, is_timed=is_timed, chance=self._chance)

    def _submission(
        self,
        line: Line,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        receiver: Receiver,
    ) -> Submission:
        if self.plan.on == "processes":  # elsewhere a coroutine reaches the caller, who may await it
            refuse_deferring(function, self.plan.on)
        self._clearance.require(function)
        return Submission(line, ((function, args, kwargs),), receiver, self._look())

    def _hand_in(self, submission: Submission) -> None:
        offer_imports()
        with self._lock:
            self.require_open()
            self._inbox.submit(submission)

    def _send_at_once(self, submission: Submission, *, may_change: bool = True) -> None:
        """Hand a call in, and have the loop hear of it: here, if it goes to a free worker and nobody is in the loop.

        Args:
            submission: the call.
            may_change: whether its arguments may change before it is done, as the caller does not wait for that.
        """
        if may_change and self.sends_items:  # first: what was sent may come back, and is then sent again
            self._call_snapshots.keep(submission)
        with hold_interrupts():
            is_heard = False
            if self._leadership.take(0):
                try:
                    self._hand_in(submission)
                    is_heard = self._loop.hear_at_once()
                finally:
                    self._leadership.let_go()
            else:
                self._hand_in(submission)
            if not is_heard:
                self._inbox.wake()

    def _take_in_at_once(self) -> None:
        """Have the loop hear of what is cancelled, so that workers which come to it from now on do not begin it."""
        if self.sends_items and self._pid == os.getpid() and not self._leadership.is_mine:
            with hold_interrupts():
                if self._leadership.take(CANCEL_SECONDS):  # a finalizer that cancels may not wait for ever
                    try:
                        self._loop.take_in()
                    finally:
                        self._leadership.let_go()

    def _serve(self) -> None:
        go_on_when_leaving()
        error = self._loop.turn_to_end()
        with self._lock:
            self._error = error
            self._is_closed = True
        self._loop.close(Terminated("the pool was ended before anything came of it") if error is None else error)


_services: WeakSet[Service] = WeakSet()


def _count_threads() -> int:
    return sum(service.is_running for service in list(_services))


def _finish_patient() -> None:
    patient = [service for service in list(_services) if service.is_patient]
    for service in patient:
        service.close()
    for service in patient:
        service.join()


def _stop_all() -> None:
    begin_to_leave()
    for service in list(_services):
        service.stop()
        service.join()


atexit.register(_stop_all)
# Earlier than atexit, when no process and no thread can be started any more; private, but concurrent.futures' way, too.
getattr(threading, "_register_atexit", atexit.register)(_finish_patient)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_services.clear)
