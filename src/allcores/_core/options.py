"""Every option of every entry point, described once."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable
from math import isfinite

from allcores._core.bytes import parse_bytes
from allcores._core.functions import refuse_deferring
from allcores._core.hints import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias, TypedDict
from allcores._core.kinds import is_dask_client, is_executor
from allcores._core.records import Record

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["OTHERS", "Engine", "Errors", "OptionKeywords", "Options", "Place", "ProgressCallback", "StartMethod"]

Engine = Literal["processes", "threads", "serial", "executor", "dask", "ray"]
Place: TypeAlias = "str | Executor | DaskClient | Callable[[], Executor]"  # a string is an engine's name, or an address
StartMethod = Literal["auto", "fork", "forkserver", "spawn"]
Errors = Literal["raise", "collect"]
ProgressCallback = Callable[[int, int | None], object]
Workers: TypeAlias = int | float | Literal["physical"] | None
Devices: TypeAlias = Literal["cuda"] | Iterable[int | str] | None
ExceptionTypes: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]

ENGINES = ("processes", "threads", "serial", "dask", "ray", "mpi")
# Whose workers are not our own, and how to say so.
OTHERS = {"executor": "an executor's", "dask": "a cluster's", "ray": "a cluster's"}
DASK_SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://")  # of a scheduler's address
RAY_SCHEME = "ray://"
MPI = "mpi"  # an executor over the ranks of the job that this program is the first rank of
START_METHODS = ("auto", "fork", "forkserver", "spawn")
ERRORS = ("raise", "collect")


class DaskClient(Protocol):
    """What type checkers take for a client of Dask's, which need not be installed."""

    def nthreads(self, workers: Any = ...) -> Any:
        """Dask's own."""


class OptionKeywords(TypedDict, total=False):
    """The options as keywords, for type checkers.

    `errors` stands apart because the result's type hangs on it, and `state` because the function's type does.
    """

    workers: Workers
    on: Place
    start: StartMethod
    batch: int | None
    ahead: int | None
    initializer: Callable[..., object] | None
    initargs: Iterable[Any]
    finalizer: Callable[..., object] | None
    timeout: float | None
    timeout_start: float | None
    retries: int
    retry_on: ExceptionTypes
    memory: str | int | None
    recycle: str | int | None
    resume: str | os.PathLike[str] | None
    seed: int | None
    threads: int | Literal["auto"] | None
    devices: Devices
    log: str | os.PathLike[str] | None
    progress: bool | str | ProgressCallback | None


class Options(Record):
    """How a run is to be done, as the caller asked for it.

    Args:
        workers: how many workers; by default as many as usable cores, a few more if they are threads. -1 means
            all usable cores, -2 all but one, and so on; 0.5 half of them; ``"physical"`` one for each physical core,
            where several hardware threads share one.
        on: the engine: ``"processes"``, ``"threads"`` or ``"serial"`` (in the caller's own thread, for debugging); or
            any `concurrent.futures.Executor`, whichever library it is of, or a function that makes one, which is then
            made anew if it breaks, and shut down at the end; or a Dask cluster: its client, its scheduler's address
            (``"tcp://host:8786"``), or ``"dask"`` for the current client, and where there is none a cluster here;
            or a Ray cluster: ``"ray"`` for the one that this program is connected to, or that is found, and where there
            is none one here, or the address of a Ray client's server (``"ray://host:10001"``); or
            ``"mpi"``, in ``mpiexec -n 3 python -m mpi4py.futures program.py``, for all ranks but the first.
        start: how processes start: ``"fork"``, ``"forkserver"``, ``"spawn"``, or ``"auto"``, which heeds
            ``multiprocessing.set_start_method``, and else forks where that is safe, or where a worker is to have what
            only forked ones can, and starts clean otherwise.
        batch: items per batch; by default measured and adapted.
        ahead: how many items a lazy run may read past what its consumer has taken; by default a few batches per
            worker.
        errors: ``"raise"``: the first failure stops the run and raises the original exception; ``"collect"``: every
            item runs, a failed position holds its `Failure`.
        initializer: called once in each worker before its first item.
        initargs: the initializer's arguments.
        state: makes what every call of the function is given as its first argument: a connection, an open file, a
            model. Called without arguments, once in each worker, after the initializer; its value stays there. If it
            raises, the run ends as with an initializer.
        finalizer: called once at the end of a worker, with its state, or without arguments if there is none: when the
            run ends, the worker is recycled, or the pool or executor is closed. Not in a process that is killed: by a
            timeout or a limit, or because a failure, Ctrl-C, or somebody who leaves results early ends the run while it
            is in an item; nor in one that still makes its state when nothing is left to do. Results wait for
            finalizers, in processes and threads for five seconds at most. What they raise is told by a
            `RuntimeWarning`.
        timeout: how many seconds an item may run; one that overstays fails with `ItemTimeout`, and its worker is
            killed, C code included.
        timeout_start: how many seconds to wait where an executor or a cluster has nobody who could run items, whether
            none has come yet or all have gone; then the run ends with `WorkersUnavailable`. By default it waits for
            ever, and says for what.
        retries: how many further tries an item has that failed; they are its own, and each is a batch of its own.
        retry_on: the exceptions that are worth another try, one type or several; by default every `Exception`, deaths
            (`WorkerDied`) and timeouts (`ItemTimeout`) included.
        memory: how much memory a worker may use, in bytes or as ``"2GB"``; the item that makes it use more fails with
            `MemoryLimitExceeded`, and the worker is replaced. What a forked worker was born with does not count.
        recycle: replace a worker after so many items, or once it has grown by so much memory: ``"500MB"``.
        resume: the path of a journal: what finishes is recorded there, and a rerun of the same line runs only what is
            missing or failed.
        seed: what every item's random numbers follow from, together with its index: see `rng`. The global
            generators of `random`, `numpy.random` and PyTorch are seeded for each item, too, and so are generators of
            the first two that the function leads to; but not in threads, which share them.
        devices: hands each worker accelerators of its own: ``"cuda"`` for all that this process may use, or a list
            of such as stand in ``CUDA_VISIBLE_DEVICES``: ``[0, 1]``. Each worker sees only its own, before it imports
            anything: to it, they begin at 0. There is by default one worker for each; of more workers, several share
            one evenly, and its memory is theirs to divide. Workers start clean, and each run has new ones.
        threads: how many threads native libraries, such as BLAS and OpenMP, may use in each worker; by default its
            share of the usable cores, or what the environment says (``OMP_NUM_THREADS`` and the like); None to leave
            them alone.
        log: a folder, in which each item that prints, warns or logs anything has a file of its own: ``000012.log`` for
            item 12. What C code and programs write that the item starts is there, too, instead of on the terminal, and
            stays when the worker dies; a `Failure` has its last lines as `output`. Your handlers of logging have the
            records, too. For processes alone; ``on="serial"``, which is for debugging, prints as ever.
        progress: None: a bar when a person is watching and the run lasts, unless tqdm draws one already, or results
            are taken one by one; True, False, a description for the bar, or a callback ``callback(finished, total)``
            whose total is None where the length is unknown. Inside items there are no bars; see `show_progress`.

    Raises:
        TypeError: a value of the wrong type.
        ValueError: a value that makes no sense.
    """

    workers: Workers = None
    on: Place = "processes"
    start: StartMethod = "auto"
    batch: int | None = None
    ahead: int | None = None
    errors: Errors = "raise"
    initializer: Callable[..., object] | None = None
    initargs: tuple[Any, ...] = ()
    state: Callable[[], Any] | None = None
    finalizer: Callable[..., object] | None = None
    timeout: float | None = None
    timeout_start: float | None = None
    retries: int = 0
    retry_on: ExceptionTypes = (Exception,)
    memory: str | int | None = None
    recycle: str | int | None = None
    resume: str | os.PathLike[str] | None = None
    seed: int | None = None
    threads: int | Literal["auto"] | None = "auto"
    devices: Devices = None
    log: str | os.PathLike[str] | None = None
    progress: bool | str | ProgressCallback | None = None

    def __new__(cls, *values: Any, **keywords: Any) -> Self:
        """Check what the caller wrote, and bring it into one form; unpickling gives all values in order."""
        asked = super().__new__(cls, *values, **keywords)
        _require_place(asked.on)
        _require_choice("start", asked.start, START_METHODS)
        _require_choice("errors", asked.errors, ERRORS, ", whose results have .successes without what failed")
        _require_exception_types(asked.retry_on)
        initargs = _argument_tuple(asked.initargs)
        _require_function("initializer", asked.initializer)
        _require_function("state", asked.state, "a function without arguments")
        _require_function("finalizer", asked.finalizer)
        if initargs and asked.initializer is None:
            raise ValueError(f"initargs={initargs!r} need an initializer; none is given")
        if not (asked.progress is None or isinstance(asked.progress, bool | str) or callable(asked.progress)):
            raise TypeError(
                f"progress={asked.progress!r} makes no sense; allowed: None, True, False, a description, or a callback"
            )
        return asked._replace(
            workers=_workers(asked.workers),
            batch=_whole_number("batch", asked.batch, least=1),
            ahead=_whole_number("ahead", asked.ahead, least=1),
            initargs=initargs,
            timeout=_seconds("timeout", asked.timeout),
            timeout_start=_seconds("timeout_start", asked.timeout_start),
            retries=_whole_number("retries", asked.retries, least=0) or 0,
            memory=None if asked.memory is None else _size("memory", asked.memory),
            recycle=_items_or_size("recycle", asked.recycle),
            resume=_path("resume", asked.resume, "the path of a journal"),
            log=_path("log", asked.log, "the path of a folder"),
            seed=_whole_number("seed", asked.seed, least=0),
            threads=_native_threads(asked.threads),
            devices=_devices(asked.devices),
        )

    def __repr__(self) -> str:
        given = ((name, value) for name, value in zip(self._fields, self, strict=True) if value != self._defaults[name])
        return f"Options({', '.join(f'{name}={value!r}' for name, value in given)})"

    @property
    def engine(self) -> Engine:
        """Which engine that is."""
        on = self.on
        if not isinstance(on, str):
            return "dask" if is_dask_client(on) else "executor"
        if on.startswith(DASK_SCHEMES):
            return "dask"
        if on.startswith(RAY_SCHEME):
            return "ray"
        return "executor" if self.is_mpi else on  # type: ignore[return-value]  # it was checked

    @property
    def is_mpi(self) -> bool:
        """Whether the executor is to be over the ranks of an MPI job."""
        return isinstance(self.on, str) and self.on == MPI

    @property
    def retry_on_types(self) -> tuple[type[BaseException], ...]:
        """The exceptions worth another try, always several."""
        return self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)

    @classmethod
    def from_keywords(cls, keywords: dict[str, Any]) -> Options:
        """Build options from what the caller wrote, naming an option that does not exist."""
        for name, value in keywords.items():
            if name not in cls._fields:
                from allcores._core.unknown_option import explain_unknown  # for those who need it

                raise TypeError(explain_unknown(name, value, cls._fields))
        return cls(**keywords)


def _workers(value: Any) -> int | float | str | None:
    allowed = "allowed: 1, 2, 3, … or None for the default, -1 for all usable cores, 0.5 for half of them, 'physical'"
    if value is None or (isinstance(value, str) and value == "physical"):
        return value
    if isinstance(value, float) and 0 < value < 1:
        return value
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"workers={value!r} is not a whole number; {allowed}")
    if not number:
        raise ValueError(f"workers={value!r} makes no sense; {allowed}")
    return number


def _whole_number(name: str, value: Any, *, least: int) -> int | None:
    allowed = f"allowed: {least}, {least + 1}, {least + 2}, … or None for the default"
    if value is None:
        return None
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name}={value!r} is not a whole number; {allowed}")
    if number < least:
        raise ValueError(f"{name}={value!r} makes no sense; {allowed}")
    return number


def _seconds(name: str, value: Any) -> float | None:
    allowed = "allowed: a number of seconds greater than 0, or None for no limit"
    if value is None:
        return None
    try:
        seconds = None if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        seconds = None
    if seconds is None:
        raise TypeError(f"{name}={value!r} is not a number; {allowed}")
    if not (isfinite(seconds) and seconds > 0):
        raise ValueError(f"{name}={value!r} makes no sense; {allowed}")
    return seconds


def _size(name: str, value: Any) -> int:
    try:
        return parse_bytes(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}={value!r} makes no sense: {error}") from None


def _items_or_size(name: str, value: Any) -> int | str | None:
    if not isinstance(value, str):
        return _whole_number(name, value, least=1)
    _size(name, value)
    return value


def _native_threads(value: Any) -> int | str | None:
    if isinstance(value, str):
        _require_choice("threads", value, ("auto",))
        return value
    return _whole_number("threads", value, least=1)


def _devices(value: Any) -> str | tuple[str, ...] | None:
    allowed = "allowed: 'cuda', a list such as [0, 1], or None"
    if value is None or isinstance(value, str):
        if value not in {None, "cuda"}:
            raise ValueError(f"devices={value!r} is unknown; {allowed}")
        return value
    try:
        names = [_device(each) for each in value]
    except TypeError:
        names = None
    if names is None:
        raise TypeError(f"devices={value!r} is no list of numbers or names of devices; {allowed}")
    if not names or len(set(names)) < len(names) or not all(map(_is_device, names)):
        raise ValueError(f"devices={value!r} makes no sense; {allowed}, each once")
    return tuple(names)


def _device(value: Any) -> str:
    if isinstance(value, bool):
        raise TypeError
    return value if isinstance(value, str) else str(operator.index(value))


def _is_device(name: str) -> bool:
    return bool(name) and "," not in name and not name.startswith("-") and not name.isspace()


def _path(name: str, value: Any, allowed: str) -> str | None:
    if not (value is None or isinstance(value, str | os.PathLike)):
        raise TypeError(f"{name}={value!r} is not a path; allowed: {allowed}, or None")
    return None if value is None else os.fsdecode(value)


def _require_exception_types(value: Any) -> None:
    types = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(each, type) and issubclass(each, BaseException) for each in types):
        raise TypeError(f"retry_on={value!r} makes no sense; allowed: a type of exception, or a tuple of them")


def _require_function(name: str, value: Any, allowed: str = "a function") -> None:
    if value is None:
        return
    if not callable(value):
        raise TypeError(f"{name}={value!r} is not callable; allowed: {allowed}, or None")
    refuse_deferring(value, None, f"the {name}")


def _require_choice(name: str, value: Any, allowed: tuple[str, ...], hint: str = "") -> None:
    choices = ", ".join(repr(choice) for choice in allowed) + hint
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} is not a string; allowed: {choices}")
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; allowed: {choices}")


def _require_place(value: Any) -> None:
    if is_dask_client(value) or is_executor(value) or callable(value):
        return
    if not (isinstance(value, str) and value.startswith((*DASK_SCHEMES, RAY_SCHEME))):
        others = ", a concurrent.futures.Executor, a function that makes one, a Dask client, or a scheduler's address"
        _require_choice("on", value, ENGINES, others)


def _argument_tuple(value: Any) -> tuple[Any, ...]:
    try:
        return tuple(value)
    except TypeError:
        raise TypeError(f"initargs={value!r} is not a tuple of arguments; for one argument write (argument,)") from None
