"""Fixtures: the start methods, and the check that a test leaves nothing behind."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

START_METHODS = ("fork", "forkserver", "spawn")
GONE_SECONDS = 5.0  # for the system to show that a process or a thread has ended

Finished = subprocess.CompletedProcess[str]
Shell = Callable[..., Finished]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--brief", action="store_true", help="for a second Python: leave out what is marked `once`, and start by spawn"
    )
    parser.addoption("--half", type=int, choices=(1, 2), help="run every other test: beginning with the first, or not")
    parser.addoption(
        "--whole", action="store_true", help="leave out nothing: start by spawn in every test that knows start methods"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what tells nothing new: start by spawn is forkserver's but for a fresh interpreter; and half of it."""
    is_brief, is_whole = config.getoption("--brief"), config.getoption("--whole")
    left_out = [
        item
        for item in items
        if (is_brief and item.get_closest_marker("once"))
        or ("spawn" in _parameters(item) and (is_brief or not (is_whole or item.get_closest_marker("starts"))))
    ]
    chosen = [item for item in items if item not in set(left_out)]
    half = config.getoption("--half")
    if half is not None:
        left_out += chosen[2 - half :: 2]
        chosen = chosen[half - 1 :: 2]
    items[:] = chosen
    config.hook.pytest_deselected(items=left_out)


def _parameters(item: pytest.Item) -> list[object]:
    call = getattr(item, "callspec", None)
    return [] if call is None else [value for value in call.params.values() if isinstance(value, str)]


@pytest.fixture(params=START_METHODS)
def start(request: pytest.FixtureRequest) -> str:
    """Each way of starting processes."""
    return str(request.param)


class Factory:
    """Makes an executor, and is written down as the source of a function that does."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __call__(self) -> Executor:
        executor: Executor = eval(self.source)
        return executor

    def __repr__(self) -> str:
        return f"(lambda: {self.source})"


FORK = "__import__('multiprocessing').get_context('fork')"
EXECUTORS = {
    "executor": Factory(f"__import__('concurrent.futures').futures.ProcessPoolExecutor(2, {FORK})"),
    "executor of threads": Factory("__import__('concurrent.futures').futures.ThreadPoolExecutor(2)"),
}


HOME = (*START_METHODS, "threads", "serial")


@pytest.fixture(params=(*HOME, *EXECUTORS))
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options for each place that items can run in."""
    return _options(request.param)


@pytest.fixture(params=HOME)
def home(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options for each place whose workers are allcores' own, where all is kept that can be."""
    return _options(request.param)


def _options(name: str) -> dict[str, Any]:
    return {"start": name} if name in START_METHODS else {"on": EXECUTORS.get(name, name)}


@pytest.fixture(params=("forkserver", "spawn"))
def clean_start(request: pytest.FixtureRequest) -> str:
    """Each way of starting processes that inherit nothing."""
    return str(request.param)


def refusal(kind: Callable[..., Any], options: dict[str, Any]) -> type[Exception] | None:
    """Give the type of what a pool or an executor raises when it is made; None if it can be."""
    try:
        with kind(**options):
            return None
    except Exception as error:
        return type(error)


@pytest.fixture
def run_python(tmp_path: Path) -> Shell:
    """Run a program in a Python of its own: ``run_python(source, how="script")``.

    It can also be a ``"module"`` of a package, a string after ``"-c"``, piped into ``"stdin"``, or typed into a
    ``"repl"``, whose output has the prompts and the echo. Warnings are errors; ``warnings="default"`` is for programs
    of others. The program fails the test if it exits with another code than `code`, or takes longer than `timeout`
    seconds.
    """

    def run(
        source: str, *, how: str = "script", code: int = 0, timeout: float = 40, warnings: str = "error"
    ) -> Finished:
        package = tmp_path / "package"
        package.mkdir(exist_ok=True)
        script, module = tmp_path / "program.py", package / "module.py"
        for file in (script, module):
            file.write_text(source)
        arguments = {
            "script": [str(script)],
            "module": ["-m", "package.module"],
            "-c": ["-c", source],
            "stdin": ["-"],
            "repl": ["-i", "-q"],
        }[how]
        command = [sys.executable, "-W", warnings, *arguments]
        if how == "repl":
            done = _type_in(command, source.splitlines(), tmp_path)
        else:
            done = _run(command, source if how == "stdin" else "", tmp_path, timeout)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def _run(command: list[str], text: str, folder: Path, timeout: float) -> Finished:
    """Run a program; if it takes too long, end what it has started, too."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(
        command, **pipes, text=True, cwd=folder, env=_users_environment(), process_group=0
    ) as process:
        try:
            output, errors = process.communicate(text, timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return Finished(command, process.returncode, output, errors)


def _users_environment() -> dict[str, str]:
    """Give the environment without what makes programs behave otherwise than at a user's, and with a plain prompt."""
    ours = ("PYTEST_CURRENT_TEST", "PYTHONUNBUFFERED")
    plain = {"TERM": "dumb", "PYTHON_BASIC_REPL": "1"}
    return {name: value for name, value in os.environ.items() if name not in ours} | plain


def _type_in(command: list[str], lines: list[str], folder: Path) -> Finished:
    """Run a program on a terminal of its own and answer each of its prompts with a line."""
    ours, theirs = os.openpty()
    output = b""
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=_users_environment()
    ) as process:
        os.close(theirs)
        try:
            for line in [*lines, "exit()"]:
                output += _read_until(ours, (b">>> ", b"... "))
                os.write(ours, line.encode() + b"\n")
            output += _read_until(ours, ())
        except BaseException:
            process.kill()
            raise
        finally:
            os.close(ours)
    return Finished(command, process.returncode, output.decode().replace("\r\n", "\n"), "")


def _read_until(terminal: int, prompts: tuple[bytes, ...]) -> bytes:
    output = b""
    with suppress(OSError):  # the program has ended
        while not output.endswith(prompts) and (more := os.read(terminal, 1 << 12)):
            output += more
    return output


class MemoryGroup:
    """A control group whose processes may use so much memory in all, without swap; past it the kernel kills one.

    Args:
        folder: the group's own.
        home: that of the group which this process is in.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._home = home

    def limit(self, size: int) -> None:
        """Bound the group to `size` bytes."""
        is_version_2 = (self._folder / "memory.max").exists()
        (self._folder / ("memory.max" if is_version_2 else "memory.limit_in_bytes")).write_text(str(size))
        with suppress(OSError):  # the kernel doesn't bound swap: there may be none
            swap, most = ("memory.swap.max", 0) if is_version_2 else ("memory.memsw.limit_in_bytes", size)
            (self._folder / swap).write_text(str(most))

    def run(self, argv: list[str], *, timeout: float = 40) -> Finished:
        """Run a program in the group; one that the kernel kills has the return code -9."""
        enter = ["/bin/sh", "-c", 'echo 0 > "$0/cgroup.procs" && exec "$@"', str(self._folder), *argv]
        return subprocess.run(
            enter, capture_output=True, text=True, timeout=timeout, env=_users_environment(), check=False
        )

    def add(self, pid: int) -> None:
        """Move a process into the group; what it has in use already counts where it was."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Move whoever is left to where this process is, and remove the group."""
        _wait_until(self._is_removed)
        assert not self._folder.exists()

    def _is_removed(self) -> bool:
        with suppress(OSError):  # somebody is on the way out, or the group is removed
            for pid in (self._folder / "cgroup.procs").read_text().split():
                (self._home / "cgroup.procs").write_text(pid)
            self._folder.rmdir()
        return not self._folder.exists()


@pytest.fixture
def memory_group() -> Iterator[Callable[[int], MemoryGroup]]:
    """Make control groups of so many bytes: ``memory_group(limit)``; skips the test where this process may not."""
    with ExitStack() as groups:

        def make(limit: int) -> MemoryGroup:
            parent, home = _group_places()
            try:
                folder = Path(tempfile.mkdtemp(prefix="allcores-", dir=parent))
            except OSError as error:
                pytest.skip(f"no control group can be made here: {error}")
            group = MemoryGroup(folder, home)
            groups.callback(group.remove)
            group.limit(limit)
            return group

        yield make


def _group_places() -> tuple[Path, Path]:
    """Give the folder in which a group that bounds memory can be made, and that of this process's own group."""
    mount, groups = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
    paths = dict(line.split(":", 2)[1:] for line in groups.read_text().splitlines()) if groups.exists() else {}
    if "memory" in paths:
        return mount / "memory", _visible(mount / "memory", paths["memory"])
    home = _visible(mount, paths.get("", ""))
    for folder in (home, *home.parents):
        control = folder / "cgroup.subtree_control"
        if control.exists() and "memory" in control.read_text().split():
            return folder, home
    pytest.skip("no control group here has a memory controller")


def _visible(mount: Path, group: str) -> Path:
    """Give the folder of a group, which inside a container is the mount itself."""
    folder = mount / group.strip("/")
    return folder if folder.exists() else mount


@pytest.fixture
def outliving() -> Callable[[Iterable[int]], set[int]]:
    """Wait for processes to end, though they are nobody's children: ``outliving(pids)`` gives those that don't."""

    def wait(pids: Iterable[int]) -> set[int]:
        return {pid for pid in pids if not _ends(pid)}

    return wait


def _ends(pid: int) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], GONE_SECONDS)[0])
    finally:
        os.close(process)


@pytest.fixture(autouse=True)
def tells_multiprocessing_nothing() -> None:
    """Have a test begin as a program does, which has not yet settled how multiprocessing starts processes."""
    multiprocessing.set_start_method(None, force=True)


@pytest.fixture(autouse=True)
def leaves_nothing() -> Iterator[None]:
    """Fail a test that leaves a process, a thread, a descriptor, shared memory or a temporary file."""
    descriptors, threads, files = _descriptors(), set(threading.enumerate()), _shared_files()
    yield
    warm = sys.modules.get("allcores._engines.processes.warm_set")
    if warm is not None:
        warm.warm_set.close()
    _end_tracker()
    _wait_until(lambda: not _children())
    _wait_until(lambda: set(threading.enumerate()) <= threads)
    _wait_until(lambda: _descriptors() <= descriptors)  # a thread that is no longer listed may yet hold some
    assert _children() == []
    assert set(threading.enumerate()) <= threads
    assert _descriptors() <= descriptors
    assert _shared_files() <= files


def _end_tracker() -> None:
    """End multiprocessing's resource tracker, which its locks and queues start where forkserver is the usual way."""
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    if tracker is not None and sys.version_info >= (3, 14):
        tracker._resource_tracker._stop()


def _children() -> list[str]:
    """The processes that this one, whichever thread of it, has started and that have not been waited for."""
    found = []
    for children in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread has just ended
            found += children.read_text().split()
    return found


def _descriptors() -> set[tuple[int, str]]:
    """The descriptors that are open, less the mark board and libffi, which this process keeps."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the listing's own
            continue
        if "allcores-marks" not in target and "/libffi.so" not in target:
            found.add((int(name), target))
    return found


def _shared_files() -> set[str]:
    places = ("/dev/shm", tempfile.gettempdir())
    return {name for place in places if os.path.isdir(place) for name in os.listdir(place) if "allcores" in name}


def _wait_until(is_so: Callable[[], bool]) -> None:
    """Poll, since the end of a process that is not our child gives no event."""
    deadline = time.monotonic() + GONE_SECONDS
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.005)
