"""Modules that a run brings along: there while the run is, and as if they had never been there afterwards."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from allcores._codec.definitions.sources import Manifest, Source, digest_source, make_manifest
from allcores._worker.luggage import Luggage


def source_of(path: str, text: str, *, is_loaded: bool = True) -> Source:
    content = text.encode()
    return Source(f"/far/away/{path}", path.endswith("__init__.py"), content, digest_source(content), is_loaded)


ONE = {"zz_one": source_of("zz_one.py", "import zz_pack.inner\nX = zz_pack.inner.X + 1\n")}
PACK = {
    "zz_pack": source_of("zz_pack/__init__.py", "from . import inner"),
    "zz_pack.inner": source_of("zz_pack/inner.py", "X = 1\ndef fail():\n    raise OSError\n"),
}
SPACE = {"zz_space.deep.leaf": source_of("zz_space/deep/leaf.py", "X = 5")}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Check that nothing is left."""
    finders, names = list(sys.meta_path), set(sys.modules)
    yield
    assert sys.meta_path == finders
    assert not {name for name in set(sys.modules) - names if name.startswith("zz")}


def bring(luggage: Luggage, sources: dict[str, Source]) -> Manifest:
    manifest = make_manifest(sources)
    assert luggage.unpack(manifest, {}) == list(manifest)
    assert luggage.unpack(manifest, sources) == []
    return manifest


def test_modules_packages_and_folders_without_a_file_are_found() -> None:
    luggage = Luggage()
    luggage.arrive()
    bring(luggage, ONE | PACK | SPACE)
    one: Any = import_module("zz_one")
    assert one.X == 2
    assert one.__file__ == "/far/away/zz_one.py"
    assert import_module("zz_space.deep.leaf").X == 5
    luggage.leave()
    with pytest.raises(ModuleNotFoundError):
        import_module("zz_one")
    luggage.arrive()
    assert import_module("zz_one") is one  # a run has its modules once
    luggage.leave()
    assert luggage.remarks == []


def test_two_runs_each_have_their_own() -> None:
    first, second = Luggage(), Luggage()
    for luggage, number in ((first, 1), (second, 2)):
        luggage.arrive()
        bring(luggage, {"zz_same": source_of("zz_same.py", f"X = {number}")})
        assert vars(import_module("zz_same"))["X"] == number
        luggage.leave()
    for luggage, number in ((first, 1), (second, 2), (first, 1)):
        luggage.arrive()
        assert vars(sys.modules["zz_same"])["X"] == number
        luggage.leave()


def test_what_the_process_has_itself_it_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "zz_pack").mkdir()
    for name, source in PACK.items():
        path = tmp_path / "zz_pack" / ("inner.py" if "." in name else "__init__.py")
        path.write_bytes(source.content)
    (tmp_path / "zz_other.py").write_text("X = 'theirs'")
    luggage = Luggage()
    luggage.arrive()
    assert luggage.unpack(make_manifest(PACK), {}) == []
    not_loaded = {"zz_other": source_of("zz_other.py", "X = 'ours'", is_loaded=False)}
    assert luggage.unpack(make_manifest(not_loaded), {}) == []
    luggage.leave()
    assert luggage.remarks == []


def test_another_of_that_name_stands_back_while_the_run_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "zz_theirs.py").write_text("X = 'theirs'")
    theirs = import_module("zz_theirs")
    try:
        luggage = Luggage()
        luggage.arrive()
        bring(luggage, {"zz_theirs": source_of("zz_theirs.py", "X = 'ours'")})
        assert import_module("zz_theirs").X == "ours"
        luggage.leave()
        assert import_module("zz_theirs") is theirs
        assert luggage.remarks == ["the module zz_theirs is another than yours; this run had yours there"]
    finally:
        del sys.modules["zz_theirs"]


def test_a_traceback_shows_the_source_that_was_brought() -> None:
    luggage = Luggage()
    luggage.arrive()
    bring(luggage, PACK)
    inner: Any = import_module("zz_pack.inner")
    assert linecache.getline(inner.__file__, 3, vars(inner)) == "    raise OSError\n"
    luggage.leave()
    linecache.clearcache()
