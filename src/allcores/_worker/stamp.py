"""Which versions both ends of a way have, of what decides whether they understand each other.

Python's minor version decides whether functions can be read, cloudpickle's what their pickles name, allcores' own what
its messages mean, and NumPy's first number whether its arrays can be read. NumPy's second one may change what numbers
come out, of which a run tells when it is over.
"""

from __future__ import annotations

import functools
import os
import socket
import sys

from allcores._core.hints import Any, TypeAlias

__all__ = ["QUESTION", "Stamp", "describe_process", "differ", "doubt", "stamp_here"]

# Python's minor version, and then those of allcores, cloudpickle and NumPy, None where that is not known. It is a plain
# tuple, as it is read at the other end before one knows whether anything else can be.
Stamp: TypeAlias = tuple[tuple[int, ...], str | None, str | None, str | None]

# What a process is asked first, by builtins alone: these any Python can read. The list that comes along shows whether
# it was the very object that arrived there.
QUESTION = """(
    arrived.append(True),
    __import__('sys').version_info[:2],
    __import__('importlib.util', fromlist=['find_spec']).find_spec('allcores') and __import__('allcores').__version__,
    *[
        next((found.version for found in __import__('importlib.metadata').metadata.distributions(name=name)), None)
        for name in ('cloudpickle', 'numpy')
    ],
)[1:]"""


def stamp_here() -> Stamp:
    """Tell which versions are here; NumPy's only if it is loaded, as nobody else sends arrays."""
    numpy = sys.modules.get("numpy")
    return sys.version_info[:2], _version_of_ours(), _version_of_cloudpickle(), getattr(numpy, "__version__", None)


def differ(there: Stamp, here: Stamp) -> str | None:
    """Say in what two ends differ so that they cannot understand each other; None where they can.

    Args:
        there: the worker's.
        here: the caller's.
    """
    if tuple(there[0]) != here[0]:
        versions = [".".join(map(str, python)) for python in (there[0], here[0])]
        return "Python {} runs there and Python {} here, between which functions cannot travel".format(*versions)
    if there[1] is None:
        return "allcores is not installed there"
    if there[1] != here[1]:
        return _tell("allcores", there[1], here[1])
    if _is_other(there[2], here[2], 2):
        return f"{_tell('cloudpickle', there[2], here[2])}, between which functions need not be readable"
    if _is_other(there[3], here[3], 1):
        return f"{_tell('NumPy', there[3], here[3])}, between which arrays need not be readable"
    return None


def doubt(there: Stamp, here: Stamp) -> str | None:
    """Say in what two ends differ that understand each other, and whose numbers need not be the same."""
    if not _is_other(there[3], here[3], 2):
        return None
    return f"{_tell('NumPy', there[3], here[3])}, so numbers need not be the same bits"


def describe_process() -> str:
    """Name this process to somebody on another machine."""
    return f"the worker process {os.getpid()} on {socket.gethostname()}"


def _tell(library: str, there: str | None, here: str | None) -> str:
    return f"{library} {there} is installed there and {library} {here} here"


def _is_other(there: str | None, here: str | None, numbers: int) -> bool:
    """Whether two versions differ in their first numbers; where one is not known, nobody can say."""
    return None not in {there, here} and f"{there}".split(".")[:numbers] != f"{here}".split(".")[:numbers]


def _version_of_ours() -> str:
    version: str = vars(sys.modules["allcores"])["__version__"]
    return version


@functools.cache
def _version_of_cloudpickle() -> Any:
    from cloudpickle import __version__  # whoever pickles a function has loaded it

    return __version__
