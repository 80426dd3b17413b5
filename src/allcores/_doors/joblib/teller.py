"""Callbacks that may wait for whatever they want: in a thread of their own, so that they hold up nobody else."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Teller"]

Callback = Callable[[Any], object]


class Teller:
    """Calls callbacks one after another; its thread starts with the first."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Callback, Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_over = False

    def tell(self, callback: Callback, news: object) -> None:
        """Have a callback called with the news; any thread may ask for it, also for several at a time."""
        with self._lock:
            if self._is_over:
                return
            self._queue.put((callback, news))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="allcores-teller", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Have nothing more told than what is on its way, and wait for that.

        Who was told may be in the middle of something that must not go on later.
        """
        with self._lock:
            self._is_over = True
            self._queue.put(None)
        is_own = self._thread is threading.current_thread()
        if not (self._thread is None or is_own or sys.is_finalizing()):  # then it would never go on
            self._thread.join()

    def _run(self) -> None:
        while (told := self._queue.get()) is not None:
            callback, news = told
            try:
                callback(news)
            except Exception:  # shown, as what a thread raises is
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            del told, callback, news  # or they would be held while waiting for the next
