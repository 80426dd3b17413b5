"""allcores: `[process_item(x) for x in dataset]` on all cores, in one line.

    results = allcores.map(process_item, dataset)

Everything is imported when it is first used, so that importing allcores costs next to nothing.
"""

from importlib import import_module

from allcores._hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allcores._current import CurrentItem, current_item, rng
    from allcores._doors.asynchronous import AsyncResultIterator, aimap, aimap_unordered, amap
    from allcores._doors.executor.executor import Executor
    from allcores._doors.pool.pool import Pool
    from allcores._errors import (
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
    from allcores._journal import Journal
    from allcores._map import ResultIterator, imap, imap_unordered, map, plan, starmap
    from allcores._options import Options
    from allcores._outcomes import Failure, Results, WorkerIdentity, finished
    from allcores._plan import Plan
    from allcores._program import freeze_support
    from allcores._replay import replay
    from allcores._report import Report

__version__ = "0.1.0"

_HOMES = {
    "AllcoresError": "_errors",
    "AsyncResultIterator": "_doors.asynchronous",
    "CurrentItem": "_current",
    "Executor": "_doors.executor.executor",
    "Failure": "_outcomes",
    "InternalError": "_errors",
    "ItemCancelled": "_errors",
    "ItemError": "_errors",
    "ItemTimeout": "_errors",
    "Journal": "_journal",
    "JournalDamaged": "_errors",
    "JournalError": "_errors",
    "JournalFull": "_errors",
    "JournalInUse": "_errors",
    "JournalMismatch": "_errors",
    "MemoryLimitExceeded": "_errors",
    "Options": "_options",
    "Plan": "_plan",
    "Pool": "_doors.pool.pool",
    "Report": "_report",
    "ResultIterator": "_map",
    "Results": "_outcomes",
    "Terminated": "_errors",
    "UnpicklableError": "_errors",
    "UnpicklableItem": "_errors",
    "UnpicklableResult": "_errors",
    "WorkerDied": "_errors",
    "WorkerIdentity": "_outcomes",
    "WorkersUnavailable": "_errors",
    "aimap": "_doors.asynchronous",
    "aimap_unordered": "_doors.asynchronous",
    "amap": "_doors.asynchronous",
    "current_item": "_current",
    "finished": "_outcomes",
    "freeze_support": "_program",
    "imap": "_map",
    "imap_unordered": "_map",
    "map": "_map",
    "plan": "_map",
    "replay": "_replay",
    "rng": "_current",
    "starmap": "_map",
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
    "WorkerDied",
    "WorkerIdentity",
    "WorkersUnavailable",
    "aimap",
    "aimap_unordered",
    "amap",
    "current_item",
    "finished",
    "freeze_support",
    "imap",
    "imap_unordered",
    "map",
    "plan",
    "replay",
    "rng",
    "starmap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
