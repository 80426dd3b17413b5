"""An executor for programs that know `concurrent.futures.ProcessPoolExecutor`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar
from weakref import finalize

from allcores._core.options import Options
from allcores._core.report import Report
from allcores._doors.arguments import Context, refuse_options_for_runs, take_over
from allcores._doors.executor.broken import translated_refusals
from allcores._doors.executor.future import Call, Future
from allcores._doors.executor.initializer import LoggedInitializer
from allcores._doors.executor.mapping import Mapping
from allcores._objects.entry import one_frame
from allcores._run.service import Service

__all__ = ["Executor"]

T = TypeVar("T")


class Executor(ProcessPoolExecutor):
    """Runs calls on all cores: `concurrent.futures.ProcessPoolExecutor`, and more.

    It is one to ``isinstance``, but nothing of its works is in it. What differs:

    - A worker that dies fails only the call that it ran, with an error that is a `WorkerDied` and a
      ``BrokenProcessPool``. The executor goes on.
    - A future can be cancelled while it runs; its worker is killed, and replaced.
    - Lambdas, closures and functions of ``__main__`` will do, and so will a limit of calls per worker under fork.
    - Workers start when there is work for them, and by default they start clean: see `Options`.
    - `map` sends its function once, measures the items and adapts the batches.

    Functions given to ``Future.add_done_callback`` are called in the thread that runs the executor. They may hand in
    more, but to wait there for anything of this executor would never end.

    Args:
        max_workers: the same as the option `workers`.
        mp_context: a context of `multiprocessing`, whose start method is the option `start`.
        initializer: called once in each worker before its first call. If it fails, so does every call.
        initargs: the initializer's arguments.
        max_tasks_per_child: the same as the option `recycle`.
        options: see `Options`; ``on="threads"`` has the calls run in threads. `batch` and `ahead` are the defaults of
            `chunksize` and `buffersize` in `map`.

    Raises:
        TypeError, ValueError: an argument or an option makes no sense, or one contradicts another.
        UnpicklableError: the initializer cannot travel to a worker.

    Example:
        >>> import allcores
        >>> with allcores.Executor(max_workers=2) as executor:
        ...     print(executor.submit(pow, 2, 5).result(), list(executor.map(abs, [-1, -2])))
        32 [1, 2]
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Context | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        **options: Any,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError(f"max_workers must be greater than 0, and {max_workers!r} is not")
        if initializer is not None:  # the arguments of none are ignored, as with the original
            options |= {"initializer": initializer, "initargs": initargs}
        start = None if mp_context is None else mp_context.get_start_method()
        with one_frame:
            _require_count("max_tasks_per_child", max_tasks_per_child)
            refuse_options_for_runs(options)
            take_over(options, "workers", "max_workers", max_workers)
            take_over(options, "start", "the start method of mp_context", start)
            take_over(options, "recycle", "max_tasks_per_child", max_tasks_per_child)
            checked = Options.from_keywords(options)
            if checked.initializer is not None:
                checked = checked._replace(initializer=LoggedInitializer(checked.initializer))
            self._ahead = checked.ahead
            self._service = Service(checked, name="allcores-executor", is_patient=True, stands_in=True)
        finalize(self, self._service.close)

    def __repr__(self) -> str:
        plan = self._service.plan
        stage = "broken" if self._broken is not None else "shut down" if self._service.is_closed else "ready"
        return f"<allcores.{type(self).__qualname__}: {stage}, {plan.workers} on {plan.on}>"

    @property
    def report(self) -> Report:
        """What all calls together have cost since the executor was made; printed, about ten lines.

        Example:
            >>> import allcores
            >>> with allcores.Executor(max_workers=2) as executor:
            ...     numbers = list(executor.map(abs, range(5)))
            ...     print(executor.report.items, executor.report.failed)
            5 0
        """
        return self._service.report

    @property
    def _broken(self) -> BaseException | None:  # type: ignore[override]
        """Why nothing is run any more; programs that look behind the standard library's face ask for it."""
        return self._service.error

    @property
    def _max_workers(self) -> int:
        """How many workers there may be; Dask asks for it."""
        return self._service.plan.workers

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future:
        """Have ``fn(*args, **kwargs)`` called in a worker.

        Returns:
            A future, which holds what the call returned or raised.

        Raises:
            RuntimeError: the executor was shut down.
            BrokenProcessPool: its initializer has failed, or no worker can be started.
        """
        call = Call(self._service)
        future = call.future
        assert future is not None
        with one_frame:
            call.send(fn, args, kwargs)
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Call a function on every item; yield the results in the items' order.

        The input is read at once, in the caller's thread, unless `buffersize` bounds how far. Whoever leaves the
        results early has the rest cancelled; so has a failure, or a timeout. If the results are dropped before the
        first was asked for, all items run.

        Args:
            fn: takes as many arguments as there are iterables; it travels once to each worker.
            iterables: items are taken side by side, and the shortest ends.
            timeout: how many seconds after this call a result may still be waited for.
            chunksize: items per batch; None or 1 to measure and adapt, or, with a `timeout`, to send them one by one,
                so that no item that is finished waits for another.
            buffersize: how many items to read past the results that were taken, at most; None: all.

        Raises:
            TypeError, ValueError: `chunksize` or `buffersize` makes no sense.
            UnpicklableError: the function captures something that cannot travel.
            RuntimeError: the executor was shut down.
            BrokenProcessPool: its initializer has failed, or no worker can be started.
            BaseException: whatever an iterable raises.

        The results raise what the function raised, TimeoutError, and what `submit` says.

        Example:
            >>> import allcores, itertools
            >>> with allcores.Executor(max_workers=2) as executor:
            ...     powers = executor.map(pow, itertools.count(), itertools.repeat(2), buffersize=4)
            ...     print(list(itertools.islice(powers, 5)))
            [0, 1, 4, 9, 16]
        """
        with one_frame:
            _require_count("chunksize", chunksize)
            _require_count("buffersize", buffersize)
            is_star = len(iterables) != 1
            items = zip(*iterables, strict=False) if is_star else iter(iterables[0])
            with translated_refusals(self._service):
                self._service.require_open()
            is_adaptive = chunksize in (None, 1) and timeout is None
            batch = None if is_adaptive else chunksize or 1
            line = self._service.line(fn, is_star=is_star, batch=batch, is_awaited=True)
            return Mapping(self._service, line, items, timeout=timeout, ahead=buffersize or self._ahead).results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as the original
        """Take nothing more; what was handed in is done, and then the workers end.

        Args:
            wait: whether to wait for that.
            cancel_futures: whether to cancel what has not begun.
        """
        self._service.close()
        if cancel_futures:
            self._service.withdraw()
        if wait:
            self._service.join()

    def kill_workers(self) -> None:
        """End the workers at once, and the executor.

        Calls that run fail with ``BrokenProcessPool``, others are cancelled. Threads go on with what they are in, of
        which nobody hears.
        """
        self._service.stop()

    def terminate_workers(self) -> None:
        """The same as `kill_workers`: a worker has nothing to do before its end."""
        self.kill_workers()


def _require_count(name: str, value: int | None) -> None:
    if value is not None and not isinstance(value, int):
        raise TypeError(f"{name}={value!r} is not a whole number; allowed: 1, 2, 3, … or None for the default")
    if value is not None and value < 1:
        raise ValueError(f"{name}={value!r} makes no sense; allowed: 1, 2, 3, … or None for the default")
