"""Workers are forked while other threads import, and runs are begun by the code of modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Shell

from allcores._system.imports import look_at_modules

# Its import lasts until a worker is about to be forked.
SLOW = """
from __main__ import is_forking
is_there = is_forking.wait(30)
value = 7
"""

BESIDE = """
import threading
import allcores
from allcores._engines.processes import forked

is_forking = threading.Event()
await_imports = forked.await_imports

def await_later():
    is_forking.set()
    await_imports()

forked.await_imports = await_later

def look(x):
    import slow
    return slow.value

if __name__ == "__main__":
    {make}
        import slow
        print(slow.is_there, {get})
"""

WAYS = {
    "Executor": {
        "make": "with allcores.Executor(2, start='fork') as executor:\n        future = executor.submit(look, 0)",
        "get": "future.result()",
    },
    "Pool": {
        "make": "with allcores.Pool(2, start='fork') as pool:\n        result = pool.map_async(look, [0])",
        "get": "result.get()[0]",
    },
}

BEGINNING = """
import allcores

def square(x):
    import beginning
    return beginning.square and x * x

print({call})
"""

CALLS = {
    "map": "allcores.map(square, range(4), {place})",
    "Pool.map": "allcores.Pool(2, {place}).map(square, range(4))",
    "Executor.map": "list(allcores.Executor(2, {place}).map(square, range(4)))",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_fork_waits_for_what_another_thread_imports(way: str, run_python: Shell, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    assert run_python(BESIDE.format(**WAYS[way])).stdout.split() == ["True", "7"]


@pytest.mark.parametrize("place", ["start='fork'", "on='threads'"])
@pytest.mark.parametrize("call", CALLS)
def test_a_module_may_begin_a_run_that_each_worker_finds_begun(
    call: str, place: str, run_python: Shell, tmp_path: Path
) -> None:
    (tmp_path / "beginning.py").write_text(BEGINNING.format(call=CALLS[call].format(place=place)))
    assert run_python("import beginning").stdout == "[0, 1, 4, 9]\n"


@pytest.mark.parametrize("call", CALLS)
def test_a_module_that_each_worker_imports_may_begin_none(
    call: str, clean_start: str, run_python: Shell, tmp_path: Path
) -> None:
    (tmp_path / "beginning.py").write_text(BEGINNING.format(call=CALLS[call].format(place=f"start={clean_start!r}")))
    said = run_python("import beginning", code=1).stderr
    assert "the module 'beginning' begins a run when it is imported, and each worker imports it, too" in said


class Changing(dict[str, object]):
    """Modules, among which another has come whenever somebody looks for the first time."""

    def __reversed__(self) -> Iterator[str]:  # type: ignore[override]
        names = super().__reversed__()
        if "come" not in self:
            self["come"] = None
        return names


def test_modules_may_come_while_they_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = Changing(sys.modules)
    monkeypatch.setattr(sys, "modules", modules)
    found = look_at_modules()
    monkeypatch.undo()
    assert found == (len(modules), "come")
