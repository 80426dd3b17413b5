"""Takes items from an asynchronous iterable, in its event loop, as far as a run in another thread asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from allcores._input.trickle import Trickle

__all__ = ["AsyncInput"]


class AsyncInput:
    """Feeds a run, in a task of the event loop that it is made in.

    Args:
        items: the input.
        wake: called after something was added.

    Attributes:
        trickle: the run's dataset.
    """

    def __init__(self, items: AsyncIterable[Any], wake: Callable[[], None]) -> None:
        self.trickle = Trickle(self._ask)
        self._wake = wake
        self._wanted = 0
        self._has_demand = asyncio.Event()
        self._event_loop = asyncio.get_running_loop()
        self._task = self._event_loop.create_task(self._serve(items))

    def stop(self) -> None:
        """Take no more, whatever the input is waiting for; any thread may call it."""
        self._call(self._task.cancel)

    async def close(self) -> None:
        """Take no more, and wait until the input is closed."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _ask(self, stop: int) -> None:
        self._wanted = stop
        self._call(self._has_demand.set)

    def _call(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the event loop is closed, and with it the input
            self._event_loop.call_soon_threadsafe(function)

    async def _serve(self, items: AsyncIterable[Any]) -> None:
        try:
            await self._take(items)
        except BaseException as error:  # the input's own, a cancellation of what it awaits included
            self.trickle.end(error)
            if not isinstance(error, Exception):
                raise
        else:
            self.trickle.end()
        finally:
            self._wake()

    async def _take(self, items: AsyncIterable[Any]) -> None:
        taken = 0
        async with AsyncExitStack() as stack:
            await self._until_wanted(taken)
            iterator = aiter(items)
            if iterator is not items and hasattr(iterator, "aclose"):  # a generator of our own, as it were
                stack.push_async_callback(iterator.aclose)
            async for item in iterator:
                self.trickle.add(item)
                self._wake()
                taken += 1
                await self._until_wanted(taken)

    async def _until_wanted(self, index: int) -> None:
        while index >= self._wanted:
            self._has_demand.clear()
            if index >= self._wanted:  # asked again after the line above: `_ask` sets it after it has said so
                await self._has_demand.wait()
