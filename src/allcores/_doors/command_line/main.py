"""The command ``allcores``: what is asked for, and how it ends.

Whatever is wrong with how it was called is told in one line, with exit code 2; a traceback would be a bug of ours.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from allcores._core.errors import JournalError
from allcores._doors.command_line.exit_codes import ALL_WELL, BROKEN_PIPE, INTERRUPTED, SOME_FAILED, USAGE
from allcores._doors.command_line.map_command import add_map
from allcores._doors.command_line.options import add_options, read_options
from allcores._doors.command_line.report_command import add_report
from allcores._doors.command_line.results import as_plain
from allcores._doors.command_line.usage import UsageError
from allcores._doors.doctor import doctor
from allcores._journal.journal import Journal
from allcores._objects.asking import text_of
from allcores._run.map import plan
from allcores._run.replay import replay

__all__ = ["main"]

OURS = __name__.partition(".")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Args:
        arguments: after the command's name; by default this process's.

    Returns:
        The exit code.
    """
    command = "allcores"
    try:
        parser, commands = _make_parsers()
        words = list(sys.argv[1:] if arguments is None else arguments)
        if words and words[0] in commands:  # whose own parser takes inputs before and after options
            command = f"allcores {words[0]}"
            given = commands[words[0]].parse_intermixed_args(words[1:])
        else:
            given = parser.parse_args(words)
        code: int = given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        return _leave_broken_pipe()
    except UsageError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _leave_broken_pipe() -> int:
    """Who reads what is printed has gone, and Python would complain when it flushes them at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong, for `main` to tell."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.prog} --help tells more")


def _make_parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = _Parser(prog="allcores", description="[fn(x) for x in dataset] on all cores.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"allcores {sys.modules[OURS].__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_map(commands)
    _add_plan(commands)
    _add_journal(commands)
    add_report(commands)
    _add_doctor(commands)
    return parser, dict(commands.choices)


def _add_plan(commands: Any) -> None:
    parser = commands.add_parser("plan", help="say how a run would be done here, and why")
    add_options(parser)
    parser.set_defaults(run=_run_plan)


def _run_plan(given: argparse.Namespace) -> int:
    try:
        print(plan(**read_options(given)))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(text_of(error)) from error
    return ALL_WELL


def _add_journal(commands: Any) -> None:
    parser = commands.add_parser(
        "journal",
        help="look into the file of --resume",
        description="Say how many items have finished and failed; the exit code is 1 if any have failed. "
        "A journal holds pickles: open only your own.",
    )
    parser.add_argument("file", metavar="FILE", help="the journal")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--failures", action="store_true", help="list the items that failed")
    what.add_argument("--results", action="store_true", help="write what has finished as lines of JSON")
    what.add_argument("--replay", metavar="INDEX", type=int, help="run an item that failed again, in the debugger")
    parser.set_defaults(run=_run_journal)


def _run_journal(given: argparse.Namespace) -> int:
    try:
        with Journal(given.file) as journal:
            failures = journal.failures
            if given.results:
                for index, value in journal.results():
                    print(json.dumps({"index": index, "result": value}, default=as_plain))
            elif given.failures:
                for failure in failures:
                    print(failure)
            elif given.replay is None:
                print(journal)
    except (JournalError, OSError, TypeError, ValueError) as error:
        raise UsageError(text_of(error)) from error
    if given.replay is not None:
        chosen = next((failure for failure in failures if failure.index == given.replay), None)
        if chosen is None:
            raise UsageError(f"item {given.replay} is not among those that failed; --failures lists them")
        print(repr(replay(chosen, debug=True)))
    return SOME_FAILED if failures else ALL_WELL


def _add_doctor(commands: Any) -> None:
    parser = commands.add_parser("doctor", help="tell of this machine and this Python, for yourself or a bug report")
    parser.set_defaults(run=_run_doctor)


def _run_doctor(_: argparse.Namespace) -> int:
    doctor()
    return ALL_WELL
