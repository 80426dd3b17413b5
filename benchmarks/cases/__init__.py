"""All cases, in the order of the table."""

from __future__ import annotations

from benchmarks.case import Case
from benchmarks.cases import calls, durations, kinds, large, native, small, starting

__all__ = ["CASES"]

GROUPS = (starting, small, durations, large, native, calls, kinds)

CASES: dict[str, Case] = {case.name: case for group in GROUPS for case in group.CASES}
