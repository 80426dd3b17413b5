"""What items say, in words that travel: prints, records of logging, and warnings."""

from __future__ import annotations

from allcores._core.hints import Any, TypeAlias
from allcores._core.records import Record

__all__ = ["Echo", "Logged", "Printed", "Utterance", "Warned"]


class Echo(Record):
    """What of it the caller's own streams and handlers are to have; else it goes where the worker's descriptors lead.

    Attributes:
        stdout: whether prints are for what the caller has as `sys.stdout`, which is no descriptor that workers have.
        stderr: likewise.
        records: whether the caller has handlers of logging.
    """

    stdout: bool
    stderr: bool
    records: bool


class Printed(Record):
    """Text that was written to a stream of Python's.

    Attributes:
        stream: its name in `sys`.
        text: whole lines, mostly.
    """

    stream: str
    text: str


class Logged(Record):
    """A record of logging, of plain types.

    Attributes:
        attributes: the record's, with the item's index as `item`.
    """

    attributes: dict[str, Any]


class Warned(Record):
    """A warning that is to be shown.

    Attributes:
        text: the warning's.
        module: of its category.
        name: of its category.
        filename: where it was raised.
        line: there.
    """

    text: str
    module: str
    name: str
    filename: str
    line: int


Utterance: TypeAlias = Printed | Logged | Warned
