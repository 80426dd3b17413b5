"""joblib's own tests of `Parallel` pass with our backend in loky's place."""

from __future__ import annotations

import pytest
from foreign.play import play

pytestmark = [pytest.mark.timeout(300), pytest.mark.once]


def test_joblibs_own_tests_pass(tmp_path, request):
    """All would take minutes, for many of them want workers of their own."""
    quick = "" if request.config.getoption("--whole") else "--quick"
    complaints = play(f"-q {quick}", folder=tmp_path, seconds=280, module="foreign.joblibs")
    assert not complaints, complaints


def test_those_that_are_left_out_would_fail(tmp_path):
    printed = play("-q --all -k memmapping_leaks", folder=tmp_path, seconds=280, module="foreign.joblibs")
    assert "1 failed" in printed
