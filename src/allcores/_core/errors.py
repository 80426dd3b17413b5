"""What allcores raises; the type says who must act.

| raised                 | who must act                                                             |
| ---------------------- | ------------------------------------------------------------------------ |
| `ValueError, TypeError`| the caller: an option or an argument makes no sense                        |
| `UnpicklableError`     | the caller: the function captures something that cannot travel             |
| `UnpicklableItem`      | the item: it cannot travel to a worker                                     |
| `UnpicklableResult`    | the item: what the function returned for it cannot travel back             |
| `ItemError`            | the item: its exception could not travel; this one carries its text        |
| `WorkerDied`           | the item, or the machine: the worker died while it ran the item            |
| `ItemCancelled`        | nobody: the caller cancelled the item while it ran                         |
| `ItemTimeout`          | the item: it ran longer than `timeout=` allows                             |
| `MemoryLimitExceeded`  | the item: its worker used more than `memory=` allows                       |
| `Terminated`           | nobody: the caller ended the pool while the item waited, or ran            |
| `JournalMismatch`      | the caller: the journal is of another function, or of another seed         |
| `JournalInUse`         | the caller: another run is recording into the journal                      |
| `JournalDamaged`       | the caller: the file is no journal, or what it holds cannot be read        |
| `JournalFull`          | the machine's owner: the disk takes no more                                |
| `WorkersUnavailable`   | the machine's owner: no worker can be started                              |
| `InternalError`        | the authors of allcores: please report it                                  |

Each survives pickling: the message is the only positional argument, the rest lives in the instance's dict.
"""

from pickle import PicklingError

__all__ = [
    "AllcoresError",
    "InternalError",
    "ItemCancelled",
    "ItemError",
    "ItemTimeout",
    "JournalDamaged",
    "JournalError",
    "JournalFull",
    "JournalInUse",
    "JournalMismatch",
    "MemoryLimitExceeded",
    "Terminated",
    "UnpicklableError",
    "UnpicklableItem",
    "UnpicklableResult",
    "WorkerDied",
    "WorkersUnavailable",
]


class AllcoresError(Exception):
    """The base of every exception that is allcores' own."""


class UnpicklableError(AllcoresError, PicklingError):
    """The function, or what it captures, cannot be pickled; raised before any worker starts."""


class _Refused(AllcoresError, PicklingError):
    def __init__(self, message: str, *, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class UnpicklableItem(_Refused):
    """An item cannot be pickled, or cannot be unpickled by the worker; that item fails.

    Attributes:
        kind: the name of the builtin type of what its pickling raised; empty where that is not known.
    """


class UnpicklableResult(_Refused):
    """A result cannot be pickled by the worker, or cannot be unpickled here; that item fails.

    Attributes:
        kind: the name of the builtin type of what its pickling raised; empty where that is not known.
    """


class ItemError(AllcoresError):
    """Stands for an item's exception that could not travel.

    Attributes:
        type_name: the qualified name of the original exception's type.
        remote_traceback: the original traceback as text.
    """

    def __init__(self, message: str, *, type_name: str = "", remote_traceback: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name
        self.remote_traceback = remote_traceback


class WorkerDied(AllcoresError):
    """The worker died while it ran this item.

    Attributes:
        exit: how it ended: a signal's name (``"SIGKILL"``) or ``"exit code 3"``.
        pid: its process id, or None if it was never known.
        memory: the most memory that it had in use, in bytes, or None where the system does not tell.
        is_out_of_memory: whether the kernel's out-of-memory killer ended it, as far as can be told.
    """

    def __init__(
        self,
        message: str,
        *,
        exit: str = "",  # noqa: A002 - it is what it is
        pid: int | None = None,
        memory: int | None = None,
        is_out_of_memory: bool = False,
    ) -> None:
        super().__init__(message)
        self.exit = exit
        self.pid = pid
        self.memory = memory
        self.is_out_of_memory = is_out_of_memory


class ItemTimeout(AllcoresError, TimeoutError):
    """The item ran longer than it may; its worker was killed.

    Attributes:
        seconds: how long an item may run.
    """

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class MemoryLimitExceeded(AllcoresError, MemoryError):
    """The item's worker used more memory than it may; it was killed.

    Attributes:
        limit: how much a worker may use, in bytes.
        used: how much it used when it was killed, in bytes.
    """

    def __init__(self, message: str, *, limit: int = 0, used: int = 0) -> None:
        super().__init__(message)
        self.limit = limit
        self.used = used


class ItemCancelled(AllcoresError):
    """The item was cancelled while it ran; its worker was killed."""


class Terminated(AllcoresError):
    """The pool was ended before anything came of the item."""


class JournalError(AllcoresError):
    """A journal cannot be used; the base of the four errors that say why."""


class JournalMismatch(JournalError):
    """The journal was written by a run of another function, or with another seed."""


class JournalInUse(JournalError):
    """Another run is recording into the journal."""


class JournalDamaged(JournalError):
    """The file is not a journal, or something in it cannot be read."""


class JournalFull(JournalError):
    """The disk takes no more outcomes; those recorded before are safe."""


class WorkersUnavailable(AllcoresError):
    """No worker can be started, or none lives long enough to take an item."""


class InternalError(AllcoresError):
    """A step that must not happen happened: a bug in allcores."""


for _name in __all__:  # in a traceback, by the names that people know
    globals()[_name].__module__ = "allcores"
