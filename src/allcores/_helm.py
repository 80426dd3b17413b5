"""Who turns a run's loop, where several threads may, and who waits for its workers meanwhile: one thread each.

The *helm* is held by the thread that is in the loop's body, and let go while the loop waits. So whoever has something
for a worker that is free takes the helm and sends it, and need not wake another thread to do that.

The *lookout* is the one thread that waits for the workers. It is the run's own, unless another has relieved it, for as
long as that one waits for a result: what it waits for then reaches it without another thread's doing.

To wake a thread, and to have it compete for the interpreter's lock, costs more than all the rest of a short call. So
where one relief follows upon another, the own thread *dozes* between them: it does not look at the workers at all, and
learns by the clock, not by being woken, that nobody has relieved it for a while and that it must look out again.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable
from math import inf

from allcores._descriptors import claim
from allcores._hints import Any, Self
from allcores._interrupts import let_interrupts_in
from allcores._waker import Waker

__all__ = ["Helm"]

DOZE_SECONDS = 0.001  # what comes while nobody looks out waits up to twice as long

Ready = list[tuple[selectors.SelectorKey, int]]


class Helm:
    """Held by the thread that is in the body of a run's loop.

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
        self._relief = threading.Lock()  # held by whoever has relieved the own thread
        self._reliefs = 0
        self._own: int | None = None
        self._due = inf  # until when the own thread waits, at most
        self._workers: Any = None  # the engine's selector
        self._alarm: Waker | None = None
        self._outlook: selectors.BaseSelector | None = None  # what the own thread waits on: the alarm, and
        self._sees_workers = False  # the engine's selector, if it does not doze
        self._sight = threading.Lock()  # held by whoever changes that
        self._is_asleep = False  # whether the own thread waits for one long relief to end

    # ----------------------------------------------------------------------------------------------------- the helm

    @property
    def is_mine(self) -> bool:
        """Whether the caller holds it."""
        return self._holder == threading.get_ident()

    def take(self, *, may_block: bool = True) -> bool:
        """Take it; say whether it could be had."""
        is_taken = self._lock.acquire(may_block)
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

    # -------------------------------------------------------------------------------------------------- the lookout

    def share(self, workers: selectors.BaseSelector) -> None:
        """Let others wait for the workers, too, where the system has selectors that can be waited for themselves.

        Args:
            workers: is ready when one of them has news.
        """
        if hasattr(workers, "fileno"):
            self._workers = workers
            self._alarm = Waker()
            self._outlook = selectors.DefaultSelector()
            claim(self._outlook)
            self._outlook.register(self._alarm, selectors.EVENT_READ)
            self._look_out_or_sleep(self._outlook)

    def keep_lookout_here(self) -> None:
        """Hear that the caller is the run's own thread."""
        self._own = threading.get_ident()

    @property
    def is_own(self) -> bool:
        """Whether the caller is the run's own thread."""
        return self._own == threading.get_ident()

    @property
    def is_relieved(self) -> bool:
        """Whether another thread than the run's own has the lookout."""
        return self._relief.locked()

    def relieve(self) -> bool:
        """Take the lookout from the run's own thread; False if somebody else has, or nobody may."""
        if self._outlook is None or not self._relief.acquire(blocking=False):
            return False
        self._reliefs += 1
        with self._sight:
            if self._sees_workers:
                self._sees_workers = False
                self._outlook.unregister(self._workers)
                self.alarm()
        return True

    def give_back(self, due: float) -> None:
        """Give the lookout back.

        Args:
            due: when the loop must be turned even if nothing happens, on the monotonic clock.
        """
        self._relief.release()
        if self._is_asleep or due < self._due:
            self.alarm()

    def retire(self) -> None:
        """Wait until nobody relieves the own thread, and let nobody do so any more."""
        self._relief.acquire()

    def wake(self) -> None:
        """Have whoever has the lookout turn the loop; any thread may call it, at any time."""
        if self.is_relieved:
            self.wake_waiting()
        else:
            self.alarm()

    def alarm(self) -> None:
        """Have the own thread turn the loop, even while it is relieved."""
        if self._alarm is None:
            self.wake_waiting()
        else:
            self._alarm.wake()

    def select(self, workers: selectors.BaseSelector, patience: float | None) -> Ready:
        """Wait for the workers without the helm, at most so many seconds, as whoever has the lookout or is relieved.

        Raises:
            BaseException: the bug that has ended the loop meanwhile.
        """
        if self._outlook is None or self._alarm is None:
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
                ready = self._keep_lookout(self._outlook, self._alarm) if is_own else workers.select(patience)
        except BaseException as error:
            self.interruption = error
            raise
        finally:
            self.take()
        if self.bug is not None:
            raise self.bug
        return self._look(workers) if is_own else ready

    def _look(self, workers: selectors.BaseSelector) -> Ready:
        """Look without waiting; what is there while the own thread is relieved is for another, who would miss it."""
        return [] if self.is_own and self.is_relieved else workers.select(0)

    def _keep_lookout(self, outlook: selectors.BaseSelector, alarm: Waker) -> Ready:
        """Wait as the own thread until it must turn the loop; what is ready shows afterwards."""
        while True:
            reliefs, is_dozing = self._reliefs, not (self._sees_workers or self._is_asleep)
            patience = min(DOZE_SECONDS if is_dozing else inf, max(0.0, self._due - time.monotonic()))
            ready = outlook.select(None if patience == inf else patience)
            if alarm.is_awake or (ready and not self.is_relieved) or time.monotonic() >= self._due:
                break
            if reliefs == self._reliefs:
                self._look_out_or_sleep(outlook)
        self._is_asleep = False
        alarm.clear()
        return []

    def _look_out_or_sleep(self, outlook: selectors.BaseSelector) -> None:
        """Look at the workers again, unless one relief lasts."""
        with self._sight:
            if not (self._sees_workers or self.is_relieved):
                self._sees_workers = True
                outlook.register(self._workers, selectors.EVENT_READ)
        self._is_asleep = True  # before it asks, as whoever gives the lookout back asks for this afterwards
        self._is_asleep = self.is_relieved

    def close(self) -> None:
        """Free what it holds; nobody waits any more."""
        if self._outlook is not None:
            self._outlook.close()
        if self._alarm is not None:
            self._alarm.close()


def _wake_nobody() -> None:
    """Nobody waits yet."""
