"""``allcores map``: a function over files, lines or JSON values, with results that stream in order."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from allcores._core.errors import AllcoresError, JournalError, UnpicklableError
from allcores._doors.command_line.exit_codes import ALL_WELL, INTERRUPTED, SOME_FAILED
from allcores._doors.command_line.items import KINDS, find_items
from allcores._doors.command_line.options import add_options, read_options
from allcores._doors.command_line.results import ResultFile, as_line
from allcores._doors.command_line.rows import Rows
from allcores._doors.command_line.target import load_function
from allcores._doors.command_line.usage import UsageError
from allcores._objects.asking import describe, text_of
from allcores._objects.outcomes import Failure, failure_of
from allcores._objects.short_repr import short_repr
from allcores._run.map import ResultIterator, imap
from allcores._system.audience import is_terminal

__all__ = ["add_map", "run_map"]

JOURNAL_AND_FUNCTION = (JournalError, UnpicklableError)  # which the command has named

EXAMPLES = """\
examples:
  allcores map images:thumbnail 'photos/*.jpg' --out thumbnails.jsonl
  allcores map texts:count_words --items lines < corpus.txt > counts.jsonl
  allcores map samples:fit --items csv samples.csv --out fits.csv
  allcores map model:simulate --items jsonl parameters.jsonl --seed 7 \\
      --resume run.journal --out results.jsonl

Each result is a line of JSON: {"index": ..., "item": ..., "result": ...}. With
--out results.csv it is a row; items and results that are dicts have a column for
each key.
Failures go to standard error. The exit code is 0 if all is well, 1 if some items
failed, 2 if the command makes no sense, 130 if it was interrupted."""


def add_map(commands: Any) -> None:
    """Have the command line know this command."""
    parser = commands.add_parser(
        "map",
        help="run a function on every item, on all cores",
        description="Run a function on every item, on all cores; write the results in order.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s package.module:function [INPUT ...] [options]",
    )
    parser.add_argument("function", metavar="package.module:function", help="what to run")
    parser.add_argument(
        "inputs", metavar="INPUT", nargs="*", help="a file, or a pattern such as 'data/*.csv'; - is stdin"
    )
    parser.add_argument(
        "--items",
        choices=KINDS,
        default="paths",
        help="what the items are: the inputs' paths, the inputs as words, lines in them, JSON values, one to "
        "a line, or rows of CSV, each a dict by the names in its file's first line",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="where results go, as rows if its name ends in .csv; the file is there when all of them are",
    )
    parser.add_argument("--report", action="store_true", help="say at the end what the run cost and what to try")
    parser.add_argument(
        "--save-report",
        metavar="FILE",
        help="write that as a page with pictures, or as trace events for Perfetto if the name ends in .json",
    )
    parser.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, help="a bar; by default if standard error is a terminal"
    )
    add_options(parser)
    parser.set_defaults(run=run_map)


def run_map(given: argparse.Namespace) -> int:
    """Run the command; give its exit code."""
    function = load_function(given.function)
    options = {"errors": "collect", "progress": _wants_progress(given), **read_options(given)}
    items = find_items(given.inputs, given.items)
    waiting: deque[Any] = deque()  # items whose results are still to come
    try:
        results = imap(function, _noted(items, waiting), **options)
    except (AllcoresError, TypeError, ValueError, RuntimeError) as error:
        raise UsageError(text_of(error)) from error
    with results, ResultFile(given.out) as out:
        try:
            code = _write(results, waiting, out)
            _report(results, given)
            return code  # noqa: TRY300 - what comes of the report counts, too
        except KeyboardInterrupt:
            _tell(f"interrupted{_where(out)}{_how_to_go_on(options)}")
            return INTERRUPTED
        except (Exception, SystemExit) as error:
            return _end_with(error)


def _end_with(error: BaseException) -> int:
    """Tell what has ended the run before its time; give the exit code."""
    failure = failure_of(error) or failure_of(error.__cause__ or error)  # the latter of a StopIteration
    if failure is not None:
        _tell(_line_of(failure))
        return SOME_FAILED
    if isinstance(error, UsageError | BrokenPipeError):
        raise error
    if isinstance(error, JOURNAL_AND_FUNCTION):
        raise UsageError(text_of(error)) from error
    _tell(describe(error))
    return SOME_FAILED


def _report(results: ResultIterator[Any], given: argparse.Namespace) -> None:
    report = results.report
    if report is None:
        return
    if given.report:
        _tell(str(report))
    if given.save_report is not None:
        write = report.trace if given.save_report.endswith(".json") else report.save
        try:
            write(given.save_report)
        except OSError as error:
            _tell(f"the report cannot be written: {error}")


def _write(results: ResultIterator[Any], waiting: deque[Any], out: ResultFile) -> int:
    """Write what comes, until all has come."""
    finished = failed = 0
    write = Rows().line if out.is_csv else as_line
    for index, result in enumerate(results):
        item, line = waiting.popleft(), None
        if type(result) is Failure and any(result is each for each in reversed(results.failures)):
            _tell(_line_of(result))
        else:
            try:
                line = write(index, item, result)
            except (TypeError, ValueError) as error:
                _tell(f"item {index} ({short_repr(item)}): its result cannot be written: {error}")
        if line is None:
            failed += 1
        else:
            finished += 1
            out.write(line)
    out.finish()
    if failed:
        _tell(f"{finished} of {finished + failed} finished, {failed} failed")
    return SOME_FAILED if failed else ALL_WELL


def _noted(items: Iterable[Any], waiting: deque[Any]) -> Iterable[Any]:
    """Give the items so that each is still at hand when its result comes."""
    if isinstance(items, list):  # its length tells a bar how much there is
        waiting.extend(items)
        return items
    return _noting(items, waiting)


def _noting(items: Iterable[Any], waiting: deque[Any]) -> Iterator[Any]:
    for item in items:
        waiting.append(item)
        yield item


def _wants_progress(given: argparse.Namespace) -> bool:
    return is_terminal(sys.stderr) if given.progress is None else bool(given.progress)


def _line_of(failure: Failure) -> str:
    return f"item {failure.index} ({short_repr(failure.item)}): {describe(failure.exception)}"


def _where(out: ResultFile) -> str:
    return "" if out.name is None else f"; the results so far are in {out.name}"


def _how_to_go_on(options: dict[str, Any]) -> str:
    return "; run the same line again to go on" if "resume" in options else "; with --resume, it could go on"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
