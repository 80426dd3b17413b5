"""What a caller is told whose function leads to a generator of which every worker has a copy."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from allcores._core.hints import Any
from allcores._input.sharing.variables import exact_names
from allcores._objects.entry import depth_of_caller
from allcores._worker.captured import CapturedGenerators, Path

__all__ = ["warn_of_copies"]

UNSPOKEN = {"args", "class", "func", "get", "hidden", "keywords"}  # no names of the user's


def warn_of_copies(function: Callable[..., Any], initializer: Callable[..., object] | None) -> bool:
    """Warn if a function leads to generators that in a worker are others than the caller's; say whether it does.

    Those that the initializer leads to, too, are its affair: it may begin them in each worker.
    """
    captured = CapturedGenerators.of(function, exact_names)
    if initializer is not None:
        captured = captured.without_those_of(CapturedGenerators.of(initializer))
    if captured:
        warnings.warn(_describe(captured), UserWarning, stacklevel=depth_of_caller())
    return bool(captured)


def _describe(captured: CapturedGenerators) -> str:
    (path, generator), *others = captured.items()
    module, kind = type(generator).__module__, type(generator).__qualname__
    name = f"{'numpy.random' if module.startswith('numpy.random.') else module}.{kind}"
    also = f" (and {len(others)} more)" if others else ""
    return (
        f"the function leads to {_spell(path)!r}, a {name}{also}, of which each worker has one of its own, begun anew "
        "by chance; yours does not move. For numbers that can be reproduced, give seed=, or draw from allcores.rng()"
    )


def _spell(path: Path) -> str:
    return " -> ".join(part for part in path if part not in UNSPOKEN)
