"""The executor that runs batches: the caller's own, or one that is made when it is needed, and anew when it breaks."""

from __future__ import annotations

from concurrent.futures import Executor, Future

from allcores._core.hints import Any
from allcores._core.kinds import is_executor
from allcores._core.options import Place
from allcores._system.machine import slots_of
from allcores._worker.stamp import QUESTION, Stamp

__all__ = ["Host"]


class Host:
    """Has the executor.

    Args:
        place: it, or a function that makes it.

    Attributes:
        can_be_rebuilt: whether a broken one can be replaced.
    """

    def __init__(self, place: Place) -> None:
        self.can_be_rebuilt = not is_executor(place)
        self._place = _make_over_ranks if isinstance(place, str) else place
        self._executor: Any = None
        self._arrived: list[bool] = []

    def __str__(self) -> str:
        return "the executor" if self._executor is None else f"the {type(self._executor).__name__}"

    @property
    def is_open(self) -> bool:
        """Whether there is one."""
        return self._executor is not None

    @property
    def shares_objects(self) -> bool:
        """Whether its calls run in this process, as the first answer has shown."""
        return bool(self._arrived)

    @property
    def slots(self) -> int | None:
        """How many calls it runs at once; None where it does not tell."""
        return slots_of(self._executor)

    def open(self) -> None:
        """See that there is one.

        Raises:
            TypeError: what was to make one has made something else.
        """
        if not self.can_be_rebuilt:
            self._executor = self._place
            return
        made = self._place()  # type: ignore[operator]  # it is a function then
        if not is_executor(made):
            raise TypeError(f"on={self._place!r} made {made!r}, which is not a concurrent.futures.Executor")
        self._executor = made

    def ask(self) -> Future[Stamp]:
        """Ask a worker which versions it has."""
        self._arrived = []
        return self.executor.submit(eval, QUESTION, {"arrived": self._arrived})

    @property
    def executor(self) -> Executor:
        """It."""
        assert self._executor is not None
        executor: Executor = self._executor
        return executor

    def let_go(self, *, is_idle: bool) -> None:
        """Shut down what was made; what was given is the caller's.

        Args:
            is_idle: whether it has nothing to do, so that one may wait for its end.
        """
        executor, self._executor = self._executor, None
        if executor is not None and self.can_be_rebuilt:
            executor.shutdown(wait=is_idle)  # not all know of more to say


def _make_over_ranks() -> Executor:
    from allcores._system.mpi import make_executor  # heavy: for who is in an MPI job

    executor: Executor = make_executor()
    return executor
