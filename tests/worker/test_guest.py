"""Batches in a process of somebody else's: it is left as it was, and nothing of ours may hurt it."""

from __future__ import annotations

import decimal
import itertools
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import allcores
from allcores._codec.codec import decode_outcomes
from allcores._codec.exceptions import decode_exception
from allcores._codec.pickling import decode
from allcores._core.messages import SendBatch
from allcores._core.options import Options
from allcores._core.plan import Plan, make_plan
from allcores._engines.executors.lessons import Lessons
from allcores._objects.outcomes import Chance
from allcores._system.machine import find_facts
from allcores._transport.wire import Kind
from allcores._worker import guest
from allcores._worker.guest import Reply, serve
from allcores._worker.job import Job
from allcores._worker.stamp import stamp_here


@pytest.fixture
def plan() -> Plan:
    options = Options(on=ThreadPoolExecutor)
    return make_plan(options, find_facts(options))


@pytest.fixture(autouse=True)
def no_other_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    guest._stays.clear()
    path = sys.path.copy()
    yield
    guest._stays.clear()
    sys.path[:] = path


def make_lessons(plan: Plan, function: Callable[..., Any], seed: int | None = None) -> Lessons:
    chance = Chance(seed or 0, is_seeded=seed is not None)
    return Lessons(plan, Job(function, is_star=False, stops_at_failure=False, chance=chance))


def send(lessons: Lessons, items: list[Any], *, is_whole: bool = False) -> Reply:
    batch = SendBatch(0, 7, 0, len(items), may_give_back=True)
    head, frames = lessons.order(batch, items, is_whole=is_whole)
    return serve(stamp_here(), head, *frames)


def values(reply: Reply) -> list[Any]:
    return [value for message in reply.messages for value in decode_outcomes(message.frames)[0]]


def test_a_batch_runs_with_the_main_and_the_settings_of_its_caller_and_leaves_its_own(plan: Plan) -> None:
    main = sys.modules["__main__"]
    place = id(main)  # the module itself would travel by its name

    def look(_: int) -> tuple[bool, int, bool]:
        has_share = int(allcores.usable_cores()) <= plan.cores
        return id(sys.modules["__main__"]) == place, decimal.getcontext().prec, has_share

    with decimal.localcontext() as context:
        context.prec = 9
        lessons = make_lessons(plan, look)
    cores = int(allcores.usable_cores())
    assert values(send(lessons, [1, 2])) == [(False, 9, True)] * 2
    assert int(allcores.usable_cores()) == cores
    assert sys.modules["__main__"] is main
    assert decimal.getcontext().prec == decimal.DefaultContext.prec


def test_who_lacks_lessons_asks_for_them_and_runs_nothing(plan: Plan) -> None:
    table = bytes(1 << 20)
    lessons = make_lessons(plan, lambda x: len(table) + x)
    (message,) = send(lessons, [1]).messages
    assert (message.kind, message.frames) == (Kind.ASK, [])
    assert values(send(lessons, [1], is_whole=True)) == [(1 << 20) + 1]
    assert values(send(lessons, [2])) == [(1 << 20) + 2]


def test_only_the_latest_runs_are_remembered(plan: Plan) -> None:
    table = bytes(1 << 20)
    first = make_lessons(plan, lambda x: len(table) + x)
    send(first, [1], is_whole=True)
    for _ in range(guest.STAYS):
        assert send(first, [1]).messages[0].kind is Kind.REPORT  # it is one of the latest as long as it is used
        send(make_lessons(plan, abs), [1])
    for _ in range(guest.STAYS):
        send(make_lessons(plan, abs), [1])
    assert send(first, [1]).messages[0].kind is Kind.ASK


def test_a_run_that_is_over_is_forgotten_with_the_next_one(plan: Plan) -> None:
    first, second = make_lessons(plan, abs), make_lessons(plan, abs)
    send(first, [1])
    send(second, [1])
    assert len(guest._stays) == 2
    first.close()
    send(second, [1])
    assert len(guest._stays) == 1


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), MemoryError(), ValueError("x")])
def test_whatever_an_item_raises_is_its_failure(plan: Plan, error: BaseException) -> None:
    def fail(x: int) -> int:
        if x == 2:
            raise error
        return x

    (message,) = send(make_lessons(plan, fail), [1, 2, 3]).messages
    found, raised = decode_outcomes(message.frames)
    assert (found, list(raised), type(raised[1].exception)) == ([1, None, 3], [1], type(error))


def test_whatever_the_state_raises_is_the_setups_failure(plan: Plan) -> None:
    def leave() -> None:
        raise SystemExit(3)

    job = Job(abs, is_star=False, stops_at_failure=False, state=leave)
    (message,) = send(Lessons(plan, job), [1]).messages
    assert message.kind is Kind.SETUP_FAILED
    assert type(decode_exception(decode(message.frames)).exception) is SystemExit


def test_what_cannot_be_read_is_told(plan: Plan) -> None:
    lessons = make_lessons(plan, abs)
    head, _ = lessons.order(SendBatch(0, 7, 0, 1, may_give_back=True), [1], is_whole=True)
    (message,) = serve(stamp_here(), head, b"no pickle").messages
    assert (message.kind, message.token, message.stop) == (Kind.UNREADABLE, 7, 1)


def test_another_version_is_refused_before_anything_is_read() -> None:
    python, version, *others = stamp_here()
    with pytest.raises(allcores.WorkersUnavailable, match=r"Python 3\.\d+ runs there and Python 3\.1 here"):
        serve(((3, 1), version, *others), b"no pickle")
    with pytest.raises(
        allcores.WorkersUnavailable, match=rf"allcores {version} is installed there and allcores 9 here"
    ):
        serve((python, "9", *others), b"no pickle")


def test_a_reply_can_be_read_by_anybody_who_has_allcores(plan: Plan) -> None:
    reply = send(make_lessons(plan, abs), [-1])
    assert values(pickle.loads(pickle.dumps(reply, 2))) == [1]


def run_in_threads(*calls: Callable[[], Reply]) -> list[Reply]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def test_threads_of_one_process_run_batches_of_one_run_side_by_side(plan: Plan) -> None:
    barrier = threading.Barrier(2, timeout=20)
    monkey = vars(threading)
    monkey["_allcores_barrier"] = barrier
    try:
        lessons = make_lessons(plan, lambda _: vars(threading)["_allcores_barrier"].wait() >= 0)
        orders = [lessons.order(SendBatch(0, n, 0, 1, may_give_back=True), [1], is_whole=True) for n in range(2)]
        replies = run_in_threads(*[lambda o=order: serve(stamp_here(), o[0], *o[1]) for order in orders])
        assert [values(reply) for reply in replies] == [[True], [True]]
    finally:
        del monkey["_allcores_barrier"]


def test_seeded_batches_run_one_after_another_as_threads_share_the_generators(plan: Plan) -> None:
    def draw(_: int) -> list[float]:
        import random

        return [random.random() for _ in range(1000)]

    lessons = make_lessons(plan, draw, seed=5)
    orders = [lessons.order(SendBatch(0, n, n, n + 1, may_give_back=True), [n], is_whole=True) for n in range(4)]
    replies = run_in_threads(*[lambda o=order: serve(stamp_here(), o[0], *o[1]) for order in orders])
    found = list(itertools.chain.from_iterable(map(values, replies)))
    assert found == allcores.map(draw, range(4), seed=5, on="serial")
