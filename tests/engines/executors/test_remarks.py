"""What is said at a run's end of workers that differ."""

from __future__ import annotations

from allcores._engines.executors.remarks import Remarks


def test_each_remark_is_made_once_for_all_workers() -> None:
    remarks = Remarks()
    assert remarks.warning() is None
    for worker, remark in (("a", "it rains"), ("b", "it rains"), ("a", "it rains"), ("c", "it snows")):
        remarks.hear(worker, remark)
    assert str(remarks.warning()) == "on a (and 1 more) it rains; on c it snows"
