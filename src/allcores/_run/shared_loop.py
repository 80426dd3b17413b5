"""The shared loop: one run's, turned by a thread of its own, and by others while they wait for a result.

Who of them may turn it, and who waits for the workers, `Leadership` decides. The user's callbacks run in the own thread
alone, and outside of the loop.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from math import inf

from allcores._core.report import Report
from allcores._run.driver import Run
from allcores._run.inbox import Inbox
from allcores._run.submission import showing_errors
from allcores._system.interrupts import hold_interrupts
from allcores._system.leadership import Leadership

__all__ = ["SharedLoop"]


class SharedLoop:
    """The loop of a run that serves others.

    Args:
        run: that hears of what is handed in.
        inbox: into which that goes.
        leadership: whoever does something between two turns holds it.
    """

    def __init__(self, run: Run, inbox: Inbox, leadership: Leadership) -> None:
        self._run = run
        self._inbox = inbox
        self._leadership = leadership
        self._callbacks: deque[Callable[[], object]] = deque()
        engine = run.open()
        engine.share(leadership)
        leadership.wake_waiting = engine.make_waker()
        inbox.wake = leadership.wake

    # -------------------------------------------------------------------------------------------------- any thread

    @property
    def is_inside(self) -> bool:
        """Whether the caller is the own thread, or turns the loop, and so must not wait for it."""
        return self._leadership.is_mine or self._leadership.is_own

    @property
    def report(self) -> Report:
        """What the run has cost so far; while others are in the loop, figures may be a moment apart."""
        with hold_interrupts():
            if self._leadership.is_mine or not self._leadership.take(0):
                return self._run.report
            try:
                return self._run.report
            finally:
                self._leadership.let_go()

    def hear_at_once(self) -> bool:
        """As of `Run`; the caller holds the loop."""
        return self._hear(self._run.hear_at_once) and not self._leadership.is_late_for(self._run.due)

    def take_in(self) -> bool:
        """As of `Run`; the caller holds the loop."""
        return self._hear(self._run.take_in)

    def _hear(self, hear: Callable[[], bool]) -> bool:
        try:
            return self._leadership.bug is None and hear()
        except BaseException as bug:
            self._leadership.bug = bug
            self._leadership.alarm()
            raise

    def turn_here(self, is_over: Callable[[], bool], until: float, begin: Callable[[], None] | None = None) -> bool:
        """Turn the loop in the caller's thread, unless somebody else does.

        Args:
            is_over: whether there is nothing left to wait for.
            until: when to stop waiting, on the monotonic clock.
            begin: called first, while the loop is held.

        Returns:
            Whether it could be turned here; else nothing was done, nor begun.
        """
        with hold_interrupts():
            if not self._leadership.take_lead():
                return False
            due = -inf  # unless the loop says when
            try:
                with self._leadership:
                    if begin is not None:
                        begin()
                    due = self._turn_until(is_over, until)
            finally:
                self._leadership.hand_back(due)
        return True

    def call_back(self, callback: Callable[[], object]) -> None:
        """Call the user's code: if the caller is in the loop, later, in the own thread."""
        if self._leadership.is_mine:
            self._callbacks.append(callback)
            if not self._leadership.is_own:  # which looks there after each turn
                self._leadership.alarm()
        else:
            callback()

    # ------------------------------------------------------------------------------------------- the thread of its own

    def turn_to_end(self) -> BaseException | None:
        """Turn the loop until the run is over, wherever others do not; give what it ends with."""
        try:
            self._leadership.lead_by_default()
            while not self._is_ending:
                with self._leadership:
                    self._turn_as_own()
                self._call_back_all()
        except BaseException as bug:  # nobody else could tell
            self._leadership.bug = bug
        return self._run.error if self._leadership.bug is None else self._leadership.bug

    def close(self, error: BaseException) -> None:
        """Let all go, after the end; whoever still waits for something hears of the error."""
        self._inbox.wake()
        self._leadership.retire()
        try:
            with self._leadership:
                self._run.close()
        finally:
            self._inbox.abandon(error)
            self._call_back_all()
            self._leadership.close()

    @property
    def _is_ending(self) -> bool:
        return self._leadership.bug is not None or self._run.is_finished

    def _turn_until(self, is_over: Callable[[], bool], until: float) -> float:
        """Turn the loop, holding it and leading; say when it must be turned next even if nothing happens."""
        try:
            while not (is_over() or self._is_ending or time.monotonic() >= until):
                self._run.turn(until=until)
        except BaseException as error:
            if error is not self._leadership.interruption:
                self._leadership.bug = error
            raise
        finally:
            self._leadership.interruption = None
        return -inf if self._is_ending else self._run.due

    def _turn_as_own(self) -> None:
        settled = self._run.settled
        if not self._is_ending:  # since it was asked last
            self._run.turn()
        if self._leadership.is_led_by_other and self._run.settled > settled:
            self._inbox.wake()  # what is waited for there may be over

    def _call_back_all(self) -> None:
        while self._callbacks:
            with showing_errors:
                self._callbacks.popleft()()
