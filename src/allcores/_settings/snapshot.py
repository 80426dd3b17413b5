"""All settings of a thread at one moment."""

from __future__ import annotations

import functools
import io
import pickle
import sys
import zlib

from allcores._codec.pickling import is_picklable
from allcores._core.hints import Any
from allcores._core.records import Record
from allcores._objects.asking import ask
from allcores._settings import interpreter, libraries
from allcores._settings.context_variables import VARIABLES
from allcores._settings.setting import Reader, Setting
from allcores._settings.warning_filters import FILTERS, raises

__all__ = ["NO_SETTINGS", "SETTINGS", "Sealed", "Settings", "find_settings"]

SETTINGS: tuple[Setting, ...] = (*interpreter.ROWS, FILTERS, *libraries.ROWS, VARIABLES)
KEPT = 8  # of the latest snapshots: threads may hand in by turns


class Sealed(Record):
    """Settings on their way to a worker; what is not there is as it is where nobody has touched it.

    Attributes:
        plain: ``{title: pickle}``.
        rich: ``{title: value}`` of those which name what a worker can have only from the caller's ``__main__``.
        lost: the titles of those that cannot travel.
        listed: `imported`, compressed, as it is long, and none of these modules is meant by it.
    """

    plain: dict[str, bytes]
    rich: dict[str, Any]
    lost: frozenset[str] = frozenset()
    listed: bytes = b""

    @property
    def imported(self) -> frozenset[str]:
        """The modules that the caller had imported, where warnings may be exceptions: to import these raises none."""
        return frozenset(zlib.decompress(self.listed).decode().split("\n")) if self.listed else frozenset()

    @property
    def early(self) -> dict[str, bytes]:
        """Those that unpickling a job hangs on."""
        return {setting.title: self.plain[setting.title] for setting in SETTINGS if _is_early(setting, self.plain)}


def _is_early(setting: Setting, plain: dict[str, bytes]) -> bool:
    return setting.is_early and setting.title in plain


NO_SETTINGS = Sealed({}, {})


class Settings:
    """The settings of one thread at one moment that are not as they are where nobody has touched them.

    Whoever asks twice while nothing changes gets the same object.

    Args:
        found: each with its value.
    """

    __slots__ = ("__dict__", "found")

    def __init__(self, found: list[tuple[Setting, Any]]) -> None:
        self.found = found

    @functools.cached_property
    def sealed(self) -> Sealed:
        """What workers are sent."""
        plain: dict[str, bytes] = {}
        rich: dict[str, Any] = {}
        lost = set()
        for setting, value in self.found:
            data = _pickle_plainly(value)
            if data is not None:
                plain[setting.title] = data
            elif is_picklable(value):
                rich[setting.title] = value
            else:
                lost.add(setting.title)
        has_exceptions = any(setting is FILTERS and raises(value) for setting, value in self.found)
        listed = zlib.compress("\n".join(sys.modules).encode()) if has_exceptions else b""
        return Sealed(plain, rich, frozenset(lost), listed)

    @functools.cached_property
    def message(self) -> bytes | None:
        """The pickle of what workers are sent; None where it takes more than a pickle to send it."""
        return None if self.sealed.rich else pickle.dumps(self.sealed)

    def tell(self) -> tuple[str, ...]:
        """Say which settings travel, where that is anything to speak of."""
        found = [setting.tell(value) for setting, value in self.found if setting.title not in self.sealed.lost]
        return tuple(text for text in found if text is not None)


class _PlainPickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:
        if "__main__" in (getattr(thing, "__module__", None), type(thing).__module__):
            raise pickle.PicklingError("it is of the caller's __main__")
        return NotImplemented


def _pickle_plainly(value: Any) -> bytes | None:
    try:
        with io.BytesIO() as file:
            ask(_PlainPickler(file, pickle.HIGHEST_PROTOCOL).dump, value)
            return file.getvalue()
    except Exception:  # an object's pickling may raise anything
        return None


class _Lookout:
    """Sees whether any setting may have changed since one of the last snapshots."""

    def __init__(self) -> None:
        self._modules = -1  # how many were loaded when this was asked last
        self._looks: list[Reader] = []
        self._missing: list[Setting] = list(SETTINGS)  # whose modules are not loaded
        self._latest: tuple[tuple[list[Any], Settings], ...] = ()  # what was seen, and what the settings were

    def find(self) -> Settings:
        """Give the settings of this thread."""
        if len(sys.modules) != self._modules:
            self._look_for_modules()
        try:
            seen = [look() for look in self._looks]
        except Exception:  # a library of a kind that we do not know
            return Settings(_find_changes())
        for known, settings in self._latest:
            if _is_same(known, seen):
                return settings
        settings = self._intern(Settings(_find_changes()))
        self._latest = ((seen, settings), *self._latest[: KEPT - 1])  # as a whole: other threads read it, too
        return settings

    def _look_for_modules(self) -> None:
        modules = len(sys.modules)
        come = [setting for setting in self._missing if setting.is_loaded]
        if come:
            self._missing = [setting for setting in self._missing if setting not in come]
            self._looks = [*self._looks, *map(_glance_at, come)]
        self._modules = modules  # last: other threads look there first

    def _intern(self, settings: Settings) -> Settings:
        return next((known for _, known in self._latest if _is_same(known.found, settings.found)), settings)


def _glance_at(setting: Setting) -> Reader:
    try:
        look = setting.read if setting.glance is None else setting.glance()
        look()
    except Exception:  # a library of a kind that we do not know
        return lambda: None
    return look


def _find_changes() -> list[tuple[Setting, Any]]:
    return [
        (setting, value)
        for setting in SETTINGS
        if setting.is_loaded and (value := _read_carefully(setting)) != setting.default
    ]


def _read_carefully(setting: Setting) -> Any:
    try:
        return setting.read()
    except Exception:  # a library of a kind that we do not know
        return setting.default


def _is_same(one: list[Any], other: list[Any]) -> bool:
    try:
        return one == other
    except Exception:  # a value may be anything, and say anything of itself
        return False


_lookout = _Lookout()


def find_settings() -> Settings:
    """Take a snapshot of the settings of this thread.

    It is called whenever something is handed in, and so must be quick.
    """
    return _lookout.find()
