"""allcores: `[process_item(x) for x in dataset]` on all cores, in one line.

    results = allcores.map(process_item, dataset)

Everything is imported when it is first used, so that importing allcores costs next to nothing.
"""

from importlib import import_module

from allcores._core.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allcores._core.errors import (
        AllcoresError,
        InternalError,
        ItemCancelled,
        ItemError,
        ItemTimeout,
        JournalDamaged,
        JournalError,
        JournalFull,
        JournalInUse,
        JournalMismatch,
        MemoryLimitExceeded,
        Terminated,
        UnpicklableError,
        UnpicklableItem,
        UnpicklableResult,
        WorkerDied,
        WorkersUnavailable,
    )
    from allcores._core.options import Options
    from allcores._core.plan import Plan
    from allcores._core.report import Report
    from allcores._doors.asynchronous.amap import aimap, aimap_unordered, amap
    from allcores._doors.asynchronous.iterator import AsyncResultIterator
    from allcores._doors.doctor import doctor
    from allcores._doors.executor.executor import Executor
    from allcores._doors.pool.pool import Pool
    from allcores._journal.journal import Journal
    from allcores._objects.outcomes import Failure, Results, WorkerIdentity, finished
    from allcores._run.map import ResultIterator, imap, imap_unordered, map, plan, starmap
    from allcores._run.progress import show_progress
    from allcores._run.replay import replay
    from allcores._system.cores import UsableCores, usable_cores
    from allcores._system.program import freeze_support
    from allcores._worker.current import CurrentItem, current_item, rng

__version__ = "0.1.0"

_HOMES = {
    "AllcoresError": "_core.errors",
    "AsyncResultIterator": "_doors.asynchronous.iterator",
    "CurrentItem": "_worker.current",
    "Executor": "_doors.executor.executor",
    "Failure": "_objects.outcomes",
    "InternalError": "_core.errors",
    "ItemCancelled": "_core.errors",
    "ItemError": "_core.errors",
    "ItemTimeout": "_core.errors",
    "Journal": "_journal.journal",
    "JournalDamaged": "_core.errors",
    "JournalError": "_core.errors",
    "JournalFull": "_core.errors",
    "JournalInUse": "_core.errors",
    "JournalMismatch": "_core.errors",
    "MemoryLimitExceeded": "_core.errors",
    "Options": "_core.options",
    "Plan": "_core.plan",
    "Pool": "_doors.pool.pool",
    "Report": "_core.report",
    "ResultIterator": "_run.map",
    "Results": "_objects.outcomes",
    "Terminated": "_core.errors",
    "UnpicklableError": "_core.errors",
    "UnpicklableItem": "_core.errors",
    "UnpicklableResult": "_core.errors",
    "UsableCores": "_system.cores",
    "WorkerDied": "_core.errors",
    "WorkerIdentity": "_objects.outcomes",
    "WorkersUnavailable": "_core.errors",
    "aimap": "_doors.asynchronous.amap",
    "aimap_unordered": "_doors.asynchronous.amap",
    "amap": "_doors.asynchronous.amap",
    "current_item": "_worker.current",
    "doctor": "_doors.doctor",
    "finished": "_objects.outcomes",
    "freeze_support": "_system.program",
    "imap": "_run.map",
    "imap_unordered": "_run.map",
    "map": "_run.map",
    "plan": "_run.map",
    "replay": "_run.replay",
    "rng": "_worker.current",
    "show_progress": "_run.progress",
    "starmap": "_run.map",
    "usable_cores": "_system.cores",
}

__all__ = [
    "AllcoresError",
    "AsyncResultIterator",
    "CurrentItem",
    "Executor",
    "Failure",
    "InternalError",
    "ItemCancelled",
    "ItemError",
    "ItemTimeout",
    "Journal",
    "JournalDamaged",
    "JournalError",
    "JournalFull",
    "JournalInUse",
    "JournalMismatch",
    "MemoryLimitExceeded",
    "Options",
    "Plan",
    "Pool",
    "Report",
    "ResultIterator",
    "Results",
    "Terminated",
    "UnpicklableError",
    "UnpicklableItem",
    "UnpicklableResult",
    "UsableCores",
    "WorkerDied",
    "WorkerIdentity",
    "WorkersUnavailable",
    "aimap",
    "aimap_unordered",
    "amap",
    "current_item",
    "doctor",
    "finished",
    "freeze_support",
    "imap",
    "imap_unordered",
    "map",
    "plan",
    "replay",
    "rng",
    "show_progress",
    "starmap",
    "usable_cores",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
