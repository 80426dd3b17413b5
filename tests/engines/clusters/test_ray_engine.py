"""Ray as an engine: on a library that a test plays, and on a cluster of one's own, where Ray is installed."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ray_head import CLIENT_PORT, PORT, RayHead, missing_part

import allcores


class PlayedRay(ModuleType):
    """Has each call done at once that has been pickled as on its way to another process.

    Args:
        happen: called with an actor and the batch that is about to run there, None for a question; gives what is to
            come of it instead, or None.
    """

    def __init__(self, happen: Callable[[Any, Any], BaseException | None] = lambda actor, batch: None) -> None:
        super().__init__("ray")
        names = ("RayActorError", "TaskCancelledError", "ObjectLostError")
        self.exceptions = SimpleNamespace(**{name: type(name, (Exception,), {}) for name in names})
        self.is_up = False
        self.inits: list[tuple[Any, ...]] = []
        self.actors: list[Any] = []
        self.killed: list[Any] = []
        self.happen = happen
        self.is_anybody_there = True

    def is_initialized(self) -> bool:
        return self.is_up

    def init(self, *address: str, **options: Any) -> None:
        self.inits.append((*address, options.get("num_cpus")))
        if address == ("auto",) and not self.is_anybody_there:
            raise ConnectionError
        self.is_up = True

    def shutdown(self) -> None:
        self.is_up = False

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 3.0}

    def remote(self, **options: Any) -> Callable[[type], Any]:
        assert options == {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0}
        return lambda kind: SimpleNamespace(remote=lambda: PlayedActor(self, kind()))

    def kill(self, actor: Any, *, no_restart: bool) -> None:
        assert no_restart
        self.killed.append(actor)

    def cancel(self, call: Any) -> None:
        """It has ended."""


class PlayedActor:
    def __init__(self, ray: PlayedRay, inner: Any) -> None:
        ray.actors.append(self)
        self.is_dead = False
        self.call = SimpleNamespace(remote=lambda *arguments: SimpleNamespace(future=lambda: self._do(*arguments)))
        self._ray, self._inner = ray, inner

    def _do(self, function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        batch = None if function is eval else pickle.loads(arguments[1]).batch
        error = self._ray.exceptions.RayActorError() if self.is_dead else self._ray.happen(self, batch)
        if error is None:
            sent = pickle.loads(pickle.dumps(arguments))
            future.set_result(pickle.loads(pickle.dumps(self._inner.call(function, *sent))))
        else:
            self.is_dead = isinstance(error, self._ray.exceptions.RayActorError)
            future.set_exception(error)
        return future


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PlayedRay]:
    """Have a library of this name be played."""

    def make(*arguments: Any) -> PlayedRay:
        ray = PlayedRay(*arguments)
        monkeypatch.setitem(sys.modules, "ray", ray)
        return ray

    return make


def test_each_worker_is_an_actor_that_ends_with_the_run(play: Any) -> None:
    ray = play()
    ray.init()
    results = allcores.map(lambda x: x * x, range(200), on="ray")
    assert results == [x * x for x in range(200)]
    assert results.report.plan.workers == 3  # as many as there are CPUs
    assert ray.killed == ray.actors
    assert len(ray.actors) <= 3
    assert ray.is_up  # it is the caller's


@pytest.mark.parametrize(
    ("on", "found", "inits"),
    [
        ("ray", ["one"], [("auto", None)]),
        ("ray", [], [("auto", None), (2,)]),
        ("ray://head:10001", ["one"], [("ray://head:10001", None)]),
    ],
)
def test_who_is_not_connected_is_for_as_long_as_the_run_lasts(
    play: Any, on: str, found: list[str], inits: list[tuple[Any, ...]]
) -> None:
    ray = play()
    ray.is_anybody_there = bool(found)
    assert allcores.map(abs, range(9), on=on, workers=2) == list(range(9))
    assert ray.inits == inits
    assert not ray.is_up


def test_who_is_connected_cannot_be_elsewhere(play: Any) -> None:
    play().init()
    with pytest.raises(ValueError, match=r"connected to a Ray cluster already; on='ray' is that one"):
        allcores.map(abs, range(9), on="ray://head:10001", workers=2)


def test_an_item_that_ends_its_actors_is_blamed_and_no_other(play: Any) -> None:
    def die(actor: Any, batch: Any) -> BaseException | None:
        is_it = batch is not None and batch.start <= 33 < batch.stop
        return ray.exceptions.RayActorError() if is_it else None

    ray = play(die)
    results = allcores.map(abs, range(60), on="ray", workers=2, batch=4, errors="collect")
    (failure,) = results.failures
    assert failure.index == 33
    assert isinstance(failure.exception, allcores.WorkerDied)
    assert "has gone, with its actor " in str(failure.exception)
    assert [x for x in results if isinstance(x, int)] == [x for x in range(60) if x != 33]
    assert set(ray.killed) == set(ray.actors)


@pytest.mark.parametrize("name", ["TaskCancelledError", "ObjectLostError"])
def test_a_call_whose_value_is_lost_runs_again(play: Any, name: str) -> None:
    lost: list[int] = []

    def lose(actor: Any, batch: Any) -> BaseException | None:
        if batch is not None and batch.start == 8 and not lost:
            lost.append(1)
            return getattr(ray.exceptions, name)()
        return None

    ray = play(lose)
    assert allcores.map(abs, range(20), on="ray", workers=2, batch=2) == list(range(20))
    assert lost


def test_a_lost_cluster_ends_the_run_and_what_was_finished_is_kept(play: Any) -> None:
    def end(actor: Any, batch: Any) -> BaseException | None:
        if batch is not None and batch.start == 30:
            ray.is_up = False
            return ConnectionError("nobody answers")
        return None

    ray = play(end)
    with pytest.raises(allcores.WorkersUnavailable, match=r"the cluster is gone \(ConnectionError: nobody") as caught:
        allcores.map(abs, range(100), on="ray", workers=2, batch=1, errors="collect")
    finished = allcores.finished(caught.value)
    assert len(finished) >= 20
    assert all(index == value for index, value in finished.items())


def test_who_has_no_ray_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'allcores\[ray\]'"):
        allcores.map(abs, range(3), on="ray", workers=2)


# --------------------------------------------------------------------------------------------------- a real cluster


@pytest.fixture
def run_on_ray(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Run a program where there is a cluster of two CPUs; give what it prints, but for Ray's own lines."""
    if (missing := missing_part()) is not None:
        pytest.skip(missing)

    def run(program: str, timeout: float = 100) -> str:
        path = tmp_path / "program.py"
        lines = "".join(f"    {line}\n" for line in program.splitlines())
        path.write_text(f"import allcores\nif __name__ == '__main__':\n{lines}")
        done = head.run([sys.executable, str(path)], timeout)
        assert done.returncode == 0, done.stdout
        return "".join(f"{line}\n" for line in done.stdout.splitlines() if line.startswith("! "))

    with RayHead() as head:
        yield run


@pytest.mark.once
@pytest.mark.timeout(200)
def test_all_forms_of_a_cluster_and_items_that_kill_and_nothing_is_left(run_on_ray: Any) -> None:
    program = f"""
import os, signal, sys

def work(x):
    if x == 77:
        os.kill(os.getpid(), signal.SIGKILL)
    if x == 150:
        sys.exit(3)
    return x

assert allcores.map(lambda x: x * x, range(50), on="ray://127.0.0.1:{CLIENT_PORT}", workers=2)[7] == 49
import ray
ray.init("127.0.0.1:{PORT}", log_to_driver=False)
results = allcores.map(work, range(300), on="ray", errors="collect")
assert [failure.index for failure in results.failures] == [77, 150], results.failures
assert [x for x in results if isinstance(x, int)] == [x for x in range(300) if x not in (77, 150)]
with allcores.imap(abs, range(10**6), on="ray") as results:
    assert [next(results) for _ in range(20)] == list(range(20))
others = [ray.remote(num_cpus=1)(type("Other", (), {{"wait": lambda self: 1}})).remote() for _ in range(2)]
ray.get([other.wait.remote() for other in others])  # both CPUs are free to be had, and are had now
try:
    allcores.map(abs, range(3), on="ray", timeout_start=0.5)
except allcores.WorkersUnavailable as error:
    print("!", error)
"""
    said = "! waited 0.5 seconds (timeout_start) for a free CPU of the Ray cluster, which has 2: others may have them"
    assert run_on_ray(program) == f"{said} all\n"


@pytest.mark.once
@pytest.mark.timeout(200)
def test_the_program_of_the_documentation_runs(run_on_ray: Any) -> None:
    section = (Path(__file__).parents[3] / "docs" / "engines.md").read_text().partition("\n## Ray\n")[2]
    program = section.partition("```py\n")[2].partition("```")[0]
    assert "import ray" in program
    assert run_on_ray(program) == ""


@pytest.mark.once
@pytest.mark.timeout(300)
def test_every_promise_is_kept_that_a_cluster_can_keep(run_on_ray: Any) -> None:
    program = """
import ray
from allcores.testing import PROMISES
ray.init("auto", log_to_driver=False)
for promise in PROMISES:
    verdict = promise.verdict(on="ray", workers=2)
    if verdict != "kept":
        print("!", promise.name, verdict)
"""
    found = [line.partition(":")[0] for line in run_on_ray(program, 250).splitlines()]
    assert found == ["! timeout refused", "! recycle refused", "! finalizer refused"]
