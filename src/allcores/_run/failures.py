"""Failures: what went wrong, told with the item it befell; and what a run must raise for it."""

from __future__ import annotations

from allcores._core.errors import WorkersUnavailable
from allcores._core.hints import TYPE_CHECKING, Any
from allcores._core.kinds import is_a, type_name
from allcores._core.messages import AbortReason, Moment, WorkerDown
from allcores._core.plan import Plan
from allcores._engines.engine import Arrival
from allcores._input.dataset import Dataset
from allcores._objects.asking import add_note
from allcores._objects.outcomes import Failure, Origin, Raised, WorkerIdentity, attach_failure, failure_of
from allcores._objects.short_repr import short_repr
from allcores._run.excuses import Excuses
from allcores._run.wrong_call import advise_on_call

if TYPE_CHECKING:
    from allcores._run.inbox import Inbox

__all__ = ["Failures"]


class Failures:
    """Failures of one run.

    Args:
        plan: how the run is done.
        dataset: the items.
        inbox: the same, where others hand them in.
        origin: goes into every failure, but of items that were handed in.
        excuses: whose failures are worth another try.

    Attributes:
        made: in the order in which they were; of items that were handed in, only the receiver has them.
        kinds: ``{name of the exception's type: how many}``, of those, too.
        error: what the run must raise.
    """

    def __init__(
        self, plan: Plan, dataset: Dataset, inbox: Inbox | None, origin: Origin | None, excuses: Excuses
    ) -> None:
        self.made: list[Failure] = []
        self.kinds: dict[str, int] = {}
        self.error: BaseException | None = None
        self._plan = plan
        self._dataset = dataset
        self._inbox = inbox
        self._origin = origin
        self._excuses = excuses

    @property
    def are_values(self) -> bool:
        """Whether each takes the place of its item's value; else the first one is the run's end."""
        return self._plan.errors == "collect"

    def make(self, index: int, raised: Raised, identity: WorkerIdentity) -> Failure:
        """Make a failure of what an item raised, and in raise mode the run's end."""
        error = raised.exception
        position, item, origin = self._place(index)
        where = f"{self.name(index)} failed on {identity}{self._excuses.describe(index)}"
        add_note(error, f"allcores: {where}{advise_on_call(error, item)}")
        kind = type_name(error)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        tries = self._excuses.take(index)
        failure = Failure(position, item, error, raised.traceback, identity, tries, origin, self._output(index))
        if not (self.are_values or self.made):
            self.error = error
            attach_failure(error, failure)
        if self._inbox is None:  # else it is the receiver's alone, for such a run may go on for ever
            self.made.append(failure)
        return failure

    def make_of_cause(self, index: int, arrival: Arrival, identity: WorkerIdentity) -> Failure:
        """Make a failure of what has kept a worker from running an item, such as its death."""
        error = arrival.cause
        assert error is not None
        if isinstance(arrival.event, WorkerDown):
            error = self._describe_death(index, error, arrival.event.moment, identity)
        return self.make(index, Raised(error, f"{type(error).__name__}: {error}\n"), identity)

    def abort(self, reason: AbortReason, cause: BaseException | None) -> None:
        """Have the run end because no worker can be had."""
        is_told = is_a(cause, WorkersUnavailable)  # by an engine that knows better
        if cause is not None and (reason is AbortReason.SETUP_FAILED or is_told):
            self.error = cause
            return
        last = "it did not come up in time" if cause is None else f"{cause}"
        self.error = WorkersUnavailable(f"{reason.value}; of the last one: {last}")

    @property
    def exit_notice(self) -> RuntimeWarning | None:
        """Say that an item's ``sys.exit()`` is the run's end: Python would leave without a word."""
        failure = None if self.error is None else failure_of(self.error)
        if failure is None or not is_a(failure.exception, SystemExit):
            return None
        item = f"item {failure.index} ({short_repr(failure.item)})"
        code = "" if failure.exception.code is None else repr(failure.exception.code)
        return RuntimeWarning(f"{item} called sys.exit({code}), which ends the run")

    def note_next_steps(self, error: BaseException, finished: int, *, is_lazy: bool) -> None:
        """Have an exception that ends the run say what can be done with it."""
        steps = []
        if finished:
            total = "" if self._dataset.length is None else f" of {self._dataset.length}"
            which = ", those not taken" if is_lazy else ""
            steps.append(f"{finished}{total} finished{which}: allcores.finished(error)")
        if error is self.error and failure_of(error) is not None:
            steps.append("again, in the debugger: allcores.replay(error, debug=True)")
        if steps:
            add_note(error, f"allcores: {'; '.join(steps)}")

    def name(self, index: int) -> str:
        """Say which item it is."""
        if self._inbox is not None:
            submission, position = self._inbox.place(index)
            return submission.line.name(position, submission.items[position])
        return f"item {index} ({short_repr(self._dataset.items(index, index + 1)[0])})"

    def _describe_death(
        self, index: int, death: BaseException, moment: Moment, identity: WorkerIdentity
    ) -> BaseException:
        doing = "while it ran" if moment is Moment.RUNNING else "while it received, or sent the result of,"
        described = type(death)(f"{identity} {death} {doing} {self.name(index)}{self._excuses.describe(index)}")
        vars(described).update(vars(death))
        return described

    def _output(self, index: int) -> str:
        if self._plan.log is None:
            return ""
        from allcores._worker.item_log import last_lines  # for those who ask for it

        return last_lines(self._plan.log, index)

    def _place(self, index: int) -> tuple[int, Any, Origin | None]:
        """Give an item, where the caller finds it, and what it takes to run it again."""
        if self._inbox is None:
            return index, self._dataset.items(index, index + 1)[0], self._origin
        submission, position = self._inbox.place(index)
        return position, submission.items[position], submission.line.origin
