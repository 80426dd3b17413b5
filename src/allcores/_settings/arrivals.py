"""Hears of modules as soon as they have been imported, wherever that happens."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext

from allcores._core.hints import Any
from allcores._settings.warning_filters import usual_filters

__all__ = ["Arrivals"]


class _Depth(threading.local):
    depth = 0  # imports that are going on here, one within the other


class Arrivals:
    """A finder on ``sys.meta_path`` that lets others find, and hears of the end.

    What is imported here and was imported there long ago must not raise because of filters of warnings that were set
    there afterwards, and must not have filters of its own come before them.

    Args:
        hear: called with what has arrived, once the outermost of the imports that it hears of is over.
    """

    def __init__(self, hear: Callable[[list[str]], None]) -> None:
        self._hear = hear
        self._awaited: Collection[str] = ()
        self._quiet: Collection[str] = ()
        self._here = _Depth()
        self._arrived: list[str] = []

    def expect(self, awaited: Collection[str], quiet: Collection[str]) -> None:
        """Hear of modules from now on, and of no others.

        Args:
            awaited: the modules' names.
            quiet: modules whose import is to be under the usual filters of warnings.
        """
        self._awaited, self._quiet = awaited, quiet
        if (awaited or quiet) and self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        elif not (awaited or quiet) and self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Have others find the module, and its loader tell."""
        if name not in self._awaited and name not in self._quiet:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:  # the others have been asked
            find = getattr(finder, "find_spec", None)
            spec = None if find is None else find(name, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None

    @contextmanager
    def coming(self, name: str) -> Iterator[None]:
        """Within the block the module's code runs."""
        here = self._here
        is_quiet = here.depth == 0 and name in self._quiet
        here.depth += 1
        try:
            with usual_filters() if is_quiet else nullcontext():
                yield
            self._arrived.append(name)
        finally:
            here.depth -= 1
            if here.depth == 0:
                arrived, self._arrived = self._arrived, []
                self._hear(arrived)


class _Loader:
    """Stands for a module's loader until that does its work."""

    def __init__(self, loader: Any, arrivals: Arrivals) -> None:
        self._loader = loader
        self._arrivals = arrivals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        """Make the module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Run the module's code, to which nothing of this is to be seen."""
        module.__spec__.loader = module.__loader__ = self._loader
        with self._arrivals.coming(module.__name__):
            self._loader.exec_module(module)
