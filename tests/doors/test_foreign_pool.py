"""The standard library's own tests of its pool pass against ours."""

from __future__ import annotations

import pytest
from foreign.play import is_installed, play

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not is_installed("test._test_multiprocessing"), reason="this Python was installed without its own tests"
    ),
]


def test_the_standard_librarys_own_tests_pass(start, tmp_path):
    complaints = play(f"pool --start {start}", folder=tmp_path, seconds=100)
    assert not complaints, complaints


@pytest.mark.once
def test_they_fail_against_what_is_no_pool(tmp_path):
    assert "TypeError" in play("pool --door builtins:list --only lifetime", folder=tmp_path, seconds=100)
