"""Who turns a service's loop: whoever waits for a result, and else its own thread; nothing is lost between them."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from gate import Gate

import allcores
from allcores._run.inbox import Inbox
from allcores._system.leadership import FOLLOW_SECONDS, LONGEST_FOLLOW, Leadership

pytestmark = [pytest.mark.once, pytest.mark.timeout(60)]

SECONDS = 20  # that nothing here takes

Make = Callable[..., allcores.Executor]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make executors that are ended after the test, and have run a call before: ``make(workers)``."""
    with ExitStack() as executors:

        def make(workers: int = 2, **options: Any) -> allcores.Executor:
            executor = allcores.Executor(workers, **{"start": "fork", **options})
            executors.callback(executor.shutdown)
            executors.callback(executor.kill_workers)
            assert executor.submit(abs, -1).result(SECONDS) == 1
            return executor

        yield make


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.fixture
def bringers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads that have brought outcomes to those who wait."""
    names: list[str] = []
    put = Inbox.put

    def noting(self: Inbox, start: int, values: list[Any]) -> None:
        names.append(threading.current_thread().name)
        put(self, start, values)

    monkeypatch.setattr(Inbox, "put", noting)
    return names


def square(x: int) -> int:
    return x * x


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def await_other_leader(executor: allcores.Executor) -> None:
    """Wait until somebody leads who waits for a result."""
    leadership = executor._service._leadership
    while not (leadership.is_led_by_other and leadership.take(0)):
        pass
    leadership.let_go()  # and so it waits, or has not begun to


# --------------------------------------------------------------------------------------------------- who does what


def test_whoever_waits_for_a_call_brings_its_outcome_himself(make, gate, bringers):
    executor, here = make(), threading.current_thread().name
    bringers.clear()
    call = executor.submit(gate.enter, 3)
    opener = in_thread(lambda: (gate.await_entry(), await_other_leader(executor), gate.open()))
    assert call.result(SECONDS) == 3
    opener.join()
    assert bringers == [here]


def test_a_pool_s_call_needs_no_other_thread(bringers):
    with allcores.Pool(1, start="fork") as pool:
        assert [pool.apply(square, (x,)) for x in range(20)] == [x * x for x in range(20)]
    assert set(bringers) == {threading.current_thread().name}


def test_what_nobody_waits_for_is_brought_all_the_same(make, bringers):
    executor = make()
    bringers.clear()
    calls = [executor.submit(square, x) for x in range(20)]
    assert wait(calls, SECONDS).not_done == set()
    assert set(bringers) == {"allcores-executor"}


def test_what_is_left_when_a_wait_ends_is_brought_by_the_own_thread(make, gate):
    executor = make()
    slow, quick = executor.submit(gate.enter, 7), executor.submit(square, 3)
    assert quick.result(SECONDS) == 9
    gate.await_entry()
    with pytest.raises(TimeoutError):
        slow.result(0.01)
    gate.open()
    assert wait([slow], SECONDS).done == {slow}
    assert slow.result(0) == 7


def test_calls_of_many_threads_come_back_to_each(make):
    executor, wrong = make(), []

    def call_often(base: int) -> None:
        squares = [executor.submit(square, x).result(SECONDS) for x in range(base, base + 40)]
        wrong.extend(set(squares) ^ {x * x for x in range(base, base + 40)})

    threads = [in_thread(lambda base=base: call_often(base)) for base in range(0, 800, 100)]
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert wrong == []


def test_a_worker_that_dies_while_its_caller_turns_the_loop_is_replaced(make):
    executor = make(1)
    for _ in range(3):
        assert isinstance(executor.submit(os._exit, 3).exception(SECONDS), allcores.WorkerDied)
        assert executor.submit(square, 4).result(SECONDS) == 16


def test_time_limits_hold_while_the_caller_turns_the_loop(make):
    executor = make(1, timeout=0.3)
    assert isinstance(executor.submit(signal.pause).exception(SECONDS), allcores.ItemTimeout)


# -------------------------------------------------------------------------------------------------------- callbacks


def test_callbacks_are_called_in_the_own_thread_though_another_brings_the_outcome(make, gate):
    executor, told = make(), threading.Event()
    threads: list[str] = []
    call = executor.submit(gate.enter)
    call.add_done_callback(lambda _: (threads.append(threading.current_thread().name), told.set()))
    opener = in_thread(lambda: (gate.await_entry(), await_other_leader(executor), gate.open()))
    call.result(SECONDS)
    assert told.wait(SECONDS)
    opener.join()
    assert threads == ["allcores-executor"]


def test_a_callback_may_block_on_what_its_waiter_holds(make, gate):
    executor, lock, told = make(), threading.Lock(), threading.Event()

    def tell(_: object) -> None:
        with lock:
            told.set()

    first = executor.submit(gate.enter)
    first.add_done_callback(tell)
    gate.await_entry()
    with lock:
        gate.open()
        first.result(SECONDS)
        assert [executor.submit(square, x).result(SECONDS) for x in range(5)] == [0, 1, 4, 9, 16]
        assert not told.is_set()
    assert told.wait(SECONDS)


def test_a_pool_s_callback_may_block_while_others_go_on(gate):
    lock, told = threading.Lock(), threading.Event()

    def tell(_: object) -> None:
        with lock:
            told.set()

    with allcores.Pool(2, start="fork") as pool:
        with lock:
            result = pool.apply_async(gate.enter, (4,), callback=tell)
            gate.await_entry()
            gate.open()
            assert [pool.apply(square, (x,)) for x in range(5)] == [0, 1, 4, 9, 16]
            assert not result.ready()
        assert result.get(SECONDS) == 4
        assert told.is_set()


# -------------------------------------------------------------------------------------------------------- how it ends


def test_a_cancellation_ends_the_wait_of_who_turns_the_loop(make, gate):
    executor = make()
    call = executor.submit(gate.enter)
    gate.await_entry()
    canceller = in_thread(lambda: (await_other_leader(executor), call.cancel()))
    with pytest.raises(CancelledError):
        call.result(SECONDS)
    canceller.join()


def test_an_end_ends_the_wait_of_who_turns_the_loop(make, gate):
    executor = make()
    call = executor.submit(gate.enter)
    gate.await_entry()
    killer = in_thread(lambda: (await_other_leader(executor), executor.kill_workers()))
    with pytest.raises(allcores._doors.executor.broken.BrokenProcessPool):
        call.result(SECONDS)
    killer.join()


def test_a_bug_in_the_loop_ends_the_service_whoever_turned_it(make, monkeypatch):
    executor = make()
    monkeypatch.setattr(Inbox, "settle", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        executor.submit(square, 1).result(SECONDS)
    executor._service.join(SECONDS)
    assert isinstance(executor._service.error, ZeroDivisionError)


@contextmanager
def interrupted_by(signum: int, error: type[BaseException]) -> Iterator[Callable[[], None]]:
    """Have a signal raise an error in this thread, once after each call of what this gives, if it comes at all."""
    is_armed = False

    def arm() -> None:
        nonlocal is_armed
        is_armed = True

    def strike(signum: int, frame: FrameType | None) -> None:
        nonlocal is_armed
        if is_armed:
            is_armed = False
            raise error

    before = signal.signal(signum, strike)
    try:
        yield arm
        is_armed = False
    finally:
        signal.signal(signum, before)


def test_ctrl_c_interrupts_the_wait_and_tears_nothing(make, gate):
    executor = make()
    with interrupted_by(signal.SIGINT, KeyboardInterrupt) as arm:
        call = executor.submit(gate.enter, 5)
        gate.await_entry()
        arm()
        striker = in_thread(lambda: (await_other_leader(executor), os.kill(os.getpid(), signal.SIGINT)))
        with pytest.raises(KeyboardInterrupt):
            call.result(SECONDS)
        striker.join()
        gate.open()
        assert call.result(SECONDS) == 5
        assert executor.submit(square, 3).result(SECONDS) == 9


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGUSR1])
def test_signals_that_raise_at_any_moment_tear_nothing(make, signum):
    executor, enough = make(), threading.Event()

    def strike_often() -> None:
        dice = random.Random(1)
        while not enough.wait(dice.random() * 0.002):
            os.kill(os.getpid(), signum)

    with interrupted_by(signum, KeyboardInterrupt) as arm, allcores.Pool(2, start="fork") as pool:
        striker, strikes = in_thread(strike_often), 0
        try:
            while strikes < 100:
                try:
                    arm()
                    for x in range(50):
                        assert pool.apply(square, (x,)) == x * x
                        assert executor.submit(square, x).result() == x * x
                except KeyboardInterrupt:
                    strikes += 1
        finally:
            enough.set()
            striker.join()
        assert pool.apply(square, (5,)) == executor.submit(square, 5).result(SECONDS) == 25


def test_a_forked_child_waits_for_nothing_of_its_parent_s(make, gate):
    executor = make()
    call = executor.submit(gate.enter, 7)
    gate.await_entry()
    child = os.fork()
    if child == 0:
        try:
            call.result(0)
        except TimeoutError:
            os._exit(1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    gate.open()
    assert call.result(SECONDS) == 7


# ------------------------------------------------------------------------------------------------------------ the loop


def test_only_one_thread_is_in_the_loop_and_only_it_is_told_so():
    leadership, others = Leadership(), []
    with leadership:
        assert leadership.is_mine
        in_thread(lambda: others.extend([leadership.is_mine, leadership.take(0)])).join()
    assert others == [False, False]
    assert not leadership.is_mine
    leadership.close()


def test_where_nothing_can_be_waited_for_by_others_nobody_is_led_by_other():
    leadership, woken = Leadership(), []
    leadership.wake_waiting = lambda: woken.append(1)
    assert not leadership.take_lead()
    leadership.wake()
    assert woken == [1]
    leadership.close()


class View:
    """What the own thread waits on: nothing happens there, but that others lead meanwhile, so many times in a row."""

    is_awake = False  # as the alarm

    def __init__(self, leadership: Leadership, leads: int) -> None:
        self.patience: list[float | None] = []
        self._leadership = leadership
        self._leads = leads

    def select(self, patience: float | None) -> list[Any]:
        self.patience.append(patience)
        self._leadership._leads += len(self.patience) <= self._leads
        self.is_awake = patience is None
        return []

    def register(self, *_: object) -> None:
        pass

    def clear(self) -> None:
        pass


def test_the_own_thread_asks_the_less_often_the_more_others_lead_and_looks_when_they_do_not():
    leadership = Leadership()
    for _ in range(2):
        leadership._sees_workers = False
        view = View(leadership, leads=4)
        leadership._wait_as_default_leader(view, view)
        assert view.patience == [FOLLOW_SECONDS * factor for factor in (1, 2, 4, 4, 4)] + [None]
        assert max(filter(None, view.patience)) == LONGEST_FOLLOW
