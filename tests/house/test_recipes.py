"""Every program in docs/recipes.md, moving.md and engines.md runs as it is shown, and finds what a plain loop finds."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def programs(page: str) -> list[Any]:
    """Give the Python blocks of a page, each named by its heading and its place below it."""
    found = []
    for section in re.split(r"^## ", (DOCS / page).read_text(), flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        blocks = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
        found += [pytest.param(block, id=f"{heading} {number}") for number, block in enumerate(blocks, 1)]
    return found


def missing(program: str) -> list[str]:
    """Give the libraries that a program imports and that are not installed."""
    names = dict.fromkeys(re.findall(r"^(?:import|from) (\w+)", program, re.MULTILINE))
    return [name for name in names if find_spec(name) is None]


@pytest.mark.once
@pytest.mark.parametrize("program", programs("recipes.md") + programs("moving.md") + programs("engines.md"))
def test_a_program_finds_what_a_plain_loop_finds(program: str, run_python: Any):
    assert re.search(r"\bassert", program), "nothing is compared"
    if libraries := missing(program):
        pytest.skip(f"not installed: {', '.join(libraries)}")
    done = run_python(program, warnings="default")
    assert done.stdout == ""
    assert "Warning" not in done.stderr
