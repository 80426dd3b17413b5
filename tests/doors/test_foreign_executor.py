"""The standard library's own tests of its executor pass against ours."""

from __future__ import annotations

import pytest
from conftest import START_METHODS
from foreign.play import is_installed, play

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not is_installed("test.test_concurrent_futures.test_wait"),
        reason="this Python was installed without its own tests",
    ),
]


@pytest.mark.parametrize("part", ["process_pool", "wait", "as_completed", "shutdown", "init", "deadlock"])
def test_the_standard_librarys_own_tests_pass(part, tmp_path, request):
    """All start methods side by side: the tests sleep most of the time."""
    quick = "--quick" if request.config.getoption("--brief") else ""
    runs = [f"executor --start {start} --part {part} {quick}" for start in START_METHODS]
    complaints = play(*runs, folder=tmp_path, seconds=100)
    assert not complaints, complaints
