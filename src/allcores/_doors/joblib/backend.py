"""The backend of joblib: batches of its calls run on a service that `Parallel` calls share."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures.process import _RemoteTraceback
from dataclasses import dataclass
from functools import partial
from traceback import format_exception
from typing import Any

from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    register_parallel_backend,
)

from allcores._core.options import Options
from allcores._doors.executor.future import Future
from allcores._doors.joblib.kept import Lease, keeper
from allcores._input.snapshots import Snapshots
from allcores._objects.asking import give_field, set_field
from allcores._objects.short_repr import short_repr
from allcores._system.cores import LOKY_VARIABLE, usable_cores

__all__ = ["AllcoresBackend"]

# What `Parallel` tells every backend, and what users of joblib's own say to it.
OTHERS = (
    "context",
    "idle_worker_timeout",
    "max_nbytes",
    "mmap_mode",
    "prefer",
    "require",
    "temp_folder",
    "verbose",
)

# Options that would mean something else here, as an item of the service is a batch of joblib's; and who has them.
NOT_HERE = {
    "ahead": "Parallel(pre_dispatch=…)",
    "batch": "Parallel(batch_size=…)",
    "errors": "Parallel(return_as=…)",
    "log": "allcores.map",
    "on": "joblib.parallel_config('threading')",
    "progress": "Parallel(verbose=…)",
    "resume": "allcores.map",
    "state": "allcores.map",
    "seed": "allcores.map",
    "timeout": "Parallel(timeout=…)",
    "workers": "Parallel(n_jobs=…)",
}


class AllcoresBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib is untyped
    """Runs joblib's calls in processes of allcores; see `allcores.joblib`."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    uses_threads = False
    supports_sharedmem = False
    _lease: Lease | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Give the number of workers for what a caller asked for; negative numbers count down from all cores.

        Raises:
            ValueError: it is 0.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(1, _cores() + 1 + n_jobs)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **keywords: Any) -> int:
        """Begin to serve a call, or a block of calls, and give the number of workers.

        Raises:
            FallbackToBackend: another backend should do it.
            TypeError, ValueError: an option makes no sense.
            UnpicklableError: the initializer cannot travel.
        """
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if self._lease is not None:
            raise FallbackToBackend(self._sibling())
        self._options = self._make_options(n_jobs, self.backend_kwargs | keywords)
        self._lease = keeper.lease(self._options)
        self.parallel = parallel
        return n_jobs

    def start_call(self) -> None:
        """Begin a call: joblib would run the batches that an earlier one, which was aborted, had ready, too."""
        self.parallel._ready_batches.queue.clear()  # noqa: SLF001 - results that are wrong are worse
        if self._lease is not None:
            self._lease.begin()

    def submit(self, func: Callable[[], Any], callback: Callable[[Future], object] | None = None) -> Future | None:
        """Have a batch of calls run; the callback is given the future."""
        lease = self._lease
        # Without one, the call was ended while its last outcome was taken in, and nobody waits for this.
        return None if lease is None else lease.call(_Batch(func), callback)

    def retrieve_result_callback(self, out: Future) -> Any:
        """Give what came of a batch, or raise it."""
        error = out.exception()
        if error is not None:
            _tell_by_cause(error)
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: FBT001, FBT002 - joblib's
        """Cancel what waits, and kill what runs."""
        if self._lease is not None:
            self._lease.end()
            self._lease = keeper.lease(self._options) if ensure_ready else None

    def terminate(self) -> None:
        """End a call; the workers stay for the next one."""
        self.abort_everything(ensure_ready=False)
        self.reset_batch_stats()

    def _sibling(self) -> AllcoresBackend:
        """Give a backend for a call that begins before this one's is over, as with generators and threads."""
        return type(self)(
            nesting_level=self.nesting_level, inner_max_num_threads=self.inner_max_num_threads, **self.backend_kwargs
        )

    def _make_options(self, n_jobs: int, keywords: dict[str, Any]) -> Options:
        options = {name: value for name, value in keywords.items() if name not in OTHERS}
        for name in options.keys() & NOT_HERE.keys():
            raise ValueError(f"{name}={options[name]!r} is not an option of joblib's backend: {NOT_HERE[name]} has it")
        if self.inner_max_num_threads is not None:
            options["threads"] = self.inner_max_num_threads
        checked = Options.from_keywords(options | {"workers": n_jobs})
        return checked._replace(initializer=_Preparation(checked.initializer))


def _cores() -> int:
    """Give the usable cores, bounded by the variable that joblib's users know. Raises ValueError if it is no number."""
    cores = usable_cores()
    return max(1, min(cores, int(os.environ.get(LOKY_VARIABLE, cores))))


def _tell_by_cause(error: BaseException) -> None:
    """Have the cause tell where an exception was raised, as joblib drops the traceback."""
    is_told = isinstance(give_field(error, "__cause__"), _RemoteTraceback)
    if not is_told and give_field(error, "__traceback__") is not None:
        text = "".join(format_exception(error))
        set_field(error, "__cause__", _RemoteTraceback(f'\n"""\n{text}"""'))  # type: ignore[arg-type]  # it is a text


@dataclass(frozen=True, slots=True)
class _Preparation:
    """What a worker does before its first batch.

    Unpickling it imports this module, so that nested calls find the backend by its name.

    Args:
        initializer: the user's own.
    """

    initializer: Callable[..., object] | None

    def __call__(self, *initargs: Any) -> None:
        os.environ.setdefault("ENABLE_IPC", "1")  # has the schedulers of TBB share the cores
        if self.initializer is not None:
            self.initializer(*initargs)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Calls that joblib sends together, and a text that tells them apart in messages."""

    calls: Any

    def __call__(self) -> Any:
        if len(self.calls.items) > 1:  # else what comes of it travels before anything can change it
            snapshots = Snapshots(shares_files=False)
            self.calls.items = [(partial(_call, snapshots, function), *rest) for function, *rest in self.calls.items]
        return self.calls()

    def __repr__(self) -> str:
        function, args, _ = self.calls.items[0]
        name = getattr(function, "__qualname__", None) or short_repr(function)
        return f"<a batch of {len(self.calls.items)}, from {name} with {short_repr(args)}>"


def _call(snapshots: Snapshots, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function, and keep what it gives as it is now."""
    value = function(*args, **kwargs)
    return snapshots.take(value)


register_parallel_backend("allcores", AllcoresBackend)
