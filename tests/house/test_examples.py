"""What the documentation shows is true."""

from __future__ import annotations

import doctest
import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import allcores

ROOT = Path(__file__).parents[2]
PACKAGE = Path(allcores.__file__).parent
OF_PANDAS = "_doors.pandas_apply"
ELSEWHERE = {OF_PANDAS, "joblib"}  # the first below, the other where its service is ended


def modules_with_examples() -> list[str]:
    paths = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text()]
    return [".".join(path.with_suffix("").parts) for path in paths]


@pytest.mark.parametrize("name", [name for name in modules_with_examples() if name not in ELSEWHERE])
def test_the_examples_in_docstrings_run(name):
    module = importlib.import_module(f"allcores.{name}")
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert result.failed == 0


@pytest.mark.once
def test_the_examples_for_pandas_run():
    pytest.importorskip("pandas", minversion="3", reason="pandas 3 is not installed")
    test_the_examples_in_docstrings_run(OF_PANDAS)


@pytest.mark.parametrize("name", allcores.__all__)
def test_everything_public_has_a_docstring(name):
    assert getattr(allcores, name).__doc__


def test_the_census_is_shown_as_it_is():
    shown = marked("census", (ROOT / "docs" / "census.md").read_text())
    assert shown == (ROOT / "examples" / "census.py").read_text()


# {program: what it needs, and how to have it do little}
PICTURES = {
    "bootstrap": (("matplotlib", "numpy", "sklearn"), "times=200"),
    "pendulum": (("matplotlib", "numpy"), "count=4"),
    "percolation": (("matplotlib", "numpy"), "sizes=(8,), trials=20, shares=5"),
    "stations": (("matplotlib", "numpy", "pandas"), "count=3"),
    "texts": (("matplotlib",), ""),
}


@pytest.mark.once
@pytest.mark.parametrize("name", PICTURES)
def test_an_example_draws_its_picture(name, run_python, tmp_path):
    needed, sizes = PICTURES[name]
    if missing := [library for library in needed if find_spec(library) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    source = f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r}); import {name}; {name}.main('.', {sizes})"
    done = run_python(source, warnings="default")
    assert "Traceback" not in done.stderr
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


PERCOLATION = """
import sys
sys.path.insert(0, {folder!r})
from types import SimpleNamespace
import numpy as np, percolation

def runs_through(is_open):
    lattice = SimpleNamespace(random=lambda size: np.where(is_open, 0.0, 1.0))
    percolation.allcores = SimpleNamespace(rng=lambda: lattice)
    return percolation.runs_through(len(is_open), 0.5)

column, row, bent = np.zeros((3, 5, 5), bool)
column[:, 2] = row[2] = True
bent[:3, 0] = bent[2] = bent[2:, 4] = True
print([runs_through(one) for one in (column, bent, row, np.eye(5, dtype=bool))])
"""


@pytest.mark.once
def test_water_runs_along_open_sites_and_not_from_corner_to_corner(run_python):
    if missing := [library for library in ("matplotlib", "numpy") if find_spec(library) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    done = run_python(PERCOLATION.format(folder=str(ROOT / "examples")), warnings="default")
    assert done.stdout == "[True, True, False, False]\n"


def test_every_example_is_run_and_shown():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == {"census", *PICTURES}
    page = (ROOT / "docs" / "examples.md").read_text()
    for name in PICTURES:
        assert f"](examples/{name}.png)" in page
        assert f"](../examples/{name}.py)" in page
        assert (ROOT / "docs" / "examples" / f"{name}.png").stat().st_size < 60_000


def test_the_first_example_of_the_readme_runs(run_python, tmp_path):
    (tmp_path / "stations").mkdir()
    for station, temperatures in {"alps": [1, 3], "coast": [10, 12.5]}.items():
        rows = "\n".join(map(str, ["temperature", *temperatures]))
        (tmp_path / "stations" / f"{station}.csv").write_text(rows)
    done = run_python(marked("first", readme()) + "print(means)")
    assert done.stdout == "[('alps', 2.0), ('coast', 11.25)]\n"


def test_the_readme_describes_every_option():
    described = re.findall(r"^\| `(\w+)` \|", readme(), re.MULTILINE)
    assert described == [*allcores.Options._fields]


def marked(name: str, text: str) -> str:
    """Give the program between two marks."""
    shown = re.search(rf"<!-- {name} -->\n```python\n(.*?)```\n<!-- /{name} -->", text, re.DOTALL)
    assert shown is not None
    return shown[1]


def readme() -> str:
    return (ROOT / "README.md").read_text()
