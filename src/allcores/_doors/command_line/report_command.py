"""``allcores report``: prints a report that was saved, as a page or as trace events."""

from __future__ import annotations

import argparse
import json
from typing import Any

from allcores._core.page import DATA
from allcores._doors.command_line.exit_codes import ALL_WELL
from allcores._doors.command_line.usage import UsageError
from allcores._objects.asking import text_of

__all__ = ["add_report"]


def add_report(commands: Any) -> None:
    """Have the command line know this command."""
    parser = commands.add_parser(
        "report",
        help="print a report that was saved",
        description="Print a report that report.save, report.trace or allcores map --save-report has written.",
    )
    parser.add_argument("file", metavar="FILE", help="the page, or the trace events")
    parser.set_defaults(run=_run_report)


def _run_report(given: argparse.Namespace) -> int:
    try:
        with open(given.file, encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        raise UsageError(text_of(error)) from error
    try:
        print(_find_report(text))
    except (LookupError, TypeError, ValueError) as error:
        raise UsageError(f"{given.file!r} is no report that allcores has saved") from error
    return ALL_WELL


def _find_report(text: str) -> str:
    """Give the report's lines. Raises LookupError, TypeError or ValueError where there are none."""
    _, found, rest = text.partition(DATA)
    if found:
        return str(json.loads(rest.partition("</script>")[0])["report"])
    return str(json.loads(text)["otherData"]["report"])
