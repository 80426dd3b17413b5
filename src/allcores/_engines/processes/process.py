"""What the engine asks of the processes that are its workers, and of where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType

from allcores._codec.definitions.contents import Contents
from allcores._codec.definitions.globals import Key, Known
from allcores._core.hints import TYPE_CHECKING, Any, Protocol
from allcores._core.records import Record
from allcores._system.lifeline import End
from allcores._system.tracking import SharedTracker
from allcores._transport.board import Mark
from allcores._transport.channel import Channel
from allcores._transport.segment import Segment
from allcores._transport.wire import Buffer

if TYPE_CHECKING:
    from allcores._settings.snapshot import Settings

__all__ = ["Process", "ProcessSource", "Setup"]


class Setup(Record):
    """What makes a process ready for its first item: the surroundings and the job, for one that is not born with them.

    Attributes:
        frames: of the job.
        surroundings: pickled, for a process that is not born with the job.
        known: what the process has of the caller's ``__main__`` then.
        unsure: ``{(module, name): contents}`` of what it must compare with its own.
        descriptors: that go along.
        segment: holds the large frames, for all processes; None where there are none.
        settings: that it has then; None where nobody hands in under others.
        variables: of the environment, which are this process's own.
    """

    frames: list[Buffer]
    surroundings: bytes
    known: Known
    unsure: dict[Key, Contents]
    descriptors: list[int]
    segment: Segment | None
    settings: Settings | None
    variables: Mapping[str, str] = MappingProxyType({})


class Process(Protocol):
    """The driver's handle of one worker process."""

    pid: int | None
    known: Known  # what it has of the caller's; of modules, from run to run
    mark: Mark
    channel: Channel
    sentinel: int | None  # a descriptor that becomes readable when the process ends; None where there is none

    def kill(self, *, with_descendants: bool = True) -> None:
        """End the process now, and what it has started."""

    def wait_for_end(self) -> End:
        """Wait for the end of a process that has ended or will at once."""

    def see_end(self) -> None:
        """Wait likewise, where nobody asks how it ended."""

    def close(self) -> None:
        """Free what the driver holds for a process that has ended."""


class ProcessSource(Protocol):
    """Starts the processes of one run: `ForkedSource`, `CleanSource`."""

    inherits: bool  # whether its processes are born with the job, the dataset's columns and the caller's __main__
    keeps_processes: bool  # whether idle ones are of use to later runs
    has_finalizer: bool  # whether they have something to do before they end, or are kept

    def starting(self) -> AbstractContextManager[None]:
        """Do once what is to be done for all processes that are started meanwhile."""

    def set_up(self) -> Setup:
        """Give what the next process must be sent first."""

    def start(self, tracker: SharedTracker) -> Process:
        """Begin to start a process, which tells a tracker. Raises OSError where the system does not allow it."""

    def forget(self, process: Any) -> None:
        """Hear that a process is none of the run's workers any more."""

    def keep(self, process: Any) -> None:
        """Take back an idle process, where they are kept."""

    def close(self) -> None:
        """Free what the source holds; its processes have ended or were kept."""
