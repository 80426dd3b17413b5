"""A Ray cluster: each worker there is an actor of our own, with one CPU, which Ray is never to start again."""

from __future__ import annotations

import queue
from asyncio import CancelledError
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from allcores._core.hints import Any
from allcores._core.options import Place
from allcores._engines.clusters.cluster import Inbox, Landed, ProcessesChanged
from allcores._system.ray_cluster import Connection

__all__ = ["RayCluster"]


class RayCluster:
    """Speaks with Ray; see `Cluster`. A process is an actor, and its address a number of our own.

    Args:
        place: where it is.
        workers: how many CPUs it is given if it is started here.

    Raises:
        ImportError, ConnectionError, ValueError: as `Connection`.
    """

    def __init__(self, place: Place, workers: int) -> None:
        self.news: Inbox = queue.SimpleQueue()
        self._connection = Connection(place, workers=workers)
        self._ray = self._connection.ray
        self._make_actor = _actor_type(self._ray).remote
        self._actors: dict[str, Any] = {}  # by address, those that are not known to be gone
        self._lost: list[Any] = []  # actors that may only be out of reach; Ray's own thread may end none
        self._calls: dict[int, Any] = {}  # what Ray gives for each, by number
        self._made = 0
        self._count = 0

    @property
    def is_alive(self) -> bool:
        """Whether this process is connected."""
        return bool(self._ray.is_initialized())

    def awaited(self, processes: int) -> str:
        """Say that an actor has no CPU yet."""
        with suppress(Exception):  # the cluster may be gone
            count = int(self._ray.cluster_resources().get("CPU", 0))
            return f"a free CPU of the Ray cluster, which has {count}: others may have them all"
        return "an answer of the Ray cluster"

    def name(self, address: str) -> str:
        """Name it by its number."""
        return f"its actor {address}"

    def want(self, workers: int) -> None:
        """Make as many actors; those that Ray has no CPU for wait there."""
        while len(self._actors) < workers:
            self._made += 1
            self._actors[str(self._made)] = self._make_actor()
            self.news.put(ProcessesChanged())

    def threads(self) -> dict[str, int]:
        """Each actor does one thing at a time."""
        return dict.fromkeys([*self._actors], 1)

    def call(self, address: str, function: Callable[..., Any], *arguments: Any) -> int:
        """Call the actor, behind what it was called for before."""
        self._count = number = self._count + 1
        actor = self._actors.get(address)
        if actor is None:  # it has gone just now, and the engine is about to hear of it
            return number
        call = self._calls[number] = actor.call.remote(function, *arguments)
        call.future().add_done_callback(partial(self._hear, number, address))
        return number

    def forget(self, numbers: Collection[int]) -> None:
        """Cancel them; one that runs goes on to its end, unless its actor is left."""
        for number in numbers:
            call = self._calls.pop(number, None)
            if call is not None:
                with suppress(Exception):  # it may have ended, or its actor
                    self._ray.cancel(call)

    def leave(self, address: str) -> bool:
        """End the actor, whatever it is doing."""
        actor = self._actors.pop(address, None)
        if actor is not None:
            self._end(actor)
        return True

    def close(self) -> None:
        """End all actors, and Ray if it was started for this run."""
        actors = [*self._actors.values(), *self._lost]
        self._actors.clear()
        self._calls.clear()
        for actor in actors:
            self._end(actor)
        self._connection.close()

    def _end(self, actor: Any) -> None:
        with suppress(Exception):  # it may have ended, or the whole cluster
            self._ray.kill(actor, no_restart=True)

    def _hear(self, number: int, address: str, future: Future[Any]) -> None:
        """Hear in Ray's own thread what came of a call."""
        self._calls.pop(number, None)  # lets Ray forget it
        errors = self._ray.exceptions
        error = future.exception()
        if error is None:
            self.news.put(Landed(number, future.result()))
        elif isinstance(error, errors.RayActorError):
            actor = self._actors.pop(address, None)
            if actor is not None:
                self._lost.append(actor)
                self.news.put(ProcessesChanged(address))
        elif isinstance(error, errors.TaskCancelledError | errors.ObjectLostError):
            self.news.put(Landed(number, error=CancelledError(f"{error}")))  # its value is lost, and nobody is to blame
        else:
            self.news.put(Landed(number, error=getattr(error, "cause", None) or error))


def _actor_type(ray: Any) -> Any:
    """Make the type of actors: here, as what is local to a function goes by value, to where allcores may be missing."""

    class AllcoresWorker:
        def call(self, function: Any, *arguments: Any) -> Any:
            return function(*arguments)

    return ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(AllcoresWorker)
