"""Which of the user's own modules can travel as sources."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from allcores._codec.definitions import sources as module
from allcores._codec.definitions.sources import find_sources, make_manifest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module into a folder of the user's, on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(name: str, text: str = "") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_what_is_loaded_and_what_lies_beside_it(write: Write) -> None:
    for name in ("zz_one.py", "zz_two.py", "zz_pack/__init__.py", "zz_pack/inner.py", "zz_pack/deep/__init__.py"):
        write(name, f"NAME = {name!r}")
    write("zz_data/no_module.py")  # no package
    write("zz-odd.py")
    import zz_one  # type: ignore[import-not-found]  # it was written just now
    import zz_pack.inner  # type: ignore[import-not-found]  # noqa: F401 - likewise

    found = {name: source for name, source in find_sources().items() if name.startswith("zz")}
    assert set(found) == {"zz_one", "zz_two", "zz_pack", "zz_pack.inner", "zz_pack.deep"}
    assert {name for name, source in found.items() if source.is_loaded} == {"zz_one", "zz_pack", "zz_pack.inner"}
    assert {name for name, source in found.items() if source.is_package} == {"zz_pack", "zz_pack.deep"}
    assert found["zz_one"].content == b"NAME = 'zz_one.py'"
    assert found["zz_one"].path == zz_one.__file__
    names, is_loaded = make_manifest(found)["zz_pack"]
    assert is_loaded
    assert names["zz_pack.inner"] == (False, found["zz_pack.inner"].digest)


def test_a_file_that_was_edited_is_read_again(write: Write) -> None:
    write("zz_edited.py", "X = 1")
    import zz_edited  # type: ignore[import-not-found]  # it was written just now

    assert zz_edited.X == 1
    first = find_sources()["zz_edited"]
    write("zz_edited.py", "X = 1000")
    second = find_sources()["zz_edited"]
    assert second.content == b"X = 1000"
    assert second.digest != first.digest


def test_nothing_of_python_nor_of_what_is_installed_goes(write: Write) -> None:
    write("queue.py", "raise RuntimeError")
    names = set(find_sources())
    assert not names & {"queue", "pytest", "numpy", "allcores", "__main__"}


def test_a_folder_with_too_much_in_it_is_no_projects(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("zz_alone.py")
    for number in range(4):
        write(f"zz_beside_{number}.py")
    import zz_alone  # type: ignore[import-not-found]  # noqa: F401 - it was written just now

    for limit in ("MOST_BESIDE", "MOST_ENTRIES"):
        with monkeypatch.context() as patch:
            patch.setattr(module, limit, 3)
            assert {name for name in find_sources() if name.startswith("zz")} == {"zz_alone"}
