"""What workers must not share: open files, descriptors, connections that the function, its arguments or items lead to.

A forked worker inherits them with their position, and what it reads the others miss; what it writes into a buffer is
lost at its end. To a clean worker a connection is handed over, the one that all the others get, and the number of a
descriptor is a number. So a fork is not safe where something of the kind is found, and what is found where it would be
shared all the same is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MethodType
from weakref import ref

from allcores._codec.handover import may_need_fork
from allcores._core.errors import UnpicklableError
from allcores._core.hints import TYPE_CHECKING, Any, Self
from allcores._core.kinds import is_a
from allcores._core.options import Options
from allcores._core.plan import Facts
from allcores._core.records import Record
from allcores._input.dataset import Columns, Dataset
from allcores._system.descriptors import Descriptors

if TYPE_CHECKING:
    from allcores._input.sharing.reach import Finding

__all__ = ["Belongings", "Clearance"]


class Belongings(Record):
    """What workers get.

    Attributes:
        function: what runs the items; None where there is none yet.
        initializer: called in each worker.
        initargs: with these.
        dataset: inherited by forked workers, if it has columns; None where there is none.
        is_star: whether an item is a tuple of arguments.
        state: called in each worker, too.
        finalizer: likewise.
    """

    function: Callable[..., Any] | None
    initializer: Callable[..., object] | None = None
    initargs: Sequence[Any] = ()
    dataset: Dataset | None = None
    is_star: bool = False
    state: Callable[[], Any] | None = None
    finalizer: Callable[..., object] | None = None

    @classmethod
    def of(
        cls,
        options: Options,
        function: Callable[..., Any] | None = None,
        dataset: Dataset | None = None,
        *,
        is_star: bool = False,
    ) -> Self:
        """Give what workers get of a run with these options."""
        return cls(function, options.initializer, options.initargs, dataset, is_star, options.state, options.finalizer)

    def weigh(self, facts: Facts, here: Descriptors) -> Facts:
        """Add to what is known of this process what speaks against a fork, and for one if nothing else will do."""
        if facts.fork_hazard is None and not facts.has_own_thread:
            facts = facts._replace(fork_hazard=self.fork_hazard(here))
        if facts.fork_hazard is not None or facts.has_own_thread:
            facts = facts._replace(fork_need=self.fork_need())
        return facts

    def fork_need(self) -> str | None:
        """Say what only forked workers can have; None if there is nothing of the kind."""
        if not may_need_fork():
            return None
        from allcores._input.sharing.reach import find_forked

        finding = find_forked(self.function, self._others(), self.initargs)
        return None if finding is None else finding.text

    def fork_hazard(self, here: Descriptors) -> str | None:
        """Say what forked workers would share; None if there is nothing of the kind."""
        finding = self._find(here, is_born=True)
        return None if finding is None else f"{finding.text} would be shared by forked workers"

    def require_unshared(self, start: str, here: Descriptors, *, is_born_with_function: bool = True) -> None:
        """Raise if there is something that workers which start that way would certainly share.

        Args:
            start: of a plan.
            here: what this process has open.
            is_born_with_function: whether a forked worker is; else the function is sent to it.

        Raises:
            UnpicklableError: it says what it is, and what to do.
        """
        is_forked = start == "fork"
        is_born = is_forked and is_born_with_function
        finding = self._find(here, is_born=is_born, has_globals=is_forked, only_certain=True)
        if finding is None:
            return
        what = "would be shared by all workers, which would disturb each other there"
        if finding.is_number:
            what = "would be shared by all workers, or mean something else there"
        raise UnpicklableError(f"{finding.text} {what}; open it inside the function, or once in each worker by state=")

    def _find(
        self, here: Descriptors, *, is_born: bool, has_globals: bool = False, only_certain: bool = False
    ) -> Finding | None:
        foreign = here.foreign
        if not foreign:
            return None
        from allcores._input.sharing.descriptor_numbers import find_number  # for those who have something open
        from allcores._input.sharing.holders import Holding
        from allcores._input.sharing.reach import Finding, find_shared

        columns = self.dataset.columns if isinstance(self.dataset, Columns) else ()
        found = find_shared(
            self.function,
            self._others(),
            self.initargs,
            columns if is_born else (),
            foreign,
            is_born=is_born,
            has_globals=has_globals,
            only_certain=only_certain,
        )
        if found is not None:
            return found
        number = find_number(self.function, self.initializer, self.initargs, self._arguments(columns), foreign)
        return None if number is None else Finding(Holding.NUMBER, number)

    def _others(self) -> list[tuple[str, Any]]:
        """Give what workers call beside the function, and what that is to the caller."""
        from allcores._input.sharing.reach import FINALIZER, INITIALIZER, STATE

        return [(INITIALIZER, self.initializer), (STATE, self.state), (FINALIZER, self.finalizer)]

    def _arguments(self, columns: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Give what the function is called with, by position, as far as it is at hand."""
        lists = [column for column in columns if type(column) in (list, tuple)]
        if self.is_star and len(lists) == 1:
            return list(zip(*(item for item in lists[0] if type(item) is tuple), strict=False))
        return lists


class Clearance:
    """Looks at each function that is handed in once: for workers that come and go while more are.

    Args:
        start: of the plan; None where workers are no processes.
        was_chosen: whether nobody has asked for it.
    """

    def __init__(self, start: str | None, *, was_chosen: bool = False) -> None:
        self._start = start
        self._needs_fork = was_chosen and start not in {None, "fork"}  # to be as with the standard library's own pool
        self._cleared: dict[tuple[int, int], ref[Any]] = {}  # {id of an object, and of its method: the object}

    def require(self, function: Callable[..., Any]) -> None:
        """Raise as `Belongings.require_unshared` does, and if a fork is needed, unless nothing was found before."""
        if self._start is None:
            return
        owner, method = (function.__self__, function.__func__) if is_a(function, MethodType) else (function, None)
        key = id(owner), id(method)
        if key not in self._cleared:
            belongings = Belongings(function)
            belongings.require_unshared(self._start, Descriptors(), is_born_with_function=False)
            if self._needs_fork and (need := belongings.fork_need()) is not None:
                raise UnpicklableError(
                    f"{need} can be had by forked workers alone; use start='fork', or make it with "
                    "multiprocessing.get_context('forkserver') and give it to the initializer"
                )
            try:
                self._cleared[key] = ref(owner, lambda _: self._cleared.pop(key, None))
            except TypeError:  # it cannot be referred to weakly: it is looked at each time
                return
