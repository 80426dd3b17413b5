"""The tree is the architecture: rooms stand one above another, and imports go down only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import allcores

PACKAGE = Path(allcores.__file__).parent
PROJECT = Path(__file__).parents[2]

# From the ground up. A file knows its own room and those before it, and nothing else of the package.
FLOORS = (
    "_core",
    "_system",
    "_objects",
    "_transport",
    "_codec",
    "_settings",
    "_input",
    "_worker",
    "_engines",
    "_journal",
    "_run",
    "_doors",
)
FRONT = ("__main__", "joblib", "pandas", "testing")  # public modules beside the package itself: they may know all rooms

# What decides purely may use of the standard library: nothing that can look at a clock, at the machine or at chance.
PURE = {
    "__future__",
    "collections",
    "difflib",
    "enum",
    "functools",
    "heapq",
    "json",
    "math",
    "operator",
    "pickle",
    "re",
    "types",
}
# What a path is, and how to draw, nobody else knows.
OTHERS = {"_core.options": {"os"}, "_core.plot": {"matplotlib"}}

MOST_LINES = 450


def source_files() -> dict[str, Path]:
    """Give ``{name: path}`` of every file but the package's own ``__init__``, which only forwards names."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(part for part in parts if part != "__init__")] = path
    del names[""]
    return names


def imports(node: ast.AST) -> Iterator[str]:
    """Give the full names of the modules that the code imports when it runs, inside of functions, too."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                for statement in child.orelse:
                    yield from imports(statement)
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                for alias in aliases:
                    is_module = f"{module}.{alias.name}".removeprefix("allcores.") in FILES
                    yield f"{module}.{alias.name}" if is_module else module
            case ast.ImportFrom():
                yield "a relative import"
            case _:
                yield from imports(child)


FILES = source_files()
IMPORTS = {name: set(imports(ast.parse(path.read_text()))) for name, path in FILES.items()}
ROOMS = [name for name, path in FILES.items() if path.name == "__init__.py"]


def own_imports(name: str) -> set[str]:
    """Give the names of the package's files that a file imports; the package itself is one of the names: ``""``."""
    ours = {module for module in IMPORTS[name] if module.partition(".")[0] == "allcores"}
    return {module.removeprefix("allcores").removeprefix(".") for module in ours}


def room_of(name: str) -> str:
    return name.partition(".")[0]


def essay(room: str) -> str:
    return ast.get_docstring(ast.parse(FILES[room].read_text())) or ""


def test_the_folders_are_the_floors() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(FLOORS)
    assert {name for name in FILES if "." not in name} == {*FLOORS, *FRONT}


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_only_from_its_own_room_and_those_below(name: str) -> None:
    room = room_of(name)
    allowed = FLOORS if room in FRONT else FLOORS[: FLOORS.index(room) + 1]
    assert {room_of(other) for other in own_imports(name)} <= set(allowed)
    assert "a relative import" not in IMPORTS[name]


def test_no_files_import_each_other_in_a_circle() -> None:
    order = TopologicalSorter({name: own_imports(name) for name in FILES}).static_order()
    assert set(order) == set(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if room_of(name) == "_core"])
def test_what_decides_is_pure(name: str) -> None:
    others = {module.partition(".")[0] for module in IMPORTS[name]} - {"allcores"}
    assert others <= PURE | OTHERS.get(name, set())


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_short_enough_for_one_idea(name: str) -> None:
    lines = FILES[name].read_text().count("\n")
    assert lines <= MOST_LINES


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_opens_with_an_essay_and_nothing_else(room: str) -> None:
    assert len(ast.parse(FILES[room].read_text()).body) == 1
    text = essay(room)
    assert {"stands on", "import", "Begin with"} <= set(re.findall("stands on|import|Begin with", text))


@pytest.mark.parametrize("room", ROOMS)
def test_what_an_essay_says_to_begin_with_is_there(room: str) -> None:
    _, _, beginning = essay(room).partition("Begin with ")
    named = set(re.findall(r"`([a-z_]+)/?`", beginning))
    assert named <= {path.stem for path in FILES[room].parent.iterdir()}
    assert named or room not in FLOORS


def test_the_table_of_contributing_is_the_tree() -> None:
    rows = re.findall(r"^\| `(_\w+)/` \| (.*?) \|$", (PROJECT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert rows == [(room, essay(room).partition("\n")[0]) for room in FLOORS]


def test_the_tests_mirror_the_tree() -> None:
    folders = {path.parent.relative_to(PROJECT / "tests") for path in (PROJECT / "tests").rglob("test_*.py")}
    rooms = {Path(name.replace(".", "/").removeprefix("_")) for name in ROOMS}
    assert folders - rooms == {Path("house")}
    assert {Path(room.removeprefix("_")) for room in FLOORS} <= folders


def test_no_two_test_files_have_the_same_name() -> None:
    """Pytest imports them by it."""
    names = [path.name for path in (PROJECT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))
