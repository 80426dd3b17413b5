"""What was meant by an option that does not exist: one that other libraries call so, or an argument of the function."""

from __future__ import annotations

import difflib

from allcores._core.hints import Any

__all__ = ["explain_unknown"]

CALLED_OTHERWISE = {  # {our name: what it is called by others}
    "workers": (
        "processes", "max_workers", "n_workers", "num_workers", "nworkers", "n_jobs", "njobs", "num_jobs", "jobs",
        "nproc", "nprocs", "n_proc", "n_procs", "num_proc", "num_procs", "num_processes", "n_processes", "nprocesses",
        "ncpus", "n_cpus", "num_cpus", "nb_workers", "cores", "n_cores", "ncores", "num_cores", "pool_size",
    ),
    "on": ("backend", "engine", "prefer", "executor", "scheduler", "pool"),
    "start": ("start_method", "mp_context", "context", "mp_start_method"),
    "batch": ("chunksize", "chunk_size", "chunk", "chunks", "batch_size", "batchsize", "n_splits"),
    "ahead": ("buffersize", "buffer_size", "prefetch", "pre_dispatch", "max_queue_size", "max_tasks_active"),
    "errors": ("return_exceptions", "on_error", "raise_errors", "raise_on_error", "ignore_errors", "skip_errors"),
    "initializer": ("init", "worker_init", "setup"),
    "state": ("use_worker_state", "worker_state", "shared_objects"),
    "finalizer": ("worker_exit", "teardown"),
    "timeout": ("task_timeout", "item_timeout", "time_limit"),
    "timeout_start": ("start_timeout", "worker_timeout", "connect_timeout", "startup_timeout"),
    "retries": ("max_retries", "n_retries", "max_tries"),
    "memory": ("memory_limit", "max_memory", "mem_limit"),
    "recycle": ("maxtasksperchild", "max_tasks_per_child", "worker_lifespan"),
    "resume": ("cache", "checkpoint", "journal"),
    "log": ("log_dir", "log_folder", "logdir", "logs", "capture", "capture_output", "redirect"),
    "seed": ("random_state", "rng", "seeds"),
    "threads": ("inner_max_num_threads", "num_threads", "n_threads"),
    "devices": ("gpus", "gpu", "num_gpus"),
    "progress": (
        "progress_bar", "progressbar", "verbose", "desc", "description", "disable", "show_progress", "pbar", "tqdm",
        "tqdm_kwargs", "tqdm_class", "bar",
    ),
}  # fmt: skip
OF_THE_FUNCTION = {"args", "kwargs", "kwds", "func_args", "func_kwargs", "extra_args"}
NO_OPTIONS = {  # {name: what to do instead}
    **dict.fromkeys(("ordered", "unordered"), "imap_unordered gives results as they finish"),
    "total": "the length of the dataset is asked for; an iterator may have __len__",
}


def explain_unknown(name: str, value: Any, options: tuple[str, ...]) -> str:
    """Say that there is no such option, what was likely meant, and which there are."""
    names = {other: ours for ours, others in CALLED_OTHERWISE.items() for other in others}
    likely = names.get(name.lower())
    if likely is None and name in NO_OPTIONS:
        hint = f"{NO_OPTIONS[name]}; "
    elif likely is not None:
        hint = f"did you mean {likely!r}? "
    else:
        near = difflib.get_close_matches(name, options, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        given = "scale=2" if name in OF_THE_FUNCTION else f"{name}=…"
        hint += f"arguments of the function go along with it, as in functools.partial(fn, {given}); "
    return f"unknown option {name}={value!r}; {hint}allowed: {', '.join(options)}"
