"""What the documentation shows is true."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

import allcores

ROOT = Path(__file__).parents[2]
DOORS = ["_doors.asynchronous.amap", "_doors.executor.executor", "_doors.pool.pool"]
MODULES = ["_bytes", "_current", *DOORS, "_journal", "_map", "_outcomes", "_replay", "testing"]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name):
    module = importlib.import_module(f"allcores.{name}")
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert result.failed == 0


@pytest.mark.once
def test_the_examples_for_pandas_run():
    pytest.importorskip("pandas", minversion="3", reason="pandas 3 is not installed")
    test_the_examples_in_docstrings_run("_doors.pandas_apply")


@pytest.mark.parametrize("name", allcores.__all__)
def test_everything_public_has_a_docstring(name):
    assert getattr(allcores, name).__doc__


def test_the_readme_shows_the_example_as_it_is():
    shown = re.search(r"<!-- census -->\n```python\n(.*?)```\n<!-- /census -->", readme(), re.DOTALL)
    assert shown is not None
    assert shown[1] == (ROOT / "examples" / "census.py").read_text()


def test_the_readme_describes_every_option():
    described = re.findall(r"^\| `(\w+)` \|", readme(), re.MULTILINE)
    assert described == [*allcores.Options._fields]


def readme() -> str:
    return (ROOT / "README.md").read_text()
