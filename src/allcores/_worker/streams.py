"""Generators that items draw from, seeded for each: first those that `random`, `numpy.random` and PyTorch share out.

PyTorch is never imported for that, as it takes seconds. An item that is the first to import it finds it seeded.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from hashlib import blake2b

from allcores._core.hints import TYPE_CHECKING, Any
from allcores._settings.arrivals import Arrivals

if TYPE_CHECKING:
    from allcores._worker.captured import CapturedGenerators

__all__ = ["bytes_of", "find_streams", "keep_streams", "part_torch", "seed_streams"]

_text_here: Callable[[], str | None] = lambda: None  # noqa: E731 - see `find_streams`


def bytes_of(text: str) -> bytes:
    """Give 16 bytes that follow from a text."""
    return blake2b(text.encode(), digest_size=16).digest()


def find_streams(text_here: Callable[[], str | None]) -> None:
    """Import what is seeded for each item, and see to it that PyTorch is when somebody imports it.

    Args:
        text_here: gives the text from which the streams of the item follow that runs in this thread now, if any do.
    """
    global _text_here  # noqa: PLW0603 - a fact about this process
    _text_here = text_here
    _numpy_random()
    if "torch" not in sys.modules:
        _arrivals.expect(("torch",), ())


def seed_streams(text: str, captured: CapturedGenerators | None) -> None:
    """Begin streams that follow from a text, in all that are there, and in those that a function captures."""
    seed = bytes_of(text)
    random.seed(seed)
    numpy_random = _numpy_random()
    if numpy_random is not None:
        numpy_random.seed([int.from_bytes(seed[at : at + 4]) for at in range(0, 16, 4)])
    torch = _loaded_torch()
    if torch is not None:
        _seed_torch(torch, seed)
    if captured is not None:
        captured.seed(text)


@contextmanager
def keep_streams(captured: CapturedGenerators | None) -> Iterator[None]:
    """Put all of them back to where they were, and those that a function captures."""
    state = random.getstate()
    numpy_random = sys.modules.get("numpy.random")
    numpy_state = None if numpy_random is None else numpy_random.get_state()
    with _keep_torch(), nullcontext() if captured is None else captured.keep():
        try:
            yield
        finally:
            random.setstate(state)
            if numpy_random is not None:
                numpy_random.set_state(numpy_state)
            elif "numpy.random" in sys.modules:  # since then
                sys.modules["numpy.random"].seed()


@functools.cache
def _numpy_random() -> Any:
    """Give `numpy.random`; None where there is no NumPy."""
    try:  # not only where it is imported: the item may be the first here to do that, and must find it seeded
        import numpy.random as numpy_random
    except ImportError:
        return None
    return numpy_random


# --------------------------------------------------------------------------------------------------------- PyTorch


def part_torch() -> None:
    """Have PyTorch draw numbers that follow from nothing: in a worker others than where it was forked from."""
    torch = _loaded_torch()
    if torch is not None:
        torch.seed()


def _loaded_torch() -> Any:
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "default_generator") and hasattr(torch, "cuda") else None  # else it is on its way


def _seed_torch(torch: Any, seed: bytes) -> None:
    number = int.from_bytes(seed[:8])
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized() or torch.backends.cuda.is_built():  # where it can be, the item may be what begins it
        torch.cuda.manual_seed_all(number)


def _seed_arrived(_: list[str]) -> None:
    torch, text = _loaded_torch(), _text_here()
    if torch is not None and text is not None:
        _seed_torch(torch, bytes_of(text))


_arrivals = Arrivals(_seed_arrived)


@contextmanager
def _keep_torch() -> Iterator[None]:
    torch = _loaded_torch()
    put_back = part_torch if torch is None else _way_back(torch)
    was_awaited = _arrivals in sys.meta_path  # by an item around this one
    try:
        yield
    finally:
        if not was_awaited:
            _arrivals.expect((), ())
        put_back()


def _way_back(torch: Any) -> Callable[[], None]:
    """Give what puts PyTorch's generators back to where they are now."""
    state = torch.default_generator.get_state()
    was_on_gpu = torch.cuda.is_initialized()
    states = torch.cuda.get_rng_state_all() if was_on_gpu else None
    waiting = getattr(torch.cuda, "_lazy_seed_tracker", None)  # what it will be seeded with when it begins
    waiting_before = {} if waiting is None else dict(vars(waiting))

    def put_back() -> None:
        torch.default_generator.set_state(state)
        if was_on_gpu:
            torch.cuda.set_rng_state_all(states)
        elif torch.cuda.is_initialized():  # since then
            torch.cuda.seed_all()
        elif waiting is not None:
            vars(waiting).update(waiting_before)

    return put_back
