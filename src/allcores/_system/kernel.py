"""The small files in which the kernel tells facts: those of ``/proc``, and those of control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator

__all__ = ["group_folders", "read", "write"]


def read(path: str | os.PathLike[str]) -> bytes:
    """Give what a file holds, in about 10 microseconds."""
    with open(path, "rb", buffering=0) as file:
        return file.read()


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Tell the kernel something."""
    with open(path, "wb", buffering=0) as file:
        file.write(content)


def group_folders(root: str | os.PathLike[str], controller: str) -> Iterator[str]:
    """Give the folders of this process's control groups that may bound it, both versions', from the innermost upward.

    Whatever a group is granted, it has no more than the groups around it. Inside a container the group's own path may
    not be visible, so the mount's root counts as a level too. Not every folder need exist.

    Args:
        root: the folder that stands for ``/``.
        controller: ``"cpu"`` or ``"memory"``.
    """
    try:
        groups = read(os.path.join(root, "proc/self/cgroup")).decode().splitlines()
    except OSError:
        return
    for line in groups:
        _, controllers, group = line.split(":", 2)
        for mount in _mounts(controllers, controller):
            yield from _upward(os.path.join(root, mount), group.strip("/"))


def _mounts(controllers: str, controller: str) -> Iterator[str]:
    if not controllers:  # version 2, which has one mount for all
        yield "sys/fs/cgroup"
    elif controller in controllers.split(","):  # a folder, and for several controllers links to it by each one's name
        for name in dict.fromkeys((controllers, controller)):
            yield f"sys/fs/cgroup/{name}"


def _upward(mount: str, group: str) -> Iterator[str]:
    while group:
        yield os.path.join(mount, group)
        group = os.path.dirname(group)
    yield mount
