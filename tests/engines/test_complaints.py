"""What finalizers raised is told once, with the first and how many there were."""

from __future__ import annotations

from allcores._engines.complaints import Complaints
from allcores._objects.outcomes import WorkerIdentity


def test_nothing_is_told_where_there_was_nothing():
    assert Complaints().warning() is None


def test_one_is_told_with_its_cause():
    complaints, error = Complaints(), OSError("disk full")
    complaints.hear(WorkerIdentity(3, 77, "here"), error)
    warning = complaints.warning()
    assert warning is not None
    assert str(warning).startswith("the finalizer failed once in ")
    assert "77" in str(warning)
    assert "disk full" in str(warning)
    assert warning.__cause__ is error


def test_of_many_the_first_is_told_and_their_number():
    complaints, errors = Complaints(), [OSError(str(number)) for number in range(3)]
    for error in errors:
        complaints.hear(WorkerIdentity(0, 1, "here"), error)
    warning = complaints.warning()
    assert warning is not None
    assert str(warning).startswith("the finalizer failed 3 times, first in ")
    assert warning.__cause__ is errors[0]
