"""What a run's random numbers come from, and what its caller is told who has generators that workers get copies of."""

from __future__ import annotations

import os
from collections.abc import Callable

from allcores._core.hints import Any
from allcores._objects.outcomes import Chance
from allcores._worker.job import find_captured

__all__ = ["draw_chance", "say_what_is_copied"]


def draw_chance(seed: int | None) -> Chance:
    """Give what a run's random numbers come from: the seed, or else what the system makes up."""
    return Chance(int.from_bytes(os.urandom(16)) if seed is None else seed, is_seeded=seed is not None)


def say_what_is_copied(function: Callable[..., Any], initializer: Callable[..., object] | None) -> bool:
    """Warn if a function leads to generators of which workers have copies; for a run without a seed.

    Returns:
        Whether there was something to warn of.
    """
    if find_captured(function) is None:  # as for most
        return False
    from allcores._engines.copies import warn_of_copies

    return warn_of_copies(function, initializer)
