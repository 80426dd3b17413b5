"""What the program is that this process runs: how it means processes to start, and with which Python they can.

Clean workers are interpreters of their own. A program may have none to start: where it is frozen, or has Python built
in, ``sys.executable`` is the program itself, which would run again from its beginning, and start workers again. Only a
frozen one that asks, before it does anything else, whether it is to be a worker instead, can be started for one.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator

from allcores._core.hints import Any
from allcores._core.plan import ConcreteStart

__all__ = ["clean_hazard", "freeze_support", "python_command", "start_set", "start_used"]

CALL = "--allcores-run"  # what a frozen program is called with, before the code that it shall run
PYTHONS = ("python", "pypy", "graalpy")  # with one of them begins the name of every interpreter


def start_set() -> ConcreteStart | None:
    """Give the start method that was set with `multiprocessing.set_start_method`, if it is not the usual one."""
    method, usual = _start_methods()
    return method if method != usual else None


def start_used() -> ConcreteStart | None:
    """Give the usual start method, if it was set, or something of multiprocessing's was made that settles it.

    Nobody can tell these two apart.
    """
    method, usual = _start_methods()
    return method if method == usual else None


def _start_methods() -> tuple[ConcreteStart | None, ConcreteStart | None]:
    """Give the method that is settled, and the usual one of this platform and Python; None if it matters to nobody."""
    multiprocessing: Any = sys.modules.get("multiprocessing")
    if multiprocessing is None:
        return None, None
    return multiprocessing.get_start_method(allow_none=True), multiprocessing.get_all_start_methods()[0]


_asks = False  # whether this program has asked


def freeze_support() -> None:
    """Have a frozen program be a worker if that is what it was started for; otherwise, go on.

    To be called before the program does anything, and imports much. Those that PyInstaller makes do so by themselves;
    elsewhere than in frozen programs it does nothing.

    Example:
        >>> import allcores
        >>> allcores.freeze_support()
    """
    global _asks  # noqa: PLW0603 - a fact about the process
    _asks = True
    if _is_frozen() and sys.argv[1:2] == [CALL]:
        exec(sys.argv[2], {})  # noqa: S102 - what `python_command` was given
        sys.exit()


def python_command(flags: list[str], code: str) -> list[str]:
    """Give the command line that has a Python like this one run `code`, where there is no `clean_hazard`."""
    if _is_frozen():
        return [sys.executable, CALL, code]
    path = _find_python(_told_executable(), sys.executable)
    assert path is not None
    return [path, *flags, "-c", code]


def clean_hazard() -> str | None:
    """Say why no clean worker can be started from here; None where one can."""
    if _is_frozen():
        return None if _asks else "this program is frozen, and does not call allcores.freeze_support() at its beginning"
    if _find_python(_told_executable(), sys.executable) is None:
        return (
            "no Python is found that a clean worker could be, as this program is none itself; "
            "multiprocessing.set_executable can name one"
        )
    return None


def _is_frozen() -> bool:
    """Whether PyInstaller, cx_Freeze or the like has made it; with Nuitka, only no Python is found."""
    return bool(getattr(sys, "frozen", False))


def _told_executable() -> str | None:
    """Give what `multiprocessing.set_executable` was told, or else what multiprocessing took over from `sys`."""
    spawn: Any = sys.modules.get("multiprocessing.spawn")
    told = None if spawn is None else spawn.get_executable()
    return None if told is None else os.fsdecode(told)


@functools.cache
def _find_python(told: str | None, own: str | None) -> str | None:
    return next((path for path in _candidates(told, own) if _is_python(path) and _can_run(path)), None)


def _candidates(told: str | None, own: str | None) -> Iterator[str]:
    yield told or ""
    yield own or ""
    yield getattr(sys, "_base_executable", None) or ""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}{sys.abiflags}"
    for prefix in filter(None, (sys.exec_prefix, sys.base_exec_prefix)):
        yield os.path.join(prefix, "bin", name)


def _is_python(path: str) -> bool:
    """Tell by the names of a file and of what it is a link to: to run it could be to run this program again."""
    names = (os.path.basename(each).lower().removeprefix(".") for each in (path, os.path.realpath(path)))
    return any(name.startswith(PYTHONS) for name in names)


def _can_run(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
