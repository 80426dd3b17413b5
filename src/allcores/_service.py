"""A run in a thread of its own, that serves whoever hands items in: what `Pool` and `Executor` stand on.

The thread runs the very loop that `map` runs in its caller's. Everybody else posts into the run's inbox and wakes it.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakSet

from allcores._captures import explain_unpicklable
from allcores._codec import encode_job
from allcores._driver import Run
from allcores._errors import Terminated
from allcores._inbox import Inbox, Line, Receiver, Submission
from allcores._job import Job
from allcores._launch import draw_chance, find_thread_facts, make_engine
from allcores._options import Options
from allcores._outcomes import short_repr
from allcores._plan import make_plan

__all__ = ["Service"]


class Service:
    """Workers that serve until they are told to end.

    Any thread may call it. Receivers are called in the service's own thread, which must not wait for the service.

    Args:
        options: as of a run.
        name: of the thread.
        is_patient: whether the interpreter's exit waits for everything that was handed in; else it ends the workers.

    Attributes:
        plan: how items run.
        calls: the line of what `call` hands in.

    Raises:
        ValueError: an option makes no sense here.
        UnpicklableError: the initializer cannot travel; no worker has been started.
    """

    def __init__(self, options: Options, *, name: str, is_patient: bool) -> None:
        if options.resume is not None:
            raise ValueError(f"resume={options.resume!r} is for a run over one dataset: allcores.map has it")
        facts = find_thread_facts(options)
        self.plan = make_plan(options, facts)
        self.is_patient = is_patient
        self._chance = draw_chance(options.seed)
        self._inbox = Inbox()
        base = self._job(_do_nothing)._replace(initializer=options.initializer, initargs=options.initargs)
        cores = max(1, facts.cores // self.plan.workers)
        self._run = Run(
            self.plan._replace(errors="collect"),
            self._inbox,
            partial(make_engine, self.plan, base, self._inbox, cores),
            self._inbox,
            retry_on=options.retry_on_types,
            is_lazy=False,
            on_progress=_do_nothing,
        )
        self.calls = _Calls(self._job(_call, is_star=True), batch=1, depth=1)
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a finalizer may close it amid anything, in the same thread, too
        self._is_closed = False
        self._error: BaseException | None = None
        self._inbox.wake = self._run.open().make_waker()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        _services.add(self)

    @property
    def error(self) -> BaseException | None:
        """Why nothing is taken any more, although it was not closed."""
        return self._error

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller is the service's own thread, which must not wait for it."""
        return threading.current_thread() is self._thread

    def line(self, function: Callable[..., Any], *, is_star: bool = False, batch: int | None = None) -> Line:
        """Prepare to run a function on items.

        Args:
            function: travels once to each worker that is to run it.
            is_star: whether an item is a tuple of arguments.
            batch: items per batch; None to measure and adapt.

        Raises:
            UnpicklableError: it cannot travel.
        """
        job = self._job(function, is_star=is_star)
        if self.plan.on == "processes":
            try:
                encode_job(job, {})
            except Exception as error:  # its captures may raise anything
                raise explain_unpicklable("the function", function, error) or error from None
        return Line(job, batch=batch or self.plan.batch, depth=2)

    def submit(self, line: Line, items: Sequence[Any], receiver: Receiver) -> Submission:
        """Hand items in, one or more.

        Raises:
            RuntimeError: it is closed, or belongs to another process.
            AllcoresError: it has broken down.
        """
        submission = Submission(line, items, receiver)
        with self._lock:
            self.require_open()
            self._inbox.submit(submission)
        return submission

    def call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], receiver: Receiver
    ) -> Submission:
        """Have a function called once, on a worker that has nothing else to do. Raises as `submit`."""
        return self.submit(self.calls, ((function, args, kwargs),), receiver)

    def cancel(self, submission: Submission) -> None:
        """Have no more of a submission's items run; a process that runs one is killed."""
        self._inbox.cancel(submission)

    def withdraw(self) -> None:
        """Have nothing run that no worker has, but calls that one is being started for.

        Receivers of what has not begun hear `ItemCancelled`.
        """
        self._inbox.withdraw(self.plan.workers)

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
            raise RuntimeError("it is closed, and takes nothing more")

    def _job(self, function: Callable[..., Any], *, is_star: bool = False) -> Job:
        is_timed = self.plan.timeout is not None
        return Job(function, is_star, stops_at_failure=False, is_timed=is_timed, chance=self._chance)

    def _serve(self) -> None:
        error: BaseException | None = None
        try:
            while not self._run.is_finished:
                self._run.turn()
            error = self._run.error
            self._run.close()
        except BaseException as bug:  # nobody else could tell
            error = error or bug
        finally:
            with self._lock:
                self._error = error
                self._is_closed = True
            self._run.close()
            self._inbox.abandon(error or Terminated("the pool was ended before anything came of it"))


class _Calls(Line):
    """Runs calls, each of a function of its own."""

    def name(self, position: int, item: Any) -> str:
        """Say in messages which call it is."""
        function, args, _ = item
        return f"the call of {getattr(function, '__qualname__', short_repr(function))} with {short_repr(args)}"


def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return function(*args, **kwargs)


def _do_nothing(*_: object) -> None:
    """Stands for what is not wanted."""


_services: WeakSet[Service] = WeakSet()


def _finish_patient() -> None:
    patient = [service for service in list(_services) if service.is_patient]
    for service in patient:
        service.close()
    for service in patient:
        service.join()


def _stop_all() -> None:
    for service in list(_services):
        service.stop()
        service.join()


# Earlier than atexit, when no process and no thread can be started any more; private, but concurrent.futures' way, too.
threading._register_atexit(_finish_patient)  # type: ignore[attr-defined]  # noqa: SLF001
atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_services.clear)
