"""What a worker process does not have: somebody at the terminal who answers.

Workers read nothing: which of them would get the next line? So whatever asks for an answer, or stops for somebody to
look around, ends in an error that says where it would work. Programs that a worker starts find an empty input, too.
"""

from __future__ import annotations

import builtins
import os
import sys
from types import BuiltinFunctionType

from allcores._core.hints import Any, NoReturn

__all__ = ["leave_terminal"]

BREAKPOINT_VARIABLE = "PYTHONBREAKPOINT"
THE_DEBUGGER = ("", "pdb.set_trace")  # what the variable says where the standard library's debugger is to come
CONSOLES = ("cmd", "code")  # modules of the standard library that ask again and again; pdb is made of the first

WHERE = (
    "a worker process has no standard input; use on='serial' while you look into it, "
    "or allcores.replay(failure, debug=True) to run an item that failed here under the debugger"
)


def leave_terminal() -> None:
    """Have this process and those that it starts read nothing, and say so to whoever asks for an answer.

    What the user has put in the place of ``input`` and ``sys.breakpointhook`` stays.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it lives as long as the process
    if type(builtins.input) is BuiltinFunctionType:
        builtins.input = _refuse_input
    if sys.breakpointhook is sys.__breakpointhook__:
        sys.breakpointhook = _stop_or_refuse


def _refuse_input(prompt: object = "", /) -> NoReturn:  # noqa: ARG001 - as the original
    """Raise what the original does at the end of the input, unless a console would take that for the answer."""
    if sys._getframe(1).f_globals.get("__name__") in CONSOLES:  # noqa: SLF001 - the caller
        raise RuntimeError(f"a debugger or a console waits for commands, but {WHERE}")
    raise EOFError(f"input() was called, but {WHERE}")


def _stop_or_refuse(*args: Any, **keywords: Any) -> Any:
    """Do what the user's environment says of breakpoints, if anything: that may be a debugger that needs no input."""
    wanted = "" if sys.flags.ignore_environment else os.environ.get(BREAKPOINT_VARIABLE, "")
    if wanted in THE_DEBUGGER:
        raise RuntimeError(f"breakpoint() was called, but {WHERE}")
    return sys.__breakpointhook__(*args, **keywords)  # noqa: T100 - the user asks for it
