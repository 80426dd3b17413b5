"""How a worker makes the settings that its driver tells.

At the beginning of a job all of them are made as they were where it was handed in, whatever an earlier one has left.
When the driver tells of others later, only those are made that it has changed: what an initializer has set lasts.
"""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress

from allcores._core.hints import Any, Self
from allcores._settings.arrivals import Arrivals
from allcores._settings.setting import UNKNOWN, Setting
from allcores._settings.snapshot import NO_SETTINGS, SETTINGS, Sealed

__all__ = ["Adoption"]

BY_TITLE = {setting.title: setting for setting in SETTINGS}


class Adoption:
    """Makes the settings of this process; its own thread alone calls it."""

    def __init__(self) -> None:
        self._told = NO_SETTINGS
        self._standing: list[tuple[Setting, Any]] = []  # what they were when the first item could run
        self._awaited: dict[str, set[str]] = {}  # {module: titles of settings}
        self._arrivals = Arrivals(self._hear)
        self._thread = threading.get_ident()
        self._late: list[Setting] = []  # another thread has imported what they wait for, and cannot make them

    @classmethod
    def inherited(cls, sealed: Sealed) -> Self:
        """Give that of processes that will be forked from here, where all settings are as the driver tells."""
        adoption = cls()
        adoption._told = sealed
        adoption._find_awaited()
        adoption.stand()
        return adoption

    def arrive(self) -> None:
        """Hear of modules from now on: this process has been forked."""
        self._thread = threading.get_ident()
        self._expect()

    def begin(self, early: Mapping[str, bytes]) -> None:
        """Make the settings that unpickling a job hangs on."""
        for title, data in early.items():
            _make(BY_TITLE[title], pickle.loads(data))

    def adopt(self, sealed: Sealed) -> None:
        """Make all settings as they were there."""
        self._told = sealed
        for setting in SETTINGS:
            self._make(setting)
        self._await()

    def change(self, sealed: Sealed) -> None:
        """Make those settings that are not what the driver has told before."""
        before, self._told = self._told, sealed
        for setting in SETTINGS:
            title = setting.title
            if title in sealed.rich or before.plain.get(title) != sealed.plain.get(title) or title in before.rich:
                self._make(setting)
        self._await()
        self.stand()

    def put_back(self) -> None:
        """Have what the driver told no longer hold."""
        with suppress(Exception):  # the next job's are made whatever there is
            self.change(NO_SETTINGS)

    def stand(self) -> None:
        """Take what there is as what shall be: an initializer has run."""
        self._standing = [(setting, setting.read()) for setting in SETTINGS if setting.is_loaded]

    def hold(self) -> None:
        """Undo what modules have set that unpickling has imported: the caller has imported them long ago."""
        for setting, value in self._standing:
            _make(setting, value)

    def catch_up(self) -> None:
        """Make what another thread could not."""
        if self._late:
            late, self._late = self._late, []
            for setting in late:
                self._make(setting)

    def _make(self, setting: Setting) -> None:
        if setting.is_loaded and setting.title not in self._told.lost:
            _make(setting, self._value(setting))

    def _value(self, setting: Setting) -> Any:
        title = setting.title
        if title in self._told.plain:
            return pickle.loads(self._told.plain[title])
        return self._told.rich.get(title, setting.default)

    def _await(self) -> None:
        """Hear of modules that settings wait for."""
        self._find_awaited()
        self._expect()

    def _expect(self) -> None:
        self._arrivals.expect(self._awaited.keys(), self._told.imported)

    def _find_awaited(self) -> None:
        self._awaited = {}
        for title in (*self._told.plain, *self._told.rich):
            setting = BY_TITLE[title]
            for module in (setting.module, *setting.waits_for(self._value(setting))):
                if module not in sys.modules:
                    self._awaited.setdefault(module, set()).add(title)

    def _hear(self, arrived: list[str]) -> None:
        for title in {title for module in arrived for title in self._awaited.get(module, ())}:
            setting = BY_TITLE[title]
            if setting.is_of_context and threading.get_ident() != self._thread:
                self._late.append(setting)
            else:
                self._make(setting)


def _make(setting: Setting, value: Any) -> None:
    if value is UNKNOWN:
        return
    try:
        if setting.read() != value:
            setting.write(value)
    except Exception as error:
        raise RuntimeError(f"a worker cannot make a setting of the caller's, {setting.title}: {error}") from error
