"""A Python object by its name on the command line: ``package.module:function``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from allcores._doors.command_line.usage import UsageError
from allcores._objects.asking import describe

__all__ = ["load_exception", "load_function"]


def load_function(name: str) -> Callable[..., Any]:
    """Import a function, from the folder that the command was called in, too.

    Raises:
        UsageError: there is none of that name.
    """
    found = _load(name)
    if not callable(found):
        raise UsageError(f"{name} is no function, but a {type(found).__name__}")
    function: Callable[..., Any] = found
    return function


def load_exception(name: str) -> type[BaseException]:
    """Import a type of exception; those of Python need no module.

    Raises:
        UsageError: there is none of that name.
    """
    found = _load(name if ":" in name else f"builtins:{name}")
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise UsageError(f"{name} is no type of exception")
    return found


def _load(name: str) -> Any:
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise UsageError(f"{name!r} names no function; write package.module:function")
    if module.endswith(".py") or os.sep in module:
        raise UsageError(f"{name!r} begins with a file; write the module's name, as in {_module_of(module)}:{path}")
    here = os.getcwd()
    if here not in sys.path:  # as it is for who calls `python -m`
        sys.path.insert(0, here)
    try:
        return attrgetter(path)(importlib.import_module(module))
    except AttributeError as error:
        raise UsageError(f"there is no {path} in {module}: {error}") from error
    except Exception as error:  # a module may raise anything when it is imported
        raise UsageError(f"{module} cannot be imported: {describe(error)}") from error


def _module_of(file: str) -> str:
    return os.path.normpath(file).removesuffix(".py").replace(os.sep, ".")
