"""The progress bar: shown when a person is watching and the run lasts; it can neither block nor break the run."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Callable

from allcores._core.hints import Any
from allcores._core.options import ProgressCallback

__all__ = ["Progress"]

PATIENCE_SECONDS = 1.0  # a run that is over by then needs no bar


class Progress:
    """Tells somebody how many items are settled.

    Args:
        wanted: the option `progress`.
        total: how many items there are, or None.
    """

    def __init__(self, *, wanted: bool | str | ProgressCallback | None, total: int | None) -> None:
        self._total = total
        self._bar: Any = None
        self._show: Callable[[int], None] | None = None
        if callable(wanted):
            callback = wanted
            self._show = lambda settled: _ignore(callback(settled, self._total))
        elif wanted is True or isinstance(wanted, str) or (wanted is None and _someone_watches()):
            self._description = wanted if isinstance(wanted, str) else None
            self._show_from = time.monotonic() + (PATIENCE_SECONDS if wanted is None else 0.0)
            self._show = self._show_bar

    def __call__(self, settled: int) -> None:
        """Hear how many items are settled."""
        if self._show is None:
            return
        try:
            self._show(settled)
        except Exception as error:  # whatever is wrong with the bar, the run goes on
            self._show = None
            warnings.warn(f"progress is no longer shown: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show_bar(self, settled: int) -> None:
        if self._bar is None:
            if time.monotonic() < self._show_from:
                return
            self._bar = _bar_type()(total=self._total, desc=self._description, unit="item")
        self._bar.update(settled - self._bar.n)


def _bar_type() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a notebook without ipywidgets a bar of text will do
        from tqdm.auto import tqdm  # heavy: only when a bar is shown

    class Bar(tqdm):  # type: ignore[type-arg]  # generic for the type checker only
        """A bar that starts no thread and makes no semaphore: this process may yet have to fork."""

        monitor_interval = 0

    Bar.set_lock(threading.RLock())
    return Bar


def _ignore(_: object) -> None:
    """A callback's answer means nothing."""


def _someone_watches() -> bool:
    """Whether standard error is a terminal, or a notebook's cell."""
    if "ipykernel" in sys.modules:
        return True
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # none, or closed
        return False
