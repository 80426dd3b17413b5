"""What happens in a scenario, all of it drawn from its seed: the faults, and the calls that they come into.

What an item gives follows from its key alone, so that every value can be checked; and what it does beside that, from
its act: it takes its time, gives something large, raises, hangs, or ends its worker.
"""

from __future__ import annotations

import functools
import os
import socket
import time
import zlib
from array import array
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, StrEnum
from math import log10
from random import Random
from typing import Any, NamedTuple

import allcores

MOST_ITEMS = 5_000
MOST_SECONDS = 0.020  # that an item takes
HUGE = 50 << 20  # bytes of the largest results
STREAMED = (40_000, 100_000)  # bytes of results that are sent one by one, and through the socket as a whole
MOST_STREAMED = 100  # in a call
FOREVER = 1 << 40  # tries
MANY = 1 << 20  # tries: enough for whatever faults there are
BLOCK = Random(0).randbytes(65_521)  # a prime: chunks of a stream that change places are seen


class Fault(StrEnum):
    """What is injected."""

    WORKER_KILLED = "worker killed"
    WORKER_TERMINATED = "worker terminated"
    KILLED_AT_BIRTH = "worker killed at birth"
    KILLED_MID_MESSAGE = "worker killed in the middle of a message"
    WORKER_STOPPED = "worker stopped for a while"
    DRIVER_STOPPED = "driver stopped for a while"
    FORK_SERVER_KILLED = "fork server killed"
    FORK_SERVER_STOPPED = "fork server stopped for a while"
    DRIVER_KILLED = "driver killed"
    INTERRUPT = "Ctrl-C"
    TWO_INTERRUPTS = "Ctrl-C twice"


OF_FORK_SERVERS = (Fault.FORK_SERVER_KILLED, Fault.FORK_SERVER_STOPPED)
OF_INTERRUPTS = (Fault.INTERRUPT, Fault.TWO_INTERRUPTS)


@dataclass(frozen=True, slots=True)
class Scenario:
    """The life of a driver, or of several where it is killed.

    Attributes:
        seed: of the campaign.
        number: in the campaign.
        start: how its workers start.
        leading: the fault that it is about.
        weights: which faults come how often.
    """

    seed: int
    number: int
    start: str
    leading: Fault
    weights: dict[Fault, float]


def draw_scenario(seed: int, number: int) -> Scenario:
    """Draw a scenario; those of consecutive numbers are about all the faults in turn."""
    chance = Random(f"{seed} {number}")
    leading = list(Fault)[number % len(Fault)]
    start = chance.choices(["fork", "forkserver", "spawn"], [0 if leading in OF_FORK_SERVERS else 6, 4, 1])[0]
    others = [fault for fault in Fault if start != "fork" or fault not in OF_FORK_SERVERS]
    weights = {fault: 0.3 for fault in others if chance.random() < _odds(fault)}
    return Scenario(seed, number, start, leading, weights | {leading: 1.0})


def _odds(fault: Fault) -> float:
    """Say how often a fault comes along where another is leading."""
    if fault is Fault.DRIVER_KILLED:
        return 0.05
    return 0.2 if fault in OF_INTERRUPTS else 0.5


# ------------------------------------------------------------------------------------------------- what an item does


class Trouble(Enum):
    """What an item does instead of giving a value."""

    NONE = "none"
    RAISES = "raises"
    HANGS = "hangs"
    ENDS = "ends its worker"


class Act(NamedTuple):
    """What an item does."""

    seconds: float = 0.0
    size: int = 0  # bytes of its value; 0: a number
    trouble: Trouble = Trouble.NONE
    until: int = 0  # the last try that is in trouble

    @property
    def is_lasting(self) -> bool:
        """Whether it is in trouble each time."""
        return self.until == FOREVER


class Passing(Exception):
    """What an item raises that will give a value if it is tried often enough."""


class Lasting(Exception):
    """What an item raises each time."""


EXIT_CODE = 7  # of a worker that its item ends

_has_entered = False  # whether this process has run an item


class Work:
    """The function of a call.

    Args:
        acts: of the items that do more than give a number, by key.
        folder: where to write down which processes run items, one number after another.
        log: where to write down the keys of the items that run, likewise; empty for nowhere.
        has_arrays: whether some values are arrays.
        is_narrow: whether a worker's channel takes a few kilobytes at a time, so that it blocks in many a message.
    """

    def __init__(
        self, acts: dict[int, Act], folder: str, log: str, *, has_arrays: bool = False, is_narrow: bool = False
    ) -> None:
        self._acts = acts
        self._folder = folder
        self._log = log
        self._has_arrays = has_arrays
        self._is_narrow = is_narrow

    def __call__(self, item: Any) -> Any:
        if not _has_entered:
            _enter(self._folder, is_narrow=self._is_narrow)
        key = key_of(item)
        if self._log:
            append_number(self._log, key)
        act = self._acts.get(key)
        if act is not None:
            _perform(act, key)
        return self.value(item)

    def value(self, item: Any) -> Any:
        """Say what comes of an item."""
        key = key_of(item)
        act = self._acts.get(key)
        if act is not None and act.size:
            return _payload(key, act.size, has_arrays=self._has_arrays)
        return 3 * key + 1 if type(item) is not tuple else (3 * key + 1, zlib.crc32(item[1]))


def key_of(item: Any) -> int:
    """Give the number that all about an item follows from."""
    return int(item) if type(item) is not tuple else item[0]


def _enter(folder: str, *, is_narrow: bool) -> None:
    global _has_entered  # noqa: PLW0603 - a fact about the process
    _has_entered = True
    if is_narrow:
        _narrow_sockets()
    append_number(os.path.join(folder, "entered"), os.getpid())


def _narrow_sockets() -> None:
    """Have this process's sockets, of which one is the worker's channel, take as little at a time as is possible."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the listing's own
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                with socket.socket(fileno=os.dup(int(name))) as one:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)


def append_number(path: str, number: int) -> None:
    """Write a number at the end of a file, which others may be writing to."""
    os.write(_open_to_append(path), array("q", [number]).tobytes())


@functools.cache
def _open_to_append(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _perform(act: Act, key: int) -> None:
    if act.seconds:
        time.sleep(act.seconds)
    if act.trouble is not Trouble.NONE and allcores.current_item().tries <= act.until:
        if act.trouble is Trouble.HANGS:
            time.sleep(3600)
        elif act.trouble is Trouble.ENDS:
            os._exit(EXIT_CODE)
        raise (Lasting if act.is_lasting else Passing)(key)


def _payload(key: int, size: int, *, has_arrays: bool) -> Any:
    turn = key % len(BLOCK)
    data = ((BLOCK[turn:] + BLOCK[:turn]) * (size // len(BLOCK) + 1))[:size]
    if has_arrays and key % 2:
        import numpy as np

        return np.frombuffer(data, np.uint8)
    return data if key % 3 else bytearray(data)


def prepare(seconds: float) -> None:
    """The initializer of some calls."""
    time.sleep(seconds)


# -------------------------------------------------------------------------------------------------------------- calls


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an entry point.

    Attributes:
        entry: its name.
        shape: what the dataset is.
        items: what is in it.
        acts: of the items, by key.
        options: as allcores has them, less what names a file.
        has_arrays: whether some values are arrays.
        is_patient: whether there are tries enough for every item that does not raise each time.
        resumes: whether it has a journal; it is made again and again until nothing ends it.
        pause: seconds that the consumer takes for a result.
        leaves_after: how many results it takes, if not all.
    """

    entry: str
    shape: str
    items: list[Any]
    acts: dict[int, Act]
    options: dict[str, Any]
    has_arrays: bool
    is_patient: bool
    resumes: bool
    pause: float
    leaves_after: int | None

    def __repr__(self) -> str:
        troubles = [act.trouble.value for act in self.acts.values() if act.trouble is not Trouble.NONE]
        unsaid = ("initializer", "retry_on")
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items() if value and name not in unsaid)
        return (
            f"<{self.entry} over {self.shape} of {len(self.items)} items, largest value "
            f"{max((act.size for act in self.acts.values()), default=0)} bytes, {len(troubles)} in trouble, "
            f"pause {self.pause:.4f}, leaves after {self.leaves_after}, resumes {self.resumes}, {options}>"
        )

    def dataset(self) -> Any:
        """Give the dataset, anew each time."""
        if self.shape == "generator":
            return (item for item in self.items)
        if self.shape == "range":
            return range(self.items[0], self.items[-1] + 1)
        if self.shape == "array":
            import numpy as np

            return np.array(self.items)
        return self.items


def draw_call(scenario: Scenario, number: int) -> Call:
    """Draw one of a scenario's calls."""
    chance = Random(f"{scenario.seed} {scenario.number} {number}")
    resumes = chance.random() < (0.8 if Fault.DRIVER_KILLED in scenario.weights else 0.1)
    has_arrays = scenario.start == "fork" or chance.random() < 0.1  # to import NumPy would take most of the time
    shape = chance.choice(["list", "range", "generator", "blobs", "array" if has_arrays else "list"])
    items = _draw_items(chance, shape, can_repeat=not resumes)
    options = _draw_options(chance, scenario.start, len(items))
    can_fail = options["errors"] == "collect" or not resumes
    is_patient = chance.random() < 0.7 or not can_fail
    draw = _ActDraw(chance, [key_of(item) for item in items])
    draw.seconds(at_most=chance.uniform(0, 0.8) * options["workers"])
    draw.sizes(is_heavy=chance.random() < 0.2, is_huge=options["timeout"] is None and chance.random() < 0.05)
    if Fault.KILLED_MID_MESSAGE in scenario.weights:
        draw.streamed_sizes()
    draw.troubles(is_patient=is_patient, can_fail=can_fail, can_hang=options["timeout"] is not None)
    entry = chance.choice(["map", "map", "imap", "imap_unordered"])
    has_break = entry != "map" and not resumes and chance.random() < 0.2
    return Call(
        entry,
        shape,
        items,
        draw.acts,
        options | _tries(chance, is_patient=is_patient),
        has_arrays=has_arrays,
        is_patient=is_patient,
        resumes=resumes,
        pause=chance.uniform(0, 0.5) / len(items) if chance.random() < 0.4 else 0.0,
        leaves_after=chance.randrange(len(items)) if has_break else None,
    )


def _draw_items(chance: Random, shape: str, *, can_repeat: bool) -> list[Any]:
    count = max(round(MOST_ITEMS ** chance.random()) for _ in range(2))
    first = chance.randrange(1_000_000)
    if shape == "range":
        return list(range(first, first + count))
    if shape == "blobs":
        sizes = [int(10 ** chance.uniform(0, log10(2 << 20))) for _ in range(min(count, 50))]
        return [(first + at, _payload(at, size, has_arrays=False)) for at, size in enumerate(sizes)]
    keys = range(first, first + count)
    return chance.choices(keys, k=count) if can_repeat and chance.random() < 0.2 else chance.sample(keys, count)


def _draw_options(chance: Random, start: str, count: int) -> dict[str, Any]:
    seldom = chance.random
    return {
        "start": start,
        "workers": chance.randint(1, 4),
        "errors": chance.choice(["raise", "collect", "collect"]),
        "batch": chance.randint(1, 50) if seldom() < 0.3 else None,
        "ahead": chance.randint(1, 200) if seldom() < 0.2 else None,
        "timeout": chance.uniform(0.3, 0.8) if seldom() < 0.3 else None,
        "recycle": chance.choice([count // 20 + 1, "1MB", "100MB"]) if seldom() < 0.2 else None,
        "seed": chance.randrange(100) if seldom() < 0.2 else None,
        **({"initializer": prepare, "initargs": (chance.uniform(0, 0.005),)} if seldom() < 0.3 else {}),
    }


def _tries(chance: Random, *, is_patient: bool) -> dict[str, Any]:
    retriable = (allcores.WorkerDied, allcores.ItemTimeout, Passing)
    return {"retries": MANY if is_patient else chance.choice([0, 0, 1, 3]), "retry_on": retriable}


class _ActDraw:
    """Draws what items do.

    Args:
        chance: where it is drawn from.
        keys: of the items.

    Attributes:
        acts: what was drawn so far, by key.
    """

    def __init__(self, chance: Random, keys: list[int]) -> None:
        self.acts: dict[int, Act] = {}
        self._chance = chance
        self._keys = keys

    def seconds(self, *, at_most: float) -> None:
        """Have items take their time, all in all as much as is given."""
        for key in self._some(int(at_most / (MOST_SECONDS / 2))):
            self._change(key, seconds=self._chance.uniform(0, MOST_SECONDS))

    def sizes(self, *, is_heavy: bool, is_huge: bool) -> None:
        """Have items give something: twenty of them something large, or one of them something very large."""
        for key in self._some(len(self._keys) // 5):
            self._change(key, size=self._size(1, 10_000))
        if is_heavy:
            for key in self._some(20):
                self._change(key, size=self._size(100_000, 8 << 20))
        if is_huge:
            self._change(self._chance.choice(self._keys), size=HUGE)

    def streamed_sizes(self) -> None:
        """Have items give what is on its way for long."""
        for key in self._some(min(MOST_STREAMED, len(self._keys) // 5 + 1)):
            self._change(key, size=self._size(*STREAMED))

    def troubles(self, *, is_patient: bool, can_fail: bool, can_hang: bool) -> None:
        """Have items get into trouble, some of them again and again."""
        chance, lasts_at_times = self._chance, not is_patient and can_fail
        if chance.random() < 0.5:
            for key in self._some(min(20, len(self._keys) // 20)):
                lasts = can_fail and chance.random() < 0.5
                self._change(key, trouble=Trouble.RAISES, until=FOREVER if lasts else chance.randint(1, 2))
        for trouble, most in ((Trouble.ENDS, 4), (Trouble.HANGS, 3)):
            if chance.random() < 0.3 and (can_hang or trouble is not Trouble.HANGS):
                for key in self._some(chance.randint(1, most)):
                    lasts = lasts_at_times and chance.random() < 0.5
                    self._change(key, trouble=trouble, until=FOREVER if lasts else 1)

    def _some(self, count: int) -> list[int]:
        return self._chance.sample(self._keys, min(count, len(self._keys)))

    def _size(self, least: int, most: int) -> int:
        return int(10 ** self._chance.uniform(log10(least), log10(most)))

    def _change(self, key: int, **changes: Any) -> None:
        self.acts[key] = self.acts.get(key, Act())._replace(**changes)
