"""Code that a worker runs to read what it was sent may begin no run in processes."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

import allcores
from allcores._core.errors import UnpicklableError
from allcores._worker.reading import read


def begin(options: dict[str, Any]) -> list[int]:
    return allcores.map(abs, [-1, 2], **options)


class Beginning:
    """Begins a run when it is unpickled, as the code of a module may that is imported for that."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def __reduce__(self) -> tuple[Any, ...]:
        return begin, (self.options,)


@pytest.mark.parametrize("options", [{"start": "fork"}, {"start": "forkserver"}, {"on": ProcessPoolExecutor}])
def test_none_begins_while_something_is_read(options: dict[str, Any]) -> None:
    data = pickle.dumps(Beginning(**options))
    with pytest.raises(UnpicklableError, match="begins a run when it is imported"):
        read([data])
    assert allcores.map(abs, [-1, 2], start="fork") == [1, 2]  # nothing is read any more


@pytest.mark.parametrize("on", ["threads", "serial"])
def test_what_stays_in_the_process_may_begin(on: str) -> None:
    assert read([pickle.dumps(Beginning(on=on))]) == [1, 2]
