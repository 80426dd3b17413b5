"""A pool for programs that know `multiprocessing.Pool`."""

from __future__ import annotations

import multiprocessing.pool
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NoReturn, Self, TypeVar, overload
from weakref import finalize

from allcores._core.errors import Terminated
from allcores._core.report import Report
from allcores._doors.arguments import Context
from allcores._doors.pool.arrivals import AnyOrder, Arrivals, Order
from allcores._doors.pool.async_result import AsyncResult, Callback, MapResult
from allcores._doors.pool.checks import check_count, check_options
from allcores._doors.pool.iterator import PoolIterator
from allcores._doors.pool.puller import Part, Puller
from allcores._doors.pool.waiting import require_able_to_wait
from allcores._input.dataset import at_hand, listed
from allcores._objects.entry import one_frame
from allcores._run.service import Service
from allcores._run.sinks import OrderedSink
from allcores._worker.line import Line

__all__ = ["Pool"]

T = TypeVar("T")
R = TypeVar("R")


class State(StrEnum):
    """What a pool takes, under the names that `multiprocessing.Pool` has for it."""

    INIT = "INIT"  # nothing yet
    RUN = "RUN"
    CLOSE = "CLOSE"  # nothing more
    TERMINATE = "TERMINATE"  # nothing more, and nothing runs


class Pool(multiprocessing.pool.Pool):
    """Runs calls and items on all cores: `multiprocessing.Pool`, and more.

    It is one to ``isinstance``, but nothing of its works is in it. What differs:

    - A worker that dies fails only what it ran, with `WorkerDied`; so does ``sys.exit()``, with SystemExit. Whoever
      waits when the pool is terminated hears `Terminated`. Nobody waits for ever.
    - An initializer that fails ends the pool: its exception is raised wherever a result is awaited or a task handed in.
    - Lambdas, closures and functions of ``__main__`` will do. A function that cannot travel is refused at once by
      ``map`` and its kin.
    - Workers start when there is work for them, and by default they start clean: see `Options`.
    - With ``chunksize=None``, which is the default of `imap`, too, items are measured and batches adapt.
    - `imap` and `imap_unordered` do not read a generator to its end at once: see there.
    - Of several items that failed, ``map`` raises the exception of the first one in the input.

    Callbacks are called in the thread that runs the pool. They may hand in more, but to wait there for a result of this
    pool is refused.

    Args:
        processes: the same as the option `workers`.
        initializer: called once in each worker before its first task.
        initargs: the initializer's arguments.
        maxtasksperchild: the same as the option `recycle`: items per worker.
        context: a context of `multiprocessing`, whose start method is the option `start`.
        options: see `Options`; ``on="threads"`` makes it a pool of threads. `batch` is the default of `chunksize`, and
            `ahead` that of `imap`.

    Raises:
        TypeError, ValueError: an argument or an option makes no sense, or one contradicts another.
        UnpicklableError: the initializer cannot travel to a worker.

    Example:
        >>> import allcores
        >>> with allcores.Pool(2) as pool:
        ...     print(pool.map(lambda x: x * x, range(5)), pool.apply(divmod, (7, 3)))
        [0, 1, 4, 9, 16] (2, 1)
    """

    _state = State.INIT  # what `__del__` finds if `__init__` has raised

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> None:
        if initializer is not None:  # the arguments of none are ignored, as programs rely on
            options |= {"initializer": initializer, "initargs": initargs}
        with one_frame:
            checked = check_options(options, processes, maxtasksperchild, context)
            self._ahead = checked.ahead
            self._service = Service(checked, name="allcores-pool", is_patient=False, stands_in=True, has_daemons=True)
        self._pullers: set[Puller] = set()
        self._lock = threading.RLock()
        finalize(self, self._service.stop).atexit = False  # the service has its own way to leave
        self._state = State.RUN

    @property
    def _processes(self) -> int:
        """How many workers there may be; dynesty asks for it."""
        return self._service.plan.workers

    @property
    def report(self) -> Report:
        """What all calls together have cost since the pool was made; printed, about ten lines.

        Example:
            >>> import allcores
            >>> with allcores.Pool(2) as pool:
            ...     numbers = pool.map(abs, range(5))
            ...     print(pool.report.items, pool.report.failed)
            5 0
        """
        return self._service.report

    # ------------------------------------------------------------------------------------------------------ calls

    def apply(
        self, func: Callable[..., R], args: Iterable[Any] = (), kwds: Mapping[str, Any] = MappingProxyType({})
    ) -> R:
        """Call a function once, in a worker, and give what it returns.

        Args:
            func: what to call.
            args: its arguments.
            kwds: its keyword arguments.

        Raises:
            ValueError: the pool was closed.
            BaseException: whatever the function raises; see `AsyncResult.get`.
        """
        with one_frame:
            require_able_to_wait(self._service)
            self._require_running()
            result: AsyncResult[R] = AsyncResult(self, self._service, self._service.calls)
            self._service.call_and_attend(func, tuple(args), dict(kwds), result, result.ready)
            return result.obtain()

    def apply_async(
        self,
        func: Callable[..., R],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = MappingProxyType({}),
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult[R]:
        """Have a function called once, in a worker.

        Args:
            func: as for `apply`.
            args: as for `apply`.
            kwds: as for `apply`.
            callback: called with the value.
            error_callback: called with the exception, if there is one.

        Raises:
            ValueError: the pool was closed.
        """
        with one_frame:
            self._require_running()
            result: AsyncResult[R] = AsyncResult(
                self, self._service, self._service.calls, callback=callback, error_callback=error_callback
            )
            self._service.call(func, tuple(args), dict(kwds), result)
            return result

    # ------------------------------------------------------------------------------------------------------ maps

    @overload
    def map(self, func: Callable[[T], R], iterable: Iterable[T], chunksize: int | None = None) -> list[R]: ...
    @overload
    def map(self, func: Callable[[Any, T], R], iterable: Iterable[T], chunksize: int | None = None) -> list[R]: ...
    def map(self, func: Callable[..., R], iterable: Iterable[Any], chunksize: int | None = None) -> list[R]:
        """Call a function on every item; give the results in the items' order.

        Args:
            func: travels once to each worker; with the option `state`, it takes a worker's state before the item.
            iterable: the items; a generator is read to its end first.
            chunksize: items per batch; None to measure and adapt.

        Raises:
            ValueError: the pool was closed, or `chunksize` makes no sense.
            UnpicklableError: the function captures something that cannot travel.
            BaseException: whatever the iterable raises; whatever the function raises for the first item in the input
                for which it does, when all have run.
        """
        with one_frame:
            require_able_to_wait(self._service)
            return self._map(func, iterable, chunksize, is_star=False).obtain()

    @overload
    def map_async(
        self,
        func: Callable[[T], R],
        iterable: Iterable[T],
        chunksize: int | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> MapResult[R]: ...
    @overload
    def map_async(
        self,
        func: Callable[[Any, T], R],
        iterable: Iterable[T],
        chunksize: int | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> MapResult[R]: ...
    def map_async(
        self,
        func: Callable[..., R],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> MapResult[R]:
        """Have a function called on every item.

        Args:
            func: as for `map`.
            iterable: as for `map`.
            chunksize: as for `map`.
            callback: called with the list of results.
            error_callback: called with the exception that `map` would raise.
        """
        with one_frame:
            return self._map(func, iterable, chunksize, is_star=False, callback=callback, error_callback=error_callback)

    def starmap(
        self, func: Callable[..., R], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[R]:
        """Call ``func(*item)`` on every item; otherwise as `map`."""
        with one_frame:
            require_able_to_wait(self._service)
            return self._map(func, iterable, chunksize, is_star=True).obtain()

    def starmap_async(
        self,
        func: Callable[..., R],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> MapResult[R]:
        """Have ``func(*item)`` called on every item; otherwise as `map_async`."""
        with one_frame:
            return self._map(func, iterable, chunksize, is_star=True, callback=callback, error_callback=error_callback)

    def _map(
        self,
        func: Callable[..., R],
        iterable: Iterable[Any],
        chunksize: int | None,
        *,
        is_star: bool,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> MapResult[R]:
        line = self._line(func, chunksize, is_star=is_star)
        items = at_hand(iterable)
        items = listed(iter(iterable), is_sent=self._service.sends_items) if items is None else items
        result: MapResult[R] = MapResult(
            self,
            self._service,
            line,
            len(items),
            chunksize=chunksize or 1,
            callback=callback,
            error_callback=error_callback,
        )
        if len(items):
            self._service.submit(line, items, result)
        else:
            result.settle([])
        return result

    # ------------------------------------------------------------------------------------------------------ iterators

    @overload
    def imap(
        self, func: Callable[[T], R], iterable: Iterable[T], chunksize: int | None = None, *, ahead: int | None = None
    ) -> PoolIterator[R]: ...
    @overload
    def imap(
        self,
        func: Callable[[Any, T], R],
        iterable: Iterable[T],
        chunksize: int | None = None,
        *,
        ahead: int | None = None,
    ) -> PoolIterator[R]: ...
    def imap(
        self, func: Callable[..., R], iterable: Iterable[Any], chunksize: int | None = None, *, ahead: int | None = None
    ) -> PoolIterator[R]:
        """Call a function on every item, and yield the results in the items' order while later items are running.

        All items run, whether their results are taken or not. Of a generator, so many are pulled at first that every
        worker is busy, and more as they are done, 10,000 beyond those at most. With `ahead`, the results must be taken
        for the items to run; if nobody is left who could take them, no more are pulled.

        A generator is pulled in a thread of its own, so it may block, and may wait for results. What it raises is
        raised in the place of its next item.

        Args:
            func: as for `map`.
            iterable: the items.
            chunksize: items per batch, and how many are pulled at a time; what the generator raises meanwhile takes the
                place of them all. None to measure and adapt, and to pull them one by one.
            ahead: how many items may be pulled past those whose results were taken, at most.

        Raises:
            ValueError: the pool was closed, or an argument makes no sense.
            UnpicklableError: the function captures something that cannot travel.

        Example:
            >>> import allcores, itertools
            >>> with allcores.Pool(2) as pool:
            ...     squares = pool.imap(lambda x: x * x, itertools.count(), ahead=10)
            ...     print(list(itertools.islice(squares, 5)))
            [0, 1, 4, 9, 16]
        """
        with one_frame:
            return self._imap(func, iterable, chunksize, ahead, OrderedSink())

    @overload
    def imap_unordered(
        self, func: Callable[[T], R], iterable: Iterable[T], chunksize: int | None = None, *, ahead: int | None = None
    ) -> PoolIterator[R]: ...
    @overload
    def imap_unordered(
        self,
        func: Callable[[Any, T], R],
        iterable: Iterable[T],
        chunksize: int | None = None,
        *,
        ahead: int | None = None,
    ) -> PoolIterator[R]: ...
    def imap_unordered(
        self, func: Callable[..., R], iterable: Iterable[Any], chunksize: int | None = None, *, ahead: int | None = None
    ) -> PoolIterator[R]:
        """Call a function on every item, and yield the results as they come; otherwise as `imap`."""
        with one_frame:
            return self._imap(func, iterable, chunksize, ahead, AnyOrder())

    def _imap(
        self, func: Callable[..., R], iterable: Iterable[Any], chunksize: int | None, ahead: int | None, order: Order
    ) -> PoolIterator[R]:
        line = self._line(func, chunksize, is_awaited=True)
        ahead = self._ahead if ahead is None else check_count("ahead", ahead)
        arrivals = Arrivals(self, self._service, line, order, is_counted=ahead is not None)
        items = at_hand(iterable) if ahead is None else None
        if items is None:
            self._pull(line, iter(iterable), arrivals, unit=chunksize or 1, ahead=ahead)
        else:
            arrivals.end(len(items))
            if len(items):
                self._service.submit(line, items, Part(arrivals, 0))
        return PoolIterator(arrivals)

    def _pull(self, line: Line, items: Any, arrivals: Arrivals, *, unit: int, ahead: int | None) -> None:
        puller = Puller(self._service, line, items, arrivals, unit=unit, ahead=ahead, when_over=self._forget)
        with self._lock:
            self._pullers.add(puller)
        puller.start()

    def _forget(self, puller: Puller) -> None:
        with self._lock:
            self._pullers.discard(puller)
            self._close_if_done()

    # ------------------------------------------------------------------------------------------------------ the end

    def close(self) -> None:
        """Take nothing more; what was handed in is done, and then the workers end."""
        with self._lock:
            if self._state is State.RUN:
                self._state = State.CLOSE
            self._close_if_done()

    def terminate(self) -> None:
        """End the workers at once; whoever waits for something hears `Terminated`."""
        self._state = State.TERMINATE
        for puller in list(self._pullers):
            puller.abandon(Terminated("the pool was ended while items were still handed in"))
        self._service.stop()
        if not self._service.is_inside:
            self._service.join()

    def join(self) -> None:
        """Wait until all is done and the workers have ended.

        With the option `ahead`, somebody must take the results of an `imap` meanwhile.

        Raises:
            ValueError: the pool was not closed.
            RuntimeError: a callback would wait for its own thread.
        """
        with one_frame:
            if self._state is State.RUN:
                raise ValueError("the pool is still running: close or terminate it first")
            require_able_to_wait(self._service)
            self._service.join()

    def _close_if_done(self) -> None:
        if self._state is not State.RUN and not self._pullers:
            self._service.close()

    def __enter__(self) -> Self:
        with one_frame:
            self._require_running()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    # At the interpreter's end, names of this module may stand for nothing any more.
    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if self._state == "RUN":
            warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError("a pool belongs to its process: it can neither be pickled nor sent to a worker")

    def __repr__(self) -> str:
        return f"<allcores.{type(self).__qualname__} state={self._state} pool_size={self._service.plan.workers}>"

    def _require_running(self) -> None:
        if self._state is not State.RUN:
            raise ValueError("Pool not running")
        self._service.require_open()

    def _line(
        self, func: Callable[..., Any], chunksize: int | None, *, is_star: bool = False, is_awaited: bool = False
    ) -> Line:
        self._require_running()
        batch = None if chunksize is None else check_count("chunksize", chunksize)
        return self._service.line(func, is_star=is_star, batch=batch, is_awaited=is_awaited)
