"""What the figures hang on: the machine, the Python, and the versions of what is compared."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from benchmarks.peers import make_peer

__all__ = ["machine_facts", "versions", "workers_here"]


def workers_here() -> int:
    """Give the number of workers that each peer has: one per core that this process may use."""
    return len(os.sched_getaffinity(0))


def machine_facts() -> dict[str, str]:
    """Give what can be said about this machine."""
    return {
        "processor": _first("/proc/cpuinfo", "model name"),
        "cores": str(workers_here()),
        "memory": f"{int(_first('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.0f} GB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
    }


def versions(names: Iterable[str]) -> dict[str, str]:
    """Give the versions of the libraries behind these peers, of those that are installed."""
    packages = sorted({package for name in names if (package := make_peer(name).package)} | {"numpy"})
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _first(path: str, field: str) -> str:
    with open(path) as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(field)), "unknown")
