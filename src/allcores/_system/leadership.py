"""Leader and followers: which thread turns a run's loop, where several may, and which one waits for its workers.

This is the pattern of that name (Schmidt and others, *Pattern-Oriented Software Architecture*, volume 2). At most one
thread *holds* the loop: it is in the loop's body, and lets go while the loop waits. So whoever has something for a
worker that is free holds the loop and sends it, and need not wake another thread to do that.

The *leader* is the one thread that waits for the workers. By default it is the run's own; another leads in its place
for as long as that one waits for a result: what it waits for then reaches it without another thread's doing.

To wake a thread, and to have it compete for the interpreter's lock, costs more than all the rest of a short call. So
where others lead one after another, the own thread *follows* between them: it does not look at the workers at all, and
learns by the clock, not by being woken, that nobody has led for a while and that it must do so again. The more often it
finds that somebody has, the less often it asks.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable
from math import inf

from allcores._core.hints import Any, Self
from allcores._system.descriptors import claim
from allcores._system.interrupts import let_interrupts_in
from allcores._system.waker import Waker

__all__ = ["Leadership"]

FOLLOW_SECONDS = 0.001  # what comes while nobody leads waits up to twice as long, if others lead now and then,
LONGEST_FOLLOW = 0.004  # or up to twice this, if they have led all the time

Ready = list[tuple[selectors.SelectorKey, int]]


class Leadership:
    """Held by the thread that is in the body of a run's loop; knows which one leads.

    Attributes:
        bug: what has left the loop in the middle of something, so that nobody may turn it any more.
        interruption: what was raised last in a thread that waited for workers: it has torn nothing.
        wake_waiting: ends a wait for the workers.
    """

    def __init__(self) -> None:
        self.bug: BaseException | None = None
        self.interruption: BaseException | None = None
        self.wake_waiting: Callable[[], None] = _wake_nobody
        self._lock = threading.Lock()
        self._holder: int | None = None
        self._lead = threading.Lock()  # held by whoever leads in the own thread's place
        self._leads = 0
        self._own: int | None = None
        self._due = inf  # until when the own thread waits, at most
        self._workers: Any = None  # the engine's selector
        self._alarm: Waker | None = None
        self._view: selectors.BaseSelector | None = None  # what the own thread waits on: the alarm, and
        self._sees_workers = False  # the engine's selector, if it does not follow
        self._sight = threading.Lock()  # held by whoever changes that
        self._follow_seconds = FOLLOW_SECONDS  # until it asks next whether somebody has led
        self._is_asleep = False  # whether the own thread waits for one other to end its long lead

    # ----------------------------------------------------------------------------------------------------- the loop

    @property
    def is_mine(self) -> bool:
        """Whether the caller holds it."""
        return self._holder == threading.get_ident()

    def take(self, patience: float = -1) -> bool:
        """Take it; say whether it could be had within so many seconds, by default however many it takes."""
        is_taken = self._lock.acquire(timeout=patience)
        if is_taken:
            self._holder = threading.get_ident()
        return is_taken

    def let_go(self) -> None:
        """Let somebody else have it."""
        self._holder = None
        self._lock.release()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    # --------------------------------------------------------------------------------------------------- the leader

    def share(self, workers: selectors.BaseSelector) -> None:
        """Let others wait for the workers, too, where the system has selectors that can be waited for themselves.

        Args:
            workers: is ready when one of them has news.
        """
        if hasattr(workers, "fileno"):
            self._workers = workers
            self._alarm = Waker()
            self._view = selectors.DefaultSelector()
            claim(self._view)
            self._view.register(self._alarm, selectors.EVENT_READ)
            self._look_or_sleep(self._view)

    def lead_by_default(self) -> None:
        """Hear that the caller is the run's own thread."""
        self._own = threading.get_ident()

    @property
    def is_own(self) -> bool:
        """Whether the caller is the run's own thread."""
        return self._own == threading.get_ident()

    @property
    def is_led_by_other(self) -> bool:
        """Whether another thread than the run's own leads."""
        return self._lead.locked()

    def take_lead(self) -> bool:
        """Lead in the place of the run's own thread; False if somebody else does, or nobody may."""
        if self._view is None or not self._lead.acquire(blocking=False):
            return False
        self._leads += 1
        with self._sight:
            if self._sees_workers:
                self._sees_workers = False
                self._view.unregister(self._workers)
                self.alarm()
        return True

    def is_late_for(self, due: float) -> bool:
        """Whether the run's own thread waits for longer than until then, and nobody else leads."""
        return due < self._due and not self.is_led_by_other

    def hand_back(self, due: float) -> None:
        """Let the run's own thread lead again.

        Args:
            due: when the loop must be turned even if nothing happens, on the monotonic clock.
        """
        self._lead.release()
        if self._is_asleep or due < self._due:
            self.alarm()

    def retire(self) -> None:
        """Wait until nobody leads in the own thread's place, and let nobody do so any more."""
        self._lead.acquire()

    def wake(self) -> None:
        """Have whoever leads turn the loop; any thread may call it, at any time."""
        if self.is_led_by_other:
            self.wake_waiting()
        else:
            self.alarm()

    def alarm(self) -> None:
        """Have the own thread turn the loop, even while another leads."""
        if self._alarm is None:
            self.wake_waiting()
        else:
            self._alarm.wake()

    def select(self, workers: selectors.BaseSelector, patience: float | None) -> Ready:
        """Wait for the workers without holding the loop, at most so many seconds, as the leader or as who follows.

        Raises:
            BaseException: the bug that has ended the loop meanwhile.
        """
        if self._view is None or self._alarm is None:
            with let_interrupts_in():
                return workers.select(patience)
        is_own = self.is_own
        if patience == 0:
            return self._look(workers)
        if is_own:  # while nobody can change when that is
            self._due = inf if patience is None else time.monotonic() + patience
        self.let_go()
        try:
            with let_interrupts_in():
                ready = self._wait_as_default_leader(self._view, self._alarm) if is_own else workers.select(patience)
        except BaseException as error:
            self.interruption = error
            raise
        finally:
            self.take()
        if self.bug is not None:
            raise self.bug
        return self._look(workers) if is_own else ready

    def _look(self, workers: selectors.BaseSelector) -> Ready:
        """Look without waiting; what is there while another leads is for that one, who would miss it."""
        return [] if self.is_own and self.is_led_by_other else workers.select(0)

    def _wait_as_default_leader(self, view: selectors.BaseSelector, alarm: Waker) -> Ready:
        """Wait as the own thread until it must turn the loop; what is ready shows afterwards."""
        while True:
            leads, is_following = self._leads, not (self._sees_workers or self._is_asleep)
            patience = min(self._follow_seconds if is_following else inf, max(0.0, self._due - time.monotonic()))
            ready = view.select(None if patience == inf else patience)
            if alarm.is_awake or (ready and not self.is_led_by_other) or time.monotonic() >= self._due:
                break
            if leads != self._leads:
                self._follow_seconds = min(2 * self._follow_seconds, LONGEST_FOLLOW)
            else:
                self._follow_seconds = FOLLOW_SECONDS
                self._look_or_sleep(view)
        self._is_asleep = False
        alarm.clear()
        return []

    def _look_or_sleep(self, view: selectors.BaseSelector) -> None:
        """Look at the workers again, unless one other leads for long."""
        with self._sight:
            if not (self._sees_workers or self.is_led_by_other):
                self._sees_workers = True
                view.register(self._workers, selectors.EVENT_READ)
        self._is_asleep = True  # before it asks, as whoever ends to lead asks for this afterwards
        self._is_asleep = self.is_led_by_other

    def close(self) -> None:
        """Free what it holds; nobody waits any more."""
        if self._view is not None:
            self._view.close()
        if self._alarm is not None:
            self._alarm.close()


def _wake_nobody() -> None:
    """Nobody waits yet."""
