"""The user's own modules that a run brings along, for a process that lacks them or has others of their names.

They are the run's alone: while its batches run, they are in ``sys.modules`` and are found first; afterwards the process
has its own again. So neither another run nor whoever the process belongs to ever meets them. A package is brought along
as a whole or not at all, as one of its modules may rely on any other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from os.path import dirname, join
from types import ModuleType

from allcores._codec.definitions.sources import Manifest, Source, digest_source
from allcores._core.hints import Any

__all__ = ["Luggage"]


class _Loader:
    """Runs a module that was brought along; what shows tracebacks asks it for the source."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def create_module(self, spec: ModuleSpec) -> None:
        """Make it as usual."""

    def exec_module(self, module: ModuleType) -> None:
        """Run it."""
        exec(compile(self._source.content, self._source.path, "exec", dont_inherit=True), vars(module))  # noqa: S102 - it is the caller's code, as all that runs here

    def get_source(self, name: str) -> str:
        """Give its text."""
        return self._source.content.decode(errors="replace")


class Luggage:
    """What one run has brought along.

    Attributes:
        remarks: on modules that are another's here.
    """

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._is_own: dict[str, bool] = {}  # {first part of a name: whether the process's own module will do}
        self._sources: dict[str, Source] = {}
        self._modules: dict[str, ModuleType] = {}  # of the run's, while it is away
        self._theirs: dict[str, ModuleType] = {}  # of the process's, while it is here

    def __repr__(self) -> str:
        return f"<Luggage: {len(self._sources)} modules>"

    def unpack(self, manifest: Manifest, sources: dict[str, Source]) -> list[str]:
        """Take in what the caller has, while the run is here; give the first parts of names of what is lacking.

        Args:
            manifest: what the caller has.
            sources: of it, as far as they came along.
        """
        missing = []
        for top, (names, is_loaded) in manifest.items():
            if top in self._is_own:
                continue
            own = _find_own(top, names)
            if own == list(names.values()) or (own is not None and not is_loaded):
                self._is_own[top] = True
            elif not names.keys() <= sources.keys():
                missing.append(top)
            else:
                if own is not None:
                    self.remarks.append(f"the module {top} is another than yours; this run had yours there")
                self._take(top, {name: sources[name] for name in names})
        return missing

    def arrive(self) -> None:
        """Have the run's modules be the process's."""
        if self._sources:
            sys.meta_path.insert(0, self)
            for top in self._tops():
                self._theirs |= _taken_out(top)
            sys.modules.update(self._modules)

    def leave(self) -> None:
        """Have the process's own modules be there again."""
        if self._sources:
            sys.meta_path.remove(self)
            self._modules = {}
            for top in self._tops():
                self._modules |= _taken_out(top)
            sys.modules.update(self._theirs)
            self._theirs = {}

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """Find a module; import asks this."""
        source = self._sources.get(name)
        if source is not None:
            spec = ModuleSpec(name, _Loader(source), origin=source.path, is_package=source.is_package)  # type: ignore[arg-type]  # it loads
            spec.has_location = True
            if source.is_package:
                spec.submodule_search_locations = [dirname(source.path)]
            return spec
        inner = next((source for other, source in self._sources.items() if other.startswith(f"{name}.")), None)
        if inner is None:
            return None
        spec = ModuleSpec(name, None, is_package=True)  # a folder without a file of its own
        spec.submodule_search_locations = [dirname(inner.path)]
        return spec

    def _tops(self) -> list[str]:
        return [top for top, is_own in self._is_own.items() if not is_own]

    def _take(self, top: str, sources: dict[str, Source]) -> None:
        """Have modules be found from now on."""
        if not self._sources:
            sys.meta_path.insert(0, self)
        self._is_own[top] = False
        self._sources |= sources
        self._theirs |= _taken_out(top)


def _taken_out(top: str) -> dict[str, ModuleType]:
    """Take modules out of the process that are of this name, or of this package."""
    names = [name for name in list(sys.modules) if name == top or name.startswith(f"{top}.")]
    return {name: sys.modules.pop(name) for name in names}


def _find_own(top: str, names: dict[str, tuple[bool, bytes]]) -> list[tuple[bool, bytes] | None] | None:
    """Give what this process has of these names, without importing any; None if it has nothing of the first one."""
    try:
        spec = find_spec(top)
    except Exception:  # whoever finds modules may raise anything
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    return [_find_content(name, top, spec.origin, folders, is_package=names[name][0]) for name in names]


def _find_content(
    name: str, top: str, origin: str | None, folders: list[str], *, is_package: bool
) -> tuple[bool, bytes] | None:
    parts = name.split(".")[1:]
    ending = ["__init__.py"] if is_package else []
    tails = [join(*parts, *ending) if is_package else join(*parts[:-1], f"{parts[-1]}.py")] if parts else []
    paths = [join(folder, tail) for folder in folders for tail in tails] if name != top else [origin or ""]
    for path in paths:
        try:
            with open(path, "rb") as file:
                return is_package, digest_source(file.read())
        except OSError:
            continue
    return None
