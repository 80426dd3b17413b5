"""Ways of doing `[f(x) for x in items]`, one per file, behind one small class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

__all__ = ["ALWAYS", "PEERS", "Peer", "Unable", "make_peer"]


class Unable(Exception):
    """A peer has no way of doing this; says why."""


class Peer:
    """A way of doing `[f(x) for x in items]`, used as its documentation tells a user to.

    Nothing of its library is imported before `open`: that is a part of what a cold start costs.

    Attributes:
        package: the distribution whose version the table tells; None for the standard library.
        statement: imports what a user needs.
        script: a whole program that prints the squares of four numbers as a list.
        most_items: how many it can do in reasonable time; None for any number.
        is_kept: whether one process of it does all cases, since it starts too slowly for more or has to be tuned first;
            then only whole programs are measured cold.
        wrapper: a command that starts its process, where that needs another surrounding.
    """

    package: str | None = None
    statement: str = ""
    script: str = ""
    most_items: int | None = None
    is_kept: bool = False
    wrapper: tuple[str, ...] = ()

    def open(self, workers: int) -> None:
        """Import the library and start what is kept from call to call."""

    def close(self) -> None:
        """End what `open` has started."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Sequence[Any]:
        """Give all results in order."""
        self._refuse("has no map")

    def stream(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Give the results of an input of unknown length one after another, in order."""
        self._refuse("has no lazy map")

    def call(self, function: Callable[[Any], Any], item: Any) -> Any:
        """Have a worker run a single call, and wait for its result."""
        self._refuse("has no single call")

    def hand_in(self, function: Callable[[Any], Any], item: Any) -> Callable[[], Any]:
        """Have a worker run a single call; give what waits for its result."""
        self._refuse("has no single call that others can follow at once")

    def bind(self, function: Callable[..., Any], big: Any) -> Callable[[Any], Any]:
        """Make a function of one argument that knows something large."""
        return partial(function, big)

    def _refuse(self, why: str) -> NoReturn:
        raise Unable(why)


# {name: its class, whose file is imported only when it is needed}
PEERS = {
    "loop": "loop:Loop",
    "allcores": "allcores_map:Map",
    "allcores-clean": "allcores_map:CleanMap",
    "allcores.Pool": "allcores_pool:Pool",
    "bare-forks": "bare:BareForks",
    "Pool": "pool:Pool",
    "Pool-clean": "pool:CleanPool",
    "Pool-tuned": "pool:TunedPool",
    "ProcessPoolExecutor": "executor:Standard",
    "loky": "executor:Loky",
    "joblib": "joblib_parallel:Joblib",
    "mpire": "mpire_pool:Mpire",
    "pebble": "pebble_pool:Pebble",
    "Dask": "dask_client:Dask",
    "dask.bag": "dask_client:Bag",
    "Ray": "ray_pool:Ray",
}

# Those that are measured in every case; the others are in cases that name them.
ALWAYS = ("loop", "allcores", "Pool", "ProcessPoolExecutor", "joblib", "mpire", "pebble", "Dask", "Ray")


def make_peer(name: str) -> Peer:
    """Make the peer of this name."""
    module, _, type_name = PEERS[name].partition(":")
    peer = getattr(import_module(f"benchmarks.peers.{module}"), type_name)()
    assert isinstance(peer, Peer)
    return peer
