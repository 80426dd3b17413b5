"""Intake: items come out of the input, as far as the scheduler asks for them or a trickle has brought some."""

from __future__ import annotations

import time

from allcores._core.hints import Any
from allcores._core.messages import Event, InputEnded, InputPulled
from allcores._input.dataset import Dataset, Stream
from allcores._run.delivery import Delivery
from allcores._system.interrupts import let_interrupts_in

__all__ = ["Intake"]


class Intake:
    """Pulls the items of one run.

    Args:
        dataset: the items.
        delivery: of what a journal has of them.

    Attributes:
        error: what the input has raised, to be raised when what came before it is delivered.
        seconds: how long it took to give its items.
        is_trickle: whether items come by and by.
    """

    def __init__(self, dataset: Dataset, delivery: Delivery) -> None:
        self.error: BaseException | None = None
        self.seconds = 0.0
        self._dataset = dataset
        self.is_trickle = isinstance(dataset, Stream) and dataset.is_trickle
        self._trickle: Any = dataset  # if it is one, which a plain map need not know
        self._delivery = delivery
        self._pulled = 0

    def ask(self, stop: int) -> tuple[Event, ...]:
        """Pull items up to an index, and tell of them; of an input that comes by and by, only ask for them."""
        if not self.is_trickle:
            return self._pull(stop)
        self._trickle.ask(stop)
        return ()

    def trickled(self) -> tuple[Event, ...]:
        """Tell of what has come by and by."""
        if not self.is_trickle or self._trickle.reach <= self._pulled:
            return ()
        return self._pull(self._trickle.reach)

    def _pull(self, stop: int) -> tuple[Event, ...]:
        start, began = self._pulled, time.monotonic()
        try:
            with let_interrupts_in():
                self._pulled = self._dataset.pull(stop)
        except Exception as error:  # the input's own
            self.error = error
            self._pulled = self._dataset.pulled
        self.seconds += time.monotonic() - began
        pulled = InputPulled(self._pulled, self._delivery.recall(start, self._pulled))
        return (pulled, InputEnded(self._pulled)) if self._pulled < stop else (pulled,)
