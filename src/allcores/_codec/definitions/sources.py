"""Sources of the user's own modules, for workers on machines where these are not installed.

What is loaded here goes, if a worker lacks it or has another; of what is not loaded and lies beside it, an item may be
the first to import it, and it goes where a worker lacks it. Nothing but source travels: no compiled module, no file of
data. A module is taken together with all that lies in the same package.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice

from allcores._codec.definitions.unimportable import unimportable_modules
from allcores._codec.definitions.user_modules import MAIN, is_path_of_user, user_module, user_modules
from allcores._core.records import Record

__all__ = ["Manifest", "Source", "digest_source", "find_sources", "make_manifest"]

MOST_BESIDE = 300  # files that are not loaded; where there are more, none of them goes: it is no project's folder
MOST_ENTRIES = 3000  # of a folder that is looked through: likewise
LARGEST = 1 << 20  # bytes of such a file
DIGEST_BYTES = 12
INIT = "__init__.py"


class Source(Record):
    """A module's source.

    Attributes:
        path: of the file, at the caller's.
        is_package: whether it is a package's own.
        content: what is in the file.
        digest: of the content.
        is_loaded: whether the caller has imported it.
    """

    path: str
    is_package: bool
    content: bytes
    digest: bytes
    is_loaded: bool


# {first part of the name: ({name: (whether it is a package, digest)}, whether the caller has imported it)}
Manifest = dict[str, tuple[dict[str, tuple[bool, bytes]], bool]]


def find_sources() -> dict[str, Source]:
    """Give the sources of the user's own modules by their names."""
    found: dict[str, Source] = {}
    unimportable = unimportable_modules()
    for name in user_modules():
        module = user_module(name)
        if module is None or name in unimportable or not _may_travel(name):
            continue
        path = os.path.abspath(vars(module)["__file__"])
        source = _read(path, is_loaded=True)
        if source is not None and source.is_package == hasattr(module, "__path__"):
            found[name] = source
    for name, path in _beside(found):
        source = None if name in found else _read(path, is_loaded=False)
        if source is not None and len(source.content) <= LARGEST:
            found[name] = source
    return found


def make_manifest(sources: dict[str, Source]) -> Manifest:
    """Say what there is, without the sources themselves."""
    manifest: Manifest = {}
    for name, source in sorted(sources.items()):
        top = name.partition(".")[0]
        names, is_loaded = manifest.get(top, ({}, False))
        names[name] = source.is_package, source.digest
        manifest[top] = names, is_loaded or source.is_loaded
    return manifest


def digest_source(content: bytes) -> bytes:
    """Give what is the same for the same content alone."""
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def _may_travel(name: str) -> bool:
    """Whether a module may be in another one's place elsewhere: never in one of Python's own, which others rely on."""
    return name != MAIN and name.partition(".")[0] not in sys.stdlib_module_names


def _read(path: str, *, is_loaded: bool) -> Source | None:
    try:
        status = os.stat(path)
        content, digest = _read_version(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return None
    return Source(path, os.path.basename(path) == INIT, content, digest, is_loaded)


@functools.lru_cache(maxsize=4096)
def _read_version(path: str, changed: int, size: int) -> tuple[bytes, bytes]:  # noqa: ARG001 - they tell versions apart
    with open(path, "rb") as file:
        content = file.read()
    return content, digest_source(content)


# --------------------------------------------------------------------------------------------- what lies beside them


def _beside(loaded: dict[str, Source]) -> list[tuple[str, str]]:
    """Give names and paths of what lies in the same folders and is not loaded; nothing if that is too much."""
    found: list[tuple[str, str]] = []
    for name, path in _lying_about(loaded):
        if len(found) >= MOST_BESIDE:
            return []
        top = name.partition(".")[0]
        if _may_travel(name) and (top in loaded or top not in sys.modules):
            found.append((name, path))
    return found


def _lying_about(loaded: dict[str, Source]) -> Iterator[tuple[str, str]]:
    folders = {sys.path[0]: None} if sys.path else {}
    for name, source in loaded.items():
        if "." not in name:
            folder = os.path.dirname(source.path)
            folders[os.path.dirname(folder) if source.is_package else folder] = None
    for folder in map(os.path.abspath, folders):
        if is_path_of_user(folder):
            yield from _in_folder(folder, "")


def _in_folder(folder: str, package: str) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as scan:
            entries = list(islice(scan, MOST_ENTRIES + 1))
    except OSError:
        return
    for entry in entries if len(entries) <= MOST_ENTRIES else ():
        stem, ending = os.path.splitext(entry.name)
        if not stem.isidentifier() or (package and entry.name == INIT):
            continue
        inner = os.path.join(entry.path, INIT)
        if ending == ".py":
            yield package + stem, entry.path
        elif not ending and os.path.isfile(inner):
            yield package + stem, inner
            yield from _in_folder(entry.path, f"{package}{stem}.")
