"""Dask as an engine: on a cluster that a test plays, and on a scheduler and two workers of one's own on loopback."""

from __future__ import annotations

import asyncio
import pickle
import queue
import sys
from asyncio import CancelledError
from collections.abc import Callable, Collection
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import allcores
from allcores._engines.clusters import dask as module
from allcores._engines.clusters.cluster import Landed, ProcessesChanged
from allcores._engines.clusters.dask import DaskCluster
from allcores._run import standstill

PLAYED = "tcp://played:1"
HERE = sys.version_info[:2]
TESTS = Path(__file__).parents[2]


class PlayedCluster:
    """Has calls done at once that have been pickled as on their way to another process.

    Args:
        happen: called with an address and the batch that is about to run there, None for a question; gives what is to
            come of it instead, or None.
    """

    def __init__(self, happen: Callable[[str, Any], Any] = lambda address, batch: None) -> None:
        self.news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.is_alive = True
        self.here = {"a": 1, "b": 1}
        self.sent: list[tuple[str, Any]] = []
        self.is_closed = False
        self.wanted = 0
        self.left: list[str] = []
        self.sizes: list[int] = []  # of what goes along with batches
        self.happen = happen
        self.forgotten: set[int] = set()
        self._count = 0

    def awaited(self, processes: int) -> str:
        return "the played cluster"

    def name(self, address: str) -> str:
        return f"process {address}"

    def want(self, workers: int) -> None:
        self.wanted = workers

    def leave(self, address: str) -> bool:
        self.left.append(address)
        return False

    def threads(self) -> dict[str, int]:
        return dict(self.here)

    def call(self, address: str, function: Callable[..., Any], *arguments: Any) -> int:
        if function is eval:
            return self._come_to(address, None, lambda: (HERE, allcores.__version__, None, None))
        call, args = pickle.loads(pickle.dumps((function, arguments)))
        batch = pickle.loads(args[1]).batch
        self.sizes.append(len(args[1]))
        self.sent.append((address, batch))
        return self._come_to(address, batch, lambda: pickle.loads(pickle.dumps(call(*args))))

    def _come_to(self, address: str, batch: Any, do: Callable[[], Any]) -> int:
        self._count += 1
        result = self.happen(address, batch)
        if isinstance(result, BaseException):
            self.news.put(Landed(self._count, error=result))
        elif isinstance(result, ProcessesChanged):
            self.here.pop(result.gone or "", None)
            self.here[f"{address}'"] = 1
            self.news.put(result)
            self.news.put(ProcessesChanged())
        else:
            self.news.put(Landed(self._count, do() if result is None else result))
        return self._count

    def forget(self, numbers: Collection[int]) -> None:
        self.forgotten.update(numbers)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PlayedCluster]:
    """Have runs be on a cluster that is played."""

    def make(*arguments: Any) -> PlayedCluster:
        cluster = PlayedCluster(*arguments)
        monkeypatch.setattr(module, "DaskCluster", lambda place, workers: cluster)
        return cluster

    return make


def test_batches_go_to_all_processes_and_the_cluster_is_let_go(play: Any) -> None:
    cluster = play()
    assert allcores.map(lambda x: x * x, range(200), on=PLAYED, workers=2) == [x * x for x in range(200)]
    assert {address for address, _ in cluster.sent} == {"a", "b"}
    assert cluster.wanted == 2
    assert set(cluster.left) == {"a", "b"}
    assert cluster.is_closed


def test_a_large_job_goes_once_to_each_process(play: Any) -> None:
    table = bytes(1 << 20)
    cluster = play()
    assert allcores.map(lambda x: len(table) + x, range(40), on=PLAYED, workers=2, batch=1)[-1] == (1 << 20) + 39
    assert sum(size > len(table) for size in cluster.sizes) == 2


def test_no_more_threads_are_claimed_than_there_are_and_those_that_come_late_are(play: Any) -> None:
    def come(address: str, batch: Any) -> None:
        if len(cluster.sent) == 5:
            cluster.here["late"] = 2
            cluster.news.put(ProcessesChanged())

    cluster = play(come)
    assert allcores.map(abs, range(300), on=PLAYED, workers=9, batch=1) == list(range(300))
    assert {address for address, _ in cluster.sent} == {"a", "b", "late"}


def test_by_default_all_are_used_as_they_come(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def come(address: str, batch: Any) -> None:
        if len(cluster.sent) == 5:
            cluster.here |= {"late": 2, "later": 1}
            cluster.news.put(ProcessesChanged())

    monkeypatch.setattr("allcores._system.dask_cluster.count_threads", lambda place: 2)
    cluster = play(come)
    results = allcores.map(abs, range(300), on=PLAYED, batch=1)
    assert results == list(range(300))
    assert {address for address, _ in cluster.sent} == {"a", "b", "late", "later"}
    assert results.report.plan.workers == 2
    assert results.report.workers == 5


def test_an_item_whose_processes_go_is_blamed_and_no_other(play: Any) -> None:
    def die(address: str, batch: Any) -> Any:
        if batch is not None and batch.start <= 33 < batch.stop:
            return ProcessesChanged(gone=address)
        return None

    cluster = play(die)
    results = allcores.map(abs, range(60), on=PLAYED, workers=2, batch=4, errors="collect")
    (failure,) = results.failures
    assert failure.index == 33
    assert isinstance(failure.exception, allcores.WorkerDied)
    assert "has gone, with process " in str(failure.exception)
    assert [x for x in results if isinstance(x, int)] == [x for x in range(60) if x != 33]
    died = [batch for _, batch in cluster.sent if batch.start <= 33 < batch.stop]
    assert (died[-1].start, died[-1].stop) == (33, 34)


def test_what_was_on_its_way_to_a_process_that_was_told_to_go_is_no_suspect(play: Any) -> None:
    leaving: list[str] = []

    def leave(address: str, batch: Any) -> Any:
        if batch is not None and batch.start <= 12 < batch.stop and not leaving:
            leaving.append(address)
            return ProcessesChanged(gone=address, is_expected=True)
        return None

    cluster = play(leave)
    assert allcores.map(abs, range(40), on=PLAYED, workers=2, batch=4) == list(range(40))
    assert all(batch.stop - batch.start == 4 for _, batch in cluster.sent)  # none was taken apart


def test_a_call_that_others_cancelled_runs_again(play: Any) -> None:
    cancelled: list[int] = []

    def cancel(address: str, batch: Any) -> Any:
        if batch is not None and batch.start == 8 and not cancelled:
            cancelled.append(1)
            return CancelledError()
        return None

    play(cancel)
    assert allcores.map(abs, range(20), on=PLAYED, workers=2, batch=2) == list(range(20))
    assert cancelled


def test_a_call_that_is_lost_while_its_process_stays_blames_one_item(play: Any) -> None:
    def lose(address: str, batch: Any) -> Any:
        return OSError("no reply") if batch is not None and batch.start <= 7 < batch.stop else None

    play(lose)
    results = allcores.map(abs, range(20), on=PLAYED, workers=2, batch=5, errors="collect")
    assert [failure.index for failure in results.failures] == [7]
    assert "was lost (OSError: no reply)" in str(results.failures[0].exception)


@pytest.mark.parametrize(("status", "error"), [("finished", CancelledError), ("error", OSError)])
def test_a_value_that_is_lost_on_its_way_back_is_no_items_fault(status: str, error: type[BaseException]) -> None:
    class Client:
        async def gather(self, future: Any, *, asynchronous: bool) -> Any:
            raise OSError("closed")

    cluster = DaskCluster.__new__(DaskCluster)
    cluster.news, cluster._client, cluster._futures = queue.SimpleQueue(), Client(), {}
    asyncio.run(cluster._fetch(3, SimpleNamespace(status=status)))
    landed = cluster.news.get_nowait()
    assert isinstance(landed, Landed)
    assert landed.call == 3
    assert type(landed.error) is error


def test_a_lost_scheduler_ends_the_run_and_what_was_finished_is_kept(play: Any) -> None:
    def end(address: str, batch: Any) -> Any:
        if batch is not None and batch.start == 30:
            cluster.is_alive = False
            return CancelledError("connection lost")
        return None

    cluster = play(end)
    with pytest.raises(allcores.WorkersUnavailable, match=r"the cluster is gone \(CancelledError") as caught:
        allcores.map(abs, range(100), on=PLAYED, workers=2, batch=1, errors="collect")
    finished = allcores.finished(caught.value)
    assert len(finished) >= 20
    assert all(index == value for index, value in finished.items())
    assert cluster.is_closed


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (((3, 1), "0.1", None, None), r"Python 3\.1 runs there"),
        ((HERE, None, None, None), "allcores is not installed there"),
    ],
)
def test_other_versions_are_told_with_the_address_before_the_first_item(play: Any, answer: Any, said: str) -> None:
    cluster = play(lambda address, batch: answer if batch is None else None)
    with pytest.raises(allcores.WorkersUnavailable, match=f"process [ab] cannot be used: {said}"):
        allcores.map(abs, range(9), on=PLAYED, workers=2)
    assert cluster.sent == []


@pytest.mark.parametrize(
    "options", [{"timeout": 1}, {"memory": "1GB"}, {"finalizer": print}, {"devices": [0]}], ids=str
)
def test_what_a_cluster_cannot_keep_is_refused_by_name(play: Any, options: dict[str, Any]) -> None:
    cluster = play()
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}="):
        allcores.map(abs, range(3), on=PLAYED, workers=2, **options)
    assert cluster.sent == []


def test_who_has_no_dask_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'allcores\[dask\]'"):
        allcores.map(abs, range(3), on="dask", workers=2)


def test_a_cluster_without_workers_is_waited_for_and_told_of(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = play()
    cluster.here = {}
    said: list[str] = []

    def come(line: str) -> None:
        said.append(line)
        cluster.here["late"] = 1
        cluster.news.put(ProcessesChanged())

    monkeypatch.setattr(standstill, "SAY_SECONDS", 0.0)
    monkeypatch.setattr(standstill, "_write", come)
    assert allcores.map(abs, range(50), on=PLAYED, workers=2) == list(range(50))
    assert said == ["allcores: waiting for the played cluster\n"]


def test_who_waits_for_workers_in_vain_has_what_was_finished_before(play: Any) -> None:
    def leave(address: str, batch: Any) -> Any:
        if batch is not None and batch.start == 20:
            cluster.here = {}
            for gone in ("a", "b"):
                cluster.news.put(ProcessesChanged(gone, is_expected=True))
        return None

    cluster = play(leave)
    with pytest.raises(
        allcores.WorkersUnavailable,
        match=r"waited 0\.05 seconds \(timeout_start\) for the played cluster",
    ) as caught:
        allcores.map(abs, range(60), on=PLAYED, workers=2, batch=1, timeout_start=0.05)
    finished = allcores.finished(caught.value)
    assert len(finished) >= 20
    assert all(index == value for index, value in finished.items())


# --------------------------------------------------------------------------------------------------- a real cluster


@pytest.fixture
def run_on_dask(run_python: Any) -> Callable[[str], str]:
    """Run a program that has a cluster, `cluster`, and a client of it, `client`; give what it prints."""
    if find_spec("distributed") is None:
        pytest.skip("not installed: distributed")

    def run(program: str, workers: int = 2) -> str:
        begin = (
            f"import sys\nsys.path.insert(0, {str(TESTS)!r})\nfrom dask_cluster import DaskCluster\nimport allcores\n"
        )
        begin += f"if __name__ == '__main__':\n  with DaskCluster({workers}) as cluster, cluster.connect() as client:\n"
        source = begin + "".join(f"    {line}\n" for line in program.splitlines())
        output: str = run_python(source, warnings="default", timeout=55).stdout
        return output

    return run


@pytest.mark.once
def test_every_promise_is_kept_that_a_cluster_can_keep(run_on_dask: Any) -> None:
    program = """
from allcores.testing import PROMISES
for promise in PROMISES:
    verdict = promise.verdict(on=client, workers=2)
    if verdict != "kept":
        print(promise.name, verdict.partition(":")[0])
"""
    assert run_on_dask(program).splitlines() == ["timeout refused", "recycle refused", "finalizer refused"]


@pytest.mark.once
def test_all_forms_of_a_cluster_and_nothing_is_left_there(run_on_dask: Any) -> None:
    program = """
class Point:
    def __init__(self, x):
        self.x = x

for place in (client, cluster.address, "dask"):
    moved = allcores.map(lambda point: Point(point.x + 1), [Point(x) for x in range(50)], on=place)
    assert {type(point) for point in moved} == {Point}
    assert [point.x for point in moved] == list(range(1, 51))
    assert moved.report.plan.workers == 2, moved.report.plan
assert client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0
assert client.submit(abs, -3).result() == 3
print(str(allcores.plan(on=client)).splitlines()[0])
"""
    assert run_on_dask(program) == "2 on dask: as many as the cluster has, and more as they come\n"


@pytest.mark.once
def test_workers_that_are_killed_and_a_scheduler_that_is(run_on_dask: Any) -> None:
    program = """
import os, signal

def work(x):
    if x in (77, 150):
        os.kill(os.getpid(), signal.SIGKILL)
    return x

results = allcores.map(work, range(300), on=client, errors="collect")
assert [failure.index for failure in results.failures] == [77, 150], results.failures
assert [x for x in results if isinstance(x, int)] == [x for x in range(300) if x not in (77, 150)]

with allcores.imap(abs, range(10**6), on=cluster.address, batch=1) as results:
    taken = [next(results) for _ in range(20)]
    cluster.kill_scheduler()
    try:
        for result in results:
            taken.append(result)
    except allcores.WorkersUnavailable as error:
        assert "cluster is gone" in str(error), error
    assert taken == list(range(len(taken)))
print("done")
"""
    assert run_on_dask(program) == "done\n"


@pytest.mark.once
def test_a_cluster_in_threads_of_this_process_is_refused(run_python: Any) -> None:
    if find_spec("distributed") is None:
        pytest.skip("not installed: distributed")
    program = """
import allcores
from distributed import Client
with Client(processes=False, n_workers=1, dashboard_address=None) as client:
    try:
        allcores.map(abs, range(3), on=client)
    except ValueError as error:
        print(error)
"""
    output = run_python(program, warnings="default").stdout
    assert output == "this Dask cluster runs in threads of this process; use on='threads'\n"


@pytest.mark.once
def test_workers_that_come_late_and_are_told_to_go(run_on_dask: Any) -> None:
    program = """
import os
try:
    allcores.map(abs, range(9), on=client, timeout_start=0.5)
except allcores.WorkersUnavailable as error:
    assert "which has none" in str(error), error
else:
    assert False

def numbers():
    cluster.add_worker()
    yield from range(400)

def work(x):
    return x, os.getpid()

taken, pids = [], set()
with allcores.imap(work, numbers(), on=client, workers=2, batch=1, ahead=4) as results:
    for number, pid in results:
        taken.append(number)
        pids.add(pid)
        if number == 10:
            cluster.add_worker()
            client.wait_for_workers(2, timeout=20)
        if number == 300:
            first, *_ = client.scheduler_info()["workers"]
            client.retire_workers([first])
assert taken == list(range(400)), taken
assert len(pids) == 2, pids
assert results.failures == []
print("done")
"""
    assert run_on_dask(program, workers=0) == "done\n"


@pytest.mark.once
def test_modules_that_workers_lack_travel_and_others_of_their_names_stand_back(run_on_dask: Any) -> None:
    program = """
import os, sys, tempfile
from importlib import import_module
from pathlib import Path
here = Path(__file__).parent
(here / "late.py").write_text("X = 3")  # imported by items alone
(here / "other.py").write_text("class Other:\\n    whose = 'mine'\\n")
(here / "pack").mkdir()
(here / "pack" / "__init__.py").write_text("from pack.inner import triple")
(here / "pack" / "inner.py").write_text("def triple(x):\\n    import late\\n    return late.X * x\\n")
pack, other = import_module("pack"), import_module("other")

def work(x):
    return pack.triple(x), other.Other()

with tempfile.TemporaryDirectory() as far:
    Path(far, "other.py").write_text("class Other:\\n    whose = 'theirs'\\n")
    Path(far, "sitecustomize.py").write_text(HIDE.format(folder=str(here)))
    cluster.add_worker(cwd=far, env={"PYTHONPATH": os.pathsep.join([far, os.environ.get("PYTHONPATH", "")])})
    client.wait_for_workers(1, timeout=20)
    def is_hidden():
        import importlib.util
        return [importlib.util.find_spec(name) is None for name in ("pack", "late", "other")]
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = allcores.map(work, range(40), on=client)
        assert [x for x, _ in found] == [3 * x for x in range(40)], found
        assert {type(y) for _, y in found} == {other.Other}
        said = [str(each.message) for each in caught if "yours" in str(each.message)]
        assert len(said) == 1 and "the module other is another than yours; this run had yours there" in said[0], said
        assert client.submit(is_hidden, pure=False).result() == [True, True, False]
    print("done")
"""
    hide = """
import importlib.machinery, os, sys
class Nothing:
    def find_spec(self, name, target=None):
        return None
def hide(path):
    if os.path.abspath(path) == {folder!r}:
        return Nothing()
    raise ImportError
sys.path_hooks.insert(0, hide)
"""
    assert run_on_dask(f"import warnings\nHIDE = {hide!r}\n{program}", workers=0) == "done\n"
