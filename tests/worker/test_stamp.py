"""Which versions must be the same at both ends, and which should be."""

from __future__ import annotations

import sys

import pytest

import allcores
from allcores._worker.stamp import QUESTION, Stamp, differ, doubt, stamp_here

HERE: Stamp = ((3, 12), "1.0", "3.1.2", "2.1.0")


def test_a_process_tells_by_builtins_alone_what_it_has() -> None:
    arrived: list[bool] = []
    python, ours, cloudpickle, _ = eval(QUESTION, {"arrived": arrived})
    assert (python, ours) == (sys.version_info[:2], allcores.__version__)
    assert cloudpickle == stamp_here()[2]
    assert arrived == [True]
    assert differ(stamp_here(), stamp_here()) is None


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (((3, 11), "0.9", "2.0", "1.0"), "Python 3.11 runs there and Python 3.12 here"),
        (((3, 12), "0.9", "2.0", "1.0"), "allcores 0.9 is installed there and allcores 1.0 here"),
        (((3, 12), None, None, None), "allcores is not installed there"),
        (((3, 12), "1.0", "3.0.5", "1.0"), "cloudpickle 3.0.5 is installed there and cloudpickle 3.1.2 here"),
        (((3, 12), "1.0", "3.1.2", "1.26.4"), "NumPy 1.26.4 is installed there and NumPy 2.1.0 here"),
    ],
)
def test_versions_between_which_things_cannot_be_read(there: Stamp, said: str) -> None:
    assert str(differ(there, HERE)).startswith(said)


@pytest.mark.parametrize("there", [HERE, ((3, 12), "1.0", "3.1.9", "2.1.7"), ((3, 12), "1.0", None, None)])
def test_versions_that_will_do(there: Stamp) -> None:
    assert differ(there, HERE) is doubt(there, HERE) is None


def test_a_numpy_whose_numbers_may_be_others() -> None:
    there = (*HERE[:3], "2.3.0")
    assert differ(there, HERE) is None
    assert str(doubt(there, HERE)).startswith("NumPy 2.3.0 is installed there and NumPy 2.1.0 here, so numbers")
