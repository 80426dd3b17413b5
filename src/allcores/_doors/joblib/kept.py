"""Services that calls share one after another: the last one stays until it has been idle for long."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from allcores._codec.definitions.contents import Inspection
from allcores._core.options import Options
from allcores._doors.executor.future import Call, Future
from allcores._doors.joblib.teller import Teller
from allcores._run.service import Service
from allcores._system.native_threads import NativeLimits
from allcores._worker.share import Share
from allcores._worker.surroundings import Surroundings

__all__ = ["Keeper", "Lease", "keeper"]

IDLE_SECONDS = 60.0  # a service that nobody has used for so long ends; its processes stay warm for as long again

NO_SHARE = Share(1, 1, NativeLimits({}, None, {}))  # that is decided with the options
Terms = tuple[Options, Surroundings]


class _Kept:
    """A service, and how many use it; the keeper's lock guards it."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.service = Service(terms[0], name="allcores-kept", is_patient=False)
        self.uses = 0
        self.timer: threading.Timer | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is of use: it may have broken down, or the interpreter's exit has ended it."""
        try:
            self.service.require_open()
        except Exception:  # an initializer may have raised anything
            return False
        return True

    def suits(self, terms: Terms) -> bool:
        """Whether it serves on these terms."""
        try:
            return self.is_open and bool(self.terms == terms)
        except Exception:  # arguments of an initializer that can't be compared: arrays, for one
            return False

    def disarm(self) -> None:
        """Have it stay."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Lease:
    """The use of a service that others may use, too.

    Attributes:
        is_over: whether nothing more is run.
    """

    def __init__(self, keeper: Keeper, kept: _Kept) -> None:
        self.is_over = False
        self._keeper = keeper
        self._kept = kept
        self._line = kept.service.line_for_calls(Inspection())
        self._futures: set[Future] = set()
        self._teller = Teller()

    def begin(self) -> None:
        """Hear that what functions lead to may have changed; from now on it counts as it is when it is first needed."""
        self._line = self._kept.service.line_for_calls(Inspection())

    def call(self, function: Callable[[], Any], callback: Callable[[Any], object] | None = None) -> Future:
        """Have a function called on a worker that has nothing else to do.

        Args:
            function: takes no arguments.
            callback: called with the future once that is done, in a thread of this lease's.

        Raises:
            RuntimeError: the service has ended.
            BrokenProcessPool: its initializer has failed, or no worker can be started.
        """
        call = Call(self._kept.service, self._line, has_cause=False)
        future = call.future
        assert future is not None
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        if callback is not None:
            future.add_done_callback(partial(self._teller.tell, callback))
        if self.is_over:  # asked after the future can be seen: either this cancels it, or `end` does
            future.cancel()
        else:
            call.send(function, (), {})
        return future

    def end(self) -> None:
        """Cancel what is not finished, kill what runs, and let the service go."""
        if self.is_over:
            return
        self.is_over = True
        for future in list(self._futures):
            future.cancel()
        self._teller.end()
        self._keeper.take_back(self._kept)


class Keeper:
    """Gives one service after another, and keeps the last one; any thread may call it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may end a lease amid anything, in the same thread, too
        self._latest: _Kept | None = None

    def lease(self, options: Options) -> Lease:
        """Give the use of a service: the last one, if it has the same options, and surroundings as they are now.

        Raises:
            TypeError, ValueError: an option makes no sense here.
            UnpicklableError: the initializer cannot travel; no worker has been started.
        """
        terms = options, _find_surroundings()
        with self._lock:
            kept = self._latest
            if kept is None or not kept.suits(terms):
                self._let_go()
                kept = self._latest = _Kept(terms)
            kept.disarm()
            kept.uses += 1
        return Lease(self, kept)

    def take_back(self, kept: _Kept) -> None:
        """Hear that a lease is over."""
        with self._lock:
            kept.uses -= 1
            if kept.uses:
                return
            if kept is not self._latest or not kept.is_open:
                kept.service.close()
                return
            kept.timer = threading.Timer(IDLE_SECONDS, self._let_idle_go, (kept,))
            kept.timer.daemon = True
            kept.timer.start()

    def close(self) -> None:
        """End the service that is kept; a later lease begins anew."""
        with self._lock:
            self._let_go()

    def forget(self) -> None:
        """Be as new: what there is belongs to the process that this one was forked from."""
        self._lock = threading.RLock()
        self._latest = None

    def _let_idle_go(self, kept: _Kept) -> None:
        with self._lock:
            if kept is self._latest and not kept.uses:
                self._let_go()

    def _let_go(self) -> None:
        """End the latest service now, or else, if somebody uses it, after the last use."""
        kept, self._latest = self._latest, None
        if kept is not None and not kept.uses:
            kept.disarm()
            kept.service.close()
            kept.service.join()  # then its processes are there for the next one


def _find_surroundings() -> Surroundings:
    """Describe what a service must be ended for when it changes."""
    surroundings = Surroundings.here(NO_SHARE)
    surroundings.environment.pop("PYTEST_CURRENT_TEST", None)  # another for each test, of which there may be thousands
    return surroundings


keeper = Keeper()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=keeper.forget)
