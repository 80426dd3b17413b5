"""Which modules are the user's own: those that are edited, and loaded again, while a program runs.

Whatever lies outside of the standard library and of where packages are installed, what was installed to be edited
included.
"""

from __future__ import annotations

import functools
import os
import site
import sys
from types import ModuleType

from allcores._core.hints import Any
from allcores._system.imports import look_at_modules

__all__ = ["MAIN", "is_of_user", "is_path_of_user", "user_module", "user_modules"]

MAIN = "__main__"
OURS = __name__.partition(".")[0]

_verdicts: dict[int, tuple[ModuleType, bool]] = {}  # {id: (module, whether it is the user's)}


def is_of_user(definition: Any) -> bool:
    """Whether a function or a class was defined in the user's own code."""
    name = definition.__module__
    return name == MAIN or user_module(name) is not None


def user_module(name: Any) -> ModuleType | None:
    """Give the module of this name if it is loaded, and the user's own; ``__main__`` is not meant."""
    module = sys.modules.get(name) if type(name) is str else None
    if module is None:
        return None
    known = _verdicts.get(id(module))
    if known is None or known[0] is not module:
        known = _verdicts[id(module)] = module, _is_users(module)
    return module if known[1] else None


def user_modules() -> tuple[str, ...]:
    """Give the names of the user's modules that are loaded, but ``__main__``."""
    return _names_among(*look_at_modules())


@functools.lru_cache(maxsize=1)
def _names_among(count: int, latest: str) -> tuple[str, ...]:  # noqa: ARG001 - they tell that there are others
    """Look through the modules once another one was loaded, or some are gone."""
    return tuple(name for name in list(sys.modules) if user_module(name) is not None)


def _is_users(module: ModuleType) -> bool:
    path = vars(module).get("__file__")
    if type(module) is not ModuleType or type(path) is not str or not path.endswith(".py"):
        return False
    name = module.__name__
    if name == MAIN or name.partition(".")[0] == OURS:
        return False
    return is_path_of_user(os.path.abspath(path))


def is_path_of_user(path: str) -> bool:
    """Whether an absolute path leads to what is neither Python's own nor an installed package's."""
    return not os.path.join(path, "").startswith(_installed())


@functools.cache
def _installed() -> tuple[str, ...]:
    """Give the folders of the standard library and of installed packages."""
    import sysconfig  # not for those who have defined all in ``__main__``

    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages()] if hasattr(site, "getsitepackages") else []
    folders += [entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages")]
    return tuple({os.path.join(os.path.abspath(folder), "") for folder in folders if folder})
