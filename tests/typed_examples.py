"""What a type checker must infer; mypy reads this file, nobody runs it."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_type

import allcores


def length(text: str) -> int:
    return len(text)


def power(base: int, exponent: int) -> float:
    return float(base**exponent)


def connect() -> bytes:
    return b""


def look_up(connection: bytes, text: str) -> int:
    return connection.find(text.encode())


def texts() -> Iterator[str]:
    yield "a"


assert_type(allcores.map(length, ["a", "b"]), allcores.Results[int])
assert_type(allcores.map(length, texts(), workers=2, batch=10), allcores.Results[int])
assert_type(allcores.map(length, ["a"], errors="raise"), allcores.Results[int])
assert_type(allcores.map(length, ["a"], errors="collect"), allcores.Results[int | allcores.Failure])
assert_type(allcores.map(power, [1, 2], [3, 4]), allcores.Results[float])
assert_type(allcores.map(power, [1, 2], [3, 4], errors="collect"), allcores.Results[float | allcores.Failure])
assert_type(allcores.map(lambda x: x * 2, [1, 2]), allcores.Results[int])
assert_type(allcores.starmap(power, [(1, 2)]), allcores.Results[float])
assert_type(allcores.starmap(power, [(1, 2)], errors="collect"), allcores.Results[float | allcores.Failure])


assert_type(allcores.map(look_up, ["a"], state=connect), allcores.Results[int])
assert_type(allcores.map(look_up, ["a"], state=connect, finalizer=print, workers=2), allcores.Results[int])
assert_type(allcores.map(look_up, ["a"], state=connect, errors="collect"), allcores.Results[int | allcores.Failure])
assert_type(allcores.map(lambda connection, text: len(text), ["a"], state=connect), allcores.Results[int])
assert_type(allcores.map(length, ["a"], state=None), allcores.Results[int])
assert_type(allcores.map(power, [1], [2], state=connect), allcores.Results[float])
assert_type(allcores.starmap(look_up, [("a",)], state=connect), allcores.Results[int])
assert_type(next(allcores.imap(look_up, texts(), state=connect)), int)
assert_type(next(allcores.imap_unordered(look_up, texts(), state=connect)), tuple[int, int])
with allcores.Pool(2, state=connect) as pool:
    assert_type(pool.map(look_up, ["a"]), list[int])
    assert_type(pool.map(length, ["a"]), list[int])
    assert_type(pool.map(lambda text: text.count("a"), ["a"]), list[int])
    assert_type(next(pool.imap(look_up, ["a"])), int)

assert_type(next(allcores.imap(length, texts())), int)
assert_type(next(allcores.imap(length, texts(), errors="collect")), int | allcores.Failure)
assert_type(next(allcores.imap_unordered(length, texts())), tuple[int, int])
assert_type(next(allcores.imap_unordered(length, texts(), errors="collect")), tuple[int, int | allcores.Failure])
with allcores.imap(length, texts(), ahead=5) as lengths:
    for one in lengths:
        assert_type(one, int)


async def texts_to_come() -> AsyncIterator[str]:
    yield "a"


async def asynchronously() -> None:
    assert_type(await allcores.amap(length, texts_to_come()), allcores.Results[int])
    assert_type(await anext(allcores.aimap(length, texts_to_come())), int)
    assert_type(await allcores.amap(length, ["a"]), allcores.Results[int])
    assert_type(await allcores.amap(look_up, texts_to_come(), state=connect), allcores.Results[int])
    assert_type(await allcores.amap(length, ["a"], errors="collect"), allcores.Results[int | allcores.Failure])
    assert_type(await allcores.amap(power, [1, 2], [3, 4], workers=2), allcores.Results[float])
    async for result in allcores.aimap(length, texts(), ahead=5):
        assert_type(result, int)
    async with allcores.aimap(length, texts(), errors="collect") as collected:
        assert_type(await anext(collected), int | allcores.Failure)
        assert_type(collected.report, allcores.Report | None)
    assert_type(await anext(allcores.aimap_unordered(length, texts())), tuple[int, int])


results = allcores.map(length, ["a"])
assert_type(results[0], int)
assert_type(results.failures, list[allcores.Failure])
assert_type(results.report, allcores.Report)
assert_type(results.report.plan, allcores.Plan)
assert_type(results.successes, list[Any])
allcores.show_progress(False)

allcores.map(length, ["a"], timeout=2.5, retries=1, retry_on=(OSError, allcores.WorkerDied), memory="2GB", recycle=100)
allcores.map(length, ["a"], resume="run.journal", seed=7)
assert_type(allcores.map(length, ["a"], on=ThreadPoolExecutor()), allcores.Results[int])
assert_type(allcores.map(length, ["a"], on=lambda: ThreadPoolExecutor(2)), allcores.Results[int])
assert_type(allcores.map(length, ["a"], on=ThreadPoolExecutor), allcores.Results[int])
with allcores.Journal("run.journal") as journal:
    assert_type(journal.failures, list[allcores.Failure])
    assert_type(journal.finished, int)
assert_type(allcores.current_item().tries, int)
allcores.replay(results.failures[0])

# What a type checker must refuse; mypy says so if it does not, as these comments would be unused then.
allcores.map(length, [1, 2])  # type: ignore[arg-type]
allcores.map(look_up, ["a"])  # type: ignore[arg-type]
allcores.map(look_up, ["a"], state=length)  # type: ignore[arg-type, misc]
allcores.map(length, ["a"], wrokers=2)  # type: ignore[call-overload]
allcores.map(length, ["a"], on=3)  # type: ignore[call-overload]
allcores.map(length, ["a"], errors="maybe")  # type: ignore[call-overload]
