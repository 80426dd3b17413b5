"""Which accelerators this process may use, found without a library that would take hold of them."""

from __future__ import annotations

import os
import re

__all__ = ["DEVICES_VARIABLE", "find_devices"]

DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"  # ROCm heeds it, too
CARDS = "/proc/driver/nvidia/gpus"
NODES = "/dev"


def find_devices() -> tuple[str, ...]:
    """Give the numbers or names of those that CUDA would find here, as they stand in ``CUDA_VISIBLE_DEVICES``."""
    said = os.environ.get(DEVICES_VARIABLE)
    return _present() if said is None else _visible(said)


def _visible(said: str) -> tuple[str, ...]:
    """Read the variable as CUDA does: what follows a name that is none is hidden, too."""
    names = []
    for name in map(str.strip, said.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", name):
            break
        names.append(name)
    return tuple(dict.fromkeys(names))


def _present() -> tuple[str, ...]:
    number = len(_list(CARDS)) or sum(re.fullmatch(r"nvidia\d+", name) is not None for name in _list(NODES))
    return tuple(map(str, range(number)))


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
