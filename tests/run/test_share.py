"""Programs of one user share the cores where they are asked to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import allcores
from allcores._system.cores import meeting_place
from allcores._system.neighbours import Neighbours

WORKERS = 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALLCORES_SHARE", "1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    place = meeting_place()
    assert place is not None
    return Path(place)


@pytest.fixture
def neighbours(folder: Path) -> Iterator[Neighbours]:
    """Another program's run, which lasts."""
    run = Neighbours(str(folder))
    yield run
    run.close()


def span(_: object) -> tuple[float, float]:
    begun = time.monotonic()
    time.sleep(0.05)
    return begun, time.monotonic()


def most_at_once(spans: list[tuple[float, float]]) -> int:
    return max(sum(begun <= at < ended for begun, ended in spans) for at, _ in spans)


def test_a_run_leaves_half_of_the_cores_to_another_one(start: str, neighbours: Neighbours) -> None:
    spans = allcores.map(span, range(30), workers=WORKERS, start=start, batch=1)
    assert most_at_once(spans[10:]) == 1  # until it had looked around it could not know
    assert neighbours.count() == 1


def test_a_run_that_is_alone_has_them_all(start: str, folder: Path) -> None:
    assert most_at_once(allcores.map(span, range(30), workers=WORKERS, start=start, batch=1)) == WORKERS
    assert list(folder.iterdir()) == []


def test_it_goes_on_when_the_other_has_ended(neighbours: Neighbours) -> None:
    spans = []
    for index, each in allcores.imap_unordered(span, range(60), workers=WORKERS, batch=1):
        spans.append(each)
        if index == 20:
            neighbours.close()
    assert most_at_once(sorted(spans)[40:]) == WORKERS


def test_a_pool_counts_only_while_it_has_something_to_do(folder: Path) -> None:
    other = Neighbours(str(folder))
    with allcores.Pool(WORKERS) as pool:
        assert pool.map(abs, range(-4, 0)) == [4, 3, 2, 1]
        deadline = time.monotonic() + 20
        while other.count() > 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert pool.apply(abs, (-1,)) == 1
    other.close()


def test_runs_in_workers_are_part_of_their_run(folder: Path) -> None:
    told = allcores.map(lambda _: (os.environ["ALLCORES_SHARE"], allcores.map(abs, [-1])), range(2), workers=WORKERS)
    assert told == [("0", [1])] * 2


def test_the_plan_tells_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"cores shared with other programs that meet in {folder}" in str(allcores.plan())
    monkeypatch.setenv("ALLCORES_SHARE", "0")
    assert "shared" not in str(allcores.plan())


def test_a_place_that_is_somebody_elses_is_refused_before_anything_starts(folder: Path, place: dict[str, Any]) -> None:
    folder.rmdir()
    folder.symlink_to("/")
    with pytest.raises(PermissionError, match="not a folder of yours"):
        allcores.map(abs, [-1], **place)
