"""What a type checker infers is part of the interface."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.once

TESTS = Path(__file__).parents[1]


def test_the_typed_examples_hold(tmp_path):
    from mypy import api  # here, as it is large, and makes each fork of this process slow

    out, err, code = api.run(
        [
            "--config-file",
            str(TESTS.parent / "pyproject.toml"),
            "--cache-dir",
            str(tmp_path),
            str(TESTS / "typed_examples.py"),
        ]
    )
    assert (code, err) == (0, ""), out


def test_the_package_says_that_it_is_typed():
    import allcores

    assert (Path(allcores.__file__).parent / "py.typed").exists()
