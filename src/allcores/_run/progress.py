"""How a run stands, told while it goes on: by a bar when a person watches and it lasts, or to the caller's callback.

Whatever is wrong with either, the run goes on without it.
"""

from __future__ import annotations

import os
import sys
import time
import warnings

from allcores._core.hints import TYPE_CHECKING, Any, TypeAlias
from allcores._core.options import ProgressCallback
from allcores._run.standing import Standing
from allcores._system.audience import is_watched, started_by_multiprocessing
from allcores._worker.current import is_inside_item

if TYPE_CHECKING:
    from allcores._run.bar import Bar

__all__ = ["Progress", "make_progress", "may_show", "show_progress"]

PATIENCE_SECONDS = 1.0  # a run that is over by then needs no bar
PROGRESS_VARIABLE = "ALLCORES_PROGRESS"


class _Callback:
    """Tells the caller's own."""

    due = None

    def __init__(self, callback: ProgressCallback, total: int | None) -> None:
        self._callback = callback
        self._total = total

    def hear(self, standing: Standing) -> None:
        self._callback(standing.settled, self._total)

    def close(self) -> None:
        """Nothing is left to tell."""


class _PatientBar:
    """Draws a bar: at once if it was asked for, else once the run has lasted, unless there is one already."""

    def __init__(self, total: int | None, description: str | None, *, is_asked: bool) -> None:
        self._total = total
        self._description = description
        self._is_asked = is_asked
        self._due: float | None = time.monotonic() + (0.0 if is_asked else PATIENCE_SECONDS)
        self._bar: Bar | None = None

    @property
    def due(self) -> float | None:
        return self._due if self._bar is None else self._bar.due

    def hear(self, standing: Standing) -> None:
        if self._bar is None:
            if self._due is None or time.monotonic() < self._due:
                return
            if not self._is_asked and _tqdm_draws():
                self._due = None
                return
            from allcores._run.bar import Bar  # heavy: only when one is drawn

            self._bar = Bar(self._total, self._description, seconds=standing.seconds)
        self._bar.show(standing)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


_Teller: TypeAlias = "_Callback | _PatientBar"


class Progress:
    """Tells somebody how the run stands, until that fails.

    Args:
        teller: who does.
    """

    def __init__(self, teller: _Teller) -> None:
        self._teller: _Teller | None = teller

    @property
    def due(self) -> float | None:
        """When it wants to hear even if nothing has happened, on the run's clock; None for never."""
        return None if self._teller is None else self._teller.due

    def hear(self, standing: Standing) -> None:
        """Hear how the run stands."""
        if self._teller is not None:
            try:
                self._teller.hear(standing)
            except Exception as error:
                self._give_up(error)

    def close(self) -> None:
        """Leave a bar as it stands."""
        if self._teller is not None:
            try:
                self._teller.close()
            except Exception as error:
                self._give_up(error)
            self._teller = None

    def _give_up(self, error: Exception) -> None:
        self._teller = None
        warnings.warn(f"progress is no longer shown: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)


_switch = {"is_on": True}


def show_progress(is_shown: bool, /) -> None:  # noqa: FBT001 - it has no other argument
    """Say whether runs of this program may draw progress bars, those that are asked for included.

    ``ALLCORES_PROGRESS=0`` in the environment says for a whole program that they may not. Callbacks are called all the
    same.

    Args:
        is_shown: False for no bars from now on, True for bars again.

    Raises:
        TypeError: it is neither.

    Example:
        >>> import allcores
        >>> allcores.show_progress(False)
        >>> allcores.map(abs, [-1, 2], progress=True)
        [1, 2]
        >>> allcores.show_progress(True)
    """
    if not isinstance(is_shown, bool):
        raise TypeError(f"show_progress({is_shown!r}) makes no sense; allowed: True, False")
    _switch["is_on"] = is_shown


def make_progress(
    wanted: bool | str | ProgressCallback | None,  # noqa: FBT001 - the option, as it is
    total: int | None,
    *,
    is_lazy: bool,
) -> Progress | None:
    """Make what tells how a run stands; None if nobody is to be told.

    Args:
        wanted: the option `progress`.
        total: how many items there are, or None.
        is_lazy: whether a consumer takes the results one by one. It knows how far it has come, and may well draw a bar
            of its own; so there is none unless it is asked for.
    """
    if callable(wanted):
        return Progress(_Callback(wanted, total))
    if wanted is False or (wanted is None and (is_lazy or not is_watched() or started_by_multiprocessing())):
        return None
    if not may_show():
        return None
    description = wanted if isinstance(wanted, str) else None
    return Progress(_PatientBar(total, description, is_asked=wanted is not None))


def may_show() -> bool:
    """Whether this run may show anything: it is not inside of another's item, and nobody has turned that off."""
    return _switch["is_on"] and os.environ.get(PROGRESS_VARIABLE) != "0" and not is_inside_item()


def _tqdm_draws() -> bool:
    """Whether a bar of tqdm is shown already: around the input, or around this run."""
    tqdm: Any = sys.modules.get("tqdm.std")
    return tqdm is not None and bool(getattr(tqdm.tqdm, "_instances", ()))
