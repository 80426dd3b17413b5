"""What every engine promises, each as a check that whoever has an engine can run: `allcores.testing.PROMISES`."""

from __future__ import annotations

import decimal
import os
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from allcores._core.errors import ItemTimeout, UnpicklableError, UnpicklableItem, UnpicklableResult, WorkerDied
from allcores._core.records import Record
from allcores._objects.outcomes import Failure, finished
from allcores._run.map import imap, imap_unordered, map, starmap
from allcores._worker.current import current_item, rng

__all__ = ["PROMISES", "Promise"]

FOREVER = 3600  # seconds: a check that waits so long has failed
Options = dict[str, Any]


class Promise(Record):
    """Something that holds wherever items run.

    Attributes:
        name: a word or two.
        says: the promise, as a sentence.
        keep: runs items with the options that it is given; raises AssertionError if the promise does not hold.
        asks: options that only this promise needs, by which an engine that cannot keep it refuses it.
        needs_processes: whether it can only be tried where workers are processes of their own.

    Example:
        >>> from allcores.testing import PROMISES
        >>> {promise.verdict(on="serial") for promise in PROMISES if promise.name in {"order", "failures"}}
        {'kept'}
    """

    name: str
    says: str
    keep: Callable[[Options], None]
    asks: Mapping[str, Any] = {}
    needs_processes: bool = False

    def __str__(self) -> str:
        return self.name

    def verdict(self, **options: Any) -> str:
        """Try it.

        Args:
            options: of `map`, that say where: ``on=executor``, ``workers=2``.

        Returns:
            ``"kept"``; or ``"refused: "`` or ``"not kept: "``, and why.

        Raises:
            AssertionError: it is neither kept nor refused.
        """
        try:
            map(abs, [-1], **options, **self.asks)
        except ValueError as error:
            if any(str(error).startswith(f"{name}=") for name in self.asks):
                return f"refused: {error}"
            raise
        if self.needs_processes and os.getpid() in map(_pid, range(4), **options):
            return "not kept: items run in the caller's process"
        self.keep({**options, **self.asks})
        return "kept"


def _pid(_: object) -> int:
    return os.getpid()


def _require(is_so: object, what: str) -> None:
    if not is_so:
        raise AssertionError(what)


def _raised(kind: type[BaseException], call: Callable[[], object]) -> BaseException:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


# ------------------------------------------------------------------------------------------------ what comes of it


def _keep_order(options: Options) -> None:
    def spin(x: int) -> int:
        return x + 0 * sum(range(x * 7919 % 5000))

    _require(map(spin, range(500), **options) == list(range(500)), "results are not in the items' order")
    _require(list(imap(spin, iter(range(500)), **options)) == list(range(500)), "nor are those of imap")
    _require(
        sorted(imap_unordered(spin, range(99), **options)) == [(x, x) for x in range(99)], "imap_unordered lacks some"
    )
    _require(starmap(pow, [(2, 5), (3, 2)], **options) == [32, 9], "starmap does not spread items")


def _keep_laziness(options: Options) -> None:
    pulled = 0

    def endless() -> Iterator[int]:
        nonlocal pulled
        while True:
            yield pulled
            pulled += 1

    with imap(abs, endless(), ahead=20, **options) as results:
        _require(list(islice(results, 30)) == [*range(30)], "results of an endless input are wrong")
        _require(pulled <= 60, f"{pulled} items were read for 30 results and ahead=20")
    _require(map(abs, [-1], **options) == [1], "after a run that was left early there is no other")


def _keep_failures(options: Options) -> None:
    def invert(x: int) -> float:
        return 1 / x

    error = _raised(ZeroDivisionError, lambda: map(invert, [4, 2, 0, 1], **options))
    _require(finished(error).items() <= {0: 0.25, 1: 0.5, 3: 1.0}.items(), "what was finished is wrong")
    results = map(invert, [4, 0, 2, 0], errors="collect", **options)
    _require([results[0], results[2]] == [0.25, 0.5], "values beside failures are wrong")
    _require([failure.index for failure in results.failures] == [1, 3], "failures are not where they belong")
    _require("ZeroDivisionError: " in results.failures[0].traceback, "the traceback is not the item's")


def _keep_exits(options: Options) -> None:
    def leave(x: int) -> int:
        if x == 3:
            sys.exit(7)
        return x

    results = map(leave, range(6), errors="collect", **options)
    _require([failure.index for failure in results.failures] == [3], "sys.exit() is not its own item's failure alone")
    _require(type(results.failures[0].exception) is SystemExit, "sys.exit() came as something else")


def _keep_retries(options: Options) -> None:
    def fail_twice(x: int) -> int:
        if x % 5 == 0 and current_item().tries < 3:
            raise OSError(x)
        return current_item().tries

    found = map(fail_twice, range(12), retries=2, retry_on=OSError, **options)
    _require(found == [3 if x % 5 == 0 else 1 for x in range(12)], "items are not tried as often as they should be")


# ---------------------------------------------------------------------------------------------------------- ends


def _kill_at(*indices: int) -> Callable[[int], int]:
    def work(x: int) -> int:
        if x in indices:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    return work


def _keep_deaths(options: Options) -> None:
    results = map(_kill_at(17, 40), range(60), errors="collect", **options)
    _require([failure.index for failure in results.failures] == [17, 40], "others are blamed than those that did it")
    _require(all(type(failure.exception) is WorkerDied for failure in results.failures), "it is no WorkerDied")
    values = [value for value in results if not isinstance(value, Failure)]
    _require(values == [x for x in range(60) if x not in {17, 40}], "others' results are lost, or wrong")


def _keep_tries_after_deaths(options: Options) -> None:
    def die_once(x: int) -> int:
        return _kill_at(4)(x) if current_item().tries == 1 else -x

    found = map(die_once, range(8), retries=1, **options)
    _require(found == [0, 1, 2, 3, -4, 5, 6, 7], "an item that ended its worker is not tried again")


def _keep_timeouts(options: Options) -> None:
    def wait(x: int) -> int:
        if x == 2:
            threading.Event().wait(FOREVER)
        return x

    results = map(wait, range(5), errors="collect", **options)
    _require(
        [failure.index for failure in results.failures] == [2], "the item that overstays is not the one that fails"
    )
    _require(type(results.failures[0].exception) is ItemTimeout, "it is no ItemTimeout")


def _keep_recycling(options: Options) -> None:
    places = map(_pid, range(20), batch=1, **options)
    _require(
        max(places.count(place) for place in places) <= options["recycle"], "a worker has run more items than it may"
    )


# ------------------------------------------------------------------------------------------------- what travels


class _Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("it stays where it is")


def _make_unpicklable(x: object) -> object:
    return _Unpicklable() if x == "make one" else 0


def _keep_functions(options: Options) -> None:
    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

    def double(local: Local) -> Local:
        if not isinstance(local, Local):
            raise TypeError(type(local))
        return Local(2 * local.x)

    found = map(double, [Local(x) for x in range(10)], **options)
    _require({type(local) for local in found} == {Local}, "instances come back of another class")
    _require([local.x for local in found] == [*range(0, 20, 2)], "instances come back with something else in them")
    _require(map(lambda x: x + len(found), [1], **options) == [11], "what a lambda captures is something else there")


def _keep_the_unpicklable_apart(options: Options) -> None:
    thing = _Unpicklable()
    try:
        found = map(lambda x: (thing, x)[1], [1, 2], **options)
    except UnpicklableError:
        found = map(lambda x: x, [1, 2], **options)
    _require(found == [1, 2], "a function that cannot travel is neither refused nor run")
    for kind, items in ((UnpicklableItem, [0, thing, 0]), (UnpicklableResult, [0, "make one", 0])):
        results = map(_make_unpicklable, items, errors="collect", **options)
        _require(results[0] == results[2] == 0, "what cannot travel hurts others")
        kinds = [type(failure.exception) for failure in results.failures]
        _require(kinds in ([], [kind]), f"what cannot travel comes to {kinds}")


def _keep_large_data(options: Options) -> None:
    table = bytes(1 << 21)
    found = map(lambda data: data + b"x", [bytearray(1 << 20) for _ in range(6)], **options)
    _require(found == [bytearray(1 << 20) + b"x"] * 6, "large data comes back as something else")
    found[0][0] = 1  # it is the caller's to change
    _require(map(lambda x: len(table) + x, range(8), **options) == [(1 << 21) + x for x in range(8)], "captures differ")


# ------------------------------------------------------------------------------------------- under which conditions


def _keep_seeds(options: Options) -> None:
    def draw(_: int) -> float:
        return random.Random(current_item().index).random() + float(rng().random())  # noqa: S311 - no secret

    found = [map(draw, range(20), seed=5, **place) for place in (options, {"on": "serial"}, options)]
    _require(found[0] == found[1] == found[2], "seeded numbers are others than anywhere else")


def _keep_settings(options: Options) -> None:
    with decimal.localcontext() as context:
        context.prec = 7
        found = map(lambda x: str(decimal.Decimal(x) / 3), [1, 2], **options)
    _require(found == ["0.3333333", "0.6666667"], "decimal's context is not the caller's")


def _keep_states(options: Options) -> None:
    def count(state: list[int], x: int) -> tuple[int, int]:
        state.append(x)
        return id(state), len(state)

    counts = [count for _, count in map(count, range(40), state=list, batch=1, **options)]
    _require(counts.count(1) <= 8, "the state is made more often than once in each worker")
    _require(max(counts) > 1, "no state outlives an item")


def _keep_initializers(options: Options) -> None:
    def fail(text: str) -> None:
        raise LookupError(text)

    def call() -> object:
        return map(abs, range(9), initializer=fail, initargs=["no table"], errors="collect", **options)

    _require("no table" in str(_raised(LookupError, call)), "the initializer's own error is not raised")


def _keep_finalizers(options: Options) -> None:
    with tempfile.TemporaryDirectory() as folder:
        diary = Path(folder, "diary")

        def end(state: str) -> None:
            with diary.open("a") as file:
                file.write(state)

        map(str.__add__, "abc", state=lambda: "x", **{**options, "finalizer": end})
        _require(diary.exists() and set(diary.read_text()) == {"x"}, "the finalizer was not called with the state")


def _keep_nested_runs(options: Options) -> None:
    def outer(x: int) -> list[int]:
        return [*map(lambda y: x * y, range(4), workers=2)]

    _require(
        map(outer, range(4), **options) == [[x * y for y in range(4)] for x in range(4)], "runs inside of items differ"
    )


def _keep_journals(options: Options) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fixed, journal = Path(folder, "fixed"), Path(folder, "journal")

        def invert(x: int) -> float:
            return 1.0 if fixed.exists() else 1 / x

        map(invert, [1, 2, 0, 4], on="serial", errors="collect", resume=journal)
        fixed.touch()
        again = map(invert, [1, 2, 0, 4], resume=journal, **options)
        _require(again == [1.0, 0.5, 1.0, 0.25] and again.report.recalled == 3, "a journal is not gone on with")


PROMISES = (
    Promise("order", "Results are in the items' order, whatever is done first.", _keep_order),
    Promise("laziness", "An endless input is read no further than `ahead` says.", _keep_laziness),
    Promise("failures", "A failure is raised as it was, or is in its item's place.", _keep_failures),
    Promise("exits", "`sys.exit()` is a failure of its item.", _keep_exits),
    Promise("retries", "Items are tried again as often as was said.", _keep_retries),
    Promise("functions", "Closures and local classes do, and are the caller's own.", _keep_functions),
    Promise("travel", "What cannot travel hurts itself alone.", _keep_the_unpicklable_apart),
    Promise("large data", "Large captures, items and results are what they were.", _keep_large_data),
    Promise("seeds", "Seeded numbers are the same everywhere.", _keep_seeds),
    Promise("settings", "Items run under the caller's settings.", _keep_settings),
    Promise("state", "`state=` is made once in each worker.", _keep_states),
    Promise("initializer", "What the initializer raises is raised, once.", _keep_initializers),
    Promise("nested runs", "Items may start runs of their own.", _keep_nested_runs),
    Promise("journal", "A journal begun elsewhere is gone on with.", _keep_journals),
    Promise("deaths", "A death fails the item that did it, and no other.", _keep_deaths, needs_processes=True),
    Promise("tries after deaths", "That item is tried again.", _keep_tries_after_deaths, needs_processes=True),
    Promise("timeout", "An item that overstays is ended.", _keep_timeouts, {"timeout": 1.0}, needs_processes=True),
    Promise("recycle", "Workers are replaced.", _keep_recycling, {"recycle": 3}, needs_processes=True),
    Promise("finalizer", "It is called at a worker's end.", _keep_finalizers, {"finalizer": print}),
)
