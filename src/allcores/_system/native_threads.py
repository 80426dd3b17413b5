"""Threads of native libraries: BLAS, OpenMP and their like, so that workers x threads stay within the usable cores.

A library reads a variable of the environment when it is loaded, and never again; from then on it has functions to be
told by, most of which threadpoolctl knows. So the variables are set for what is yet to be loaded, and what is loaded is
told. What the user has set stays: in the environment, or by telling a library that it may use fewer.

OpenMP and numba, unlike the others, count for each thread by itself.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from allcores._core.hints import Protocol
from allcores._core.records import Record

__all__ = [
    "NativeLimits",
    "SharedLimit",
    "find_limits",
    "limit_process",
    "loaded_pools",
    "look_before_fork",
    "most_threads",
    "set_by_user",
]

OPENMP = "OMP_NUM_THREADS"
# {variable: the interface that it is for, as threadpoolctl calls it, or the module}
VARIABLES = {
    OPENMP: "openmp",
    "OPENBLAS_NUM_THREADS": "openblas",
    "MKL_NUM_THREADS": "mkl",
    "BLIS_NUM_THREADS": "blis",
    "VECLIB_MAXIMUM_THREADS": "accelerate",
    "NUMBA_NUM_THREADS": "numba",
    "NUMEXPR_NUM_THREADS": "numexpr",
    "POLARS_MAX_THREADS": "polars",
    "RAYON_NUM_THREADS": "rayon",
}
HEEDS_OPENMP = {"openblas", "mkl", "blis", "flexiblas", "numexpr", "torch"}  # where it has no variable of its own
NUMBA = "NUMBA_NUM_THREADS"
MODULES = ("torch", "numba", "numexpr")  # with a pool that they are told of by functions of the same names
NAMES = (b"blas", b"omp", b"mkl_", b"libblis")  # in the paths of libraries that threadpoolctl knows

_ours: dict[str, str] = {}  # what stands in this process's environment because we have put it there


class Pool(Protocol):
    """The threads of one library; threadpoolctl's controllers are such."""

    internal_api: str
    user_api: str

    @property
    def num_threads(self) -> int | None:
        """How many it may use; for OpenMP, in this thread."""

    def set_num_threads(self, num_threads: int) -> None:
        """Set that."""


class _ModulePool:
    user_api = "module"

    def __init__(self, name: str) -> None:
        self.internal_api = name
        self._module = sys.modules[name]

    @property
    def num_threads(self) -> int | None:
        return int(self._module.get_num_threads())

    def set_num_threads(self, num_threads: int) -> None:
        self._module.set_num_threads(num_threads)


class _NumbaPool(_ModulePool):
    """numba begins its threads when it is first asked about them, and can use no more from then on.

    It reads its variable again with each function that it compiles, and refuses another number than it has begun with.
    """

    @property
    def _has_begun(self) -> bool:
        parallel = sys.modules.get("numba.np.ufunc.parallel")
        return bool(getattr(parallel, "_is_initialized", False))

    @property
    def num_threads(self) -> int | None:
        return super().num_threads if self._has_begun else int(self._module.config.NUMBA_NUM_THREADS)

    def set_num_threads(self, num_threads: int) -> None:
        if self._has_begun:
            most = int(self._module.config.NUMBA_NUM_THREADS)
            os.environ[NUMBA] = str(most)
            super().set_num_threads(min(num_threads, most))
        else:
            os.environ[NUMBA] = str(num_threads)
            self._module.config.NUMBA_NUM_THREADS = num_threads


class _NumbaMask(_ModulePool):
    """How many of numba's threads a thread may use that calls it; all threads share those that numba has begun."""

    user_api = "openmp"  # which counts likewise

    def set_num_threads(self, num_threads: int) -> None:
        super().set_num_threads(min(num_threads, int(self._module.config.NUMBA_NUM_THREADS)))


class NativeLimits(Record):
    """How many threads each library may use in one worker.

    Attributes:
        variables: of the environment, to be set for libraries that are loaded later.
        usual: for each loaded library that `numbers` does not name; None: it is left alone.
        numbers: ``{interface: number}`` of those that may use fewer, or that the user has set.
    """

    variables: Mapping[str, str]
    usual: int | None
    numbers: Mapping[str, int]

    def apply_to(self, pool: Pool) -> None:
        """Tell one library."""
        number = self.numbers.get(pool.internal_api, self.usual)
        if number is not None:
            _tell(pool, number)


def _tell(pool: Pool, number: int) -> None:
    """Set a library's number, whichever thread has set it before: threadpoolctl leaves OpenBLAS to one thread."""
    most = _most[_name_of(pool)] = most_threads(pool)
    if pool.internal_api == "openblas" and number <= most:
        from allcores._system.dormant import bound_dormant  # imported when the library was found

        if bound_dormant(pool, number):
            return
    let_go = getattr(pool, "clear_controlling_thread", None)
    if let_go is not None:
        let_go(force=True)
    pool.set_num_threads(number)
    if let_go is not None:
        let_go()


def most_threads(pool: Pool) -> int:
    """Say how many threads a library may have: those that it had before it was told to use fewer do not end."""
    return max(pool.num_threads or 1, _most.get(_name_of(pool), 1))


def _name_of(pool: Pool) -> str:
    """Tell libraries apart, of which there may be several with one interface."""
    return str(getattr(pool, "filepath", pool.internal_api))


_most: dict[str, int] = {}


def set_by_user() -> dict[str, str]:
    """Give the variables that the user has set, and not an outer run of allcores."""
    return {
        name: value for name in VARIABLES if (value := os.environ.get(name)) is not None and value != _ours.get(name)
    }


def find_limits(
    count: int | None, native_set: Iterable[tuple[str, str]] = (), *, is_asked: bool = False
) -> NativeLimits:
    """Say what each library may use in a worker of this process.

    Args:
        count: threads; None to leave all libraries alone.
        native_set: what the user has set in the environment, and wants to be heeded, as ``(name, value)``.
        is_asked: whether the caller asked for that number, so that libraries that were told to use fewer get it, too.
    """
    if count is None:
        return NativeLimits({}, None, {})
    theirs = dict(native_set)
    numbers = {VARIABLES[name]: int(value) for name, value in theirs.items() if value.isdecimal() and int(value)}
    if "openmp" in numbers:
        numbers |= dict.fromkeys(HEEDS_OPENMP - numbers.keys(), numbers["openmp"])
    for pool in () if is_asked else loaded_pools():
        fewest = min(numbers.get(pool.internal_api, count), pool.num_threads or count)
        if fewest != count:
            numbers[pool.internal_api] = fewest
    heeds = HEEDS_OPENMP if OPENMP in theirs else set()
    free = {name: interface for name, interface in VARIABLES.items() if name not in theirs and interface not in heeds}
    variables = {name: str(numbers.get(interface, count)) for name, interface in free.items()}
    return NativeLimits(variables, count, numbers)


# ------------------------------------------------------------------------------------------------ what is loaded

_seen: tuple[tuple[int, ...], list[Pool]] = ((), [])  # how often names were mapped, and the pools found then
_seen_modules = -1  # how many were loaded then


def loaded_pools(*, is_just_forked: bool = False) -> list[Pool]:
    """Give the loaded libraries that have native threads; where there are none, nothing is imported to find that.

    Args:
        is_just_forked: whether this process has loaded nothing but what its parent has found, unless modules have come.
    """
    found = _seen[1] if is_just_forked and len(sys.modules) == _seen_modules else _native_pools()
    return found + [(_NumbaPool if name == "numba" else _ModulePool)(name) for name in MODULES if _has_pool(name)]


def look_before_fork() -> None:
    """See to it that a process which is forked now need not look for itself, unless it has been done."""
    if len(sys.modules) != _seen_modules:
        _native_pools()


def _native_pools() -> list[Pool]:
    global _seen, _seen_modules  # noqa: PLW0603 - facts about the process
    mapped, _seen_modules = _count_names(), len(sys.modules)
    if not any(mapped):
        _seen = mapped, []
    elif mapped != _seen[0]:
        # These take as long to import as a small run. Both here, as workers that are forked then have both.
        from threadpoolctl import ThreadpoolController

        import allcores._system.dormant  # noqa: F401

        _seen = mapped, list(ThreadpoolController().lib_controllers)
    return _seen[1]


def _count_names() -> tuple[int, ...]:
    """Count what in this process's memory may belong to such libraries; it changes when one is loaded."""
    try:
        with open("/proc/self/maps", "rb") as file:
            mapped = file.read()
    except OSError:  # a system without that: let threadpoolctl look whenever modules have come
        return (len(sys.modules),) if "numpy" in sys.modules else ()
    return tuple(map(mapped.count, NAMES))


def _has_pool(name: str) -> bool:
    return hasattr(sys.modules.get(name), "set_num_threads")  # not while it is being imported


# --------------------------------------------------------------------------------------------- a process, a thread


def limit_process(limits: NativeLimits, *, is_just_forked: bool = False) -> None:
    """Bound this process, a worker, from now on: this thread of it, and what is loaded later."""
    _set_variables(limits.variables)
    for pool in loaded_pools(is_just_forked=is_just_forked):  # to look anew takes a millisecond
        limits.apply_to(pool)


def _set_variables(variables: Mapping[str, str]) -> None:
    for name, value in list(_ours.items()):
        if name not in variables:
            del _ours[name]
            if os.environ.get(name) == value:
                del os.environ[name]
    for name, value in variables.items():  # `os.environ.update` asks first what a mapping is, which takes longer
        os.environ[name] = value
    _ours.update(variables)


class SharedLimit:
    """A limit for what runs in threads of this process, for as long as a run lasts; of several, the least holds.

    Args:
        limits: how many threads each library may use in one of this run's threads.
    """

    def __init__(self, limits: NativeLimits) -> None:
        self._limits = limits
        self._is_active = limits.usual is not None or bool(limits.numbers)
        self._pools: dict[str, Pool] = {}
        if self._is_active:
            with _sharing:
                _active.append(limits)
                self._find_pools()

    def _find_pools(self) -> None:
        """Bound what is loaded and was not when this was last asked."""
        for pool in loaded_pools():
            name = _name_of(pool)
            if name not in self._pools:
                pool = _NumbaMask("numba") if isinstance(pool, _NumbaPool) else pool  # noqa: PLW2901 - in its stead
                self._pools[name] = pool
                _before.setdefault(name, (pool, pool.num_threads))
        _tell_all()

    def catch_up(self, seen: int) -> int:
        """Bound what items have loaded meanwhile, for the calling thread, too.

        Args:
            seen: how many modules were loaded when the calling thread last asked.

        Returns:
            How many are now.
        """
        loaded = len(sys.modules)
        if loaded != seen and self._is_active:
            with _sharing:
                self._find_pools()
            self.begin_thread()
        return loaded

    def begin_thread(self) -> Callable[[], None]:
        """Bound the calling thread, where a library counts for each by itself; give what undoes that."""
        pools = [pool for pool in list(self._pools.values()) if pool.user_api == "openmp"]
        before = [pool.num_threads for pool in pools]
        for pool in pools:
            self._limits.apply_to(pool)
        return partial(_set_all, pools, before)

    def end(self) -> None:
        """Let libraries use what they did before."""
        with _sharing:
            if self._is_active:
                self._is_active = False
                _active.remove(self._limits)
                _tell_all()


def _set_all(pools: list[Pool], numbers: list[int | None]) -> None:
    for pool, number in zip(pools, numbers, strict=True):
        if number is not None:
            _tell(pool, number)


_sharing = threading.RLock()  # a finalizer may end a run amid anything, in the same thread, too
_active: list[NativeLimits] = []
_before: dict[str, tuple[Pool, int | None]] = {}  # what each library might use before the first


def _forget() -> None:
    """Hear, in a forked process, that runs in threads have stayed behind, and whoever holds the lock, too."""
    global _sharing  # noqa: PLW0603 - a fact about this process
    _sharing = threading.RLock()
    _active.clear()
    _before.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _tell_all() -> None:
    for pool, before in list(_before.values()):
        numbers = [limits.numbers.get(pool.internal_api, limits.usual) for limits in _active]
        least = min([number for number in numbers if number is not None], default=before)
        if least is not None and pool.user_api != "openmp" and pool.num_threads != least:
            _tell(pool, least)
    if not _active:
        _before.clear()
