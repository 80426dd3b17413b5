"""joblib's ``"allcores"`` backend; importing this registers it.

    import allcores.joblib, joblib

    with joblib.parallel_config("allcores", n_jobs=-1):
        search.fit(X, y)  # scikit-learn's, for one

It takes the options `start`, `memory`, `recycle`, `retries`, `retry_on`, `initializer`, `initargs` and `finalizer` as
keywords of ``joblib.parallel_config`` or of ``joblib.Parallel``; see `allcores.Options`. An item is, to them, a batch
of calls.

What differs from ``"loky"``, joblib's own:

- A worker that dies fails only the call of ``Parallel`` whose batch it ran, with an error that is an
  `allcores.WorkerDied` and a ``BrokenProcessPool``. Neither that nor a call that is left early ends others which go on,
  as generators do.
- Large arrays arrive as ordinary arrays, which may be written to; `max_nbytes`, `mmap_mode` and `temp_folder` are
  accepted, and nothing is written to a folder. An array of a file, an ``np.memmap``, is mapped by the worker, too.
- ``n_jobs=-1`` is all cores that this process may use: see the option `workers`. In a worker it is that worker's share.
- Calls can be nested below threads.

Workers stay for the next call with the same options, in the same folder and environment, and leave after a minute
without one.

Example:
    >>> import allcores.joblib, joblib
    >>> with joblib.parallel_config("allcores", n_jobs=2):
    ...     joblib.Parallel()(joblib.delayed(pow)(i, 2) for i in range(4))
    [0, 1, 4, 9]
"""

from allcores._doors.joblib.backend import AllcoresBackend

__all__ = ["AllcoresBackend"]
