"""An item that is alone in its batch is marked, kept, mended and taken back as one among many is."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

import allcores
from allcores._core.messages import SendBatch
from allcores._transport.board import INDEX, KEPT_TOKEN, SINCE, SPAN, Board, Mark
from allcores._worker.job import Job, Part, run_batch

pytestmark = pytest.mark.once

INDEX_OF_ITEM, TOKEN = 1000, 7


@pytest.fixture
def mark() -> Mark:
    board = Board(1)
    return board.mark(board.take_slot())


def run(function: Callable[[Any], Any], mark: Mark | None = None, **options: Any) -> Part:
    batch = SendBatch(0, TOKEN, INDEX_OF_ITEM, INDEX_OF_ITEM + 1, may_give_back=False)
    (part,) = run_batch(Job(function, is_star=False, stops_at_failure=False), ["item"], batch, mark, **options)
    assert part.is_last
    return part


def test_the_item_is_marked_while_it_runs(mark: Mark) -> None:
    def look(_: str) -> tuple[int, ...]:
        words = mark.words
        return words[INDEX], words[SPAN], words[KEPT_TOKEN], words[SINCE]

    part = run(look, mark)
    assert (part.start, part.stop, part.raised) == (INDEX_OF_ITEM, INDEX_OF_ITEM + 1, {})
    ((*marked, since),) = part.values
    assert marked == [INDEX_OF_ITEM, 1, TOKEN]
    assert since > 0


def test_what_came_of_it_lies_on_the_shelf(mark: Mark) -> None:
    run(str.upper, mark)
    token, start, _, values = mark.shelf.read(os.getpid())
    assert (token, start, values) == (TOKEN, INDEX_OF_ITEM, ["ITEM"])


@pytest.mark.parametrize("wanted", [TOKEN, TOKEN + 1])
def test_one_that_is_wanted_back_does_not_run(mark: Mark, wanted: int) -> None:
    mark.want_back(wanted)
    part = run(lambda _: pytest.fail("it ran"), mark)
    assert (part.start, part.stop, part.values) == (INDEX_OF_ITEM, INDEX_OF_ITEM, [])


def test_one_that_comes_after_what_is_wanted_back_runs(mark: Mark) -> None:
    mark.want_back(TOKEN - 1)
    assert run(str.upper, mark).values == ["ITEM"]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_whatever_it_raises_is_its_own(mark: Mark, kind: type[BaseException]) -> None:
    def fail(_: str) -> None:
        raise kind

    part = run(fail, mark)
    assert (part.values, [*map(type, part.raised.values())]) == ([None], [kind])
    assert mark.shelf.read(os.getpid())[3] == []


def test_what_is_not_its_own_passes() -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupt, passing=(KeyboardInterrupt,))


def test_it_runs_again_for_each_variable_that_it_missed_and_the_caller_has() -> None:
    namespace: dict[str, Any] = {}
    exec("def add(item): return one + other", namespace)
    asked = []

    def fetch(name: str) -> bool:
        asked.append(name)
        namespace[name] = len(asked)
        return name != "other"

    part = run(namespace["add"], fetch=fetch)
    assert asked == ["one", "other"]
    assert [*map(type, part.raised.values())] == [NameError]


def test_it_knows_which_one_it_is() -> None:
    assert run(lambda _: allcores.current_item().index).values == [INDEX_OF_ITEM]
