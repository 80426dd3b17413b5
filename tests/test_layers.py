"""Imports go down only: a file knows its own row of the table and those before it, nothing else of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import allcores

PACKAGE = Path(allcores.__file__).parent

ROWS: tuple[tuple[str, ...], ...] = (
    (
        "_bytes",
        "_errors",
        "_foreign",
        "_functions",
        "_hints",
        "_interrupts",
        "_messages",
        "_options",
        "_outcomes",
        "_records",
        "_wire",
    ),
    ("_admission", "_plan", "_scheduler", "_pace", "_report"),
    (
        "_anatomy",
        "_arena",
        "_board",
        "_bystander",
        "_captures",
        "_channel",
        "_classes",
        "_codec",
        "_comparison",
        "_contents",
        "_conditions",
        "_dataset",
        "_definitions",
        "_descriptors",
        "_digest",
        "_entry",
        "_exceptions",
        "_failures",
        "_globals",
        "_greenlets",
        "_handover",
        "_helm",
        "_holders",
        "_kernel",
        "_leaving",
        "_lifeline",
        "_lockfile",
        "_lookout",
        "_mapped",
        "_machine",
        "_memory",
        "_occurrences",
        "_ownership",
        "_packing",
        "_parts",
        "_program",
        "_pickling",
        "_numbers",
        "_reach",
        "_reductions",
        "_segment",
        "_sharing",
        "_terminal",
        "_tracking",
        "_settings",
        "_settings.adoption",
        "_settings.arrivals",
        "_settings.context_variables",
        "_settings.hooks",
        "_settings.interpreter",
        "_settings.libraries",
        "_settings.setting",
        "_settings.snapshot",
        "_settings.warning_filters",
        "_snapshots",
        "_tracebacks",
        "_trickle",
        "_unimportable",
        "_user_modules",
        "_variables",
        "_waker",
    ),
    ("_current", "_farewell", "_inbox", "_job", "_kinship", "_namesake", "_worker", "_nursery"),
    (
        "_engines",
        "_engines.bundles",
        "_engines.clean",
        "_engines.deaths",
        "_engines.forked",
        "_engines.holdings",
        "_engines.processes",
        "_engines.serial",
        "_engines.threads",
        "_engines.watch",
    ),
    ("_driver", "_gatekeeper", "_journal", "_journal_file", "_launch", "_recorder", "_sinks"),
    ("_lazy", "_map", "_progress", "_replay", "_service", "_start"),
    (
        "_doors",
        "_doors.arguments",
        "_doors.pool.arrivals",
        "_doors.pool.async_result",
        "_doors.asynchronous",
        "_doors.asynchronous_input",
        "_doors.executor.broken",
        "_doors.executor",
        "_doors.executor.executor",
        "_doors.executor.future",
        "_doors.executor.initializer",
        "_doors.executor.refused",
        "_doors.joblib",
        "_doors.joblib.backend",
        "_doors.joblib.kept",
        "_doors.executor.mapping",
        "_doors.joblib.native_threads",
        "_doors.pandas_apply",
        "_doors.joblib.teller",
        "_doors.pool",
        "_doors.pool.pool",
        "_doors.pool.iterator",
        "_doors.pool.puller",
        "_doors.pool.raised",
        "_doors.pool.waiting",
        "_pyinstaller",
        "_pyinstaller.rthooks.pyi_rth_allcores",
        "joblib",
        "pandas",
        "testing",
    ),
)

ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}

# What decides purely may use of the standard library: nothing that can look at a clock, at the machine or at chance.
PURE = {"__future__", "bisect", "collections", "dataclasses", "enum", "heapq", "itertools", "math", "typing"}


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


def own_imports(name: str) -> set[str]:
    """Give the names of the package's files that a file imports; the package itself is one of the names: ``""``."""
    ours = {module for module in IMPORTS[name] if module.partition(".")[0] == "allcores"}
    return {module.removeprefix("allcores").removeprefix(".") for module in ours}


def test_every_file_has_its_row() -> None:
    assert set(FILES) == set(ROW_OF)


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_only_from_its_own_row_and_those_before(name: str) -> None:
    allowed = {other for other, row in ROW_OF.items() if row <= ROW_OF[name]}
    assert own_imports(name) <= allowed
    assert "a relative import" not in IMPORTS[name]


def test_no_files_import_each_other_in_a_circle() -> None:
    order = TopologicalSorter({name: own_imports(name) for name in FILES}).static_order()
    assert set(order) == set(FILES)


@pytest.mark.parametrize("name", ROWS[1])
def test_what_decides_is_pure(name: str) -> None:
    others = {module.partition(".")[0] for module in IMPORTS[name]} - {"allcores"}
    assert others <= PURE


def test_only_row_one_and_what_is_before_it_is_needed_to_decide() -> None:
    assert own_imports("_scheduler") <= {*ROWS[0], *ROWS[1]}
    assert "_outcomes" not in own_imports("_scheduler"), "no user's object passes through the scheduler"
