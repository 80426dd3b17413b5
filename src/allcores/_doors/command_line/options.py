"""Every option of `map` as an argument of the command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from allcores._core.options import ENGINES, ERRORS, START_METHODS
from allcores._doors.command_line.target import load_exception, load_function
from allcores._doors.command_line.usage import UsageError

__all__ = ["add_options", "read_options"]


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _threads(text: str) -> int | str | None:
    return None if text == "none" else text if text == "auto" else int(text)


def _devices(text: str) -> str | list[str]:
    return text if text == "cuda" else text.split(",")


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"--initargs {text} is no JSON: {error}") from None


# {option: (placeholder, what reads it, help)}
OPTIONS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "workers": ("N", _number_or_text, "how many workers; -1 all cores, -2 all but one, 0.5 half of them, physical"),
    "on": ("ENGINE", str, f"where items run: {', '.join(ENGINES)}"),
    "start": ("METHOD", str, f"how processes start: {', '.join(START_METHODS)}"),
    "batch": ("N", int, "items per batch; by default measured"),
    "ahead": ("N", int, "how many items may be read past those that are written"),
    "errors": ("WHAT", str, f"what a failure does: {', '.join(ERRORS)} (default: collect)"),
    "initializer": ("FUNCTION", load_function, "called once in each worker"),
    "initargs": ("JSON", _arguments, "its arguments, a list"),
    "state": ("FUNCTION", load_function, "makes what each call of the function is given first, once in each worker"),
    "finalizer": ("FUNCTION", load_function, "called at the end of each worker"),
    "timeout": ("SECONDS", float, "how long an item may run"),
    "timeout-start": ("SECONDS", float, "how long to wait where an executor or a cluster has no workers"),
    "retries": ("N", int, "further tries of an item that failed"),
    "retry-on": ("EXCEPTION", load_exception, "what is worth another try; may be given several times"),
    "memory": ("SIZE", _number_or_text, "how much a worker may use, such as 2GB"),
    "recycle": ("N", _number_or_text, "replace a worker after so many items, or once it has grown by so much: 500MB"),
    "resume": ("JOURNAL", str, "record what finishes; the same line again runs only what is missing or failed"),
    "seed": ("N", int, "what all random numbers follow from"),
    "threads": ("N", _threads, "native threads in each worker; auto, or none to leave them alone"),
    "log": ("FOLDER", str, "keep what each item prints in a file of its own there"),
    "devices": ("LIST", _devices, "accelerators: cuda, or numbers such as 0,1"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Have a command take the options."""
    group = parser.add_argument_group("options of map")
    for name, (placeholder, read, text) in OPTIONS.items():
        action = "append" if name == "retry-on" else "store"
        group.add_argument(
            f"--{name}", metavar=placeholder, type=read, action=action, help=text, default=argparse.SUPPRESS
        )


def read_options(given: argparse.Namespace) -> dict[str, Any]:
    """Give the options that were given, as keywords."""
    named = {name.replace("-", "_") for name in OPTIONS}
    options = {name: value for name, value in vars(given).items() if name in named}
    if "retry_on" in options:
        options["retry_on"] = tuple(options["retry_on"])
    return options
