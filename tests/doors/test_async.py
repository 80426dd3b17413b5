"""Runs beside an event loop: the same results as without one, and the loop goes on, whatever the run waits for."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores._core.messages import RunStopped, SendBatch
from allcores._core.options import Options
from allcores._core.plan import Facts, make_plan
from allcores._doors.asynchronous import errand
from allcores._input.dataset import Columns
from allcores._run.driver import Run
from allcores._run.sinks import ListSink
from allcores.testing import FakeEngine

LAZY = {"aimap": allcores.aimap, "aimap_unordered": allcores.aimap_unordered}

Lazy = Callable[..., Any]


@pytest.fixture(params=LAZY)
def lazy(request: pytest.FixtureRequest) -> Lazy:
    """Each lazy entry point."""
    return LAZY[request.param]


async def listed(results: Any) -> list[Any]:
    """Give the values, in order of their items where they come with their index."""
    got = [result async for result in results]
    pairs = all(isinstance(result, tuple) for result in got)
    return [value for _, value in sorted(got)] if pairs else got


def amap(*args: Any, **options: Any) -> allcores.Results[Any]:
    """Run `allcores.amap` in an event loop of its own."""

    async def main() -> allcores.Results[Any]:
        return await allcores.amap(*args, **options)

    return asyncio.run(main())


def fail_at(bad: int) -> Callable[[int], int]:
    def work(x: int) -> int:
        if x == bad:
            raise ValueError(x)
        return x

    return work


class Gate:
    """A named pipe in which items tell that they run, and wait for ever."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate"
        os.mkfifo(self.path)

    def __call__(self, x: int) -> int:
        if x:
            with self.path.open("w") as file:
                file.write(str(os.getpid()))
            signal.pause()
        return x

    async def pid(self) -> int:
        """Give the process of the next item that waits."""
        await asyncio.sleep(0)  # runs that begin now do so before there is another thread
        return int(await asyncio.to_thread(self.path.read_text))


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """What blocks every item but 0."""
    return Gate(tmp_path)


# ------------------------------------------------------------------------------------------------------------ results


def test_amap_is_the_comprehension(place: dict[str, Any]):
    results = amap(lambda x: x * x, range(300), workers=2, **place)
    assert results == [x * x for x in range(300)]
    assert results.failures == []
    assert (results.report.items, results.report.plan.on) == (300, allcores.Options(**place).engine)


def test_aimap_keeps_the_order(place: dict[str, Any]):
    for dataset in (range(300), iter(range(300))):
        results = allcores.aimap(lambda x: x * x, dataset, workers=2, **place)
        assert asyncio.run(listed(results)) == [x * x for x in range(300)]
        assert results.report.items == 300


def test_aimap_unordered_tells_the_indices(place: dict[str, Any]):
    async def main() -> list[tuple[int, str]]:
        return [pair async for pair in allcores.aimap_unordered(str.upper, "hello" * 40, workers=2, **place)]

    assert sorted(asyncio.run(main())) == list(enumerate("HELLO" * 40))


def test_several_iterables_side_by_side(lazy: Lazy):
    assert amap(pow, itertools.count(2), iter([3, 2, 1]), workers=2) == [8, 9, 4]
    assert asyncio.run(listed(lazy(pow, itertools.count(2), iter([3, 2, 1]), workers=2))) == [8, 9, 4]


def test_an_empty_input(lazy: Lazy):
    assert amap(abs, iter([])) == []
    assert asyncio.run(listed(lazy(abs, []))) == []


def test_failures_are_collected(lazy: Lazy):
    results = amap(fail_at(3), range(6), workers=2, errors="collect")
    assert [failure.index for failure in results.failures] == [3]
    assert [results[3]] == results.failures
    lazily = lazy(fail_at(3), range(6), workers=2, errors="collect")
    values = asyncio.run(listed(lazily))
    assert [values[3]] == lazily.failures
    assert values[:3] + values[4:] == [0, 1, 2, 4, 5]


def test_the_first_failure_is_raised_with_what_was_finished(place: dict[str, Any]):
    with pytest.raises(ValueError, match="3") as caught:
        amap(fail_at(3), range(4), workers=1, batch=1, **place)
    assert allcores.finished(caught.value) == {0: 0, 1: 1, 2: 2}


def test_the_results_before_a_failure_come_first(place: dict[str, Any]):
    got = []

    async def main() -> None:
        async for value in allcores.aimap(fail_at(30), itertools.count(), workers=1, **place):
            got.append(value)  # noqa: PERF401 - a comprehension would lose them

    with pytest.raises(ValueError, match="30"):
        asyncio.run(main())
    assert got == list(range(30))


def test_what_cannot_travel_is_said(lazy: Lazy):
    lock = threading.Lock()
    with pytest.raises(allcores.UnpicklableError, match="lock"):
        amap(lambda x: lock, [1], start="forkserver")
    with pytest.raises(allcores.UnpicklableError, match="lock"):
        asyncio.run(listed(lazy(lambda x: lock, [1], start="forkserver")))


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
def test_an_item_cannot_pass_for_the_end(error: type[Exception], lazy: Lazy):
    def work(x: int) -> None:
        raise error(x)

    with pytest.raises(RuntimeError, match=f"an item raised {error.__name__}"):
        amap(work, [1], on="threads")
    with pytest.raises(RuntimeError, match=f"an item raised {error.__name__}"):
        asyncio.run(listed(lazy(work, [1], on="threads")))


def test_an_option_that_does_not_exist_is_refused(lazy: Lazy):
    with pytest.raises(TypeError, match="did you mean 'workers'"):
        amap(abs, [1], wrokers=2)
    results = lazy(abs, [1], wrokers=2)
    with pytest.raises(TypeError, match="did you mean 'workers'"):
        asyncio.run(listed(results))
    assert asyncio.run(listed(results)) == []


def draw(x: int) -> float:
    return float(allcores.rng().random())


def test_a_seed_means_the_same_as_without_an_event_loop(lazy: Lazy):
    expected = allcores.map(draw, range(9), seed=7, workers=2)
    assert amap(draw, range(9), seed=7, workers=2) == expected
    assert asyncio.run(listed(lazy(draw, range(9), seed=7, workers=2))) == expected


def test_a_journal_is_resumed_by_any_entry_point(lazy: Lazy, tmp_path: Path):
    journal = tmp_path / "run.journal"
    assert amap(abs, range(-20, 0), resume=journal, on="serial").report.recalled == 0
    results = lazy(abs, range(-20, 0), resume=journal, on="serial", ahead=3)
    assert asyncio.run(listed(results)) == list(range(20, 0, -1))
    assert results.report.recalled == 20


def test_progress_is_told():
    told: list[int] = []
    amap(abs, range(20), on="serial", progress=lambda settled, total: told.append(settled))
    assert told[-1] == 20
    assert told == sorted(told)


# ------------------------------------------------------------------------------------------------------ beside others


def test_a_run_in_a_thread_of_its_own_forks_only_if_it_is_told_to():
    plan = amap(abs, [1]).report.plan
    assert plan.start == "forkserver"
    assert plan.start_reason.startswith("a fork would not be safe")
    assert amap(abs, [1], start="fork").report.plan.start == "fork"


def test_the_event_loop_goes_on_while_the_input_is_pulled(lazy: Lazy):
    async def main(run: Callable[[Iterator[int]], Any]) -> list[int]:
        go = threading.Event()

        def items() -> Iterator[int]:
            go.wait()
            yield from range(3)

        task = asyncio.ensure_future(run(items()))
        asyncio.get_running_loop().call_soon(go.set)
        return list(await task)

    assert asyncio.run(main(lambda items: allcores.amap(abs, items, workers=1))) == [0, 1, 2]
    assert asyncio.run(main(lambda items: listed(lazy(abs, items, workers=1)))) == [0, 1, 2]


def test_the_event_loop_goes_on_while_results_are_ready(lazy: Lazy):
    async def main() -> bool:
        is_enough = asyncio.Event()

        async def look_in() -> None:
            for _ in range(10):
                await asyncio.sleep(0)
            is_enough.set()

        other = asyncio.create_task(look_in())
        async with lazy(abs, itertools.count(), on="threads", workers=1) as results:
            async for _ in results:
                if is_enough.is_set():
                    break
        await other
        return is_enough.is_set()

    assert asyncio.run(main())


def test_several_runs_in_one_event_loop(place: dict[str, Any]):
    async def main() -> list[Any]:
        runs = [allcores.amap(lambda x, y=y: x * y, range(20), workers=1, **place) for y in range(3)]
        return await asyncio.gather(*runs, listed(allcores.aimap(str, range(20), workers=1, **place)))

    assert asyncio.run(main()) == [[x * y for x in range(20)] for y in range(3)] + [[str(x) for x in range(20)]]


def test_several_tasks_share_an_iterator(lazy: Lazy):
    async def main() -> list[list[Any]]:
        results = lazy(abs, range(200), workers=2, start="forkserver", batch=1)
        return await asyncio.gather(*(listed(results) for _ in range(3)))

    assert sorted(itertools.chain(*asyncio.run(main()))) == list(range(200))


class Counting:
    """An endless input that knows how many items were pulled from it."""

    def __init__(self) -> None:
        self.pulled = 0

    def __iter__(self) -> Iterator[int]:
        for x in itertools.count():
            self.pulled += 1
            yield x


def test_the_input_is_pulled_no_further_than_ahead(lazy: Lazy, place: dict[str, Any]):
    async def main(ahead: int, batch: int | None) -> None:
        numbers, taken = Counting(), 0
        async with lazy(abs, numbers, workers=2, ahead=ahead, batch=batch, **place) as results:
            async for _ in results:
                assert taken < numbers.pulled <= taken + ahead
                taken += 1
                if taken == 50:
                    break

    for ahead, batch in ((1, None), (5, 7), (100, None)):
        asyncio.run(main(ahead, batch))


def test_nothing_runs_before_the_first_result_is_asked_for(lazy: Lazy):
    async def main() -> int:
        numbers = Counting()
        results = lazy(abs, numbers, workers=2)
        assert (results.report, results.failures) == (None, [])
        await results.aclose()
        assert await listed(results) == []
        return numbers.pulled

    assert asyncio.run(main()) == 0


def idle_run(engine: FakeEngine, *, hears_others: bool) -> Run:
    facts = Facts(cores=1, cores_bound="the test", can_fork=True, fork_hazard=None, can_start_clean=True)
    return Run(
        make_plan(Options(on="threads"), facts),
        Columns(([1],)),
        lambda: engine,
        ListSink(),
        is_lazy=False,
        hears_others=hears_others,
    )


def test_a_run_that_hears_others_ends_when_it_is_told_to():
    engine = FakeEngine()
    run = idle_run(engine, hears_others=True)
    run.tell(RunStopped())
    run.run_to_end()
    assert run.is_finished
    assert not any(isinstance(command, SendBatch) for command in engine.commands)
    assert engine.is_closed


def test_a_consumer_who_takes_nothing_costs_no_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All is recalled, so that no worker is needed, and there is nothing to wait for but the consumer."""
    journal = tmp_path / "run.journal"
    amap(abs, range(9), resume=journal, on="threads")
    turns, waits = [], threading.Event()
    turn = Run.turn
    monkeypatch.setattr(Run, "turn", lambda self: (turns.append(waits.is_set()), turn(self)))

    async def main() -> list[int]:
        results = aiter(allcores.aimap(abs, range(9), resume=journal, on="threads", ahead=2))
        first = await anext(results)
        for _ in range(200):  # of the event loop, which lets the run's thread go on each time
            await asyncio.to_thread(waits.set)
        return [first, *await listed(results)]

    assert asyncio.run(main()) == list(range(9))
    assert turns.count(True) < 50


# ------------------------------------------------------------------------------------------------------------ the end


def test_cancelling_ends_the_workers_and_keeps_what_was_finished(gate: Gate, start: str, outliving: Any):
    async def main() -> tuple[int, BaseException]:
        told = asyncio.Event()
        hear = asyncio.get_running_loop().call_soon_threadsafe
        options = {"progress": lambda *_: hear(told.set), "batch": 1, "workers": 1, "start": start}
        task = asyncio.create_task(allcores.amap(gate, [0, 1], **options))
        await told.wait()
        pid = await gate.pid()
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough") as caught:
            await task
        return pid, caught.value

    pid, error = asyncio.run(main())
    assert allcores.finished(error) == {0: 0}
    assert outliving([pid]) == set()


def test_cancelling_who_waits_for_a_result_ends_the_run(gate: Gate, lazy: Lazy, start: str, outliving: Any):
    async def main() -> int:
        results = lazy(gate, [0, 1, 0], batch=1, workers=2, start=start)
        await anext(results)
        task = asyncio.ensure_future(listed(results))
        pid = await gate.pid()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await listed(results) == []
        return pid

    assert outliving([asyncio.run(main())]) == set()


@pytest.mark.parametrize("steps", range(4))
def test_cancelling_before_anything_runs(steps: int, place: dict[str, Any]):
    async def main() -> None:
        task = asyncio.create_task(allcores.amap(abs, itertools.count(), **place))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_who_cancels_does_not_wait_for_an_input_that_does_not_come(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(errand, "LEAVE_SECONDS", 0.01)
    is_pulled, come = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        is_pulled.set()
        come.wait()
        yield 1

    async def main() -> None:
        task = asyncio.create_task(allcores.amap(abs, items(), workers=1))
        await asyncio.to_thread(is_pulled.wait)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert not come.is_set()
    come.set()
    for thread in threading.enumerate():
        if thread.name == "allcores-amap":
            thread.join()


def test_a_time_limit_ends_the_run(gate: Gate, outliving: Any):
    pids = []

    async def main() -> None:
        async with asyncio.timeout(None) as limit:
            task = asyncio.ensure_future(gate.pid())
            task.add_done_callback(lambda _: limit.reschedule(0))
            await allcores.amap(gate, [0, 1], workers=1)
            pids.append(task.result())

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert outliving(pids) == set()


async def leave_by_break(results: Any) -> Any:
    async for first in results:
        return first
    raise AssertionError


async def leave_by_closing(results: Any) -> Any:
    first = await anext(results)
    for _ in range(2):
        await results.aclose()
        assert await anext(results, "nothing") == "nothing"
    return first


async def leave_with(results: Any) -> Any:
    async with results:
        return await anext(results)


async def leave_with_an_error(results: Any) -> Any:
    first = await anext(results)
    with pytest.raises(ZeroDivisionError):
        async with results:
            raise ZeroDivisionError
    return first


LEAVES = [leave_by_break, leave_by_closing, leave_with, leave_with_an_error]


@pytest.mark.parametrize("leave", LEAVES)
def test_leaving_early_ends_the_run(leave: Callable[[Any], Any], place: dict[str, Any], outliving: Any):
    async def main() -> int:
        # An initializer keeps clean workers from being kept for the next run.
        pid = await leave(
            allcores.aimap(lambda _: os.getpid(), itertools.count(), workers=2, initializer=dict, **place)
        )
        return int(pid)

    assert outliving({asyncio.run(main())} - {os.getpid()}) == set()


def test_an_error_of_the_input_comes_after_the_results_before_it(lazy: Lazy):
    def items() -> Iterator[int]:
        yield from range(5)
        raise OSError("the disk is gone")

    got = []

    async def main() -> None:
        async for value in lazy(abs, items(), workers=2):
            got.append(value)  # noqa: PERF401 - a comprehension would lose them

    with pytest.raises(OSError, match="the disk is gone"):
        asyncio.run(main())
    assert len(got) == 5


def test_a_run_left_open_at_exit_is_no_trouble(run_python: Any, place: dict[str, Any]):
    program = f"""
import asyncio, itertools, allcores
async def main():
    results = allcores.aimap(abs, itertools.count(), workers=2, **{place!r})
    print(await anext(results))
    return results
results = asyncio.run(main())
"""
    done = run_python(program, warnings="ignore")
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_ctrl_c_ends_the_run(run_python: Any):
    program = """
import asyncio, os, signal, allcores
async def main():
    try:
        await allcores.amap(lambda x: x and signal.pause(), [0, 1], workers=1, batch=1,
                            progress=lambda *_: os.kill(os.getpid(), signal.SIGINT))
    except asyncio.CancelledError as error:
        print(allcores.finished(error))
        raise
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    done = run_python(program)
    assert (done.stdout, done.stderr) == ("{0: 0}\ninterrupted\n", "")


# ---------------------------------------------------------------------------------------------- an asynchronous input


class AsyncCounting:
    """An endless asynchronous input that knows how many items were pulled from it, and how it ended."""

    def __init__(self) -> None:
        self.pulled = 0
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[int]:
        try:
            for x in itertools.count():
                await asyncio.sleep(0)
                self.pulled += 1
                yield x
        finally:
            self.is_closed = True


async def first(count: int, items: AsyncCounting) -> AsyncIterator[int]:
    async for x in items:
        if x == count:
            return
        yield x


def test_an_asynchronous_input_is_iterated_in_the_event_loop(lazy: Lazy, place: dict[str, Any]):
    async def main() -> list[list[int]]:
        at_once = await allcores.amap(lambda x: x * x, first(50, AsyncCounting()), workers=2, **place)
        return [at_once, await listed(lazy(lambda x: x * x, first(50, AsyncCounting()), workers=2, **place))]

    assert asyncio.run(main()) == [[x * x for x in range(50)]] * 2


def test_an_asynchronous_input_is_pulled_no_further_than_ahead(lazy: Lazy, place: dict[str, Any]):
    async def main(ahead: int, batch: int | None) -> None:
        numbers, taken = AsyncCounting(), 0
        async with lazy(abs, numbers, workers=2, ahead=ahead, batch=batch, **place) as results:
            async for _ in results:
                assert taken < numbers.pulled <= taken + ahead
                taken += 1
                if taken == 40:
                    break
        assert numbers.is_closed

    for ahead, batch in ((1, None), (5, 7), (50, None)):
        asyncio.run(main(ahead, batch))


def test_results_come_while_the_input_waits(lazy: Lazy, place: dict[str, Any]):
    """As in a service whose next question hangs on the answer to the last one."""

    async def main() -> list[Any]:
        questions: asyncio.Queue[int | None] = asyncio.Queue()

        async def asked() -> AsyncIterator[int]:
            while (question := await questions.get()) is not None:
                yield question

        answers = aiter(lazy(lambda x: x + 1, asked(), workers=1, **place))
        given = []
        for question in (10, 20, 30):
            await questions.put(question)
            given.append(await anext(answers))
        await questions.put(None)
        return given + [answer async for answer in answers]

    given = asyncio.run(main())
    assert given in ([11, 21, 31], [(0, 11), (1, 21), (2, 31)])


def test_an_error_of_an_asynchronous_input_comes_after_the_results_before_it(lazy: Lazy):
    async def items() -> AsyncIterator[int]:
        for x in range(5):
            yield x
        raise OSError("the line is dead")

    got = []

    async def main() -> None:
        async for value in lazy(abs, items(), workers=2):
            got.append(value)  # noqa: PERF401 - a comprehension would lose them

    with pytest.raises(OSError, match="the line is dead"):
        asyncio.run(main())
    assert len(got) == 5


def test_a_cancellation_inside_of_the_input_ends_the_run(lazy: Lazy):
    async def items() -> AsyncIterator[int]:
        yield 1
        raise asyncio.CancelledError

    async def main(run: Callable[[AsyncIterator[int]], Any]) -> None:
        await run(items())

    for run in (lambda items: allcores.amap(abs, items), lambda items: listed(lazy(abs, items))):
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main(run))


def test_a_run_that_ends_ends_an_asynchronous_input(gate: Gate):
    async def main() -> bool:
        numbers = AsyncCounting()
        with pytest.raises(ValueError, match="3"):
            await allcores.amap(fail_at(3), numbers, workers=1)
        task = asyncio.create_task(allcores.amap(gate, endless := AsyncCounting(), workers=2, batch=1))
        await gate.pid()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return numbers.is_closed and endless.is_closed

    assert asyncio.run(main())


def test_several_asynchronous_inputs_are_refused():
    async def main() -> None:
        await allcores.amap(pow, AsyncCounting(), AsyncCounting())

    with pytest.raises(TypeError, match="input 1 is not iterable"):
        asyncio.run(main())


def test_a_journal_serves_an_asynchronous_input(tmp_path: Path):
    journal = tmp_path / "run.journal"

    async def main() -> list[int]:
        results = allcores.aimap(abs, first(20, AsyncCounting()), resume=journal, on="threads", ahead=3)
        assert await listed(results) == list(range(20))
        return results.report.recalled

    assert [asyncio.run(main()) for _ in range(2)] == [0, 20]


def test_an_asynchronous_iterator_says_how_its_run_stands():
    async def main() -> list[str]:
        results = allcores.aimap(abs, [1], on="serial")
        told = [repr(results)]
        await listed(results)
        return [*told, repr(results)]

    assert asyncio.run(main()) == [
        "<AsyncResultIterator: not begun>",
        "<AsyncResultIterator: closed, 1 done>",
    ]
