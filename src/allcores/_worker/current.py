"""The item that runs here now: its index, its try, and its random numbers.

Every item has a stream of random numbers of its own, which follows from the run's entropy and the item's index alone:
whichever worker runs it, in whatever batch, for the first time or again. That is how `numpy.random.SeedSequence` is
meant to be spawned: https://numpy.org/doc/stable/reference/random/parallel.html
"""

from __future__ import annotations

import threading

from allcores._core.hints import TYPE_CHECKING, Any, Self
from allcores._core.records import Record
from allcores._objects.outcomes import Chance

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CurrentItem", "RunningItem", "current_item", "is_inside_item", "rng", "text_here"]


class CurrentItem(Record):
    """The item that runs here now.

    Attributes:
        index: its position in the input.
        tries: how often it was run, this time included.
    """

    index: int  # type: ignore[assignment]  # tuples have a method of that name
    tries: int


class RunningItem:
    """What a worker knows of the item that it runs; the index follows from how many values there are.

    Args:
        chance: what the run's random numbers come from.
        tries: how often the item was run, this time included.
    """

    __slots__ = ("_chance", "_generator", "_generator_index", "_outer", "_start", "_tries", "_values")

    def __init__(self, chance: Chance, tries: int) -> None:
        self._chance = chance
        self._tries = tries
        self._start = 0
        self._values: list[Any] = []
        self._generator: np.random.Generator | None = None
        self._generator_index = -1

    def here(self, start: int, values: list[Any]) -> Self:
        """Within the block, `current_item` and `rng` speak of the item after the last of `values`, from `start` on."""
        self._start, self._values = start, values
        return self

    def __enter__(self) -> None:
        self._outer, _here.item = _here.item, self

    def __exit__(self, *_: object) -> None:
        _here.item = self._outer

    @property
    def index(self) -> int:
        """The item's index."""
        return self._start + len(self._values)

    def describe(self) -> CurrentItem:
        """Describe it as it is now."""
        return CurrentItem(self.index, self._tries)

    def generator(self) -> np.random.Generator:
        """Give the item's own generator, always the same one while the item runs."""
        import numpy as np  # only where it is asked for

        index = self.index
        if self._generator is None or self._generator_index != index:
            sequence = np.random.SeedSequence(self._chance.entropy, spawn_key=(index,))
            self._generator, self._generator_index = np.random.default_rng(sequence), index
        return self._generator

    @property
    def text(self) -> str:
        """What the streams follow from that it does not get from us."""
        return f"{self._chance.entropy}/{self.index}"

    @property
    def is_seeded(self) -> bool:
        """Whether these follow from anything."""
        return self._chance.is_seeded


class _Here(threading.local):
    item: RunningItem | None = None


_here = _Here()


def current_item() -> CurrentItem:
    """Say which item runs here now; for use inside the function that `map` calls.

    Returns:
        Its `index`, and its `tries`: 1 for the first.

    Raises:
        RuntimeError: no item runs here.

    Example:
        >>> import allcores
        >>> allcores.map(lambda word: (allcores.current_item().index, word), ["a", "b"], on="serial")
        [(0, 'a'), (1, 'b')]
    """
    if _here.item is None:
        raise RuntimeError("allcores.current_item() is for use inside an item, and none runs here")
    return _here.item.describe()


def is_inside_item() -> bool:
    """Whether an item runs here."""
    return _here.item is not None


def rng() -> np.random.Generator:
    """Give the random generator of the item that runs here now; for use inside the function that `map` calls.

    Its stream follows from the option `seed` and the item's index alone, so that results do not hang on the number of
    workers, on batches, on the engine or on retries. Without `seed`, every run draws a new one.

    Where no item runs, so that the function can be tried alone, each call gives a fresh generator that nothing has
    seeded. Threads that an item starts itself, and initializers, are outside of items, too.

    Returns:
        A `numpy.random.Generator`; the same object whenever the item asks again.

    Raises:
        ImportError: there is no NumPy.

    Example:
        >>> import allcores
        >>> draw = lambda _: allcores.rng().integers(1000)
        >>> allcores.map(draw, range(5), seed=7, workers=2) == allcores.map(draw, range(5), seed=7, on="serial")
        True
    """
    if _here.item is not None:
        return _here.item.generator()
    import numpy as np

    return np.random.default_rng()


def text_here() -> str | None:
    """Give what streams of random numbers follow from for the item that runs here now; None where from nothing."""
    return _here.item.text if _here.item is not None and _here.item.is_seeded else None
